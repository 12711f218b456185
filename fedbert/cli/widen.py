"""``fedbert compress widen``: a linear layer on n-grams beside the heads of a student that is there."""

from typing import Any

import click

from fedbert.cli.command import Command
from fedbert.cli.kept import refuse_filled
from fedbert.cli.options import given, options_from
from fedbert.cli.rivals import record_of_model
from fedbert.cli.task_files import check_heads, read_tasks
from fedbert.ei_bert.compression.settings import WidenSettings
from fedbert.provenance import command_line
from fedbert.run_folder import check_writable


def _widen(**flags: Any) -> None:
    asked = WidenSettings(**given(flags))
    check_writable(asked.output)
    if not asked.overwrite:
        refuse_filled(asked.output)
    tasks = read_tasks(asked.data)

    from fedbert.ei_bert.artefact.artefact import save_artefact
    from fedbert.ei_bert.artefact.card import write_card
    from fedbert.ei_bert.compression.rivals import made_lessons, mean_logits
    from fedbert.ei_bert.compression.widening import WIDENED, Widening, widen
    from fedbert.ei_bert.model.bert import use_threads
    from fedbert.ei_bert.model.quantisation import Quantisation
    from fedbert.ei_bert.pretrained import EiBert, model_folder
    from fedbert.ei_bert.teaching.teacher import load_teacher

    bits = Quantisation(asked.embedding_bits or 8, asked.weight_bits or 8)
    names = (asked.model, *asked.taught_by)
    model, *teachers = (EiBert.from_pretrained(name, budget_bytes=asked.reads_bytes) for name in names)
    for name, each in zip(names, (model, *teachers), strict=True):
        check_heads(name, each, tasks)
    record = None if asked.report is None else record_of_model(asked.report, model.artefact.sha256)
    use_threads(asked.threads)
    lessons = None
    if teachers:
        lessons = made_lessons(load_teacher(asked.teacher), tasks, mean_logits(teachers), asked.seed)
    wanted = Widening(
        budget_bytes=asked.budget_bytes,
        wide_bytes=asked.bytes,
        quantisation=None if bits == Quantisation() else bits,
        weight=asked.weight,
        lessons=lessons,
        taught_by=" + ".join(model_folder(name).name for name in asked.taught_by) or "labels",
        seed=asked.seed,
        command=command_line(),
    )
    found = widen(model.artefact, tasks, wanted)
    save_artefact(found.artefact, asked.output)
    write_card(found.artefact, asked.output)
    if asked.report is not None and record is not None:
        from fedbert.ei_bert.compression.widening_record import widened_record
        from fedbert.reporting.compression.folder import write_compression

        write_compression(widened_record(record, found), asked.report)
    if found.tried:
        click.echo(
            f"weight {found.weight:g} of {found.buckets:,} buckets: "
            f"{100 * found.tried[found.weight]:.2f} % of the validation texts, without a wide part "
            f"{100 * found.tried[0.0]:.2f} %"
        )
    for task, share in found.artefact.manifest["scores"][WIDENED].items():
        click.echo(f"{task}: {100 * share:.2f} % of the test texts")
    click.echo(f"{asked.output}: {found.artefact.total_bytes:,} bytes, sha256 {found.artefact.sha256}")


widen = Command(
    "widen",
    callback=_widen,
    params=options_from(WidenSettings),
    help="Add a linear layer on hashed n-grams to the heads of a student, in four bits a value; the student "
    "is not trained again. Its weight is chosen on validation texts. Some minutes.",
    short_help="add a linear layer on n-grams to a student's heads",
)
