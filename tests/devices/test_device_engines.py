"""Measured over predicted by engine: by hand on small numbers, and the shipped rows from shipped profiles."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedbert.devices.errors_table import load_errors
from fedbert.devices.fitting.added_rows import onnx_timings
from fedbert.devices.fitting.engines import (
    PREDICTED_FOR,
    EngineTimings,
    engine_row,
    predicted_seconds,
    read_speech,
    read_vision,
)
from fedbert.devices.fitting.fitting import FLOAT, INT8, Fit, Floats
from fedbert.devices.fitting.measured import read_cores
from fedbert.devices.profiles import load_profiles
from fedbert.paths import profiles_folder
from fedbert.table_files import rows_of

SOURCES = profiles_folder() / "sources"


def test_predicted_seconds_by_hand() -> None:
    """Without effects a core does 4 multiply-adds a cycle: 4 G at 1 GHz take 1 s; .4 s on 4 threads, p .8."""
    cores = read_cores(SOURCES)
    nothing = Fit(cores, {}, {}, {}, {})
    two = EngineTimings(
        engine=("x", "x"),
        network=("n", "n"),
        core=("Cortex-A76", "Cortex-A76"),
        precision=np.array([INT8, INT8]),
        threads=np.array([1, 4]),
        clock_hz=np.array([1e9, 1e9]),
        macs=np.array([4e9, 4e9]),
        seconds=np.array([2.0, 2.0]),
    )
    shares = {cores["Cortex-A76"].kind(): 0.8}
    assert predicted_seconds(two, nothing, shares) == pytest.approx([1.0, 0.4])


def test_an_engine_row_by_hand() -> None:
    """Least, median and largest factor, to two digits after the point."""
    assert engine_row("x", "int8", ("networks", "boards"), np.array([3.0, 1.404, 2.0])) == {
        "engine": "x",
        "precision": "int8",
        "networks": "networks",
        "devices": "boards",
        "label": "measured",
        "rows": 3,
        "factor_low": 1.4,
        "factor_median": 2.0,
        "factor_high": 3.0,
    }


def test_the_tables_are_whole() -> None:
    """28 rows of speech (real-time factor x seconds of sound), 144 of vision; every core has facts."""
    speech, vision, cores = read_speech(SOURCES), read_vision(SOURCES), read_cores(SOURCES)
    assert (len(speech), len(vision)) == (28, 144)
    assert speech.seconds[0] == pytest.approx(0.436 * 5.592)
    assert speech.of("onnxruntime", INT8).sum() == 12
    assert {*speech.core, *vision.core} <= set(cores)
    first = rows_of(SOURCES / "vision_transformers.csv")[0]
    assert (first["network"], first["core"], first["ms"]) == ("cvt-13", "Cortex-A76", "440.4")
    assert vision.seconds[0] == pytest.approx(0.4404)


def test_onnx_rows_for_the_fit_are_those_on_one_thread() -> None:
    """SenseVoice on both cores, Parakeet on one; 910 operators are 13 in each of 70 layers."""
    added = onnx_timings(SOURCES)
    assert list(zip(added.network, added.core, strict=True)) == [
        ("SenseVoice", "Cortex-A55"),
        ("SenseVoice", "Cortex-A76"),
        ("Parakeet-TDT-0.6b-v2", "Cortex-A76"),
    ]
    assert added.layers.tolist() == [910, 910, 312]
    assert added.conv_macs.tolist() == [23.3e9, 23.3e9, 58e9]


def shipped_rates() -> dict[tuple[str, int], tuple[float, float]]:
    """Return, by core and precision, multiply-adds a cycle and p of threads, from the shipped profiles."""
    rates = {}
    for profile in load_profiles().values():
        for cluster, core in (
            (profile.clusters[0], profile.big_core),
            (profile.clusters[-1], profile.little_core),
        ):
            share = core.parallel_share or 0.0
            rates[cluster.core, INT8] = (core.int8_gmacs_per_s / cluster.clock_ghz, share)
            rates[cluster.core, FLOAT] = (core.float_gmacs_per_s / cluster.clock_ghz, share)
    return rates


def factors_of(timings: EngineTimings) -> Floats:
    """Return measured over predicted [row] by the rates of the shipped profiles, row by row."""
    rates, factors = shipped_rates(), []
    for row in range(len(timings)):
        per_cycle, share = rates[timings.core[row], int(timings.precision[row])]
        seconds = timings.macs[row] / (per_cycle * timings.clock_hz[row])
        seconds *= 1 - share + share / timings.threads[row]
        factors.append(timings.seconds[row] / seconds)
    return np.array(factors)


@pytest.mark.parametrize(
    ("name", "engine", "read"),
    [
        ("ONNX Runtime", "onnxruntime", read_speech),
        ("ncnn", "ncnn", read_speech),
        ("TensorFlow Lite", "TensorFlow Lite", read_vision),
        ("PyTorch Mobile", "PyTorch Mobile", read_vision),
    ],
)
def test_published_factors_follow_from_the_shipped_profiles(
    name: str, engine: str, read: Callable[[Path], EngineTimings]
) -> None:
    """errors.json has for each engine what its table and the shipped profiles' rates give (within 2 %)."""
    timings = read(SOURCES)
    factors = factors_of(timings)
    rows = [row for row in load_errors().engines if row.engine == name]
    assert rows
    for row in rows:
        mine = factors[timings.of(engine, INT8 if row.precision == "int8" else FLOAT)]
        assert row.rows == len(mine)
        published = (row.factor_low, row.factor_median, row.factor_high)
        assert published == pytest.approx((mine.min(), np.median(mine), mine.max()), rel=0.02)


def test_onnx_runtime_is_predicted_and_older_engines_are_slower() -> None:
    """As in the docs: ONNX Runtime's median is within 10 % of the prediction; the others are all slower."""
    found = {(row.engine, row.precision): row for row in load_errors().engines}
    assert load_errors().engine == PREDICTED_FOR
    assert found["ONNX Runtime", "int8"].factor_median == pytest.approx(1, abs=0.1)
    for engine in ("ncnn, oldest builds", "TensorFlow Lite", "PyTorch Mobile"):
        assert found[engine, "int8"].factor_low > 1.2


def test_onnx_rows_add_too_little_to_be_in_the_fit() -> None:
    """With them in it the errors of Bolt's TinyBERTs and of Parakeet grow: the reason that the docs give."""
    rows = rows_of(SOURCES / "added_rows.csv")
    worse = [row["what"] for row in rows if float(row["median_with"]) > float(row["median_without"])]
    assert [name.split(":")[0] for name in worse] == ["ONNX Runtime", "Bolt", "Bolt"]
