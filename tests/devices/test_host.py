"""The host as a device: constants found again from made-up times, a valid profile, the table's arithmetic."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tomli_w
from click.testing import CliRunner

from fedbert.cli.profiles import profiles
from fedbert.devices.cost_model import count_operations
from fedbert.devices.host import calibrate as host_calibration
from fedbert.devices.host import device as host
from fedbert.devices.host import graphs as host_graphs
from fedbert.devices.host import timing as host_timing
from fedbert.devices.host.calibrate import Calibration, warning
from fedbert.devices.host.check import (
    Row,
    compare,
    markdown,
    read_rows,
    screen_table,
    summary,
    summary_lines,
    write_rows,
)
from fedbert.devices.host.fit import CoreConstants, fit_one_thread, fit_threads, microseconds
from fedbert.devices.host.profile import host_profile
from fedbert.devices.host.timing import Job, Times, measure
from fedbert.devices.profiles import read_profiles
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

TRUE = CoreConstants(
    run_us=7.0,
    operator_us=0.4,
    product_us=2.0,
    integer_per_us=9e4,
    float_per_us=4e4,
    element_per_us=1.8e4,
    bytes_per_us=1.5e4,
    wake_us=1.5,
    share=0.7,
)
MADE = host.small_graphs()
COUNTS = host.counts_of(MADE)


def plain_us(counts: list[float], constants: CoreConstants, threads: int) -> float:
    """Return the formula of one graph, written out."""
    calls, products, integer, floats, elements, traffic = counts
    arithmetic = integer / constants.integer_per_us
    arithmetic += floats / constants.float_per_us
    arithmetic += elements / constants.element_per_us
    work = max(arithmetic, traffic / constants.bytes_per_us)
    if threads > 1:
        work = work * (1 - constants.share) + work * constants.share / threads
        products *= 1 + constants.wake_us / constants.product_us
    return constants.run_us + calls * constants.operator_us + products * constants.product_us + work


@pytest.mark.parametrize("threads", [1, 2])
def test_the_time_of_a_graph_as_in_the_text_book(threads: int) -> None:
    """The columns give what one loop over graphs gives."""
    expected = [plain_us(row, TRUE, threads) for row in COUNTS.tolist()]
    assert microseconds(TRUE, COUNTS, threads).tolist() == pytest.approx(expected, rel=1e-12)


def test_the_fit_finds_known_constants() -> None:
    """Times from known constants, one in ten disturbed by half, give them back within a tenth."""
    slow = np.where(np.arange(len(COUNTS)) % 10 == 3, 1.5, 1.0)
    one = fit_one_thread(COUNTS, microseconds(TRUE, COUNTS) * slow)
    found = fit_threads(one, COUNTS, microseconds(TRUE, COUNTS, 2) * slow)
    assert astuple(found)[:7] == pytest.approx(astuple(TRUE)[:7], rel=0.1)
    assert found.share == pytest.approx(TRUE.share, abs=0.03)
    assert found.wake_us == pytest.approx(TRUE.wake_us, rel=0.2)


def test_the_fit_of_undisturbed_times_is_exact() -> None:
    """Without noise the constants come back to a thousandth."""
    one = fit_one_thread(COUNTS, microseconds(TRUE, COUNTS))
    found = fit_threads(one, COUNTS, microseconds(TRUE, COUNTS, 2))
    assert astuple(found) == pytest.approx(astuple(TRUE), rel=1e-3)


def test_no_small_graph_is_a_model() -> None:
    """Graphs that constants are fitted to have one kind of product or none, and no lookup of words."""
    for name, graph in MADE.items():
        kinds = {node.op_type for node in onnx.load_model_from_string(graph.onnx_bytes).graph.node}
        assert "Gather" not in kinds, name
        assert len(kinds & {"MatMul", "MatMulIntegerToFloat", "Attention", "QAttention"}) <= 1, name
        assert len(kinds) <= 2, name


def test_small_graphs_run() -> None:
    """ONNX Runtime takes each graph with the input that its job feeds."""
    for name, job in host.small_jobs(MADE).items():
        if job.threads == 1 and not name.startswith("weights"):
            session = onnxruntime.InferenceSession(job.onnx_bytes)
            assert np.isfinite(session.run(None, dict(job.feed))[0]).all(), name


@pytest.mark.parametrize("int8", [True, False])
def test_a_bert_of_any_size(int8: bool) -> None:
    """The graph runs at any length, and its multiply-adds are those of its size."""
    size = host_graphs.BertSize(layers=2, width=32, heads=4, inner=48, int8=int8)
    content = host_graphs.bert(size, 16)
    session = onnxruntime.InferenceSession(content)
    for length in (3, 16):
        (vector,) = session.run(None, {"ids": np.full((1, length), 7, np.int32)})
        assert vector.shape == (1, 32)
        assert np.isfinite(vector).all()
    ops = count_operations(content)
    layers = 2 * (4 * 32 * 32 + 2 * 32 * 48)
    assert (ops.integer_macs if int8 else ops.float_macs).per_token == layers + (0 if int8 else 32)
    assert ops.float_macs.per_token_squared == 2 * 2 * 32
    assert ops.product_calls == 2 * (3 + 3) + 1


def test_longer_positions_change_no_short_text() -> None:
    """The shipped model with a longer table gives the same bits for a short text, and takes 128 tokens."""
    name = host.SHIPPED[-1]
    longer = onnxruntime.InferenceSession(host.whole_models()[name])
    shipped = onnxruntime.InferenceSession(models_folder() / name / "model.onnx")
    ids = np.arange(5, 25, dtype=np.int32)[None]
    assert longer.run(None, {"ids": ids})[0].tobytes() == shipped.run(None, {"ids": ids})[0].tobytes()
    assert longer.run(None, {"ids": np.resize(ids, (1, 128))})[0].shape == (1, 96)


def test_the_profile_is_one_like_any_other(tmp_path: Path) -> None:
    """Written to a folder it passes every check, and its core holds the constants in their units."""
    profile = host_profile(TRUE, 12.0, 5e8)
    (tmp_path / "host.toml").write_text(tomli_w.dumps(profile.tables()), encoding="utf-8")
    assert read_profiles(tmp_path)[1] == []
    core = profile.big_core
    assert (core.int8_gmacs_per_s, core.float_gmacs_per_s, core.element_gops_per_s) == (90.0, 40.0, 18.0)
    assert (core.memory_bytes_per_s, core.overhead_us_per_product) == (1.5e10, 2.0)
    assert all(text.startswith(("measured by", "assumed")) for text in profile.sources.values())


def test_predictions_against_a_plain_loop() -> None:
    """Each row is the formula at that length on the counts of that model."""
    models = {"tiny": host.whole_models()["tiny"]}
    core = host_profile(TRUE, 12.0, 5e8).big_core
    rows = compare(core, models, np.ones((2, 1, len(host.LENGTHS))))
    ops = count_operations(models["tiny"])
    expected = []
    for threads in host.THREADS:
        for length in host.LENGTHS:
            t = float(length)
            quadratics = (ops.integer_macs, ops.float_macs, ops.float_ops, ops.traffic_bytes)
            counts = [q.constant + q.per_token * t + q.per_token_squared * t * t for q in quadratics]
            row = [float(ops.operator_calls), float(ops.product_calls), *counts]
            expected.append(plain_us(row, TRUE, threads) / 1e3)
    assert [row.predicted_ms for row in rows] == pytest.approx(expected, rel=1e-9)
    assert [row.threads for row in rows] == [1] * 5 + [2] * 5


ROWS = [
    Row("a", 8, 1, 1.1, 1.0),
    Row("a", 16, 1, 1.8, 2.0),
    Row("a", 8, 2, 0.8, 1.0),
    Row("a", 16, 2, 2.0, 2.0),
]


def test_the_arithmetic_of_the_table(tmp_path: Path) -> None:
    """Errors are predicted over measured less 1; the summary takes their absolute values."""
    found = summary(ROWS)
    assert (found.within, found.rows) == (3, 4)
    assert [found.median, found.worst] == pytest.approx([0.1, 0.2])
    assert summary_lines(ROWS)[1] == "2 threads: median error 10.0%, worst 20.0%, 1 of 2 rows within 15 %"
    assert markdown(ROWS)[2] == "| a | 8 | 1.100 | 1.000 | +10.0% | 0.800 | 1.000 | -20.0% |"
    assert "predicted" in screen_table(ROWS)[0]
    write_rows(tmp_path / "rows.csv", ROWS)
    assert markdown(read_rows(tmp_path / "rows.csv")) == markdown(ROWS)


def test_the_shortest_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all bursts of a job the shortest is its time; a job that is sometimes slow raises the spread."""
    taken = iter([3.0, 5.0, 2.0, 5.0, 4.0, 5.0])
    monkeypatch.setattr(host_timing, "_burst", lambda made, feed: next(taken))
    graph = host_graphs.elementwise("Sum", 1, 1, 2)
    feed = {"x": np.ones((1, 1, 1), np.float32)}
    times = measure({"a": Job(graph, feed, 1), "b": Job(graph, feed, 1)}, 1e-9)
    assert times.shortest_ms.tolist() == [2_000.0, 5_000.0]
    assert times.median_ms.tolist() == [3_000.0, 5_000.0]
    assert (times.rounds, times.spread) == (3, 1.25)


def test_a_busy_machine_is_named() -> None:
    """A wide spread or a high load gives one line; a quiet machine none."""
    quiet = Times(np.ones(3), np.full(3, 1.1), 9, 0.1)
    assert warning(quiet) == ""
    for busy in (Times(np.ones(3), np.full(3, 1.3), 9, 0.1), Times(np.ones(3), np.ones(3), 9, 1e4)):
        assert "the machine was busy" in warning(busy)
        assert "\n" not in warning(busy)


@pytest.mark.parametrize("verify", [False, True])
def test_a_calibration_from_made_up_times(monkeypatch: pytest.MonkeyPatch, verify: bool) -> None:
    """Small graphs' times give the constants; whole models' times enter the rows alone."""
    small = np.concatenate([microseconds(TRUE, COUNTS, threads) for threads in host.THREADS]) / 1e3

    def made_up(jobs: dict[str, Job], seconds: float, progress: object) -> Times:
        times = np.concatenate([small, np.full(len(jobs) - len(small), 3.0)])
        return Times(times, times, 5, 0.0)

    monkeypatch.setattr(host_calibration, "measure", made_up)
    monkeypatch.setattr(host_calibration, "load_ms", lambda content: 12.0)
    monkeypatch.setattr(host_calibration, "flash_bytes_per_s", lambda: 5e8)
    found = host_calibration.calibrate(1.0, verify)
    assert found.profile.big_core.int8_gmacs_per_s == pytest.approx(90.0, rel=1e-3)
    assert found.profile.big_core.parallel_share == pytest.approx(0.7, rel=1e-3)
    assert found.profile.load.fixed_ms == 12.0
    assert found.warning == ""
    models = len(host.SHIPPED) + len(host.SIZES)
    assert len(found.rows) == (len(host.THREADS) * models * len(host.LENGTHS) if verify else 0)
    assert {row.measured_ms for row in found.rows} <= {3.0}
    assert ("the shortest of many runs" in " ".join(host_calibration.screen_lines(found))) == verify


def _calibrated(*_: object) -> Calibration:
    return Calibration(host_profile(TRUE, 12.0, 5e8), ROWS, [("a", 12.0, 13.0)], "the machine was busy")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes profile and rows, shows the check, and replaces nothing unasked."""
    monkeypatch.setattr("fedbert.devices.host.calibrate.calibrate", _calibrated)
    out, rows = tmp_path / "host.toml", tmp_path / "rows.csv"
    arguments = ["calibrate-host", "--output", str(out), "--rows", str(rows)]
    done = CliRunner().invoke(profiles, arguments, standalone_mode=False)
    assert done.exception is None
    assert "all: median error 10.0%" in done.output
    assert "warning: the machine was busy" in done.output
    assert len(read_rows(rows)) == len(ROWS)
    rows.unlink()
    assert read_profiles(tmp_path)[1] == []
    again = CliRunner().invoke(profiles, arguments[:3], standalone_mode=False)
    assert isinstance(again.exception, FedbertError)
    assert "add --overwrite" in str(again.exception)
    more = CliRunner().invoke(profiles, [*arguments[:3], "--overwrite"], standalone_mode=False)
    assert more.exception is None
    alone = [*arguments, "--no-verify", "--overwrite"]
    assert isinstance(CliRunner().invoke(profiles, alone, standalone_mode=False).exception, FedbertError)
