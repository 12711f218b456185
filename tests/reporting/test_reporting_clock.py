"""What report and terminal say of rounds that close by the clock, and that they say nothing of others."""

import io
import re
from pathlib import Path

import pytest
from example_run import example_run

from fedbert.reporting.run import clock
from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import RunResult

SENTENCE = (
    "Rounds took 3.5 s in the median (1 s to 6 s). Of 720 asked devices: 75.0% done, 20.0% late, "
    "3.3% interrupted, 1.7% lost."
)


def _clocked() -> RunResult:
    """Return a run of three rounds by the clock that closed after 1, 3.5 and 6 seconds."""
    result = example_run()
    result["rounds"] = result["rounds"][:4]
    for row in result["rounds"][1:]:
        row |= {
            "completed": 180,
            "late": 48,
            "interrupted": 8,
            "lost": 4,
            "round_s": 2.5 * row["round"] - 1.5,
        }
    for tier in result["tiers"].values():
        tier["round_ends"] = {"done": 60, "late": 30, "interrupted": 8, "lost": 2}
        tier["round_s_by"] = {"download": 12.3, "work": 0.04, "upload": 61.0}
    return result


def test_lengths_and_shares_in_words() -> None:
    """Median and span of the lengths; shares of all asked devices."""
    assert clock.sentence(_clocked()) == SENTENCE
    assert clock.sentence(example_run()) == ""


def test_a_tier_in_cells() -> None:
    """Asked devices, a share each end, a mean time each part; dashes where nobody was asked."""
    (tier, *_) = _clocked()["tiers"].values()
    cells = ["100", "60.0%", "30.0%", "8.0%", "2.0%", "12 s", "0.04 s", "1 min 01 s"]
    assert clock.tier_cells(tier) == cells
    tier["round_ends"], tier["round_s_by"] = dict.fromkeys(tier["round_ends"], 0), {}
    assert clock.tier_cells(tier) == ["0", *["–"] * 7]


def test_the_report_has_a_chapter() -> None:
    """Two modelled panels, the sentence and the tiers; no chapter for a run without a clock."""
    page = render_report(_clocked())
    assert "<h2>Inside a round</h2>" in page
    words = re.sub(r"\s+", " ", page)
    assert SENTENCE in words
    assert "How it ended for asked devices" in words
    assert "Inside a round" not in render_report(example_run())


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_has_a_block(width: int) -> None:
    """Within its width; a row a tier."""
    out = io.StringIO()
    print_summary(_clocked(), Path("runs/example"), out, width)
    printed = out.getvalue()
    assert max(len(line) for line in printed.splitlines()) <= width
    after = printed.split("Inside a round: how it ended")[1]
    assert SENTENCE in " ".join(after.split())
    row = next(line for line in after.splitlines() if line.startswith("entry"))
    assert row.split()[1:4] == ["100", "60.0%", "30.0%"]
