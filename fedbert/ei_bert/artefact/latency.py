"""How fast an artefact runs on this machine, by length, batch and threads."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import VOCABULARY, Artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder

LENGTHS = (8, 16, 32, 64)
# The best of three is what the machine can do when it is left alone.
_BATCH, _BATCHES, _ALONE, _TIMES = 96, 16, 64, 3


def latency(
    artefact: Artefact, threads: tuple[int, ...] = (1, 2), lengths: tuple[int, ...] = LENGTHS
) -> list[dict[str, Any]]:
    """Return rows of length (tokens), batch, threads, ms a text and texts/s: the best of three, model
    only.
    """
    words = len(artefact.files[VOCABULARY].decode().splitlines())
    draw = np.random.default_rng(0)
    encoder = Int8Encoder(artefact)
    rows = []
    for length in lengths:
        ids = draw.integers(5, words, (_BATCH * _BATCHES, length)).astype(np.int32)
        one = [ids[index : index + 1] for index in range(_ALONE)]
        rows.append(_row(length, 1, 1, _best(partial(_all, encoder, one, 1)) / _ALONE))
        batches = [ids[low : low + _BATCH] for low in range(0, len(ids), _BATCH)]
        for count in threads:
            seconds = _best(partial(_all, encoder, batches, count))
            rows.append(_row(length, _BATCH, count, seconds / len(ids)))
    return rows


def batch_speed(artefact: Artefact, length: int, threads: int = 2) -> int:
    """Return texts/s in batches of texts of `length` tokens."""
    return int(next(r for r in latency(artefact, (threads,), (length,)) if r["batch"] > 1)["texts_per_s"])


def _all(encoder: Int8Encoder, batches: Sequence[NDArray[np.int32]], threads: int) -> None:
    if threads == 1:
        for ids in batches:
            encoder.float_vectors(ids)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(encoder.float_vectors, batches))


def _best(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def _row(length: int, batch: int, threads: int, seconds: float) -> dict[str, Any]:
    return {
        "length": length,
        "batch": batch,
        "threads": threads,
        "ms": round(seconds * 1e3, 4),
        "texts_per_s": round(1 / seconds),
    }
