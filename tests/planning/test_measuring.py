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
from fedbert.federation.places.measured_link import LinkMeasured
from fedbert.machine import process_cpu_s, process_memory_bytes
from fedbert.planning.capacity.calibration import SHIPPED, UNITS, read_calibration
from fedbert.planning.measuring import downloads
from fedbert.planning.measuring.aggregator import _opened
from fedbert.planning.measuring.link import ANSWERS, LARGE_BYTES, SMALL_BYTES, samples_of
from fedbert.planning.measuring.samples import Sample, fixed_and_each
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


def test_phases_of_a_deployment() -> None:
    """The first phase counts for nothing; small and large answers alternate: 0.01 s each, 1e-7 s a byte."""
    assert phases_of("1x1000,10x2000") == [(1, 1000), (10, 2000)]
    small, large = (ANSWERS * (0.01 + 1e-7 * size) for size in (SMALL_BYTES, LARGE_BYTES))
    found = samples_of(LinkMeasured((0.004, 0.006), (9.0, small, large, small, large), 100, 150))
    values = {sample.cost: sample.values for sample in found}
    assert values["upload_cpu_s"] == pytest.approx((0.01, 0.01))
    assert values["upload_byte_cpu_s"] == pytest.approx((1e-7, 1e-7))
    assert values["link_memory_growth_bytes"] == (50.0,)


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


def test_the_aggregator_really_opens_the_round() -> None:
    """The measured round is one of the product's aggregator: five phones, each a party, and noise."""
    settings = PrivacySettings(
        epsilon=2.0,
        delta=1e-6,
        sampling_probability=0.1,
        clip_norm=1.0,
        rounds=1,
        rounds_per_day=1.0,
        devices=5,
        noise_multiplier=1.0,
    )
    layout = report_layout(Ten(), clip_norm=1.0, largest_cohort=5)
    assert _opened(layout, Poisson.make(settings), 5, 1) > 0


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


def test_the_shipped_calibration() -> None:
    """It has every figure, says its machine, and names no computer."""
    found = read_calibration()
    assert found.costs.keys() == UNITS.keys()
    assert found.machine["name"] == "two x86 cores"
    assert found.said.startswith("from a calibration of two x86 cores, fedbert ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row.update(schema=99), r"schema\(=99\) must be 1"),
        (lambda row: row.pop("machine"), "lacks 'machine'"),
        (lambda row: row["costs"].pop(), "must be those that are known"),
        (lambda row: row["costs"][0].update(value=-1.0), r"value\(=-1\) must be >= 0"),
        (lambda row: row["machine"].update(cores=0), r"machine.cores\(=0\)"),
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
    """A calibration of another version or with other cores is taken, and says so."""
    row = json.loads(SHIPPED.read_text("utf-8"))
    row["versions"]["fedbert"] = "0.0.1"
    row["machine"]["cores"] = 999
    path = tmp_path / "servers.json"
    path.write_text(json.dumps(row))
    said = read_calibration(path).said
    assert "fedbert 0.0.1; here differ: " in said
    assert "cores" in said.split("differ: ")[1] and "version of fedbert" in said
