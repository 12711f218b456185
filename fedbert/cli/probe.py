"""``fedbert compress probe``: what a frozen student keeps of its teacher on anyone's sets."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedbert.errors import invalid

if TYPE_CHECKING:
    from rich.console import Console

    from fedbert.ei_bert.compression.probe import Comparison


def probe(
    data: Annotated[list[Path], typer.Option(help="CSV or Parquet of text,label[,split]; may be repeated")],
    model: Annotated[
        str, typer.Option(help="folder of an artefact, or the name of a shipped one")
    ] = "default",
    teacher: Annotated[
        str | None, typer.Option(help="folder or hub name of a BERT encoder; default: the installed one")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="seed of the texts that choose the penalty, and of intervals")
    ] = 0,
    output: Annotated[Path | None, typer.Option(help="file for the figures, as JSON")] = None,
    budget_bytes: Annotated[int, typer.Option(help="limit of the artefact's files together")] = 1_910_000,
    threads: Annotated[int, typer.Option(help="threads of encoders")] = 1,
) -> None:
    """Fit linear probes on the vectors of student and teacher, and compare their accuracy on test texts."""
    if seed < 0:
        raise invalid("seed", seed, "be >= 0")
    if threads < 1:
        raise invalid("threads", threads, "be at least 1")
    if output is not None and output.is_dir():
        raise invalid("output", str(output), "be a file", "name one in that folder")
    from fedbert.ei_bert.teaching.tasks import load_tasks

    # What is cheap to check comes first: files, then the student, then the teacher.
    tasks = load_tasks(data)

    from rich.console import Console

    from fedbert.ei_bert.compression.probe import compare, student_encoder, teacher_encoder
    from fedbert.ei_bert.model.bert import use_threads
    from fedbert.ei_bert.pretrained import model_folder
    from fedbert.ei_bert.teaching.teacher import load_teacher
    from fedbert.files import write_bytes

    folder = model_folder(model)
    encode = student_encoder(folder, budget_bytes, threads)
    stock = load_teacher(teacher)
    use_threads(threads)
    console = Console()
    found = []
    for task in tasks:
        with console.status(f"{task.name}: {len(task.train):,} + {len(task.test):,} texts"):
            found.append(compare(encode, teacher_encoder(stock), task, seed))
    _show(console, found, folder.name, stock.name)
    if output is not None:
        whole = {
            "model": folder.name,
            "teacher": {"name": stock.name, "sha256": stock.sha256},
            "seed": seed,
            "tasks": [each.as_dict() for each in found],
            "data_sha256": {task.name: task.sha256 for task in tasks},
        }
        write_bytes(output, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
        console.print(f"{output}: the figures", highlight=False, soft_wrap=True)


def _show(console: "Console", found: "list[Comparison]", model: str, teacher: str) -> None:
    from rich import box
    from rich.table import Table

    # Every column but the first has the width of its figures: the table fits a terminal of 80 columns.
    title = f"linear probes: {model} against {teacher}, accuracy in %, 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("task", overflow="fold")
    for name in ("classes", "training", "test", "student", "teacher", "kept", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        table.add_row(
            each.task,
            str(each.classes),
            f"{each.train_texts:,}",
            f"{each.test_texts:,}",
            f"{100 * each.student.accuracy:.1f}",
            f"{100 * each.teacher.accuracy:.1f}",
            f"{100 * each.retention:.1f} %",
            f"{100 * each.low:.1f}-{100 * each.high:.1f}",
        )
    console.print(table)
