"""`benchmarks/peers`: peers are given fedbert's own work, and the table compares nothing else."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.federation.environment import Environment, forget, share
from fedbert.federation.server import starting_artefact
from fedbert.federation.shard import Shard

PEERS = Path(__file__).parent.parent / "benchmarks" / "peers"
DEVICES = 120


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A function that imports a script of `benchmarks/peers` by its name."""
    monkeypatch.syspath_prepend(str(PEERS))

    def found(name: str) -> ModuleType:
        return importlib.import_module(name)

    return found


def test_a_plain_phone_does_what_fedbert_does(script: Callable[[str], Any], tmp_path: Path) -> None:
    """Report for report and in the sum over all, plain numpy gives the engine's integers.

    Written to files and read again, as peers get it. Among the phones are some that click nothing, or are too
    slow to score.
    """
    fedbert, phone = script("run_fedbert"), script("phone")
    scenario = fedbert.scenario_of(DEVICES, "tiny").model_copy(update={"deadline_ms": 4.0})
    environment = Environment.create(scenario, starting_artefact("tiny"))
    share(environment)
    try:
        total, counts = fedbert.round_of(environment, DEVICES, 2)
        phone.write_work(tmp_path, fedbert.work_of(environment, DEVICES))
        own = []
        for device in range(3):
            state = fedbert.state_of(environment, 1)
            answer, _ = Shard(environment, device, 1).run_round(
                state, fedbert.ORDER, {0: environment.encoded_0}
            )
            own.append(answer.server["signal"].view(np.int32).astype(np.int64))
    finally:
        forget()
    work = phone.read_work(tmp_path)
    plain, worked = np.zeros(work.size, np.int64), np.zeros(3, np.int64)
    for device in range(DEVICES):
        sessions, clicks, report = phone.phone(work, device)
        worked += sessions, clicks, report is not None
        whole = np.zeros(work.size, np.int64) if report is None else phone.dense(work, report)
        if device < len(own):
            assert whole.tolist() == own[device].tolist()
        plain += whole
    assert any(vector.any() for vector in own)
    assert dict(zip(("sessions", "clicks", "reports"), worked.tolist(), strict=True)) == counts
    assert phone.digest(plain) == phone.digest(total)
    assert 0 < worked[2] < DEVICES
    assert 0 < work.scored.mean() < 1


def measured(system: str, **changes: Any) -> dict[str, Any]:
    """Return what a system measured: 10 phones, 2 s."""
    found = {"system": system, "version": "1", "how": "", "devices": 10, "sessions": 20, "clicks": 15}
    found |= {"reports": 9, "start_s": 1.0, "wall_s": 2.0, "cpu_s": 4.0, "sum_sha256": "ab"}
    return found | changes


def test_times_stand_as_ratios_to_fedbert(script: Callable[[str], Any]) -> None:
    """A peer that takes six seconds of wall where fedbert takes two stands with a ratio of three."""
    table = script("table")
    rows = table.rows_of([measured("fedbert"), measured("other", wall_s=6.0, cpu_s=5.0)])
    assert [row["wall_ratio"] for row in rows] == [1.0, 3.0]
    assert rows[1]["cpu_ratio"] == 1.25
    assert rows[1]["wall_us_per_device"] == 600_000.0
    assert "| 10 | other | 1 |  | 20 | 1 | 6.00 | 5.00 | 600,000.0 | 500,000.0 | 3 | 1 |" in table.markdown(
        rows, "a machine"
    )


@pytest.mark.parametrize(
    ("key", "value"), [("sessions", 19), ("clicks", 16), ("reports", 8), ("sum_sha256", "cd")]
)
def test_unequal_work_is_not_compared(script: Callable[[str], Any], key: str, value: Any) -> None:
    """A system with other sessions, clicks, reports or another sum is refused by one line that names it."""
    with pytest.raises(FedbertError, match=f"^{key} of other.*must be .* as fedbert's"):
        script("table").rows_of([measured("fedbert"), measured("other", **{key: value})])


def test_a_peer_needs_fedbert_beside_it(script: Callable[[str], Any]) -> None:
    """What was measured with other numbers of devices has nothing to be compared with."""
    with pytest.raises(FedbertError, match="devices"):
        script("table").rows_of([measured("fedbert"), measured("other", devices=11)])
