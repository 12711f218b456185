"""``fedbert compress add-head``: a new task of any kind on a frozen student, from a file of texts."""

from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.command import Command
from fedbert.cli.kept import refuse_filled
from fedbert.cli.options import given, options_from
from fedbert.cli.task_files import read_sets
from fedbert.ei_bert.compression.settings import HeadSettings
from fedbert.errors import FedbertError, invalid
from fedbert.run_folder import check_writable

if TYPE_CHECKING:
    from fedbert.ei_bert.pretrained import EiBert
    from fedbert.ei_bert.teaching.sets import AnySet

_WIDE_BYTES = 65_536
# Fewer n-grams than these say too little of a task to be worth their bytes.
_LEAST_GRAMS = 256
# Headers of a head's and a wide part's file, and their entries in the manifest.
_FILES_BYTES = 1_500


def _add_head(**flags: Any) -> None:
    asked = HeadSettings(**given(flags))
    from fedbert.ei_bert.artefact.chosen_grams import ChosenGrams
    from fedbert.ei_bert.compression.head_room import least_room_bytes, room_bytes
    from fedbert.ei_bert.compression.set_scores import counts_on_test, figure, fit_set, metric_of
    from fedbert.ei_bert.pretrained import EiBert, encoder_for, model_folder
    from fedbert.ei_bert.teaching.sets import kind_of_set, names_of, train_and_test
    from fedbert.ei_bert.teaching.splits import evidence_lines
    from fedbert.ei_bert.teaching.tasks import Task

    sets = read_sets([asked.data], asked.kind)
    if len(sets) != 1:
        raise FedbertError(f"data {asked.data}: must be one file, found {len(sets)}; add one head at a time")
    task = sets[0]
    model = asked.model
    if model is None:
        model = encoder_for(task.sha256, lambda width: room_bytes(task, width), asked.budget_bytes)
    folder = model_folder(model)
    if asked.output is None and str(folder) != model:
        raise invalid("output", None, "be given for a shipped model", f"{model} is not changed in place")
    if asked.model is None:
        click.echo(f"encoder: {model}; --model chooses another")
    target = asked.output or folder
    check_writable(target)
    if asked.output is not None and not asked.overwrite and target.resolve() != folder.resolve():
        refuse_filled(target)
    bert = EiBert.from_pretrained(folder, budget_bytes=asked.budget_bytes)
    replaced = _named(len(bert.labels(task.name)), bert.kind(task.name)) if task.name in bert.tasks else None
    if replaced is not None and not asked.overwrite:
        raise FedbertError(
            f"head {task.name}: {model} has one of that name, of {replaced}; name "
            "the file after another task, or add --overwrite to replace it"
        )
    before = bert.artefact.total_bytes
    least = before + least_room_bytes(task, bert.dim)
    if replaced is None and least > asked.budget_bytes:
        # Said before the fit, which takes minutes.
        raise FedbertError(
            f"head {task.name}: with it {model} has at least {least} bytes, must be at most "
            f"{asked.budget_bytes}; raise --budget-bytes or give a smaller --model"
        )
    labelled = isinstance(task, Task)
    if not labelled and asked.wide_bytes:
        raise invalid("wide_bytes", asked.wide_bytes, "be left out for a set of another kind than labels")
    room = asked.wide_bytes if asked.wide_bytes is not None else wide_room(bert, task, asked.budget_bytes)
    fit_set(bert, task, asked.seed, room if labelled else 0)
    bert.save(target)
    added = bert.artefact.total_bytes - before
    if labelled and isinstance(wide := bert.wide(task.name), ChosenGrams):
        click.echo(f"a wide part of {len(wide.places):,} n-grams helps on texts that were held out")
    elif labelled and room:
        click.echo("no wide part: on texts that were held out it does not help")
    named = _named(len(names_of(task)), kind_of_set(task))
    click.echo(f"{target}: head {task.name} of {named}, {added:+,} bytes")
    if replaced is not None:
        click.echo(f"replaced: the head {task.name} of {replaced}")
    if len(task.test):
        found = figure(counts_on_test(bert, task))
        what = "pairs" if kind_of_set(task) == "pairs" else "texts"
        click.echo(f"{metric_of(task)} on {len(task.test):,} test {what}: {100 * found:.1f} %")
        for line in evidence_lines(task.name, *train_and_test(task)):
            click.echo(line)
    click.echo(f"all files: {bert.artefact.total_bytes:,} bytes, sha256 {bert.artefact.sha256}")


def wide_room(bert: "EiBert", task: "AnySet", budget_bytes: int) -> int:
    """Return the bytes of a wide part by default: 64 kB, less where the budget leaves less, 0 for no room."""
    import numpy as np

    from fedbert.ei_bert.artefact.chosen_grams import gram_bytes
    from fedbert.ei_bert.teaching.sets import names_of

    labels = names_of(task)
    # A head has a byte a value, a scale and a bias a class, and its labels; the manifest names both files.
    head = len(labels) * (bert.dim + 16) + 2 * len("".join(labels))
    left = budget_bytes - bert.artefact.total_bytes - head - _FILES_BYTES
    least = gram_bytes(np.arange(_LEAST_GRAMS), len(labels), task.name, _LEAST_GRAMS)
    return min(left, _WIDE_BYTES) if left > least else 0


def _named(count: int, kind: str) -> str:
    """Return how many labels, tags or labels of pairs a head has, in words."""
    return f"{count} labels of pairs" if kind == "pairs" else f"{count} {kind}"


add_head = Command(
    "add-head",
    callback=_add_head,
    params=options_from(HeadSettings),
    help="Fit a head on the frozen vectors of the training texts, score it, and save it in the model's "
    "folder. The columns of the file say of what kind it is: labels of texts, tags of words, or labels of "
    "pairs of texts.",
    short_help="add a task to a frozen student",
)
