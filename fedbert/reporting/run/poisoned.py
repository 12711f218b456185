"""Chapter of a run's report: what phones that lie sent, and what bounded it."""

from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, alert_html, panels_html, table_html
from fedbert.results import PoisonedRow, RunResult

ATTACK_WORDS = {
    "boost": "their own report, made longer",
    "flip": "their own report with its sign turned, made longer",
    "random": "a random sign in each coordinate",
    "stuck": "one stuck value in each coordinate",
}

WHAT_IT_IS = (
    "A phone that lies skips the clipping that honest phones do, and nobody sees its vector under the mask. "
    "Quality beside that of the same run without --poisoned is the damage."
)


def lies_sentence(row: PoisonedRow) -> str:
    """Return what share of phones sends what."""
    return (
        f"{text.percent(row['share'], 1)} of phones send {ATTACK_WORDS.get(row['attack'], row['attack'])}: "
        f"vectors of {text.significant(row['factor'], 3)} clip norms."
    )


def bound_sentence(row: PoisonedRow) -> str:
    """Return what bounded it."""
    largest = text.significant(row["largest_coordinate"], 3)
    if row["coordinate_bound"] is None:
        return f"Only the encoding bounds them: a coordinate of the masked sum goes up to {largest}."
    return (
        f"A range proof of {row['coordinate_bits']} bits for each coordinate is taken as given: none exceeds "
        f"{largest}, honest or not."
    )


def sum_sentence(result: RunResult, row: PoisonedRow) -> str:
    """Return what the lies came to in the sums."""
    reports = sum(each["reported"] for each in result["rounds"] if "poisoned" in each)
    of_all = f"{row['reports']:,} of {reports:,} reports were poisoned"
    share = "" if row["norm_share"] is None else f", with {text.percent(row['norm_share'])} of the sums' norm"
    held = row["rounds_held"]
    if not held:
        return f"{of_all}{share}."
    rounds = "1 round was" if held == 1 else f"{held} rounds were"
    return f"{of_all}{share}. {rounds} held: no clipped reports add up to such a sum."


def all_sentences(result: RunResult) -> str:
    """Return who lies, what bounds it and what it came to; empty where no phone lies."""
    row = result.get("poisoned")
    if row is None:
        return ""
    return " ".join((lies_sentence(row), bound_sentence(row), sum_sentence(result, row)))


def alert(result: RunResult) -> str | None:
    """Return the notice on top of a report that phones lie in it; None if none does."""
    row = result.get("poisoned")
    return None if row is None else alert_html("Phones lie in this run.", lies_sentence(row))


def poisoned(result: RunResult) -> Section | None:
    """What poisoned phones sent, by round; None where none is poisoned."""
    if "poisoned" not in result:
        return None
    rounds: list[list[Cell]] = [
        [each["round"], each["reported"], each["poisoned"], _percent(each.get("poisoned_norm_share"))]
        for each in result["rounds"]
        if "poisoned" in each
    ]
    columns = ["round", "reports", "of poisoned phones", "their part of the sum's norm"]
    panel = Panel(
        "What they sent, by round",
        "measured",
        table_html(rounds, columns, align="rrrr"),
        "The norm of the poisoned phones' sum over that of theirs and the honest phones'. Only a simulator "
        "can tell the two apart.",
    )
    return Section(
        "What phones that lie do",
        None,
        panels_html(panel),
        WHAT_IT_IS,
        all_sentences(result),
    )


def _percent(share: float | None) -> str:
    return text.NONE if share is None else text.percent(share)
