"""Starts the process in which a model's memory is measured or limited (Linux only)."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fedbert.devices.host.memory_request import CONTROL_DONE, MemoryRequest, Peaks, Verdict
from fedbert.errors import FedbertError, invalid
from fedbert.paths import PACKAGE, models_folder

MODEL = "model.onnx"
TIMEOUT_S = 300
PLATFORM = sys.platform

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONMALLOC": "malloc",  # Python's own allocator takes memory by the megabyte
    "MALLOC_ARENA_MAX": "1",
    # Large blocks are mappings of their own and go back when freed, and the heap grows by what is needed.
    "MALLOC_MMAP_THRESHOLD_": "16384",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_TOP_PAD_": "0",
}
"""A lean allocator: what is counted is what the model asks for, not what malloc keeps in store."""


@dataclass(frozen=True)
class MeasuredMemory:
    """Bytes above the baseline of one fresh process.

    `load_bytes` to load the model, `run_bytes` [text] to encode once it is loaded, `peak_bytes` [text]
    both: each the least limit that is enough. `resident_bytes` is how far resident memory rose for the last
    text, without a limit.
    """

    baseline_bytes: int
    resident_bytes: int
    load_bytes: int
    run_bytes: list[int]
    peak_bytes: list[int]


def need_linux(name: str, value: object) -> None:
    """Raise FedbertError unless memory can be limited here; `name` is the setting that asks for it."""
    if PLATFORM != "linux":
        raise invalid(name, value, f"be 0 on {PLATFORM}", "memory is limited as Linux does it")


def measure(
    files: Mapping[str, bytes], texts: Sequence[Sequence[int]], vector_bytes: int = 0
) -> MeasuredMemory:
    """Return the memory of a model in one fresh process.

    `files` are an artefact's, ``model.onnx`` among them; the others are held whole beside `vector_bytes` of
    vectors; `texts` are token ids. Raises FedbertError if the process fails.
    """
    return MeasuredMemory(**cast(Peaks, _ask(files, texts, vector_bytes, None)))


def fits(files: Mapping[str, bytes], text: Sequence[int], vector_bytes: int, limit_bytes: int) -> bool:
    """Return whether a model loads and encodes `text` in a fresh process that may use `limit_bytes` more.

    Raises FedbertError if it fails for another reason than memory.
    """
    return cast(Verdict, _ask(files, [text], vector_bytes, limit_bytes))["fits"]


def _ask(
    files: Mapping[str, bytes], texts: Sequence[Sequence[int]], vector_bytes: int, limit_bytes: int | None
) -> Any:
    """Return the answer: a `Verdict` under a limit, else `Peaks`; raises FedbertError if there is none."""
    need_linux("verify_devices", "on")
    with tempfile.TemporaryDirectory() as name:
        beside = []
        for index, (file, body) in enumerate(sorted(files.items())):
            place = MODEL if file == MODEL else f"file{index}"
            beside += [] if file == MODEL else [place]
            (Path(name) / place).write_bytes(body)
        request: MemoryRequest = {
            "folder": name,
            "model": MODEL,
            "beside": beside,
            "warm_up": str(models_folder() / "tiny" / MODEL),
            "texts": [list(map(int, text)) for text in texts],
            "vector_bytes": int(vector_bytes),
            "limit_bytes": None if limit_bytes is None else int(limit_bytes),
        }
        path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            done = subprocess.run(
                [sys.executable, "-m", "fedbert.devices.host.memory_child"],
                input=json.dumps(request),
                env=os.environ | ENVIRONMENT | {"PYTHONPATH": path},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise FedbertError(
                f"the memory process took over {TIMEOUT_S} s; try again when less runs here"
            ) from None
    said = done.stdout.splitlines() or [""]
    if done.returncode < 0 and said[0] == CONTROL_DONE:
        return {"fits": False}  # a runtime that cannot report want of memory ends by a signal
    try:
        found = json.loads(said[-1])
    except json.JSONDecodeError:
        found = {"error": f"it ended with {done.returncode}"}
    if "error" in found:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
        raise FedbertError(f"the memory process failed: {found['error']} ({why}); check the model")
    return found
