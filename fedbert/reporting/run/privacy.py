"""Chapters of a run's report: what the run reveals, and the check of the masks."""

from typing import Any

from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    alert_html,
    facts_html,
    figure_html,
    panels_html,
    table_html,
)
from fedbert.reporting.run import epsilons, sentences
from fedbert.reporting.run.axes import axis_of_rounds, hover
from fedbert.results import RunResult, Underway, is_bounded, is_private

MASK_WORDS = {
    "devices_per_shard": "devices per shard whose masks were run, at most",
    "dropped": "of these, dropped out half-way",
    "equal": "masked sum equal to the plain sum, to the bit",
}


def epsilon_figure(result: Underway) -> Any:
    """Cumulative epsilon by round, against one who sees who took part and one who does not."""
    import plotly.graph_objects as go

    rounds = [row for row in result["rounds"] if is_bounded(row)]
    figure = go.Figure()
    single = result["scenario"].get("mode") == "local"
    lines = [("epsilon_unamplified", epsilons.SINGLE if single else epsilons.SEEN, theme.AMBER)]
    if any(row["epsilon"] != row["epsilon_unamplified"] for row in rounds):
        lines.append(("epsilon", epsilons.HIDDEN, theme.ACCENT))
    for key, name, colour in lines:
        values = [row[key] for row in rounds]  # type: ignore[literal-required]
        figure.add_scatter(
            x=[row["round"] for row in rounds],
            y=values,
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "shape": "hv"},
            marker={"size": 6},
            name=name,
            hovertemplate=hover(f"epsilon, {name}", ".3g"),
        )
    figure.update_layout(
        xaxis=axis_of_rounds(result["rounds"]),
        yaxis={"title": {"text": "epsilon spent so far"}, "rangemode": "tozero"},
    )
    return figure


def privacy(result: RunResult) -> Section:
    """Epsilon by round, its assumptions, and what it would come to."""
    row = result["privacy"]
    protected = is_private(row)
    how: dict[str, Cell] = {
        "mechanism": f"{row.get('mechanism', text.NONE)}, {row['mode']}",
        "who is protected": row["assumptions"].get("unit", text.NONE),
        "chance that a device joins a round": text.significant(row["sampling_probability"], 4),
        "noise multiplier": text.significant(row["noise_multiplier"], 4) if protected else "no noise",
        "clip norm": text.significant(row["clip_norm"], 4),
        "delta": text.power(row["delta"]),
    }
    cycle = row.get("release_cycle")
    if cycle is not None:
        spent = text.epsilon(cycle["epsilon_unamplified"])
        how["epsilon per release cycle"] = f"{spent} in {cycle['rounds']} rounds, {epsilons.strongest(row)}"
    if "epsilon_per_report" in row:
        how["epsilon of each report"] = text.epsilon(row["epsilon_per_report"])
    if "budget" in row:
        how["budget, epsilon/days"] = row["budget"]
    panels: list[Panel | None] = []
    if protected:
        table: list[list[Cell]] = [
            [
                name,
                text.epsilon(row[key]),  # type: ignore[literal-required]
                *(text.epsilon(each[key]) for each in row["projections"]),  # type: ignore[literal-required]
                row["assumptions"].get(assumption, text.NONE),
            ]
            for name, key, assumption in epsilons.kinds(row)
        ]
        columns = ["epsilon", "this run", *(_days(each["days"]) for each in row["projections"]), "assumes"]
        panels = [
            Panel(
                "Epsilon by round",
                "proved",
                figure_html(epsilon_figure(result), "Cumulative epsilon by round, by adversary.", 320),
            ),
            Panel("How it is done", None, facts_html(how)),
            Panel(
                "Each bound, and what it grows to with the same noise and rounds",
                "proved",
                table_html(table, columns, align="l" + "r" * (len(columns) - 2) + "l"),
                wide=True,
            ),
        ]
        return Section(
            "What it reveals",
            None,
            panels_html(*panels),
            "A smaller epsilon is more private. One person's data makes any outcome at most e^epsilon "
            "times more likely, except with probability delta.",
            sentences.statement(result),
        )
    notice = alert_html("Not private.", sentences.statement(result))
    return Section(
        "What it reveals",
        None,
        notice + panels_html(Panel("How it is done", None, facts_html(how), wide=True)),
    )


def _days(days: int) -> str:
    return "after 1 day" if days == 1 else f"after {days} days"


def secure_sum(result: RunResult) -> Section:
    """The check that masked and plain sums agree."""
    checked = result["secure_sum"]
    return Section(
        "Do the masks cancel?",
        "measured",
        facts_html({MASK_WORDS.get(name, name): value for name, value in text.facts(checked).items()}),
        "For a few of its phones each shard really runs the pairwise masks, with devices dropping "
        "out. It compares the result with their plain sum, mod 2^32, and answers yes or no. No "
        "phone's vector leaves the shard.",
    )
