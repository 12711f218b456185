"""Messages between server and shards: named numpy arrays and a JSON header, as Flower records."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

ROUND = "train.round"
REPLAY = "evaluate.replay"
START = "query.start"


def array_record(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """Return named arrays as a Flower record; an array's dtype and shape survive, an empty one too."""
    return ArrayRecord({name: FlowerArray(np.ascontiguousarray(array)) for name, array in arrays.items()})


def to_records(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> RecordDict:
    """Return a message's content."""
    return RecordDict({"header": ConfigRecord({"json": json.dumps(header)}), "arrays": array_record(arrays)})


def from_records(content: RecordDict) -> tuple[dict[str, Any], Arrays]:
    """Return (header, arrays) of a message made by `to_records`."""
    header: dict[str, Any] = json.loads(str(content.config_records["header"]["json"]))
    arrays = {name: value.numpy() for name, value in content.array_records["arrays"].items()}
    return header, arrays


def blob_to_array(blob: bytes) -> NDArray[np.uint8]:
    """Return the bytes of a file as an array, to travel in a record."""
    return np.frombuffer(blob, np.uint8)
