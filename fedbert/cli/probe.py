"""``fedbert compress probe``: what a frozen student keeps of its teacher on anyone's sets."""

import json
from typing import TYPE_CHECKING, Any

from fedbert.cli.command import Command
from fedbert.cli.kept import check_file
from fedbert.cli.kinds import show_kinds
from fedbert.cli.options import given, options_from
from fedbert.cli.task_files import read_sets
from fedbert.ei_bert.compression.settings import ProbeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedbert.ei_bert.compression.probe import Comparison


def _probe(**flags: Any) -> None:
    asked = ProbeSettings(**given(flags))
    output, seed = asked.output, asked.seed
    if output is not None:
        check_file(output, "output", asked.overwrite)

    # What is cheap to check comes first: files, then the student, then the teacher.
    from fedbert.ei_bert.teaching.tasks import Task

    sets = read_sets(asked.data)
    if (count := asked.texts_per_label) is not None:
        from fedbert.ei_bert.compression.probe import few_texts

        sets = tuple(few_texts(each, count, seed) if isinstance(each, Task) else each for each in sets)

    from rich.console import Console

    from fedbert.ei_bert.artefact.artefact import load_artefact
    from fedbert.ei_bert.compression.kind_rows import with_sets
    from fedbert.ei_bert.compression.probe import compare, student_encoder, teacher_encoder
    from fedbert.ei_bert.model.bert import use_threads
    from fedbert.ei_bert.pretrained import model_folder
    from fedbert.ei_bert.teaching.sets import train_and_test
    from fedbert.ei_bert.teaching.splits import evidence_lines
    from fedbert.ei_bert.teaching.teacher import load_teacher
    from fedbert.files import write_bytes

    folder = model_folder(asked.model)
    encode = student_encoder(folder, asked.budget_bytes, asked.threads)
    stock = load_teacher(asked.teacher)
    use_threads(asked.threads)
    console = Console()
    found, rows = [], []
    for each in sets:
        with console.status(f"{each.name}: {len(each.train):,} + {len(each.test):,} texts"):
            if isinstance(each, Task):
                found.append(compare(encode, teacher_encoder(stock), each, seed, words=True))
            else:
                artefact = load_artefact(folder, asked.budget_bytes)
                rows += with_sets(artefact, stock, [each], seed)[1]
    if found:
        show_probes(found, folder.name, stock.name)
    if rows:
        show_kinds(rows)
    for each in sets:
        for line in evidence_lines(each.name, *train_and_test(each)):
            console.print(line, highlight=False, soft_wrap=True)
    if output is not None:
        whole = {
            "model": folder.name,
            "teacher": {"name": stock.name, "sha256": stock.sha256},
            "seed": seed,
            **({} if count is None else {"texts_per_label": count}),
            "tasks": [each.as_dict() for each in found],
            "data_sha256": {each.name: each.sha256 for each in sets},
        }
        if rows:
            whole["kinds"] = rows
        write_bytes(output, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
        console.print(f"{output}: the figures", highlight=False, soft_wrap=True)


def show_probes(found: "Sequence[Comparison]", model: str, teacher: str) -> None:
    """Print a table of probes, and for each set on which the words alone are better a sentence."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # Every column but the first has the width of its figures: the table fits a terminal of 80 columns.
    title = f"linear probes: {model} against {teacher}, accuracy in %, 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("task", overflow="fold")
    for name in ("classes", "training", "test", "TF-IDF", "student", "teacher", "kept", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        table.add_row(
            each.task,
            str(each.classes),
            f"{each.train_texts:,}",
            f"{each.test_texts:,}",
            "" if each.words is None else f"{100 * each.words.accuracy:.1f}",
            f"{100 * each.student.accuracy:.1f}",
            f"{100 * each.teacher.accuracy:.1f}",
            f"{100 * each.retention:.1f} %",
            f"{100 * each.low:.1f}-{100 * each.high:.1f}",
        )
    console = Console()
    console.print(table)
    for each in found:
        if (line := words_line(each)) is not None:
            console.print(line, highlight=False, soft_wrap=True)


def words_line(found: "Comparison") -> str | None:
    """Return that a classifier of words is better than the student, None if it is not."""
    words, student = found.words, found.student
    if words is None or words.accuracy <= student.accuracy:
        return None
    return (
        f"{found.task}: TF-IDF and a linear classifier are right on {100 * words.accuracy:.1f} %, more than "
        f"the student's {100 * student.accuracy:.1f} %; with {found.train_texts:,} training texts this set "
        "needs no encoder"
    )


probe = Command(
    "probe",
    callback=_probe,
    params=options_from(ProbeSettings),
    help="Fit linear probes on the vectors of student and teacher, and compare their accuracy on test texts. "
    "Sets of text,tags and of text,text_b,label get the heads that add-head fits.",
    short_help="compare a frozen student with its teacher on your sets",
)
