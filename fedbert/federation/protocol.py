"""Messages between the ServerApp and the shards: what is asked, in which arrays, and by whom it is answered.

A message is named numpy arrays and a JSON header, as Flower records. Every answer says whose devices it is of
and which round and release it belongs to, so that one that is late, doubled or strayed can be told.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

ROUND = "train.round"
REPLAY = "evaluate.replay"
START = "query.start"


@dataclass(frozen=True)
class RoundOrder:
    """What the server announces to every shard. Round 0 is the window before the clock."""

    round: int
    signal_release: int
    newest_release: int


@dataclass(frozen=True)
class Member:
    """One shard of the run: its SuperNode, and its devices `first` .. `first + count - 1`."""

    index: int
    node: int
    first: int
    count: int

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"shard {self.index} (devices {self.first} to {self.first + self.count - 1})"


def members_of(nodes: list[int], devices: int) -> tuple[Member, ...]:
    """Return the members of a run on `nodes`: contiguous ranges of like size; fixed for the whole run."""
    count = min(len(nodes), devices)
    edges = [devices * index // count for index in range(count + 1)]
    return tuple(
        Member(index, node, edges[index], edges[index + 1] - edges[index])
        for index, node in enumerate(sorted(nodes)[:count])
    )


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
