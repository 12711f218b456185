"""The process that is measured: it loads a model as a phone would, encodes a text, and does nothing else.

``python -m fedbert.devices.host.memory_child`` reads a request (JSON) from standard input and writes its
answer (JSON) as the last line. `memory_process` starts it and sets the allocator's environment.

What counts is the *data* of the process: private writable memory, as the kernel counts it for RLIMIT_DATA.
Code and other pages of libraries are not in it. First a small model of the same kind is run, so that what
the runtime makes once per process is there; then the free pieces of the heap are taken, so that the model
cannot hide in them. What the process has then is the baseline. The peak is the least limit above the
baseline under which loading and encoding succeed, found by bisection over forks to a page. The leanest way
of loading that was found for ONNX Runtime 1.31: from a path (bytes would be kept beside the copy), no
arena, no memory pattern, one thread.
"""

import ctypes
import gc
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedbert.devices.host.memory_request import CONTROL_DONE, Failure, MemoryRequest, Peaks, Verdict

PAGE_BYTES = 4096
_RUNS = 3
_LARGEST_PIECE_BYTES = 16_384
_DONE, _OUT_OF_MEMORY, _ERROR = 0, 3, 4


def status_bytes(key: str) -> int:
    """Return a size that the kernel keeps of this process; VmData is what RLIMIT_DATA limits."""
    with Path("/proc/self/status").open(encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(f"{key}:"))


def load(model: Path) -> Any:
    """Return a session of `model` made the lean way."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def encode(session: Any, ids: NDArray[np.int32]) -> None:
    """Encode one text a few times; the first time some operators make what they keep."""
    for _ in range(_RUNS):
        session.run(None, {"ids": ids})


def fill_holes() -> None:
    """Take the free pieces of the heap, largest first, each size until the heap grows."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    libc.malloc_trim(ctypes.c_size_t(0))
    size = _LARGEST_PIECE_BYTES - 64
    while size >= 24:
        end = libc.sbrk(0)
        while libc.sbrk(0) == end:
            libc.malloc(size)
        size -= 1024 if size > 2048 else 16


def use(
    request: MemoryRequest, ids: NDArray[np.int32] | None, limit_from: str, limit_bytes: int | None
) -> int:
    """Hold the files beside the model and the vectors, load, encode `ids`; return how that ended.

    The limit, baseline + `limit_bytes`, holds from the ``start`` or only from the ``run`` on.
    """
    folder, previous = Path(request["folder"]), resource.getrlimit(resource.RLIMIT_DATA)
    above = status_bytes("VmData") + (limit_bytes or 0)

    def limit(at: str) -> None:
        if limit_bytes is not None and at == limit_from:
            if status_bytes("VmData") > above:
                raise MemoryError
            # Only the soft limit, which is the one that is enforced: the answer can then still be written.
            resource.setrlimit(resource.RLIMIT_DATA, (above, previous[1]))

    failed = ""
    try:
        limit("start")
        held: list[Any] = [(folder / name).read_bytes() for name in request["beside"]]
        held.append(bytearray(request["vector_bytes"]))
        session = load(folder / request["model"])
        limit("run")
        if ids is not None:
            encode(session, ids)
    except MemoryError:
        return _OUT_OF_MEMORY
    except Exception as error:  # ONNX Runtime has its own kinds
        if "bad_alloc" in str(error) or "allocate" in str(error):
            return _OUT_OF_MEMORY
        failed = str(error).splitlines()[0]
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, previous)
    if failed:
        sys.stderr.write(failed + "\n")
    return _ERROR if failed else _DONE


def forked(*arguments: Any) -> int:
    """Return how `use` ends in a fork of this process; an end by a signal is negative."""
    child = os.fork()
    if child == 0:
        os._exit(use(*arguments))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def resident(request: MemoryRequest, ids: NDArray[np.int32]) -> int:
    """Return how far resident memory rises without a limit: another way to measure.

    In this process itself: in a fork the pages of libraries would be touched for the first time.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far becomes what is now
    before = status_bytes("VmRSS")
    use(request, ids, "start", None)
    return status_bytes("VmHWM") - before


def least_limit(request: MemoryRequest, ids: NDArray[np.int32] | None, limit_from: str) -> int:
    """Return the least limit (bytes above the baseline, whole pages) under which all goes well."""
    low, high = 0, 1 << 30
    guess = 4 * (Path(request["folder"]) / request["model"]).stat().st_size // PAGE_BYTES * PAGE_BYTES
    while high - low > PAGE_BYTES:
        middle = guess if high == 1 << 30 and guess > low else (low + high) // 2 // PAGE_BYTES * PAGE_BYTES
        low, high = (low, middle) if forked(request, ids, limit_from, middle) == _DONE else (middle, high)
    return high


def answer(request: MemoryRequest) -> Peaks | Verdict | Failure:
    """Return what was asked for: a verdict under ``limit_bytes``, or the peaks of each of ``texts``."""
    session = load(Path(request["warm_up"]))
    encode(session, np.ones((1, 8), np.int32))
    del session
    gc.collect()
    texts = [np.array([ids], np.int32) for ids in request["texts"]]
    fill_holes()
    baseline = status_bytes("VmData")
    if (control := forked(request, texts[0], "start", None)) != _DONE:
        return {"error": f"without a limit the model ends with {control}"}
    if request["limit_bytes"] is not None:
        print(CONTROL_DONE, flush=True)  # noqa: T201 from here on an end by a signal is for want of memory
        ended = use(request, texts[0], "start", request["limit_bytes"])
        if ended == _ERROR:
            return {"error": "the model fails under the limit, but not for want of memory"}
        return {"baseline_bytes": baseline, "fits": ended == _DONE}
    return {
        "baseline_bytes": baseline,
        "load_bytes": least_limit(request, None, "start"),
        "run_bytes": [least_limit(request, ids, "run") for ids in texts],
        "peak_bytes": [least_limit(request, ids, "start") for ids in texts],
        "resident_bytes": resident(request, texts[-1]),
    }


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))), flush=True)  # noqa: T201 the answer
    os._exit(0)  # with what is held: nothing is to be cleaned up
