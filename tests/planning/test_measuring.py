"""What servers spend: the arithmetic of a calibration by literal examples, its file, and real small loads."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedbert.errors import FedbertError
from fedbert.federation.places.measured_app import phases_of
from fedbert.federation.places.measured_link import LinkMeasured, Phase
from fedbert.machine import process_cpu_s, process_memory_bytes
from fedbert.planning.capacity.calibration import SHIPPED, UNITS, read_calibration
from fedbert.planning.measuring import downloads
from fedbert.planning.measuring.aggregator import _opened
from fedbert.planning.measuring.link import HELD, measurements_of, schedule
from fedbert.planning.measuring.samples import Sample, each_and_fixed_memory, fixed_and_each, grown
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.poisson import Poisson
from fedbert.signals.report import report_layout


def test_a_line_through_two_points() -> None:
    """10 cost 7 and 30 cost 17: 2 in any case and 0.5 each; a pair of equal costs has nothing for each."""
    fixed, each = fixed_and_each([7.0, 4.0], [17.0, 4.0], 10, 30)
    assert (fixed, each) == ((2.0, 4.0), (0.5, 0.0))


def test_a_row_has_students_interval() -> None:
    """1, 2 and 3 s: 2 s give or take 4.303 x 1 / sqrt(3) = 2.484 s, cut off at 0; one value has none."""
    row = Sample("update_cpu_s", (1.0, 2.0, 3.0), "how").row()
    assert (row["value"], row["low"], row["high"], row["measured"]) == (2.0, 0.0, 4.484, 3)
    once = Sample("update_cpu_s", (1.0,), "how").row()
    assert (once["low"], once["high"]) == (None, None)


def test_memory_of_a_report_and_its_check() -> None:
    """1,200 bytes with 10 reports and 3,200 with 30: 100 each, 200 without; 50 are 4,000 more than 10."""
    peaks = {10: 1_200.0, 30: 3_200.0, 50: 5_700.0}
    assert each_and_fixed_memory(peaks, 10, 30) == (100.0, 200.0)
    (check,) = grown("aggregator", peaks, (10, 30), 100.0, 7)
    assert (check["count"], check["predicted_bytes"], check["measured_bytes"]) == (40, 4_000.0, 4_500.0)
    assert each_and_fixed_memory({10: 5.0, 30: 5.0}, 10, 30) == (0.0, 5.0)


def test_phases_of_a_deployment() -> None:
    """2 ms a poll; a round 0.5 s, an answer 0.01 s and 1e-7 s a byte; an opener with each phase; 300 held."""
    assert phases_of("1x1000,10x2000") == [(1, 1000), (10, 2000)]

    def spent(phase: Phase) -> float:
        return 2 * 0.5 + (phase.answers + 1) * 0.01 + phase.answers * phase.bytes_each * 1e-7

    polls, phases = schedule(50_000)
    memory = [1_000, 1_100, *(2_000 + 300 * count for count in HELD)]
    memory += [memory[-1]] * (len(phases) + 1 - len(memory))
    measured = LinkMeasured(
        tuple(0.002 * each.count for each in polls), tuple(map(spent, phases)), tuple(memory)
    )
    found = measurements_of(measured, 50_000)
    values = {sample.cost: sample.values for sample in found.samples}
    assert values["check_in_cpu_s"] == pytest.approx((0.002,) * 5)
    assert values["link_round_cpu_s"] == pytest.approx((0.5,) * 3)
    assert values["upload_cpu_s"] == pytest.approx((0.01,) * 3)
    assert values["upload_byte_cpu_s"] == pytest.approx((1e-7,) * 3)
    assert values["link_report_memory_bytes"] == (300.0,)
    assert values["link_memory_bytes"] == (2_000.0,)
    kinds = {(check["part"], check["rate_per_s"], check["bytes_each"]) for check in found.checks}
    rates = {part: {rate for kind, rate, _ in kinds if kind == part} for part in ("check-ins", "uploads")}
    assert {part: len(each) for part, each in rates.items()} == {"check-ins": 3, "uploads": 3}
    assert {size for kind, _, size in kinds if kind == "uploads"} == {50_000, 500_000}
    for check in found.checks:
        assert check["predicted_cpu_s"] == pytest.approx(check["measured_cpu_s"])
    assert [check["predicted_bytes"] / check["measured_bytes"] for check in found.memory_checks] == [1, 1]


def test_a_process_is_asked_for_its_time_and_memory() -> None:
    """CPU time grows by what is worked; of no process there is none."""
    before, began = process_cpu_s(os.getpid()), time.process_time()
    while time.process_time() < began + 0.02:
        pass
    assert process_cpu_s(os.getpid()) - before >= 0.02
    assert process_memory_bytes(os.getpid()) > 1_000_000
    with pytest.raises(ProcessLookupError):
        process_cpu_s(2**22 + 1)


@dataclass(frozen=True)
class Ten:
    """A signal of ten numbers."""

    size: int = 10


PRIVATE = PrivacySettings(
    epsilon=2.0,
    delta=1e-6,
    sampling_probability=0.1,
    clip_norm=1.0,
    rounds=1,
    rounds_per_day=1.0,
    devices=5,
    noise_multiplier=1.0,
)


def test_the_aggregator_really_opens_the_round() -> None:
    """The measured round is one of the product's aggregator: five phones, each a party, and noise."""
    layout = report_layout(Ten(), clip_norm=1.0, largest_cohort=5)
    assert _opened(layout, Poisson.make(PRIVATE), 5, 1) > 0


def test_a_real_static_server_serves_the_release(tmp_path: Path) -> None:
    """Each size is received whole with its headers; the server's own process spent the time."""
    (tmp_path / "file").write_bytes(bytes(50_000))
    with downloads._serving(tmp_path) as (pid, port):
        spent, received = downloads._fetched(pid, port, "file", 3)
        assert 50_000 < received < 51_000
        assert spent > 0
        assert pid != os.getpid()
        with pytest.raises(FedbertError, match="did not serve"):
            downloads._fetched(pid, port, "none", 1)


def test_open_downloads_take_memory_of_a_real_server(tmp_path: Path) -> None:
    """Downloads that nobody reads stay open, each in a thread of the server: its memory grows with them."""
    (tmp_path / downloads.STALLED).write_bytes(bytes(downloads.STALLED_BYTES))
    with downloads._serving(tmp_path) as (pid, port):
        peaks = downloads._open_memory(pid, port, (1, 21))
    assert peaks[21] - peaks[1] > 20 * 10_000


def test_the_shipped_calibration() -> None:
    """It has every figure, says its machine, and names no computer."""
    found = read_calibration()
    assert found.costs.keys() == UNITS.keys()
    assert found.machine["name"] == "two x86 cores"
    assert found.said.startswith("from a calibration of two x86 cores, measured with fedbert ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row.update(schema=99), r"schema\(=99\) must be 2"),
        (lambda row: row.pop("machine"), "lacks 'machine'"),
        (lambda row: row["costs"].pop(), "must be those that are known"),
        (lambda row: row["costs"][0].update(value=-1.0), r"value\(=-1\) must be >= 0"),
        (lambda row: row["machine"].update(cores=0), r"machine.cores\(=0\)"),
        (lambda row: row["machine"].update(memory_bytes=0), r"machine.memory_bytes\(=0\)"),
        (lambda row: row.update(report_bytes=0), r"report_bytes\(=0\)"),
        (lambda row: [cost.update(value=0.0) for cost in row["costs"]], "must be > 0"),
    ],
)
def test_a_wrong_calibration_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    """A file of another schema, or without a figure, or with an impossible one, is one line."""
    row = json.loads(SHIPPED.read_text("utf-8"))
    change(row)
    path = tmp_path / "servers.json"
    path.write_text(json.dumps(row))
    with pytest.raises(FedbertError, match=said):
        read_calibration(path)
    with pytest.raises(FedbertError, match="must exist"):
        read_calibration(tmp_path / "none.json")


def test_another_machine_is_said(tmp_path: Path) -> None:
    """Other cores, and another flwr, are said; a newer fedbert alone is no difference, and its version is."""
    row = json.loads(SHIPPED.read_text("utf-8"))
    row["versions"]["fedbert"] = "0.0.1"
    path = tmp_path / "servers.json"

    def differ() -> set[str]:
        path.write_text(json.dumps(row))
        said = read_calibration(path).said
        assert "measured with fedbert 0.0.1" in said
        return set(said.partition("differ: ")[2].split(", ")) - {""}

    plain = differ()
    assert "version of fedbert" not in plain
    # A last number makes no difference, a second one does.
    row["versions"]["flwr"] = f"{row['versions']['flwr'].rpartition('.')[0]}.99"
    assert differ() == plain
    row["versions"]["flwr"] = "0.1.0"
    assert differ() == plain | {"version of flwr"}
    row["machine"]["cores"] = 999
    assert differ() == plain | {"version of flwr", "cores"}
