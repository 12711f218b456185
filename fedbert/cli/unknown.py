"""``fedbert compress unknown``: when a student says that a text has none of a task's labels."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fedbert.cli.command import Command
from fedbert.cli.options import given, options_from
from fedbert.cli.rivals import record_of_model
from fedbert.cli.task_files import read_tasks
from fedbert.ei_bert.compression.settings import UnknownSettings
from fedbert.errors import FedbertError, invalid
from fedbert.provenance import command_line
from fedbert.user_tables import read_table


def _unknown(**flags: Any) -> None:
    asked = UnknownSettings(**given(flags))
    tasks = read_tasks([asked.data])
    if len(tasks) != 1:
        raise FedbertError(f"data {asked.data}: must be one file, found {len(tasks)}; choose one at a time")
    task = tasks[0]
    if not (len(task.validation) and len(task.test)):
        raise FedbertError(
            f"data {asked.data}: must have texts of splits validation and test; add column split"
        )
    foreign = _unknown_texts(asked.unknown)

    from fedbert.ei_bert.artefact.card import write_card
    from fedbert.ei_bert.artefact.unknown import (
        UNKNOWN,
        Threshold,
        choose,
        digest,
        figures,
        read_thresholds,
        scores,
        write_thresholds,
    )
    from fedbert.ei_bert.pretrained import EiBert, model_folder

    folder = model_folder(asked.model)
    if asked.output is None and str(folder) != asked.model:
        raise invalid("output", None, "be given for a shipped model", "it is not changed in place")
    path = asked.output or folder / UNKNOWN
    bert = EiBert.from_pretrained(folder, budget_bytes=asked.budget_bytes)
    head = bert.head(task.name)
    if head.labels != task.labels:
        raise invalid("model", asked.model, f"have the {len(task.labels)} labels of {task.name} in its head")
    older = read_thresholds(path.parent, bert.artefact) if path.name == UNKNOWN else {}
    if task.name in older and not asked.overwrite:
        raise FedbertError(f"{path} has a threshold of {task.name}; add --overwrite to replace it")
    record = None if asked.report is None else record_of_model(asked.report, bert.artefact.sha256)
    logits = {split: bert.logits(part.texts, task.name) for split, part in task.parts() if split != "train"}
    right = {split: logits[split].argmax(1) == part.labels for split, part in task.parts() if split in logits}
    known = {split: scores(each) for split, each in logits.items()}
    unknown = {split: scores(bert.logits(foreign[split], task.name)) for split in known}
    least = choose(known["validation"], right["validation"], unknown["validation"])
    found = figures(known["test"], right["test"], unknown["test"], least)
    threshold = Threshold(least, digest(bert.artefact, task.name), found)
    write_thresholds(path, {**older, task.name: threshold}, command_line())
    # A card that is there says what the model can do.
    is_models_own = path.resolve() == (folder / UNKNOWN).resolve()
    if is_models_own and folder.with_name(f"{folder.name}.md").is_file():
        write_card(bert.artefact, folder)
    kept = f"{100 * found.false_kept_at_95:.1f} % of the unknown kept where 95 % of the known are"
    click.echo(
        f"{task.name}: {found.known:,} known and {found.unknown:,} unknown test texts; "
        f"AUROC {found.auroc:.4f}, {kept}"
    )
    click.echo(
        f"threshold {least:.4f}, of validation texts: {100 * found.known_right:.2f} % of the known right "
        f"({100 * found.accuracy:.2f} % without it), {100 * found.unknown_caught:.2f} % of the unknown told, "
        f"{100 * found.joint:.2f} % of both"
    )
    click.echo(f"{path}: the threshold")
    if asked.report is not None and record is not None:
        from fedbert.reporting.compression.folder import write_compression

        row = {"task": task.name, "threshold": least, **asdict(found), "command": command_line()}
        others = [each for each in record.get("unknown") or [] if each.get("task") != task.name]
        write_compression({**record, "unknown": [*others, row]}, asked.report)


def _unknown_texts(path: Path) -> dict[str, list[str]]:
    """Return the texts of `path` by split; raises FedbertError if validation or test has none."""
    table = read_table("unknown", path, ("text", "split"))
    texts = table.text("text").to_pylist()
    splits = [value.strip() for value in table.text("split").to_pylist()]
    found = {
        name: [text for text, split in zip(texts, splits, strict=True) if split == name and text.strip()]
        for name in ("validation", "test")
    }
    for name, some in found.items():
        if not some:
            raise table.refused(f"have texts of split {name}", "add some")
    return found


unknown = Command(
    "unknown",
    callback=_unknown,
    params=options_from(UnknownSettings),
    help="Choose on validation texts the score under which a text has none of a task's labels, and measure "
    "it on test texts. EiBert.classify(texts, task, unknown='oos') then says so.",
    short_help="choose when a student says that it does not know",
)
