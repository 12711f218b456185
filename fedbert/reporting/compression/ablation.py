"""Chapter of a compression's report: which part of the method is worth what."""

from collections.abc import Sequence
from typing import Any

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.axes import (
    colours,
    interval_bars,
    offset,
    plain,
    rows_by_name,
    with_interval,
)
from fedbert.reporting.compression.numbers import (
    HELPS,
    HURTS,
    SAME,
    Difference,
    arms_of,
    differences,
    per_seed,
    t_spread,
    tasks,
)
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    figure_html,
    folded_html,
    panels_html,
    table_html,
    text_html,
)


def arm_accuracy_figure(record: CompressionRecord, task: str) -> Any:
    """Accuracy of every arm of the ablation on a task, with intervals and the teacher as a line."""
    import plotly.graph_objects as go

    arms = arms_of(record)[::-1]
    reference = (record.get("ablation") or {}).get("reference")
    colour = colours(tasks(record))[task]
    found = [(at, arm, spread) for at, arm in enumerate(arms) if (spread := t_spread(per_seed(arm, task)))]
    figure = go.Figure()
    figure.add_scatter(
        x=[100 * spread.mean for _, _, spread in found],
        y=[at for at, _, _ in found],
        error_x=interval_bars([spread for _, _, spread in found], 100) | {"color": colour},
        mode="markers",
        marker={
            "size": 10,
            "color": colour,
            "symbol": ["diamond" if arm.get("arm") == reference else "circle" for _, arm, _ in found],
        },
        customdata=[plain(arm.get("arm", "")) for _, arm, _ in found],
        text=[with_interval(spread, ".2f", "%") for _, _, spread in found],
        hovertemplate="%{customdata}: %{text}<extra></extra>",
    )
    teacher = t_spread(per_seed(record.get("teacher") or {}, task))
    if teacher:
        figure.add_vline(x=100 * teacher.mean, line={"color": theme.PLUM, "width": 1.4, "dash": "dash"})
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "accuracy, %"}, "showgrid": True},
        yaxis=rows_by_name([arm.get("arm", "") for arm in arms]),
        margin={"t": 8},
    )
    return figure


def arm_differences_figure(record: CompressionRecord, found: Sequence[Difference]) -> Any:
    """Differences to the reference in points with intervals; filled where the interval excludes 0."""
    import plotly.graph_objects as go

    arms = list(dict.fromkeys(each.arm for each in found))[::-1]
    names = [task for task in tasks(record) if any(each.task == task for each in found)]
    names += [task for task in dict.fromkeys(each.task for each in found) if task not in names]
    figure = go.Figure()
    for index, (task, colour) in enumerate(colours(names).items()):
        mine = [each for each in found if each.task == task]
        figure.add_scatter(
            x=[100 * each.spread.mean for each in mine],
            y=[arms.index(each.arm) - offset(index, len(names), 0.2) for each in mine],
            error_x=interval_bars([each.spread for each in mine], 100) | {"color": colour},
            mode="markers",
            marker={
                "size": 10,
                "color": [colour if each.verdict in (HELPS, HURTS) else theme.PAPER for each in mine],
                "line": {"color": colour, "width": 2},
            },
            customdata=[[plain(each.arm), each.verdict] for each in mine],
            text=[with_interval(each.spread, "+.2f", " points") for each in mine],
            hovertemplate="%{customdata[0]}: %{text}, %{customdata[1]}<extra></extra>",
            showlegend=False,
        )
        # the legend has a filled mark of its own, since the first point may be hollow
        figure.add_scatter(
            x=[None], y=[None], mode="markers", marker={"size": 10, "color": colour}, name=plain(task)
        )
    figure.add_vline(x=0, line={"color": theme.MUTED, "width": 1.2})
    figure.update_layout(
        xaxis={"title": {"text": "points of accuracy against the reference"}, "showgrid": True},
        yaxis=rows_by_name(arms),
    )
    return figure


def _differences_in_full(record: CompressionRecord, found: Sequence[Difference]) -> str:
    """Return the differences as a table, in words where no test of them gives a p."""
    if all(each.p is None for each in found):
        return text_html(*said.ablation_statements(record))
    rows: list[list[Cell]] = [
        [
            each.arm,
            each.task,
            said.points(each.spread),
            text.NONE if each.p is None else text.significant(each.p, 2),
            each.verdict,
        ]
        for each in found
    ]
    stressed = [index for index, each in enumerate(found) if each.verdict != SAME]
    columns = ["arm", "task", "points (95% interval)", "p", "verdict"]
    return table_html(rows, columns, align="llrrl", emphasis=stressed)


def ablation(record: CompressionRecord) -> Section | None:
    """Which part of the method is worth what, said from the intervals."""
    arms, found = arms_of(record), differences(record)
    if not arms and not found:
        return None
    values = record.get("ablation") or {}
    reference = str(values.get("reference") or "the reference")
    every: list[Panel | None] = []
    if found:
        every.append(
            Panel(
                f"Difference to “{reference}”",
                "measured",
                figure_html(
                    arm_differences_figure(record, found),
                    "Points of accuracy against the reference, by arm and task, with intervals.",
                    130 + 54 * len({each.arm for each in found}),
                )
                + folded_html("Every difference, in full", _differences_in_full(record, found)),
                "Paired by seed. Filled: the 95% interval excludes 0. Hollow: it includes 0, or there "
                f"is none. {len(found)} comparisons, not corrected for their number: about one in "
                "twenty would exclude 0 by chance alone.",
                wide=True,
            )
        )
    measured = [task for task in tasks(record) if any(per_seed(arm, task) for arm in arms)]
    every += [
        Panel(
            f"Accuracy of every arm, {task}",
            "measured",
            figure_html(
                arm_accuracy_figure(record, task),
                f"Accuracy on {task} by arm, with intervals.",
                90 + 34 * len(arms),
            ),
            "Diamond: the reference. Dashed: the teacher. " + said.INTERVAL_NOTE,
        )
        for task in measured
    ]
    budget = [
        f"{said.count(number)} {word}"
        for number, word in ((values.get("steps"), "steps"), (values.get("texts"), "texts"))
        if number is not None
    ]
    shared = f"Every arm had the same {' and '.join(budget)}." if budget else ""
    summary = f" Summary of the pipeline: {values['verdict']}" if values.get("verdict") else ""
    return Section(
        "What each part is worth",
        None,
        panels_html(*every),
        (shared + summary).strip(),
        said.what_helped(record),
    )
