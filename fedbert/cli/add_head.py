"""``fedbert compress add-head``: a new task on a frozen student, from a file of texts and labels."""

from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.command import Command
from fedbert.cli.kept import refuse_filled
from fedbert.cli.options import given, options_from
from fedbert.cli.task_files import read_tasks
from fedbert.ei_bert.compression.settings import HeadSettings
from fedbert.errors import FedbertError, invalid
from fedbert.run_folder import check_writable

if TYPE_CHECKING:
    from fedbert.ei_bert.pretrained import EiBert
    from fedbert.ei_bert.teaching.tasks import Task

_WIDE_BYTES = 65_536
# Fewer n-grams than these collide too often to be worth their bytes.
_LEAST_BUCKETS = 256
# Headers of a head's and a wide part's file, and their entries in the manifest.
_FILES_BYTES = 1_500


def _add_head(**flags: Any) -> None:
    asked = HeadSettings(**given(flags))
    from fedbert.ei_bert.pretrained import EiBert, model_folder
    from fedbert.ei_bert.teaching.splits import evidence_lines

    tasks = read_tasks([asked.data])
    if len(tasks) != 1:
        raise FedbertError(f"data {asked.data}: must be one file, found {len(tasks)}; add one head at a time")
    task, folder = tasks[0], model_folder(asked.model)
    if asked.output is None and str(folder) != asked.model:
        raise invalid("output", None, "be given for a shipped model", "it is not changed in place")
    target = asked.output or folder
    check_writable(target)
    if asked.output is not None and not asked.overwrite and target.resolve() != folder.resolve():
        refuse_filled(target)
    bert = EiBert.from_pretrained(folder, budget_bytes=asked.budget_bytes)
    replaced = bert.head(task.name) if task.name in bert.tasks else None
    if replaced is not None and not asked.overwrite:
        raise FedbertError(
            f"head {task.name}: {asked.model} has one of that name, of {len(replaced.labels)} labels; name "
            "the file after another task, or add --overwrite to replace it"
        )
    before = bert.artefact.total_bytes
    labels = [task.labels[index] for index in task.train.labels.tolist()]
    room = asked.wide_bytes if asked.wide_bytes is not None else wide_room(bert, task, asked.budget_bytes)
    head = bert.fit_head(task.train.texts, labels, task.name, asked.seed, wide_bytes=room)
    bert.save(target)
    added = bert.artefact.total_bytes - before
    if wide := bert.wide(task.name):
        click.echo(f"a wide part of {wide.buckets:,} buckets helps on texts that were held out")
    elif room:
        click.echo("no wide part: on texts that were held out it does not help")
    click.echo(f"{target}: head {head.task} of {len(head.labels)} labels, {added:+,} bytes")
    if replaced is not None:
        click.echo(f"replaced: the head {task.name} of {len(replaced.labels)} labels")
    if len(task.test):
        guessed = bert.classify(task.test.texts, task.name)
        wanted = [task.labels[index] for index in task.test.labels.tolist()]
        right = sum(mine == theirs for mine, theirs in zip(guessed, wanted, strict=True))
        click.echo(f"accuracy on {len(wanted):,} test texts: {100 * right / len(wanted):.1f} %")
        for line in evidence_lines(task.name, task.train.texts, task.test.texts):
            click.echo(line)
    click.echo(f"all files: {bert.artefact.total_bytes:,} bytes, sha256 {bert.artefact.sha256}")


def wide_room(bert: "EiBert", task: "Task", budget_bytes: int) -> int:
    """Return the bytes of a wide part by default: 64 kB, less where the budget leaves less, 0 for no room."""
    from fedbert.ei_bert.artefact.wide import file_bytes

    classes = len(task.labels)
    # A head has a byte a value, a scale and a bias a class, and its labels; the manifest names both files.
    head = classes * (bert.dim + 8) + 2 * len("".join(task.labels)) + 8 * classes
    left = budget_bytes - bert.artefact.total_bytes - head - _FILES_BYTES
    return min(left, _WIDE_BYTES) if left > file_bytes(_LEAST_BUCKETS, classes, task.name) else 0


add_head = Command(
    "add-head",
    callback=_add_head,
    params=options_from(HeadSettings),
    help="Fit a head on the frozen vectors of the training texts, score it, and save it in the model's "
    "folder.",
    short_help="add a task to a frozen student",
)
