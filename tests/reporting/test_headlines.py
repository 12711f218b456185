"""Headlines of real runs, each true by its own figures: numbers of the sentences are read back and compared.

``headlines/NAME.json`` is the run.json of the command that stands in it under "command", less machine, commit
and --output; ``--model tiny`` keeps it to seconds. What a sentence claims is checked against the comparison,
the rounds and the intervals in the file, never against the words that stand in it. Privacy is not looked at.
"""

import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fedbert.comparison import system_id
from fedbert.evidence import Known, from_row
from fedbert.files import parsed_json
from fedbert.findings import held_reason
from fedbert.records import checked_record
from fedbert.reporting.run import sentences
from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import RUN, RunResult

FOLDER = Path(__file__).parent / "headlines"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))

NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?"
INTERVAL = rf"\(95% interval ({NUMBER}) to ({NUMBER}), resampling (texts|users)\)"
WON = re.compile(
    rf"On the same ({NUMBER}) sessions? (?:of ({NUMBER}) users?|with ({NUMBER}) texts?) the final release "
    rf"ranks at nDCG@10 ({NUMBER}) and release 0 at ({NUMBER}): (the model won|not more than chance,|"
    rf"the model lost|no finding, since so little gives no interval:) ({NUMBER})(?: {INTERVAL})?\."
)


@cache
def _run(name: str) -> RunResult:
    path = FOLDER / f"{name}.json"
    return checked_record(RUN, parsed_json(path, path.read_bytes()), path)


def _ranked(result: RunResult) -> dict[str, Any]:
    return {system_id(row): row for row in result["comparison"]}


def _is(text: str, value: float) -> bool:
    """Whether a printed number is `value`, rounded to the decimals that it has."""
    digits = len(text.partition(".")[2])
    return abs(float(text.replace(",", "")) - value) <= 0.5001 * 10**-digits


@pytest.mark.parametrize("name", NAMES)
def test_what_the_model_won_is_true(name: str) -> None:
    """Levels are those of the comparison, and the verdict is that of the interval."""
    result = _run(name)
    won, headline = sentences.said(result)["won"], sentences.headline(result)
    assert won[1:].removesuffix(".") in headline
    found = from_row(result["findings"]["figures"]["won"])
    if not isinstance(found, Known):
        assert won == f"There is no finding on what the model won: {found.reason}."
        return
    rows = _ranked(result)
    match = WON.fullmatch(won)
    assert match, won
    sessions, users, texts, final, first, verdict, difference, low, high, unit = match.groups()
    row = rows["final_full"]
    assert _is(sessions, row["sessions"]) and row["sessions"] == rows["release_0_full"]["sessions"]
    assert _is(users, row["users"]) if users else _is(texts, row["texts"])
    level = {key: rows[f"{key}_full"]["quality"]["ndcg@10"] for key in ("final", "release_0")}
    assert _is(final, level["final"]) and _is(first, level["release_0"])
    assert _is(difference, level["final"] - level["release_0"])
    if low is None:
        assert verdict.startswith("no finding") and found.low is None
        return
    assert _is(low, found.low or 0.0) and _is(high, found.high or 0.0)
    assert unit == ("users" if row["users"] is not None else "texts")
    ends = float(low), float(high)
    assert (verdict == "the model won") == (ends[0] > 0)
    assert (verdict == "the model lost") == (ends[1] < 0)


@pytest.mark.parametrize("name", NAMES)
def test_delivery_is_told_apart(name: str) -> None:
    """As users saw it: both windows' figures and sessions without a release, and no word of learning."""
    result = _run(name)
    said = sentences.said(result)["delivery"]
    assert not re.search("learn|won|gain", said)
    for row in (result["rounds"][0], result["rounds"][-1]):
        if row["ndcg@10"] is None:
            assert "no session took place" in said
            continue
        assert f"{row['ndcg@10']:.3f}" in said
        assert f"{row['outcomes']['no_release']:,} of {row['sessions']:,} session" in said


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_share_is_known_or_left_out(name: str) -> None:
    """A share stands only where the gap's interval is above 0 and its own not wider than half."""
    result = _run(name)
    said, figures = sentences.said(result)["gap"], result["findings"]["figures"]
    match = re.match(r"The phones' signals closed (-?\d+)% \(95% interval (-?\d+)% to (-?\d+)%\)", said)
    assert bool(match) == (figures["closed"]["value"] is not None)
    if match is None:
        assert said.startswith("No share of a gap is given: ") or figures["gap"]["value"] is None
        return
    rows = {key: row["quality"]["ndcg@10"] for key, row in _ranked(result).items()}
    share = (rows["final_full"] - rows["release_0_full"]) / (rows["pooled_full"] - rows["release_0_full"])
    closed, low, high = (int(each) for each in match.groups())
    assert closed == pytest.approx(100 * share, abs=0.51)
    assert low <= closed <= high <= low + 51
    assert figures["gap"]["low"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_each_baseline_that_is_not_beaten_is_named(name: str) -> None:
    """Named if and only if the paired interval does not lie above 0, and "loses to" only if it lies below."""
    result = _run(name)
    said, rows = sentences.said(result)["baselines"], _ranked(result)
    for baseline in result["findings"]["baselines"]:
        difference = baseline["difference"]
        final = rows["final_full"]["quality"]["ndcg@10"]
        own = rows[baseline["id"]]["quality"]["ndcg@10"]
        assert difference["value"] == pytest.approx(final - own)
        beaten = difference["low"] is not None and difference["low"] > 0
        loses = difference["high"] is not None and difference["high"] < 0
        assert (f"is not shown to beat {baseline['system']}:" in said) == (not beaten and not loses)
        assert (f"loses to {baseline['system']}:" in said) == loses
    known = {baseline["id"] for baseline in result["findings"]["baselines"]}
    assert {"tfidf", "user"} <= known or not rows


@pytest.mark.parametrize("name", NAMES)
def test_held_rounds_are_told(name: str) -> None:
    """Each held round is in the sentence, with the flag that helps; no held round, no sentence."""
    result = _run(name)
    held = [row["round"] for row in result["rounds"] if held_reason(row) is not None]
    said = sentences.said(result)["held"]
    assert bool(said) == bool(held)
    named = re.findall(r"held \(rounds? ([\d, ]+)\)", said)
    assert sorted(int(number) for part in named for number in part.split(", ")) == held
    assert "--min-reports" in said or not held


@pytest.mark.parametrize("name", NAMES)
def test_the_arms_are_compared_by_their_interval(name: str) -> None:
    """Better or worse only where the interval leaves out 0; both arms with their sessions."""
    result = _run(name)
    said, arms = sentences.said(result)["arms"], result["findings"]["arms"]
    found = from_row(arms["difference"])
    if not isinstance(found, Known):
        assert said.endswith(f"{found.reason}.")
        return
    low, high = found.low, found.high
    assert ("rank better" in said) == (low is not None and low > 0)
    assert ("rank worse" in said) == (high is not None and high < 0)
    scored = {
        key: sum(row[f"{key}_sessions"] for row in result["rounds"] if row["round"] >= arms["first_round"])
        for key in ("treated", "control")
    }
    for key, count in scored.items():
        assert arms[key]["sessions"] == count
        assert f"({count:,} session" in said


@pytest.mark.parametrize("name", NAMES)
def test_terminal_and_run_json_say_the_same(name: str) -> None:
    """The sentences of the report stand in the terminal, each whole, and in run.json."""
    result = _run(name)
    out = io.StringIO()
    print_summary(result, Path("runs/x"), out, 5000)
    said: Any = sentences.said(result)
    for sentence in (said["baselines"], said["held"], said["gap"], said["delivery"], said["arms"]):
        assert sentence in out.getvalue()
    assert result["findings"]["said"].keys() == said.keys()


def test_the_report_says_at_the_top_what_is_not_beaten() -> None:
    """On films popularity wins: the page says so before its first chapter."""
    result = _run("films")
    page = render_report(result)
    top = page[: page.index("<h2>")]
    assert "The final release loses to popularity" in top


def test_all_kinds_of_headlines_are_there() -> None:
    """Small and large, private and not, held in all rounds and in some, noisy, films, few users, no bound."""
    assert len(NAMES) >= 10
    won = {name: _run(name)["findings"]["figures"]["won"] for name in NAMES}
    assert {"held_all", "held_some", "noisy", "films", "few_users", "larger", "private", "small"} <= set(
        NAMES
    )
    assert won["held_all"]["absent"].startswith("every round was held")
    assert won["larger"]["low"] > 0
    assert won["noisy"]["low"] < 0 < won["noisy"]["high"]
    assert _run("private")["scenario"]["epsilon"] and _run("noisy")["scenario"]["epsilon"] < 1
    assert _run("no_bound")["gap"] is None
    assert won["few_users"]["users"] < 60
    assert len(sentences.said(_run("held_some"))["held"]) > 0
