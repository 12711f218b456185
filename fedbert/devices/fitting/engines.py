"""How far measured times in several engines are from the predicted ones: measured over predicted.

The rates of a profile are those of a transformer in Bolt, which ONNX Runtime reaches in int8. Other engines,
and older builds of ncnn, take longer. The tables are in ``device_profiles/sources``: two speech transformers
on the RK3588 (`SPEECH`), four vision transformers on phones (`VISION`), ncnn's networks by age of the build.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fitting.assumptions import read_assumptions
from fedbert.devices.fitting.fitting import FLOAT, INT8, NEWEST_BUILD, Fit, Flags, Floats, Timings
from fedbert.devices.fitting.threads import threads_factor
from fedbert.devices.fitting.transformers import transformer_rates
from fedbert.results import EngineRow
from fedbert.table_files import rows_of

SPEECH = "speech_rk3588.csv"
VISION = "vision_transformers.csv"

PREDICTED_FOR = "Bolt and ONNX Runtime, int8 on the CPU"
"""The engines whose times the shipped profiles predict: what a run names beside latency."""

_PRECISIONS = {"float": FLOAT, "fp16": FLOAT, "int8": INT8}


@dataclass(frozen=True)
class EngineTimings:
    """Measured times of networks in some engine, on the threads of one cluster; arrays and tuples `[row]`.

    `precision` is an index into `fitting.PRECISIONS`; `macs` are the network's multiply-adds.
    """

    engine: tuple[str, ...]
    network: tuple[str, ...]
    core: tuple[str, ...]
    precision: NDArray[np.int64]
    threads: NDArray[np.int64]
    clock_hz: Floats
    macs: Floats
    seconds: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.engine)

    def of(self, engine: str, precision: int) -> Flags:
        """Return the rows [row] of one engine and precision."""
        return np.asarray(np.array([name == engine for name in self.engine]) & (self.precision == precision))


def read_speech(sources: Path) -> EngineTimings:
    """Return the speech transformers on the RK3588: seconds = real-time factor x seconds of sound."""
    facts = read_assumptions(sources)["speech"]
    rows = rows_of(sources / SPEECH)
    return EngineTimings(
        engine=tuple(row["engine"] for row in rows),
        network=tuple(row["network"] for row in rows),
        core=tuple(row["core"] for row in rows),
        precision=np.array([_PRECISIONS[row["precision"]] for row in rows]),
        threads=np.array([int(row["threads"]) for row in rows]),
        clock_hz=np.array([1e9 * facts["clock_ghz"][row["core"]] for row in rows]),
        macs=np.array([1e9 * facts["gmacs"][row["network"]] for row in rows]),
        seconds=np.array([float(row["audio_seconds"]) * float(row["real_time_factor"]) for row in rows]),
    )


def read_vision(sources: Path) -> EngineTimings:
    """Return the vision transformers on phones, one thread each."""
    rows = rows_of(sources / VISION)
    return EngineTimings(
        engine=tuple(row["engine"] for row in rows),
        network=tuple(row["network"] for row in rows),
        core=tuple(row["core"] for row in rows),
        precision=np.array([_PRECISIONS[row["precision"]] for row in rows]),
        threads=np.ones(len(rows), np.int64),
        clock_hz=np.array([1e9 * float(row["clock_ghz"]) for row in rows]),
        macs=np.array([1e9 * float(row["gmacs"]) for row in rows]),
        seconds=np.array([float(row["ms"]) / 1000 for row in rows]),
    )


def predicted_seconds(timings: EngineTimings, fitted: Fit, shares: dict[str, float]) -> Floats:
    """Return the time [row] that a profile with `fitted` predicts: multiply-adds over the rate, by threads.

    `shares` are p of `threads` by kind of core. Of networks this large the arithmetic is nearly all: the
    operators of SenseVoice come to some .5 %.
    """
    pairs = list(zip(timings.core, timings.precision.tolist(), strict=True))
    rates = {pair: transformer_rates(fitted, *pair)[0] for pair in set(pairs)}
    share = np.array([shares[fitted.cores[core].kind()] for core in timings.core])
    one = timings.macs / (timings.clock_hz * np.array([rates[pair] for pair in pairs]))
    return np.asarray(one * threads_factor(share, timings.threads))


def engine_row(engine: str, precision: str, timed: tuple[str, str], factors: Floats) -> EngineRow:
    """Return the row of measured over predicted `factors` [row]; `timed` are networks and devices."""
    low, median, high = (round(float(value), 2) for value in np.quantile(factors, (0, 0.5, 1)))
    return {
        "engine": engine,
        "precision": precision,
        "networks": timed[0],
        "devices": timed[1],
        "label": "measured",
        "rows": len(factors),
        "factor_low": low,
        "factor_median": median,
        "factor_high": high,
    }


def engine_rows(
    sources: Path, single: Timings, fitted: Fit, shares: dict[str, float], bolt_errors: tuple[Floats, Flags]
) -> list[EngineRow]:
    """Return measured over predicted by engine, those that profiles are for first.

    `single` are ncnn's rows on one thread, `fitted` the profiles' constants; `bolt_errors` the signed errors
    [row] of Bolt's TinyBERTs where they were not fitted, and which are in int8.
    """
    speech, vision = read_speech(sources), read_vision(sources)
    sound = speech.seconds / predicted_seconds(speech, fitted, shares)
    sight = vision.seconds / predicted_seconds(vision, fitted, shares)
    bolt, int8 = 1 / (1 + bolt_errors[0]), bolt_errors[1]
    # As if each board ran the newest build, all else of it known: what is left is the engine's age.
    newest = replace(single, build=np.full(len(single), NEWEST_BUILD))
    age, oldest = single.seconds / fitted.seconds(newest), single.build == 0
    spoken = ("speech transformers", "RK3588, 1 to 4 threads")
    tinyberts = ("TinyBERTs", "Kirin 810, one thread")
    old = ("its benchmark", "boards, one thread")
    seen = ("vision transformers", "four phones, one thread")
    made = [
        engine_row("ONNX Runtime", "int8", spoken, sound[speech.of("onnxruntime", INT8)]),
        engine_row("Bolt", "int8", tinyberts, bolt[int8]),
        engine_row("Bolt", "half", tinyberts, bolt[~int8]),
        engine_row("ncnn", "int8", spoken, sound[speech.of("ncnn", INT8)]),
        engine_row("ncnn", "half", spoken, sound[speech.of("ncnn", FLOAT)]),
        engine_row("ncnn, oldest builds", "int8", old, age[oldest & (single.precision == INT8)]),
        engine_row("ncnn, oldest builds", "float", old, age[oldest & (single.precision == FLOAT)]),
    ]
    for engine in ("TensorFlow Lite", "PyTorch Mobile"):
        made.append(engine_row(engine, "int8", seen, sight[vision.of(engine, INT8)]))
        made.append(engine_row(engine, "float", seen, sight[vision.of(engine, FLOAT)]))
    return made
