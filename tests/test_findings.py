"""Sentences of findings: each claims what its interval allows, and nothing rests on nothing."""

from typing import Any

import pytest
from reporting.example_run import example_run, figure

from fedbert import findings
from fedbert.evidence import Absent, Known, Sample, as_row, from_row
from fedbert.results import Findings, RoundRow


def _findings(**changes: Any) -> Findings:
    found: Any = example_run()["findings"]
    figures = {name: changes.pop(name) for name in list(changes) if name in found["figures"]}
    found["figures"] |= figures
    return {**found, **changes}  # type: ignore[typeddict-item]


def _said(**changes: Any) -> Any:
    return findings.said(_findings(**changes), example_run()["rounds"])


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (figure(0.06, 0.01), "the model won +0.060 (95% interval +0.050 to +0.070, resampling texts)."),
        (
            figure(0.002, 0.004),
            "not more than chance, +0.002 (95% interval -0.002 to +0.006, resampling texts).",
        ),
        (figure(-0.02, 0.01), "the model lost -0.020 (95% interval -0.030 to -0.010, resampling texts)."),
        (
            as_row(Known(0.3, None, None, Sample(9, 5, 4))),
            "no finding, since so little gives no interval: +0.300.",
        ),
    ],
)
def test_the_interval_decides_what_the_model_won(value: Any, verdict: str) -> None:
    """Won and lost only where the interval leaves out 0; without an interval there is no finding."""
    assert _said(won=value, final=0.82 + value["value"])["won"].endswith(f"release 0 at 0.820: {verdict}")


def test_a_tiny_interval_is_not_rounded_to_zero() -> None:
    """Decimals grow until what is not 0 does not read as 0."""
    assert findings.signed(0.02, 0.0002, 0.03) == ["+0.0200", "+0.0002", "+0.0300"]
    assert findings.signed(0.0, -0.01, 0.01) == ["+0.000", "-0.010", "+0.010"]


def test_a_difference_is_that_of_the_levels_shown() -> None:
    """0.8765 and 0.8740 differ by 0.0025: with three decimals they would read 0.876 - 0.874 = 0.003."""
    said = _said(won=figure(0.00254, 0.01), final=0.87644, release_0=0.8739)["won"]
    assert "at nDCG@10 0.8764 and release 0 at 0.8739: not more than chance, +0.0025 (" in said


def test_sessions_and_users_carry_a_figure() -> None:
    """Where users are real, the sentence counts them."""
    assert "On the same 9 sessions of 1 user the" in _said(won=figure(0.1, 0.01, 9, 1))["won"]


def test_a_wide_or_missing_share_is_left_out() -> None:
    """The reason and the differences stand in its place."""
    said = _said(closed=as_row(Absent("the gap between release 0 and pooled data is not more than chance")))
    assert said["gap"] == (
        "No share of a gap is given: the gap between release 0 and pooled data is not more than chance. "
        "The same model trained on all clicks in one place differs from release 0 by +0.090 (95% interval "
        "+0.084 to +0.096, resampling texts), the final release by +0.060."
    )
    assert _said(gap=as_row(Absent("not trained")))["gap"] == ""
    assert "closed 67% (95% interval 62% to 72%) of the gap" in _said()["gap"]


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (figure(0.05, 0.01), ""),
        (figure(0.005, 0.01), "The final release is not shown to beat popularity: "),
        (figure(-0.05, 0.01), "The final release loses to popularity: "),
    ],
)
def test_a_baseline_that_is_not_beaten_is_said(difference: Any, said: str) -> None:
    """The paired interval decides between "loses to" and "not shown to beat"; the pooled bound beside it."""
    baseline = {**example_run()["findings"]["baselines"][0], "difference": difference}
    text = _said(baselines=[baseline])["baselines"]
    assert text.startswith(said) and bool(text) == bool(said)
    assert "pooled" not in text
    baseline["pooled"] = figure(-0.02, 0.01)
    assert ("The pooled-data bound loses to it, too" in _said(baselines=[baseline])["baselines"]) == bool(
        said
    )


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (0.07, "treated devices rank better, +0.070"),
        (0.01, "they are not shown to differ, +0.010"),
        (-0.07, "treated devices rank worse, -0.070"),
    ],
)
def test_one_sentence_says_whether_the_arms_differ(difference: float, said: str) -> None:
    """With the sessions of each arm and the round from which they can differ."""
    arms = {**example_run()["findings"]["arms"], "difference": figure(difference, 0.02)}
    text = _said(arms=arms)["arms"]
    assert text.startswith(
        "From round 4 on, scored sessions of treated devices rank at nDCG@10 0.900 (12,000 "
    )
    assert "release 0 at 0.830 (640 sessions)" in text
    assert said in text
    why = findings.no_arms("there is no control group (control_share is 0)")
    assert _said(arms=why)["arms"].endswith(
        "cannot be compared: there is no control group (control_share is 0)."
    )


def _rows(*statuses: str, released: int | None = None) -> list[RoundRow]:
    rows = example_run()["rounds"][: len(statuses) + 1]
    return [
        {**row, "round_status": status, "released": released}
        for row, status in zip(rows, ("", *statuses), strict=True)
    ]


def test_why_there_is_nothing_to_win() -> None:
    """All held, some held, nothing released, rolled back, no round."""
    few = "held: fewer than 10 reports (min_reports)"
    assert findings.no_finding(_rows(few, few)) == (
        "every round was held (fewer than 10 reports (min_reports))"
    )
    assert (
        findings.no_finding(_rows(few, "updated"))
        == "no new release was made in 2 rounds, of which 1 was held"
    )
    assert findings.no_finding(_rows("updated")) == "no new release was made in 1 round"
    assert "rolled back" in findings.no_finding(_rows("updated", released=1))
    assert findings.no_finding(_rows()) == "no round was finished"


def test_held_rounds_by_reason() -> None:
    """Rounds of one reason stand together with the flags that help; a sum out of reach has none."""
    few, strange = (
        "held: fewer than 10 reports (min_reports)",
        "held: the sum is out of the reach of its reports",
    )
    rows = findings.held_rows(_rows(few, strange, "updated", few))
    assert [(row["rounds"], bool(row["advice"])) for row in rows] == [([1, 4], True), ([2], False)]
    assert _said(held=rows)["held"].startswith("2 of 12 rounds were held (rounds 1, 4): fewer than 10 rep")


def test_a_window_without_a_session_has_no_figure() -> None:
    """It is said, never 0; a run that was stopped before round 1 has one window."""
    rows = example_run()["rounds"][:2]
    assert findings.delivery(rows[:1]) == (
        "As users saw it, nDCG@10 was 0.780 (95% interval 0.774 to 0.786) before the first round, where 40 "
        "of 1,640 sessions lacked a release."
    )
    rows[1] = {**rows[1], "ndcg@10": None, "sessions": 0}
    assert findings.delivery(rows).endswith("lacked a release, and no session took place in round 1.")
    assert "learn" not in findings.delivery(example_run()["rounds"])


def test_evidence_in_json_is_read_back() -> None:
    """A figure with its interval, one without, and a reason."""
    for found in (
        Known(0.1, 0.05, 0.2, Sample(9, 3, 4)),
        Known(0.1, None, None, Sample(9, None, None)),
        Absent("no session was evaluated"),
    ):
        assert from_row(as_row(found)) == found
    assert Known(0.1, None, None, Sample(9, 3, 4)).sign is None
