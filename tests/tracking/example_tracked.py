"""An example run for the tests of trackers: invented figures in the shape of a real run's, nothing else."""

from typing import Any

from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario

SCENARIO = Scenario(devices=50, rounds=2, epsilon=8.0)


def row(index: int) -> RoundRow:
    """Return a row with a number, a count by name, a text and a missing figure among the rest."""
    figures: Any = {
        "round": index,
        "ndcg@10": 0.5 + index / 8,
        "outcomes": {"scored": 40 + index, "too slow": 3},
        "installed": {},
        "gate": "passed" if index else "not due",
        "loss": None,
    }
    return figures


def result(status: str = "finished") -> RunResult:
    """Return the whole of a run, as far as trackers look at it."""
    whole: Any = {
        "status": status,
        "command": "fedbert run",
        "commit": None,
        "totals": {"sessions": 129, "devices_per_s": 2.5},
        "traffic": {"bytes": {"up": 1000}},
        "gap": None,
        "wall_s": 1.5,
        "peak_memory_bytes": 1000,
        "rounds": [row(index) for index in range(3)],
    }
    return whole
