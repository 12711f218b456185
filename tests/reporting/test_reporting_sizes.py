"""The chapter on sizes of the model: each phone the largest that fits, beside one size for all."""

import io
from pathlib import Path
from typing import Any

import pytest
from example_run import example_run, figure

from fedbert.evidence import Absent, as_row
from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.sizes import sentences, short_rows
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import RunResult, SizeRow


def _row(model: str, devices: int, scored: int, size: float, energy: float, won: Any) -> SizeRow:
    return {
        "model": model,
        "devices": devices,
        "bytes": size,
        "outcomes": {"scored": scored, "too_slow": 0, "out_of_memory": 1000 - scored, "no_release": 0},
        "scored_share": scored / 1000,
        "release_0": 0.81,
        "final": 0.85,
        "seen_release_0": 0.8,
        "seen_final": 0.84,
        "won": as_row(won) if isinstance(won, Absent) else won,
        "latency_p95_ms": 42.0,
        "memory_p95_bytes": 3.9e6,
        "energy_mj_per_day": energy,
    }


@pytest.fixture
def result() -> RunResult:
    """A run in which auto beats the largest, loses to the smallest, and is level with the middle one."""
    made = example_run()
    made["sizes"] = {
        "sessions": 1000,
        "devices": 100,
        "releases_per_day": 4.0,
        "rows": [
            _row("auto", 100, 998, 1.7e6, 100.0, Absent("it is this choice")),
            _row("default", 80, 930, 1.9e6, 125.0, figure(0.03, 0.01)),
            _row("small", 15, 990, 1.0e6, 50.0, figure(0.001, 0.004)),
            _row("tiny", 5, 1000, 0.5e6, 25.0, figure(-0.02, 0.005)),
        ],
    }
    return made


def test_sentences_say_what_auto_wins_and_costs(result: RunResult) -> None:
    """A difference is said with its interval and its side; one that holds 0 is said to be none."""
    taken, default, small, tiny = sentences(result)
    assert taken == "Of 100 phones 80.0% take default, 15.0% small and 5.0% tiny."
    assert default == (
        "Beside default for all, auto answers 99.8% of the sessions in time instead of 93.0%; users see "
        "nDCG@10 0.030 higher (auto less default: 95% interval 0.020 to 0.040); a release is 1.7 MB instead "
        "of 1.9 MB, and answers and releases take 20% less energy."
    )
    assert "no difference in the nDCG@10 that users see is resolved (auto less small: 95% interval" in small
    assert "take 100% more energy" in small
    assert "users see nDCG@10 0.020 lower (auto less tiny: 95% interval -0.025 to -0.015)" in tiny


def test_page_and_terminal_have_the_table(result: RunResult) -> None:
    """Each choice is a row of the page and of the terminal; a run with one size has neither."""
    stream = io.StringIO()
    print_summary(result, Path("runs/x"), stream, 120)
    page, shown = render_report(result), stream.getvalue()
    assert "Which size for which phone?" in page
    assert "+0.030 (0.020 to 0.040)" in page
    assert all(row[0] in shown and row[7] in shown for row in short_rows(result))
    assert sentences(result)[0] in page
    del result["sizes"]
    assert "Which size for which phone?" not in render_report(result)
    assert sentences(result) == short_rows(result) == []
