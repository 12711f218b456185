"""Chapters of a compression's report: the sets, the teacher, and how it was made."""

from collections.abc import Mapping
from typing import Any

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.axes import horizontal_bars
from fedbert.reporting.compression.numbers import per_seed, t_spread
from fedbert.reporting.compression.record import CompressionRecord, TeacherRow
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    facts_html,
    figure_html,
    panels_html,
    table_html,
)


def seconds_figure(record: CompressionRecord) -> Any:
    """Seconds by stage."""
    return horizontal_bars(
        [
            (row.get("stage", ""), seconds, text.duration(seconds), theme.ACCENT)
            for row in record.get("stages") or []
            if (seconds := row.get("seconds")) is not None
        ],
        "seconds",
        90,
    )


def _teacher(teacher: TeacherRow) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        "name": str(teacher.get("name") or text.NONE),
        "parameters": said.count(teacher.get("parameters")),
        "bytes": said.exact_bytes(teacher.get("bytes")),
    }
    for task in teacher.get("accuracy") or {}:
        facts[f"accuracy, {task}"] = f"{said.percent_points(t_spread(per_seed(teacher, task)))}%"
    if len(each := teacher.get("each") or []) > 1:
        facts["teachers"] = f"{len(each)}, whose mean choices and states teach"
        for task in teacher.get("accuracy") or {}:
            alone = [said.percent_points(t_spread(per_seed({"accuracy": one}, task))) for one in each]
            facts[f"accuracy of each alone, {task}"] = f"{', '.join(alone)}%"
    return facts | ({"SHA-256": str(teacher["sha256"])} if teacher.get("sha256") else {})


def data(record: CompressionRecord) -> Section | None:
    """The sets and the teacher."""
    listed, teacher = record.get("tasks") or [], record.get("teacher") or {}
    if not listed and not teacher:
        return None
    rows: list[list[Cell]] = [
        [
            str(row.get("name", "")),
            said.count(row.get("labels")),
            said.count(row.get("train")),
            said.count(row.get("validation")),
            said.count(row.get("test")),
            said.count(row.get("test_in_train")),
            said.count(row.get("test_in_any_train")),
        ]
        for row in listed
    ]
    return Section(
        "Data and teacher",
        None,
        panels_html(
            Panel(
                "Sets",
                "measured",
                table_html(
                    rows,
                    [
                        "set",
                        "labels",
                        "training",
                        "validation",
                        "test",
                        "of these in its training texts",
                        "in any set's",
                    ],
                ),
                wide=True,
            )
            if rows
            else None,
            Panel("Teacher", "measured", facts_html(_teacher(teacher)), wide=True) if teacher else None,
        ),
    )


def provenance(record: CompressionRecord) -> Section:
    """How to make it again."""
    environment: Mapping[str, object] = record.get("environment") or {}
    made: dict[str, Cell] = {"command": str(record["command"])}
    if record.get("seconds") is not None:
        made["wall time"] = text.duration(record["seconds"])
    if record.get("cpu_seconds") is not None:
        made["processor time, all stages"] = text.duration(record["cpu_seconds"])
    if record.get("seeds"):
        whole = ", each with its own teachers and pre-distillation" if record.get("whole_seeds") else ""
        made["seeds"] = ", ".join(map(str, record["seeds"])) + whole
    if record.get("budget_bytes") is not None:
        made["budget"] = said.exact_bytes(record["budget_bytes"])
    if record.get("total_bytes") is not None:
        made["total on disk"] = said.exact_bytes(record["total_bytes"])
    made |= text.facts(environment)
    timed = [stage for stage in record.get("stages") or [] if stage.get("seconds") is not None]
    return Section(
        "How this was made",
        None,
        panels_html(
            Panel("Command and environment", "measured", facts_html(made)),
            Panel(
                "Where the time went",
                "measured",
                figure_html(seconds_figure(record), "Seconds by stage.", 90 + 34 * len(timed)),
            )
            if timed
            else None,
        ),
    )
