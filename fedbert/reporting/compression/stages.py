"""Chapter of a compression's report: bytes and accuracy after every stage."""

from typing import Any

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.axes import (
    colours,
    horizontal_bars,
    interval_bars,
    offset,
    plain,
    with_interval,
)
from fedbert.reporting.compression.numbers import (
    arms_of,
    final_stage,
    kept,
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
)

_VALIDATION = "float; what options are chosen by"


def stage_accuracy_figure(record: CompressionRecord) -> Any:
    """Share of the teacher's accuracy kept after every stage; without a teacher, the accuracy."""
    import plotly.graph_objects as go

    teacher = record.get("teacher") or {}
    relative = bool(teacher.get("accuracy"))
    stages = [stage for stage in record.get("stages") or [] if stage.get("accuracy")]
    names = tasks(record)
    figure = go.Figure()
    for index, (task, colour) in enumerate(colours(names).items()):
        found = [
            (at, spread)
            for at, stage in enumerate(stages)
            if (spread := kept(stage, teacher, task) if relative else t_spread(per_seed(stage, task)))
        ]
        figure.add_scatter(
            x=[at + offset(index, len(names), 0.07) for at, _ in found],
            y=[100 * spread.mean for _, spread in found],
            error_y=interval_bars([spread for _, spread in found], 100) | {"color": colour},
            mode="lines+markers",
            line={"color": colour, "width": 1.4},
            marker={"size": 9, "color": colour},
            name=plain(task),
            text=[with_interval(spread, ".2f", "%") for _, spread in found],
            customdata=[plain(stages[at].get("stage", "")) for at, _ in found],
            hovertemplate="%{customdata}: %{text}<extra></extra>",
        )
    if relative:
        figure.add_hline(
            y=100,
            line={"color": theme.PLUM, "width": 1.4, "dash": "dash"},
            annotation={"text": "teacher", "font": {"color": theme.PLUM, "size": 12}, "xanchor": "right"},
        )
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(stages))),
            "ticktext": [plain(stage.get("stage", ""), 28) for stage in stages],
            "range": [-0.5, max(0.5, len(stages) - 0.5)],
            "tickfont": {"size": 12.5, "color": theme.INK},
        },
        yaxis={"title": {"text": "% of the teacher's accuracy" if relative else "accuracy, %"}},
        margin={"t": 48},
    )
    return figure


def stage_bytes_figure(record: CompressionRecord) -> Any:
    """Bytes of the teacher and after every stage, with the budget as a line."""
    teacher = record.get("teacher") or {}
    named = [("teacher", teacher.get("bytes"), theme.PLUM)]
    named += [(str(s.get("stage", "")), s.get("bytes"), theme.ACCENT) for s in record.get("stages") or []]
    rows = [(name, float(size), text.size(size), colour) for name, size, colour in named if size]
    figure = horizontal_bars(rows, "bytes", 84)
    budget = record.get("budget_bytes")
    if budget:
        figure.add_vline(x=budget, line={"color": theme.RUST, "width": 1.4, "dash": "dash"})
        figure.add_annotation(
            x=budget,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=f"budget {text.size(budget)}",
            font={"color": theme.RUST, "size": 12},
            showarrow=False,
        )
    figure.update_layout(margin={"t": 28, "r": 84}, xaxis={"tickformat": "~s"})
    return figure


def validated(record: CompressionRecord) -> list[tuple[str, list[str]]]:
    """Return the stages with an accuracy on validation texts, each with its figures by task."""
    return [
        (
            f"{stage.get('stage', '')}, validation texts",
            [said.percent_points(t_spread(per_seed({"accuracy": found}, task))) for task in tasks(record)],
        )
        for stage in record.get("stages") or []
        if (found := stage.get("validation"))
    ]


def _stage_table(record: CompressionRecord) -> str:
    names, teacher, final = tasks(record), record.get("teacher") or {}, final_stage(record)
    stages = list(record.get("stages") or [])
    rows: list[list[Cell]] = []
    if teacher:
        figures = [said.percent_points(t_spread(per_seed(teacher, task))) for task in names]
        rows.append(["teacher", said.exact_bytes(teacher.get("bytes")), *figures, text.NONE, ""])
    for row, prefix in [(stage, "") for stage in stages] + [(arm, "compared: ") for arm in arms_of(record)]:
        times = row.get("seconds")
        each = t_spread([float(t) for t in times]) if isinstance(times, list) else None
        rows.append(
            [
                prefix + str(row.get("stage", row.get("arm", ""))),
                said.exact_bytes(row.get("bytes")),
                *(said.percent_points(t_spread(per_seed(row, task))) for task in names),
                text.duration(each.mean if each else None if isinstance(times, list) else times),
                str(row.get("note") or ""),
            ]
        )
    rows += [[name, "", *figures, "", _VALIDATION] for name, figures in validated(record)]
    stressed = [index for index, stage in enumerate(stages, 1 if teacher else 0) if stage is final]
    columns = ["after", "bytes", *(f"{name}, %" for name in names), "time", "note"]
    return table_html(rows, columns, align="l" + "r" * (len(columns) - 2) + "l", emphasis=stressed)


def stages(record: CompressionRecord) -> Section | None:
    """Bytes and accuracy after every stage, with the teacher and what it is compared with."""
    listed = record.get("stages") or []
    if not listed:
        return None
    final, teacher = final_stage(record), record.get("teacher") or {}
    relative = bool(teacher.get("accuracy"))
    every: list[Panel | None] = []
    if final is not None:
        every.append(
            Panel(
                "Share of the teacher's accuracy kept" if relative else "Accuracy",
                "measured",
                figure_html(stage_accuracy_figure(record), "Accuracy by stage, one line per task.", 360),
                said.INTERVAL_NOTE,
                wide=True,
            )
        )
    names, changes = tasks(record), said.stage_changes(record)
    if changes:
        cells: list[list[Cell]] = [
            [stage, before, *(said.points(found.get(task)) for task in names)]
            for stage, before, found in changes
        ]
        every.append(
            Panel(
                "What each stage gains and costs, in points of accuracy",
                "measured",
                table_html(cells, ["stage", "against", *names], align="ll" + "r" * len(names)),
                "Paired by seed. A stage with one seed is compared with every seed of the next.",
                wide=True,
            )
        )
    compared = " Rows marked “compared” are the ablation's arms." if arms_of(record) else ""
    note = f"Accuracy on the test split, mean over seeds.{compared}"
    table = _stage_table(record)
    sized = any(stage.get("bytes") for stage in listed)
    if sized:
        height = 110 + 36 * (len(listed) + 1)
        table = figure_html(stage_bytes_figure(record), "Bytes after every stage.", height) + folded_html(
            "Bytes and accuracy as a table, and what each figure counts", table
        )
    every.append(
        Panel(
            "Bytes" if sized else "Accuracy, in full",
            "measured",
            table,
            note + (" In bold: what is shipped." if final is not None else ""),
            wide=True,
        )
    )
    return Section(
        "After every stage", None, panels_html(*every), lead=said.accuracy_sentence(record) if final else ""
    )
