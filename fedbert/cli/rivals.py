"""``fedbert compress rivals``: what simpler models of the same bytes reach, beside a made student."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.command import Command
from fedbert.cli.kept import check_file
from fedbert.cli.options import given, options_from
from fedbert.cli.task_files import check_heads, read_tasks
from fedbert.ei_bert.compression.settings import RivalSettings
from fedbert.errors import invalid
from fedbert.files import write_bytes
from fedbert.provenance import command_line

if TYPE_CHECKING:
    from fedbert.ei_bert.compression.rows import Rivals
    from fedbert.ei_bert.teaching.tasks import Task
    from fedbert.reporting.compression.record import CompressionRecord


def _rivals(**flags: Any) -> None:
    asked = RivalSettings(**given(flags))
    if asked.output is not None:
        check_file(asked.output, "output", asked.overwrite)
    tasks = read_tasks(asked.data)

    from fedbert.ei_bert.compression.rivals import (
        compare_rivals,
        made_lessons,
        mean_logits,
        parts_alone,
        student,
    )
    from fedbert.ei_bert.model.bert import use_threads
    from fedbert.ei_bert.pretrained import EiBert, model_folder
    from fedbert.ei_bert.teaching.teacher import load_teacher

    names = asked.taught_by or (asked.model,)
    folders = [model_folder(name) for name in (asked.model, *names)]
    beside = [EiBert.from_pretrained(name, budget_bytes=asked.budget_bytes) for name in asked.beside]
    model, *taught_by = (EiBert.from_pretrained(each, budget_bytes=asked.budget_bytes) for each in folders)
    every = (model, *taught_by, *beside)
    for name, each in zip((asked.model, *names, *asked.beside), every, strict=True):
        check_heads(name, each, tasks)
    record = None if asked.report is None else record_of_model(asked.report, model.artefact.sha256)
    use_threads(asked.threads)
    teacher = load_teacher(asked.teacher)
    lessons = made_lessons(teacher, tasks, mean_logits(taught_by), asked.seed)
    who = " + ".join(folder.name for folder in folders[1:])
    mine = student(folders[0].name, model.artefact)
    others = [student(name, each.artefact) for name, each in zip(asked.beside, beside, strict=True)]
    parts = [*parts_alone(model), *others]
    found = compare_rivals(mine, teacher, tasks, (who, lessons), asked.seed, parts)
    found["command"] = command_line()
    show_rivals(found)
    if asked.output is not None:
        content = json.dumps({"rivals": found}, indent=1, ensure_ascii=False) + "\n"
        write_bytes(asked.output, content.encode())
        click.echo(f"{asked.output}: the figures")
    if asked.report is not None and record is not None:
        from fedbert.reporting.compression.folder import write_compression

        page = write_compression({**record, **_counted(record, tasks), "rivals": found}, asked.report)
        click.echo(f"{page}: the report, with its rivals")


def record_of_model(folder: Path, sha256: str) -> "CompressionRecord":
    """Return the record in `folder`; raises FedbertError if it is of another model."""
    from fedbert.records import load_record
    from fedbert.reporting.compression.record import COMPRESSION

    record = load_record(COMPRESSION, folder)
    if record.get("sha256") != sha256:
        raise invalid("report", str(folder), "be the report of the model", "give the folder made with it")
    return record


def _counted(record: "CompressionRecord", tasks: "Sequence[Task]") -> dict[str, Any]:
    """Return the record's tasks with how many test texts a training set holds."""
    from fedbert.ei_bert.teaching.splits import leaked

    every = [text for task in tasks for text in task.train.texts]
    counts = {
        task.name: {
            "test_in_train": leaked(task.train.texts, task.test.texts),
            "test_in_any_train": leaked(every, task.test.texts),
        }
        for task in tasks
    }
    return {"tasks": [{**row, **counts.get(row.get("name", ""), {})} for row in record.get("tasks") or []]}


def show_rivals(found: "Rivals") -> None:
    """Print accuracy, bytes and speed of the student and its rivals as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    names = list(found["rows"][0]["accuracy"])
    table = Table(
        title=f"rivals of the same bytes: accuracy on test texts in %, 95 % interval; taught by "
        f"{found['taught_by']}",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model", overflow="fold")
    for name in ("bytes", "texts/s", *names):
        table.add_column(name, justify="right")
    for row in (*found["rows"], *found.get("parts", [])):
        cells = [
            f"{100 * row['accuracy'][name]:.2f} ({100 * row['low'][name]:.1f}-{100 * row['high'][name]:.1f})"
            for name in names
        ]
        table.add_row(row["rival"], f"{row['bytes']:,}", f"{row['texts_per_s']:,}", *cells)
    Console().print(table)


rivals = Command(
    "rivals",
    callback=_rivals,
    params=options_from(RivalSettings),
    help="Train simpler models of a student's bytes (hashed n-grams with a linear layer, pooled token "
    "vectors) and compare them with it on test texts. About a minute.",
    short_help="compare a student with simpler models of its bytes",
)
