"""``fedbert compress add-head``: a new task on a frozen student, from a file of texts and labels."""

from pathlib import Path
from typing import Annotated

import typer

from fedbert.errors import FedbertError, invalid


def add_head(
    data: Annotated[Path, typer.Option(help="CSV or Parquet of text,label[,split]; its name is the task's")],
    model: Annotated[str, typer.Option(help="folder of an artefact, or the name of a shipped one")],
    output: Annotated[Path | None, typer.Option(help="folder to write; default: MODEL itself")] = None,
    seed: Annotated[int, typer.Option(help="seed of the texts that choose the penalty")] = 0,
    budget_bytes: Annotated[int, typer.Option(help="limit of the artefact's files together")] = 1_910_000,
) -> None:
    """Fit a head on the frozen vectors of the training texts, score it, and save it in the model's folder."""
    if seed < 0:
        raise invalid("seed", seed, "be >= 0")
    from fedbert.ei_bert.pretrained import EiBert, model_folder
    from fedbert.ei_bert.teaching.tasks import load_tasks

    tasks = load_tasks([data])
    if len(tasks) != 1:
        raise FedbertError(f"data {data}: must be one file, found {len(tasks)}; add one head at a time")
    task, folder = tasks[0], model_folder(model)
    if output is None and str(folder) != model:
        raise invalid("output", None, "be given for a shipped model", "it is not changed in place")
    bert = EiBert.from_pretrained(folder, budget_bytes=budget_bytes)
    before = bert.artefact.total_bytes
    labels = [task.labels[index] for index in task.train.labels.tolist()]
    head = bert.fit_head(task.train.texts, labels, task.name, seed)
    target = output or folder
    bert.save(target)
    added = bert.artefact.total_bytes - before
    typer.echo(f"{target}: head {head.task} of {len(head.labels)} labels, {added:+,} bytes")
    if len(task.test):
        guessed = bert.classify(task.test.texts, task.name)
        wanted = [task.labels[index] for index in task.test.labels.tolist()]
        right = sum(mine == theirs for mine, theirs in zip(guessed, wanted, strict=True))
        typer.echo(f"accuracy on {len(wanted):,} test texts: {100 * right / len(wanted):.1f} %")
    typer.echo(f"all files: {bert.artefact.total_bytes:,} bytes, sha256 {bert.artefact.sha256}")
