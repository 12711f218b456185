"""The search over student shapes: what it reads, what it records."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ei_bert_fakes import Silent

from fedbert.cli.main import call
from fedbert.ei_bert.compression import shape_search
from fedbert.ei_bert.compression.plan import Architecture, TaskPlan
from fedbert.ei_bert.compression.tasks_goal import Inputs
from fedbert.ei_bert.teaching.tasks import load_tasks
from fedbert.ei_bert.teaching.teacher import load_teacher

SHAPE = Architecture(layers=1, width=32, heads=4, inner=32, embedding=16)
ROWS = [("set an alarm", "a"), ("wake me at six", "a"), ("freeze my account", "b"), ("block my bank", "b")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set of twenty texts and two labels."""
    rows = [(f"{text} {end}", label) for text, label in ROWS for end in "abcde"]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "one.csv", index=False)
    return tmp_path / "one.csv"


def test_a_short_search_makes_no_more_texts_than_it_can_use(
    data: Path, small_teacher: str, tmp_path: Path
) -> None:
    """120 texts a step are made at most, however many the plan says; a plan of fewer stays as it is."""
    inputs = Inputs(load_teacher(small_teacher), load_tasks([data]), (), {})
    for plan, steps, made in ((10_000, 1, 120), (30, 1, 30)):
        work = tmp_path / str(plan)
        whole = TaskPlan(budget_bytes=120_000, pruning="frequency", precision="float32", remixed_texts=plan)
        shape_search.search_shapes(inputs, whole, steps, work, Silent(), 1, [SHAPE])
        (stage,) = work.glob("vectors-*/stage.json")
        assert json.loads(stage.read_text("utf-8"))["record"]["texts"] == len(inputs.tasks[0].train) + made


def test_a_search_records_how_it_was_asked(
    data: Path, small_teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command, steps and budget stand beside the shapes; the ranking of tokens reaches the plan."""
    monkeypatch.chdir(tmp_path)
    row = {"shape": asdict(SHAPE), "bytes": 9, "loss": 0.5, "texts_per_s": 7, "seconds": 1.0, "chosen": True}
    plans: list[TaskPlan] = []

    def found(_: Inputs, plan: TaskPlan, *rest: Any) -> list[dict[str, Any]]:
        plans.append(plan)
        return [row]

    monkeypatch.setattr(shape_search, "search_shapes", found)
    monkeypatch.setattr(sys, "argv", ["simulations/compress.py", "search", "--steps", "3"])
    flags = "--steps 3 --pruning frequency --budget-bytes 120000 --output s.json --threads 1"
    assert call("compress", ["search", "--data", str(data), "--teacher", small_teacher, *flags.split()]) == 0
    record = json.loads((tmp_path / "s.json").read_text("utf-8"))
    assert record.pop("command") == "python simulations/compress.py search --steps 3"
    assert record == {"steps": 3, "budget_bytes": 120_000, "search": [row]}
    assert (plans[0].pruning, plans[0].budget_bytes) == ("frequency", 120_000)
