"""Sets of texts that a command is given: read, with a line on what was read of each file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbert.errors import invalid

if TYPE_CHECKING:
    from fedbert.ei_bert.artefact.kinds import Kind
    from fedbert.ei_bert.pretrained import EiBert
    from fedbert.ei_bert.teaching.sets import AnySet
    from fedbert.ei_bert.teaching.tasks import Task


def read_tasks(paths: Sequence[Path]) -> "tuple[Task, ...]":
    """Return the tasks in `paths`, and say what was read of them; raises as `teaching.tasks.load_tasks`."""
    from fedbert.ei_bert.teaching.tasks import load_tasks

    tasks = load_tasks(paths)
    for task in tasks:
        if line := task_line(task):
            click.echo(line)
    return tasks


def read_sets(paths: Sequence[Path], kind: "Kind | None" = None) -> "tuple[AnySet, ...]":
    """Return the sets in `paths`, of `kind` or of the kinds that their columns say, and say what was read.

    Raises FedbertError as `teaching.sets.load_set`.
    """
    from fedbert.ei_bert.teaching.sets import load_set
    from fedbert.ei_bert.teaching.tasks import set_files

    found = tuple(load_set(path, kind) for path in set_files(paths))
    for each in found:
        if line := task_line(each):
            click.echo(line)
    return found


def check_heads(name: str, model: "EiBert", tasks: "Sequence[Task]") -> None:
    """Raise FedbertError if the model called `name` lacks a head of `tasks`, or it has other labels."""
    for task in tasks:
        if model.labels(task.name) != task.labels:
            raise invalid("model", name, f"have the {len(task.labels)} labels of {task.name} in its head")


def task_line(task: "AnySet") -> str:
    """Return what was read of a task's file, '' for a task of no file."""
    from fedbert.ei_bert.teaching.sets import kind_of_set, names_of

    if task.read is None:
        return ""
    kind = kind_of_set(task)
    what = "pairs" if kind == "pairs" else "texts"
    named = "tags" if kind == "tags" else "labels"
    parts = ", ".join(f"{len(part):,} {name}" for name, part in task.parts() if len(part))
    return f"{task.read.line()}; {len(names_of(task))} {named}, {what}: {parts}"
