"""``fedbert compress align``: a student's vectors turned into the space of another's."""

from typing import Any

import click

from fedbert.cli.command import Command
from fedbert.cli.kept import refuse_filled
from fedbert.cli.options import given, options_from
from fedbert.ei_bert.compression.settings import AlignSettings
from fedbert.paths import data_folder
from fedbert.provenance import command_line
from fedbert.run_folder import check_writable


def _align(**flags: Any) -> None:
    asked = AlignSettings(**given(flags))
    server_output = asked.output.with_name(f"{asked.output.name}-server")
    for name, folder in (("output", asked.output), ("server_output", server_output)):
        check_writable(folder, name)
        if not asked.overwrite:
            refuse_filled(folder, name)
    from fedbert.ei_bert.artefact.artefact import load_artefact, save_artefact
    from fedbert.ei_bert.artefact.card import write_card
    from fedbert.ei_bert.compression.one_space import Space, align
    from fedbert.ei_bert.compression.public_text import load_public_text
    from fedbert.ei_bert.model.bert import use_threads
    from fedbert.ei_bert.pretrained import model_folder
    from fedbert.ei_bert.teaching.server_folder import write_server_folder
    from fedbert.ei_bert.teaching.teacher import load_teacher

    use_threads(asked.threads_used)
    folder = model_folder(asked.model)
    public = load_public_text(data_folder())
    artefact = load_artefact(folder)
    space = Space(asked.to, load_artefact(model_folder(asked.to)))
    server = folder.with_name(f"{folder.name}-server")
    teacher = load_teacher(asked.teacher)
    made = align(artefact, server, space, public, teacher, command_line())
    save_artefact(made.artefact, asked.output)
    write_card(made.artefact, asked.output)
    write_server_folder(server_output, made.artefact, made.student, teacher)
    click.echo(f"{asked.output}: {made.artefact.total_bytes:,} bytes, sha256 {made.artefact.sha256}")
    click.echo(
        f"nDCG@10 of public requests, texts by {asked.model} and names by {asked.to}: "
        f"{made.after.texts_by_this:.4f} (before {made.before.texts_by_this:.4f}); the other way round "
        f"{made.after.names_by_this:.4f} (before {made.before.names_by_this:.4f}); alone "
        f"{made.alone.ndcg_at_10:.4f}"
    )


align = Command(
    "align",
    callback=_align,
    params=options_from(AlignSettings),
    help="Turn a student's vectors into the space of another's, so that texts of the one can be ranked "
    "against names of the other; its own ranking stays as it is. Needs both models' server folders.",
    short_help="bring two sizes into one space",
)
