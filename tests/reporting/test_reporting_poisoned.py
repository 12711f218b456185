"""Phones that lie, in report and summary."""

import html
import io
import re
from pathlib import Path

from reporting.example_run import example_run

from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import PoisonedRow, RunResult

LIES: PoisonedRow = {
    "share": 0.015,
    "attack": "flip",
    "factor": 30.0,
    "coordinate_bound": None,
    "largest_coordinate": 2047.999999,
    "coordinate_bits": 32,
    "reports": 33,
    "norm_share": 0.62,
    "rounds_held": 0,
}


def _with(**changed: object) -> RunResult:
    result = example_run()
    result["poisoned"] = {**LIES, **changed}  # type: ignore[typeddict-item]
    for row in result["rounds"][1:]:
        row["poisoned"], row["poisoned_norm_share"] = 3, 0.62 if row["round"] > 1 else None
    return result


def _page(result: RunResult) -> str:
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"<script.*?</script>", "", render_report(result), flags=re.S))
    return " ".join(html.unescape(plain).split())


def _printed(result: RunResult) -> str:
    out = io.StringIO()
    print_summary(result, Path("runs/example"), out, 100)
    return " ".join(out.getvalue().split())


def test_who_lies_and_what_it_came_to_is_said_in_both() -> None:
    """Share, attack, length, what bounds it, reports and norm: a notice, a chapter, and a line to print."""
    result = _with()
    total = 205 * (len(result["rounds"]) - 1)
    said = (
        "1.5% of phones send their own report with its sign turned, made longer: vectors of 30 clip norms. "
        "Only the encoding bounds them: a coordinate of the masked sum goes up to 2,048. "
        f"33 of {total:,} reports were poisoned, with 62% of the sums' norm."
    )
    page = _page(result)
    assert "Phones lie in this run. 1.5% of phones send" in page
    assert said in page
    assert "1 205 3 – 2 205 3 62%" in page
    assert said in _printed(result)


def test_a_bound_and_held_rounds_are_said() -> None:
    """With a bound the bits of its proof are named, and rounds that no reports explain counted."""
    page = _page(_with(coordinate_bound=0.1, largest_coordinate=0.1, coordinate_bits=18, rounds_held=2))
    assert "A range proof of 18 bits for each coordinate is taken as given: none exceeds 0.1" in page
    assert "2 rounds were held: no clipped reports add up to such a sum." in page


def test_an_honest_run_says_nothing_of_lies() -> None:
    """Without poisoned phones there is no notice and no chapter."""
    for shown in (_page(example_run()), _printed(example_run())):
        assert "lie" not in re.findall(r"\blie\b", shown)
        assert "reports were poisoned" not in shown
