"""Chapters of a compression's report on the student itself and how it was made; None without figures."""

from collections.abc import Mapping

from fedbert.reporting.compression import plots
from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import Record, grown_confusions, parts, per_seed, t_spread
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    facts_html,
    figure_html,
    panels_html,
    table_html,
    text_html,
)


def bytes_by_part(record: Record) -> Section | None:
    """Where the bytes are."""
    listed = parts(record)
    if not listed:
        return None
    covered = text.size(sum(size for _, size in listed))
    return Section(
        "Where the bytes are",
        "measured",
        figure_html(plots.where_the_bytes_are(record), "Bytes by part.", 80 + 34 * len(listed)),
        f"{covered} in all, on disk.",
    )


def latency(record: Record) -> Section | None:
    """Speed on the machine that made it."""
    listed = record.get("latency") or []
    if not listed:
        return None
    rows: list[list[Cell]] = [
        [
            said.count(row.get("length")),
            said.count(row.get("batch")),
            said.count(row.get("threads")),
            text.milliseconds(row.get("ms")),
            said.count(row.get("texts_per_s")),
        ]
        for row in listed
    ]
    cores = (record.get("environment") or {}).get("cores")
    machine = f"the machine that made it ({cores} cores)" if cores else "the machine that made it"
    return Section(
        "Speed on this machine",
        "measured",
        table_html(
            rows, ["tokens", "texts a batch", "threads", "time a text", "texts a second"], align="rrrrr"
        ),
        f"Timed on {machine}, not on a phone; in batches, the time of a batch over its texts.",
    )


def confusion(record: Record) -> Section | None:
    """Pairs of labels the student confuses more often than its teacher."""
    by_task = record.get("confusion") or {}
    if not by_task:
        return None
    panels = []
    for name, rows in by_task.items():
        grown = grown_confusions(rows or [])
        cells: list[list[Cell]] = [
            [
                str(r["true"]),
                str(r["predicted"]),
                r["teacher"],
                r["student"],
                f"+{r['student'] - r['teacher']:g}",
            ]
            for r in grown
        ]
        columns = ["true label", "taken for", "teacher", "student", "more"]
        html = (
            table_html(cells, columns, align="llrrr")
            if cells
            else text_html("No pair is confused more often than by the teacher.")
        )
        panels.append(Panel(str(name), "measured", html, wide=True))
    return Section(
        "What it confuses more than its teacher",
        None,
        panels_html(*panels),
        "Texts of the test split; the ten pairs whose count grew most, in each set.",
    )


def vocabulary(record: Record) -> Section | None:
    """What pruning the vocabulary did to the texts."""
    values = record.get("vocabulary") or {}
    if not values:
        return None
    facts: dict[str, Cell] = {}
    for key, name, shown in (
        ("size", "tokens kept", said.count(values.get("size"))),
        ("unknown_share", "tokens of the texts that become [UNK]", said.share(values.get("unknown_share"))),
        ("tokens_per_text", "tokens a text", text.significant(values.get("tokens_per_text"))),
        (
            "tokens_per_text_teacher",
            "tokens a text, teacher's vocabulary",
            text.significant(values.get("tokens_per_text_teacher")),
        ),
    ):
        if key in values:
            facts[name] = shown
    for name, agreement in (values.get("agreement") or {}).items():
        facts[f"kept alike if ranked by {text.label(str(name))}"] = said.share(agreement)
    return Section(
        "Vocabulary",
        "measured",
        facts_html(facts),
        "Special tokens, single characters and their ## forms always stay, so that every word can be spelt.",
    )


def search(record: Record) -> Section | None:
    """Shapes that were tried under the budget."""
    listed = record.get("search") or []
    if not listed:
        return None
    worst = float("inf")
    ordered = sorted(listed, key=lambda row: worst if row.get("loss") is None else row["loss"])
    rows: list[list[Cell]] = [
        [
            said.shape_name(row.get("shape") or {}),
            said.exact_bytes(row.get("bytes")),
            text.number(row.get("loss"), 4),
            said.count(row.get("texts_per_s")),
            text.duration(row.get("seconds")),
            "chosen" if row.get("chosen") else "",
        ]
        for row in ordered
    ]
    chosen = [index for index, row in enumerate(ordered) if row.get("chosen")]
    with_loss = [row for row in listed if row.get("loss") is not None]
    columns = ["layers × width", "on disk", "loss", "texts a second", "time", ""]
    return Section(
        "Shapes tried",
        None,
        panels_html(
            Panel(
                "Pre-distillation loss",
                "measured",
                figure_html(plots.shapes(listed), "Loss by shape.", 84 + 32 * len(with_loss)),
                "Filled: chosen.",
                wide=True,
            )
            if with_loss
            else None,
            Panel(
                "Shapes, in full",
                "measured",
                table_html(rows, columns, align="lrrrrl", emphasis=chosen),
                wide=True,
            ),
        ),
        "A short pre-distillation ranks shapes; it is not the accuracy they would end with.",
    )


def losses(record: Record) -> Section | None:
    """Training curves."""
    curves = {name: curve for name, curve in (record.get("losses") or {}).items() if curve}
    if not curves:
        return None
    panels = [
        Panel(str(name), "measured", figure_html(plots.loss(curve), f"Loss of {name} by step.", 280))
        for name, curve in curves.items()
    ]
    return Section("Losses", None, panels_html(*panels))


def _teacher(teacher: Record) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        "name": str(teacher.get("name") or text.NONE),
        "parameters": said.count(teacher.get("parameters")),
        "bytes": said.exact_bytes(teacher.get("bytes")),
    }
    for task in teacher.get("accuracy") or {}:
        facts[f"accuracy, {task}"] = f"{said.percent_points(t_spread(per_seed(teacher, task)))}%"
    return facts | ({"SHA-256": str(teacher["sha256"])} if teacher.get("sha256") else {})


def data(record: Record) -> Section | None:
    """The sets and the teacher."""
    listed, teacher = record.get("tasks") or [], record.get("teacher") or {}
    if not listed and not teacher:
        return None
    rows: list[list[Cell]] = [
        [
            str(row.get("name", "")),
            *(said.count(row.get(k)) for k in ("labels", "train", "validation", "test")),
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
                table_html(rows, ["set", "labels", "training", "validation", "test"]),
                wide=True,
            )
            if rows
            else None,
            Panel("Teacher", "measured", facts_html(_teacher(teacher)), wide=True) if teacher else None,
        ),
    )


def provenance(record: Record) -> Section:
    """How to make it again."""
    environment: Mapping[str, object] = record.get("environment") or {}
    made: dict[str, Cell] = {"command": str(record["command"])}
    if record.get("seconds") is not None:
        made["wall time"] = text.duration(record["seconds"])
    if record.get("seeds"):
        made["seeds"] = ", ".join(map(str, record["seeds"]))
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
                figure_html(plots.seconds(record), "Seconds by stage.", 90 + 34 * len(timed)),
            )
            if timed
            else None,
        ),
    )


def made(record: Record) -> list[Section | None]:
    """Return the chapters on the student and its making, in order."""
    return [
        bytes_by_part(record),
        vocabulary(record),
        search(record),
        latency(record),
        confusion(record),
        losses(record),
        data(record),
        provenance(record),
    ]
