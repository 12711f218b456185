"""The fit finds constants that are known, and the shipped profiles follow from the committed sources."""

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fedbert.devices.fitting import Timings, fit, leave_one_board_out, relative_errors, weight_bytes
from fedbert.paths import profiles_folder

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_profiles.py"


def made_up(noise: float = 0.0) -> Timings:
    """Return times made by the formula itself, on six boards with two kinds of cores."""
    rng = np.random.default_rng(1)
    boards, cores = [f"board{i}" for i in range(6)], ["Cortex-A53"] * 3 + ["Cortex-A76"] * 3
    clock = np.array([1.2e9, 1.5e9, 2.0e9, 2.0e9, 2.4e9, 2.8e9])
    nets = [
        ("small", 0, 0.2e9, 0, 40),
        ("big", 0, 4e9, 1e6, 60),
        ("dense", 0, 0.6e9, 60e6, 8),
        ("int", 1, 2e9, 1e6, 60),
    ]
    rows = [(b, n) for b in range(6) for n in nets]
    rate = {"Cortex-A53": (1.5, 3.0), "Cortex-A76": (8.0, 16.0)}
    stream = {"Cortex-A53": 2e9, "Cortex-A76": 6e9}
    seconds = [
        n[2] / (clock[b] * rate[cores[b]][n[1]])
        + n[3] * weight_bytes(cores[b], n[1]) / stream[cores[b]]
        + n[4] * 2e4 / clock[b]
        for b, n in rows
    ]
    return Timings(
        tuple(boards[b] for b, _ in rows),
        tuple(cores[b] for b, _ in rows),
        tuple("alike" if n[0] != "int" else "int" for _, n in rows),
        np.array([n[1] for _, n in rows]),
        np.array([clock[b] for b, _ in rows]),
        np.array([float(n[2]) for _, n in rows]),
        np.array([float(n[3]) for _, n in rows]),
        np.array([float(n[4]) for _, n in rows]),
        np.array(seconds) * np.exp(noise * rng.standard_normal(len(rows))),
    )


def test_known_constants_are_found() -> None:
    """Times that follow the formula are fitted to a few per cent, the penalty's price."""
    timings = made_up()
    fitted = fit(timings)
    assert relative_errors(fitted, timings).max() < 0.08
    assert fitted.macs_per_cycle[:, 0] == pytest.approx([1.5, 8.0], rel=0.1)
    assert fitted.bytes_per_s == pytest.approx([2e9, 6e9], rel=0.25)
    assert fitted.overhead_cycles == pytest.approx(2e4, rel=0.5)


def test_an_outlier_does_not_move_the_fit() -> None:
    """One time ten times too long leaves the others' errors small."""
    timings = made_up()
    timings.seconds[5] *= 10
    errors = relative_errors(fit(timings), timings)
    assert np.median(np.delete(errors, 5)) < 0.1
    assert errors[5] > 0.5


def test_leaving_one_board_out() -> None:
    """Every board with a sibling is predicted from the others; a core type alone on its board is left out."""
    timings = made_up(0.05)
    assert len(leave_one_board_out(timings)) == 24
    assert np.median(leave_one_board_out(timings)) < 0.15
    lonely = timings.take(np.array([board in {"board0", "board1", "board5"} for board in timings.board]))
    assert len(leave_one_board_out(lonely)) == 8


def test_bytes_of_a_weight() -> None:
    """int8 takes 1 byte; floats 2 on cores with half precision, else 4."""
    assert [weight_bytes("Cortex-A53", 0), weight_bytes("Cortex-A76", 0), weight_bytes("Cortex-A53", 1)] == [
        4,
        2,
        1,
    ]


def script() -> ModuleType:
    """Return the build script as a module."""
    spec = importlib.util.spec_from_file_location("build_profiles", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a table by dotted key."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves


def test_profiles_follow_from_their_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building from the committed sources gives the committed profiles (within 1 %: solvers differ)."""
    module = script()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module.build(module.fit(module.read_timings()))
    written = sorted(path.name for path in tmp_path.glob("*.toml"))
    shipped = {path.name for path in profiles_folder().glob("*.toml")} - {"links.toml"}
    assert written == sorted(shipped)
    for name in written:
        new, old = (
            flat(tomllib.loads((folder / name).read_text(encoding="utf-8")))
            for folder in (tmp_path, profiles_folder())
        )
        assert new.keys() == old.keys()
        for key, value in new.items():
            same = pytest.approx(old[key], rel=0.01) if isinstance(value, int | float) else old[key]
            assert value == same, f"{name}: {key}"


def test_published_error_of_the_fit() -> None:
    """The error that docs/devices.md states is the error of the committed sources."""
    module = script()
    timings = module.read_timings()
    assert np.median(relative_errors(fit(timings), timings)) == pytest.approx(0.114, abs=0.005)
