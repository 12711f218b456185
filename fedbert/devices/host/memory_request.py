"""What goes between the process that asks for a model's memory and the fresh one that is measured: JSON.

It stands apart from both, since the one that is measured loads the runtime and the other must not.
"""

from typing import TypedDict

CONTROL_DONE = "without a limit all is well"
"""First line of the answer where a limit is asked for: what ends the process after it is want of memory."""


class MemoryRequest(TypedDict):
    """What to load and to encode; `folder` holds the files."""

    folder: str
    model: str  # file name of the graph
    beside: list[str]  # files that are held whole beside it
    warm_up: str  # path of a small model of the same kind
    texts: list[list[int]]  # token ids
    vector_bytes: int  # of vectors that are held
    limit_bytes: int | None  # above the baseline; None asks for the peaks


class Peaks(TypedDict):
    """The answer without a limit; see `memory_process.MeasuredMemory`."""

    baseline_bytes: int
    load_bytes: int
    run_bytes: list[int]
    peak_bytes: list[int]
    resident_bytes: int


class Verdict(TypedDict):
    """The answer under a limit."""

    baseline_bytes: int
    fits: bool


class Failure(TypedDict):
    """The answer where neither could be found out."""

    error: str
