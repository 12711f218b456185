"""Messages between the ServerApp and the shards: what is asked, in which arrays, and by whom it is answered.

A message is named numpy arrays and a JSON header, as Flower records. Every answer says whose devices it is of
and which round and release it belongs to, so that one that is late, doubled or strayed can be told.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedbert.scenario import MAX_DEVICES

Arrays = dict[str, NDArray[Any]]

Sign = Callable[[str, Mapping[str, NDArray[Any]]], bytes]
"""Makes the signature of a message from its header's JSON and its arrays."""

ROUND = "train.round"
REPLAY = "evaluate.replay"
START = "query.start"
ARRIVALS = "query.arrivals"


@dataclass(frozen=True)
class Closing:
    """When a round takes no more reports: `last_us` microseconds after its opening.

    Of reports that come right then it takes those of devices up to `last_device`.
    """

    last_us: int
    last_device: int = MAX_DEVICES


@dataclass(frozen=True, eq=False)
class Buffers:
    """What a window that fills buffers tells the phones that it asks; arrays are `[phone]`, by rising number.

    Their reports go to `count` (>= 1) sums: those of the buffers that fill, and of the one left open.
    """

    count: int
    device: NDArray[np.int64]
    place: NDArray[np.int64]
    """The sum that the report goes to, from 0; -1: it does not come in time."""
    staleness: NDArray[np.int64]
    """Steps of the server from the phone's beginning to that of its upload, which it weighs its report by."""


@dataclass(frozen=True)
class RoundOrder:
    """What the server announces to every shard. Round 0 is the window before the clock."""

    round: int
    signal_release: int
    newest_release: int
    closing: Closing | None = None
    """Of a round that closes by the clock; None: it takes all reports of its window."""
    buffers: Buffers | None = None
    """Of a round whose reports fill buffers as they come; None: it is one sum."""
    asking: tuple[float, ...] = ()
    """What a selection that learns announces to phones."""

    @property
    def sums(self) -> int:
        """How many sums the round's reports go to."""
        return 1 if self.buffers is None else self.buffers.count


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


def to_records(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], sign: Sign | None = None
) -> RecordDict:
    """Return a message's content; `sign` makes its signature from the header's JSON and the arrays."""
    text = json.dumps(header)
    records = {"header": ConfigRecord({"json": text}), "arrays": array_record(arrays)}
    if sign is not None:
        records["signature"] = ConfigRecord({"ed25519": sign(text, arrays)})
    return RecordDict(records)


def from_records(content: RecordDict) -> tuple[dict[str, Any], Arrays]:
    """Return (header, arrays) of a message made by `to_records`."""
    header: dict[str, Any] = json.loads(header_text(content))
    arrays = {name: value.numpy() for name, value in content.array_records["arrays"].items()}
    return header, arrays


def header_text(content: RecordDict) -> str:
    """Return the header's JSON as it travelled."""
    return str(content.config_records["header"]["json"])


def signature(content: RecordDict) -> bytes | None:
    """Return the signature that a message carries, if it does."""
    record = content.config_records.get("signature")
    return bytes(record["ed25519"]) if record is not None else None


def blob_to_array(blob: bytes) -> NDArray[np.uint8]:
    """Return the bytes of a file as an array, to travel in a record."""
    return np.frombuffer(blob, np.uint8)
