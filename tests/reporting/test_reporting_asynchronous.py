"""What report and terminal say of reports that fill buffers, and that they say nothing of other runs."""

import io
import re
from pathlib import Path

import pytest
from example_run import example_run

from fedbert.reporting.run import asynchronous
from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import RunResult

SENTENCE = (
    "9 buffers of 20 reports were full in 3 rounds; 25 phones were at work at once in the mean. Of 720 that "
    "began, 50.0% sent nothing that counted; 5 of 360 reports were dropped from an open buffer as a release "
    "came out. A report was stale by 1.5 steps in the mean, and weighed 0.75."
)


def _buffered() -> RunResult:
    """Return a run of three rounds: 60, 120 and 180 of 240 reports taken, stale by 3, 2 and 2/3 steps."""
    result = example_run()
    result["scenario"]["buffer_reports"] = 20
    result["rounds"] = result["rounds"][:4]
    for number, row in enumerate(result["rounds"][1:]):
        row |= {
            "eligible": 240,
            "completed": 60 * (number + 1),
            "late": 180 - 60 * number,
            "round_s": 10.0 * (number + 1),
            "buffers": 3,
            "buffered": 0,
            "discarded": 5 * (number == 1),
            "staleness_mean": (3.0, 2.0, 2 / 3)[number],
            "weight_mean": 0.75,
            "staleness": {"0": 30, "1": 30 * (2 * number + 1)},
            "at_work": (30.0, 30.0, 20.0)[number],
        }
    for tier in result["tiers"].values():
        tier["round_ends"] = {"done": 60, "late": 30, "interrupted": 8, "lost": 2}
        tier["round_s_by"] = {"download": 12.3, "work": 0.04, "upload": 61.0}
    return result


def test_buffers_in_words() -> None:
    """Means over reports and over the time that rounds were open; nothing of a run without buffers."""
    assert asynchronous.sentence(_buffered()) == SENTENCE
    assert asynchronous.sentence(example_run()) == ""
    assert asynchronous.staleness(asynchronous.buffered(_buffered())) == {"0": 90, "1": 270}


def test_the_report_has_a_chapter() -> None:
    """Two modelled panels beside the clock's; no chapter for another run."""
    page = render_report(_buffered())
    assert "<h2>Asynchronous rounds</h2>" in page
    words = re.sub(r"\s+", " ", page)
    assert SENTENCE in words
    assert "How stale reports were" in words
    assert "<h2>Inside a round</h2>" in page
    assert "Asynchronous rounds" not in render_report(example_run())


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_says_it(width: int) -> None:
    """Above the table of how rounds ended, within its width."""
    out = io.StringIO()
    print_summary(_buffered(), Path("runs/example"), out, width)
    printed = out.getvalue()
    assert max(len(line) for line in printed.splitlines()) <= width
    assert SENTENCE in " ".join(printed.split("Inside a round: how it ended")[1].split())
