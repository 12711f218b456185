"""What a run shows and what it does not, in sentences that are true by their own intervals.

The same sentences stand in run.json, in the terminal and in the report. A sentence claims no more than the
interval in it: "won" or "lost" only where the interval of a difference on the same sessions leaves out 0.
"""

from collections.abc import Sequence

from fedbert.evidence import Absent, Evidence, EvidenceRow, Known, as_row, from_row
from fedbert.results import (
    ArmsRow,
    BaselineRow,
    Figures,
    Findings,
    HeldRow,
    RoundRow,
    Said,
)

HELD = "held: "
"""What the status of a round that was not opened begins with."""

LEAST_ARM_SESSIONS = 30
"""Scored sessions below which an arm's mean of one round is not drawn: its error is about 0.06 then."""

TIMING_ONLY = "the run is timing-only: nothing was scored, clicked or trained"

_EARLIER = Absent("the run is of a version of fedbert that did not keep it; run the scenario again")

_ADVICE = (
    ("(min_reports)", "lower --min-reports, simulate more --devices or raise --sampling-probability"),
    ("shards", "see what the shards said; a longer --shard-timeout-s waits for slow ones"),
    ("its clipped reports", "bound what a phone can send by --coordinate-bound"),
    ("sum's range", "lower --sampling-probability"),
)


def advice(reason: str) -> str:
    """Return what to change so that a round is not held for this reason; empty if no flag helps."""
    return next((text for mark, text in _ADVICE if mark in reason), "")


def held_reason(row: RoundRow) -> str | None:
    """Return why a round was held, None if it was not."""
    status = row["round_status"]
    return status.removeprefix(HELD) if status.startswith(HELD) else None


def held_rows(rounds: Sequence[RoundRow]) -> list[HeldRow]:
    """Return the rounds that were held, by reason."""
    by_reason: dict[str, list[int]] = {}
    for row in rounds:
        if (reason := held_reason(row)) is not None:
            by_reason.setdefault(reason, []).append(row["round"])
    return [
        {"rounds": numbers, "reason": reason, "advice": advice(reason)}
        for reason, numbers in by_reason.items()
    ]


def no_finding(rounds: Sequence[RoundRow]) -> str:
    """Return why phones ended on release 0, as a clause; `rounds` are all rows of the run."""
    later = [row for row in rounds if row["round"] > 0]
    held = held_rows(later)
    count = sum(len(row["rounds"]) for row in held)
    if not later:
        return "no round was finished"
    if count == len(later):
        return f"every round was held ({'; '.join(row['reason'] for row in held)})"
    if any(row["released"] for row in later):
        return "the last release is release 0 again, to which the server rolled back"
    return f"no new release was made in {_count(len(later), 'round')}" + (
        f", of which {count} {'was' if count == 1 else 'were'} held" if count else ""
    )


# -- words --------------------------------------------------------------------------------------------------


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def signed(*values: float, least: int = 3) -> list[str]:
    """Return differences with their signs, all with as many decimals (`least` to 6) as tell them from 0."""
    digits = least
    while digits < 6 and not all(round(value, digits) or not value for value in values):
        digits += 1
    return [f"{value:+.{digits}f}" for value in values]


def _levels(upper: float, lower: float, known: Known, interval: str) -> tuple[str, str, str]:
    """Return two levels of nDCG@10 and their difference with as many decimals as make the sum come out."""
    ends = [known.value, *(end for end in (known.low, known.high) if end is not None)]
    digits = len(signed(*ends)[0]) - 3
    while digits < 6 and abs(round(upper, digits) - round(lower, digits) - round(known.value, digits)) > 1e-9:
        digits += 1
    return f"{upper:.{digits}f}", f"{lower:.{digits}f}", _difference(known, interval, digits)


def _difference(known: Known, interval: str, least: int = 3) -> str:
    if known.low is None or known.high is None:
        return signed(known.value, least=least)[0]
    value, low, high = signed(known.value, known.low, known.high, least=least)
    return f"{value} ({interval.partition(',')[0]} {low} to {high},{interval.partition(',')[2]})"


def carried(known: Known) -> str:
    """Return what carries a figure: "812 sessions of 15 users"."""
    sample = known.sample
    sessions = _count(sample.sessions, "session")
    if sample.users is not None:
        return f"{sessions} of {_count(sample.users, 'user')}"
    return sessions if sample.texts is None else f"{sessions} with {_count(sample.texts, 'text')}"


def evidence(row: EvidenceRow | None) -> Evidence:
    """Return a figure of the findings; a run of before has none."""
    return _EARLIER if row is None else from_row(row)


def won(findings: Findings | None) -> Evidence:
    """Return what the model won: final release minus release 0 in nDCG@10, on the same sessions."""
    return evidence(findings["figures"]["won"] if findings else None)


def _won(findings: Findings) -> str:
    found = won(findings)
    if isinstance(found, Absent):
        return f"There is no finding on what the model won: {found.reason}."
    final, first, difference = _levels(
        findings["final"] or 0.0, findings["release_0"] or 0.0, found, findings["interval"]
    )
    ranks = f"On the same {carried(found)} the final release ranks at nDCG@10 {final}"
    said = {
        1: "the model won",
        0: "not more than chance,",
        -1: "the model lost",
        None: "no finding, since so little gives no interval:",
    }[found.sign]
    return f"{ranks} and release 0 at {first}: {said} {difference}."


def _window(row: RoundRow, name: str) -> str:
    """Return nDCG@10 of one window as users saw it, with what lacked a release."""
    value, low, high = row["ndcg@10"], row["ndcg@10_low"], row["ndcg@10_high"]
    if value is None and row["sessions"]:
        return f"none of {_count(row['sessions'], 'session')} {name} was ranked"
    if value is None:
        return f"no session took place {name}"
    shown = f"{value:.3f} {name}"
    if low is not None and high is not None:
        shown = f"{value:.3f} (95% interval {low:.3f} to {high:.3f}) {name}"
    lacking = row["outcomes"].get("no_release", 0)
    return f"{shown}, where {lacking:,} of {_count(row['sessions'], 'session')} lacked a release"


def delivery(rounds: Sequence[RoundRow]) -> str:
    """Return how ranking quality as users saw it was before the first round and in the last."""
    if not rounds:
        return "The run was stopped before anything was measured."
    first, last = rounds[0], rounds[-1]
    parts = [_window(first, "before the first round")]
    if last["round"]:
        parts.append(_window(last, f"in round {last['round']}"))
    said = f"As users saw it, nDCG@10 was {', and '.join(parts)}."
    if any(row["ndcg@10"] is None for row in (first, last)):
        said = f"As users saw it: {', and '.join(parts)}."
    elif last["round"]:
        said += " Delivery, the hour and chance are in that difference, not the model alone."
    return said


def _gap(findings: Findings) -> str:
    figures = findings["figures"]
    gap, closed, model = (from_row(figures[name]) for name in ("gap", "closed", "won"))
    if isinstance(gap, Absent):
        return ""
    pooled = "the same model trained on all clicks in one place"
    if isinstance(closed, Known) and closed.low is not None and closed.high is not None:
        return (
            f"The phones' signals closed {closed.value:.0%} (95% interval {closed.low:.0%} to "
            f"{closed.high:.0%}) of the gap between release 0 ({findings['release_0']:.3f}) and {pooled} "
            f"({findings['pooled']:.3f})."
        )
    reason = closed.reason if isinstance(closed, Absent) else "there is no interval"
    said = f"No share of a gap is given: {reason}. The same model trained on all clicks in one place differs "
    said += f"from release 0 by {_difference(gap, findings['interval'])}"
    if isinstance(model, Known):
        said += f", the final release by {signed(model.value)[0]}"
    return said + "."


def _arms(findings: Findings) -> str:
    arms = findings["arms"]
    treated, control, found = (from_row(arms[name]) for name in ("treated", "control", "difference"))
    if isinstance(treated, Absent) or isinstance(control, Absent) or isinstance(found, Absent):
        why = next(each.reason for each in (found, treated, control) if isinstance(each, Absent))
        return f"Treated devices and the control group cannot be compared: {why}."
    said = {
        1: "treated devices rank better",
        0: "they are not shown to differ",
        -1: "treated devices rank worse",
        None: "so few give no interval",
    }[found.sign]
    return (
        f"From round {arms['first_round']} on, scored sessions of treated devices rank at nDCG@10 "
        f"{treated.value:.3f} ({_count(treated.sample.sessions, 'session')}), those of the control group on "
        f"release 0 at {control.value:.3f} ({_count(control.sample.sessions, 'session')}): {said}, "
        f"{_difference(found, findings['interval'])}."
    )


def _baseline(row: BaselineRow, findings: Findings) -> str | None:
    """Return how the final release fails to beat a baseline, None if it beats it."""
    found = from_row(row["difference"])
    if isinstance(found, Absent) or found.sign == 1:
        return None
    said = "loses to" if found.sign == -1 else "is not shown to beat"
    final, own, difference = _levels(findings["final"] or 0.0, row["ndcg"], found, findings["interval"])
    text = f"The final release {said} {row['system']}: nDCG@10 {final} against {own}, {difference}."
    pooled = from_row(row["pooled"])
    if isinstance(pooled, Known) and pooled.sign != 1:
        also = "loses to it, too" if pooled.sign == -1 else "is not shown to beat it either"
        text += f" The pooled-data bound {also} ({findings['pooled']:.3f})."
    return text


def _held(findings: Findings, rounds: int) -> str:
    parts = []
    for row in findings["held"]:
        numbers = ", ".join(str(number) for number in row["rounds"])
        which = "was held (round" if len(row["rounds"]) == 1 else "were held (rounds"
        parts.append(
            f"{len(row['rounds'])} of {_count(rounds, 'round')} {which} {numbers}): {row['reason']}."
        )
        if row["advice"]:
            parts.append(f"To open them, {row['advice']}.")
    return " ".join(parts)


def said(findings: Findings, rounds: Sequence[RoundRow]) -> Said:
    """Return the findings in sentences; `rounds` are all rows of the run. `findings["said"]` is not read."""
    later = sum(row["round"] > 0 for row in rounds)
    failed = (_baseline(row, findings) for row in findings["baselines"])
    return {
        "won": _won(findings),
        "delivery": delivery(rounds),
        "gap": _gap(findings),
        "arms": _arms(findings),
        "baselines": " ".join(text for text in failed if text),
        "held": _held(findings, later),
    }


def sentences(findings: Findings | None, rounds: Sequence[RoundRow]) -> Said:
    """Return the sentences of a run's findings; of a run of before, those that its rounds allow."""
    if findings is not None:
        return said(findings, rounds)
    return {
        "won": f"There is no finding on what the model won: {_EARLIER.reason}.",
        "delivery": delivery(rounds),
        "gap": "",
        "arms": "",
        "baselines": "",
        "held": "",
    }


def no_arms(reason: str) -> ArmsRow:
    """Return the comparison of the arms where there is none."""
    nothing = as_row(Absent(reason))
    return {"first_round": None, "treated": nothing, "control": nothing, "difference": nothing}


def no_figures(reason: str) -> Figures:
    """Return the figures where there are none."""
    nothing = as_row(Absent(reason))
    return {
        "won": nothing,
        "gap": nothing,
        "closed": nothing,
        "text_only_won": nothing,
        "text_only_gap": nothing,
        "text_only_closed": nothing,
    }
