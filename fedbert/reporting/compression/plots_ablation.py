"""Figures of an ablation: every arm's accuracy by task, and its difference to the reference."""

from collections.abc import Sequence
from typing import Any

from fedbert.reporting.compression.numbers import HELPS, HURTS, Difference, Record, per_seed, t_spread, tasks
from fedbert.reporting.compression.plots import colours, interval_bars, offset, plain, rows_by_name, said
from fedbert.reporting.parts import theme


def arm_accuracy(record: Record) -> Any:
    """Accuracy of every arm of the ablation, one field a task, with intervals and the teacher as a line."""
    from plotly.subplots import make_subplots

    arms = list((record.get("ablation") or {}).get("arms") or [])[::-1]
    reference = (record.get("ablation") or {}).get("reference")
    names = [task for task in tasks(record) if any(per_seed(arm, task) for arm in arms)]
    columns = max(1, min(3, len(names)))
    figure = make_subplots(
        rows=max(1, -(-len(names) // columns)),
        cols=columns,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[plain(name, 32) for name in names],
    )
    for index, (task, colour) in enumerate(colours(names).items()):
        row, column = index // columns + 1, index % columns + 1
        found = [
            (at, arm, spread) for at, arm in enumerate(arms) if (spread := t_spread(per_seed(arm, task)))
        ]
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
            text=[said(spread, ".2f", "%") for _, _, spread in found],
            hovertemplate="%{customdata}: %{text}<extra></extra>",
            row=row,
            col=column,
        )
        teacher = t_spread(per_seed(record.get("teacher") or {}, task))
        if teacher:
            line = {"color": theme.PLUM, "width": 1.4, "dash": "dash"}
            figure.add_vline(x=100 * teacher.mean, line=line, row=row, col=column)
    figure.update_xaxes(showgrid=True, title={"text": "accuracy, %"})
    figure.update_yaxes(**rows_by_name([arm.get("arm", "") for arm in arms]))
    figure.update_annotations(font={"size": 13, "color": theme.INK})
    figure.update_layout(showlegend=False, margin={"t": 34})
    return figure


def arm_differences(record: Record, found: Sequence[Difference]) -> Any:
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
            text=[said(each.spread, "+.2f", " points") for each in mine],
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
