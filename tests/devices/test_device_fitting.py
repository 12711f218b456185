"""The fit finds constants that are known, and the shipped profiles and errors follow from the sources."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_helpers import script

from fedbert.devices.errors_table import load_errors
from fedbert.devices.fitting.errors import error_row
from fedbert.devices.fitting.fitting import (
    FLOAT,
    INT8,
    CoreFacts,
    Problem,
    Timings,
    fit,
    relative_errors,
    weight_bytes,
)
from fedbert.devices.fitting.left_out import known_cores, leave_out, with_one_time
from fedbert.devices.fitting.measured import build_age, parse_clusters, read_cores, read_ncnn, used_clusters
from fedbert.devices.fitting.threads import threads_factor
from fedbert.devices.fitting.transformers import read_bolt, transformer_macs
from fedbert.paths import profiles_folder

SOURCES = profiles_folder() / "sources"
CORES = {"slow": CoreFacts(1, 0, 0, 0, 1, 0), "fast": CoreFacts(2, 1, 1, 0, 0, 0)}
RATE = {"slow": (1.5, 3.0), "fast": (8.0, 16.0)}
ELEMENTS = {"slow": 0.5, "fast": 2.0}
STREAM = {"slow": 2e9, "fast": 6e9}
CYCLES = 1e4
NETS = (  # name, precision, multiply-adds, activations, dense weights, layers
    ("small", FLOAT, 0.2e9, 5e6, 0, 40),
    ("big", FLOAT, 4e9, 10e6, 1e6, 60),
    ("dense", FLOAT, 0.6e9, 1e6, 60e6, 8),
    ("small", INT8, 0.2e9, 5e6, 0, 40),
    ("big", INT8, 4e9, 10e6, 1e6, 60),
)


def made_up(noise: float = 0.0) -> Timings:
    """Return times made by the formula itself, on six boards with two kinds of cores."""
    rng = np.random.default_rng(1)
    boards = [(f"board{i}", "slow" if i < 3 else "fast", 1e9 * (1.2 + 0.3 * i)) for i in range(6)]
    rows = [(board, net) for board in boards for net in NETS]
    seconds = [
        n[2] / (clock * RATE[core][n[1]])
        + n[3] / (clock * ELEMENTS[core])
        + n[4] * weight_bytes(CORES[core], n[1]) / STREAM[core]
        + n[5] * CYCLES / clock
        for (_, core, clock), n in rows
    ]
    return Timings(
        board=tuple(b[0] for b, _ in rows),
        soc=tuple(b[0] for b, _ in rows),
        core=tuple(b[1] for b, _ in rows),
        network=tuple(n[0] for _, n in rows),
        shapes=("alike",) * len(rows),
        family=("plain",) * len(rows),
        precision=np.array([n[1] for _, n in rows]),
        build=np.full(len(rows), 2),
        clock_hz=np.array([b[2] for b, _ in rows]),
        conv_macs=np.array([float(n[2]) for _, n in rows]),
        activations=np.array([float(n[3]) for _, n in rows]),
        dense_params=np.array([float(n[4]) for _, n in rows]),
        layers=np.array([float(n[5]) for _, n in rows]),
        seconds=np.array(seconds) * np.exp(noise * rng.standard_normal(len(rows))),
    )


def test_known_constants_are_found() -> None:
    """Times that follow the formula are fitted to a few per cent, the prior's price."""
    timings = made_up()
    fitted = fit(timings, CORES)
    assert np.abs(relative_errors(fitted, timings)).max() < 0.08
    rates = fitted.macs_per_cycle(timings)
    for core in CORES:
        mine = (np.array(timings.core) == core) & (np.array(timings.network) == "big")
        assert rates[mine & (timings.precision == FLOAT)] == pytest.approx(RATE[core][FLOAT], rel=0.1)


def test_the_parts_of_a_fit_as_in_the_text_book() -> None:
    """Seconds are arithmetic, activations, streaming and overhead, one row at a time."""
    timings = made_up(0.05)
    fitted = fit(timings, CORES)
    rate, elements = fitted.macs_per_cycle(timings), fitted.elements_per_cycle(timings)
    stream, cycles = fitted.bytes_per_s(timings), fitted.overhead_cycles(timings)
    found = fitted.seconds(timings)
    for row in range(len(timings)):
        clock = timings.clock_hz[row]
        size = weight_bytes(CORES[timings.core[row]], int(timings.precision[row]))
        expected = (
            timings.conv_macs[row] / clock / rate[row] + timings.activations[row] / clock / elements[row]
        )
        expected += timings.dense_params[row] * size / stream[row] + timings.layers[row] * cycles[row] / clock
        assert found[row] == pytest.approx(expected, rel=1e-12)


def test_the_problem_and_its_fit_agree() -> None:
    """The matrices of the least squares and the effects by name give the same times."""
    timings = made_up(0.05)
    problem = Problem.of(timings, CORES)
    point = problem.solve(np.ones(len(timings), np.bool_))
    assert problem.fit(point).seconds(timings) == pytest.approx(problem.seconds(point), rel=1e-9)


def test_an_outlier_does_not_move_the_fit() -> None:
    """One time ten times too long leaves the others' errors small."""
    timings = made_up()
    timings.seconds[5] *= 10
    errors = np.abs(relative_errors(fit(timings, CORES), timings))
    assert np.median(np.delete(errors, 5)) < 0.1
    assert errors[5] > 0.5


def test_leaving_one_soc_out() -> None:
    """What is left out is predicted without it: a board twice as slow as its kind is off by half."""
    timings = made_up()
    slow = np.array(timings.board) == "board4"
    timings = replace(timings, seconds=np.where(slow, 2 * timings.seconds, timings.seconds))
    errors = leave_out(timings, CORES, timings.soc)
    assert errors[slow] == pytest.approx(-0.5, abs=0.15)
    assert np.median(np.abs(errors[~slow])) < 0.3
    by_hand = Problem.of(timings, CORES)
    point = by_hand.solve(~slow)
    assert errors[slow] == pytest.approx((by_hand.seconds(point) / timings.seconds - 1)[slow], abs=0.02)


def test_one_known_time_scales_a_board() -> None:
    """A board that is only slower by a factor is predicted from one time on it; that row is left out."""
    timings = made_up()
    errors = np.where(np.array(timings.board) == "board4", -0.5, 0.0)
    scaled, rows = with_one_time(timings, errors, "small", FLOAT)
    assert rows.sum() == len(timings) - 6
    assert scaled[rows] == pytest.approx(0.0)


def test_known_cores() -> None:
    """A core is known if another SoC has it too."""
    timings = made_up()
    few = timings.take(np.isin(np.array(timings.board), ["board0", "board1", "board5"]))
    assert known_cores(few).tolist() == [core == "slow" for core in few.core]


def test_bytes_of_a_weight() -> None:
    """int8 takes 1 byte; floats 2 on cores with half precision, else 4."""
    sizes = [weight_bytes(CORES[core], p) for core, p in (("slow", FLOAT), ("fast", FLOAT), ("slow", INT8))]
    assert sizes == [4, 2, 1]


def test_clusters_of_a_power_mode() -> None:
    """ncnn's mode 1 runs on the slowest cluster, mode 2 on those above the middle clock, mode 0 on all."""
    clusters = parse_clusters("1x Cortex-X1 2.84 + 3x Cortex-A78 2.4 + 4x Cortex-A55 1.8")
    used = [[cluster.core for cluster in used_clusters(clusters, mode)] for mode in (0, 1, 2)]
    assert used == [["Cortex-X1", "Cortex-A78", "Cortex-A55"], ["Cortex-A55"], ["Cortex-X1", "Cortex-A78"]]


def test_age_of_a_build() -> None:
    """The newest network a board was timed on tells the age of the build."""
    ages = [build_age(networks) for networks in ({"squeezenet"}, {"nanodet_m"}, {"nanodet_m", "FastestDet"})]
    assert ages == [0, 1, 2]


def test_what_threads_are_worth() -> None:
    """Amdahl: with a share p that n threads divide, 1 - p + p / n of the time is left."""
    assert threads_factor(0.8, 4) == pytest.approx(0.4)
    assert threads_factor(0.0, 8) == 1.0


def test_multiply_adds_of_a_transformer() -> None:
    """One layer of width 2, feed-forward 3, 5 tokens: projections 16, feed-forward 12, attention 20."""
    assert transformer_macs(1, 2, 3, 5) == 5 * (16 + 12 + 20)


def test_the_excerpts_are_whole() -> None:
    """All rows find their board, core and network; Bolt's are 8 of TinyBERT and 12 of its variants."""
    measured, bolt = read_ncnn(SOURCES), read_bolt(SOURCES)
    assert len(measured.timings) == 4235
    assert set(measured.timings.core) <= set(read_cores(SOURCES))
    assert (measured.timings.seconds > 0).all()
    assert sum(name == "tinybert" for name in bolt.network) == 8
    assert len(bolt) == 20


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a table by dotted key."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves


def test_profiles_follow_from_their_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building from the committed sources gives the committed profiles and fleets (within 1 %)."""
    module = script("build_profiles")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module.build()
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.toml"))
    shipped = profiles_folder()
    assert written == sorted(
        path.relative_to(shipped)
        for path in shipped.rglob("*.toml")
        if path.name not in {"links.toml", "assumptions.toml"}
    )
    for name in written:
        new, old = (
            flat(tomllib.loads((folder / name).read_text(encoding="utf-8"))) for folder in (tmp_path, shipped)
        )
        assert new.keys() == old.keys()
        for key, value in new.items():
            same = pytest.approx(old[key], rel=0.01) if isinstance(value, int | float) else old[key]
            assert value == same, f"{name}: {key}"


def test_published_errors_follow_from_their_sources() -> None:
    """errors.json has what the tables give: the error in the fit, and that with one SoC left out."""
    cores, measured = read_cores(SOURCES), read_ncnn(SOURCES)
    single = measured.timings.take(measured.threads == 1)
    rows = {row.what: row for row in load_errors().rows}
    inside = error_row("", relative_errors(fit(single, cores), single))
    published = rows["one thread, in the fit"]
    assert published.rows == inside["rows"]
    assert published.median_error == pytest.approx(inside["median_error"], abs=0.003)
    soc = error_row("", leave_out(single, cores, single.soc)[known_cores(single)])
    published = rows["one thread, one SoC left out, its cores timed on another SoC"]
    assert published.rows == soc["rows"]
    assert published.median_error == pytest.approx(soc["median_error"], abs=0.003)
    assert published.within_20 == pytest.approx(soc["within_20"], abs=0.02)


def test_an_error_row_by_hand() -> None:
    """Median and shares are of absolute errors."""
    row = error_row("what", np.array([0.05, -0.15, 0.25, -0.5]), 0.2, "note")
    assert json.loads(json.dumps(row)) == {
        "what": "what",
        "label": "measured",
        "rows": 4,
        "median_error": 0.2,
        "within_10": 0.25,
        "within_20": 0.5,
        "within_30": 0.75,
        "asked": 0.2,
        "note": "note",
    }
