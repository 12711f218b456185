"""``fedbert compress``: from a teacher and texts to an int8 student, its stages shown as they run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fedbert.cli.add_head import add_head
from fedbert.cli.align import align
from fedbert.cli.command import Command, Group
from fedbert.cli.compression_progress import Screen
from fedbert.cli.kept import check_file, refuse_filled
from fedbert.cli.kinds import show_kinds
from fedbert.cli.options import given, options_from
from fedbert.cli.probe import probe
from fedbert.cli.rivals import rivals, show_rivals
from fedbert.cli.task_files import read_sets, read_tasks
from fedbert.cli.unknown import unknown
from fedbert.cli.widen import widen
from fedbert.ei_bert.compression.rows import ShapeRow
from fedbert.ei_bert.compression.settings import CompressionSettings, SearchSettings
from fedbert.errors import invalid
from fedbert.files import UnreadableFile, read_json, write_text
from fedbert.machine import machine_record
from fedbert.paths import data_folder
from fedbert.provenance import command_line
from fedbert.run_folder import check_writable


def _make(**flags: Any) -> None:
    asked = CompressionSettings(**given(flags))
    for name in ("output", "server_output", "transformers_output", "work"):
        if (folder := getattr(asked, name)) is not None:
            check_writable(folder, name)
            if name != "work" and not asked.overwrite:
                refuse_filled(folder, name)
    if asked.general:
        _make_general(asked)
    elif asked.data:
        check_writable(_report_folder(asked.output))
        _make_for_tasks(asked)
    else:
        _make_for_catalogue(asked)


def _report_folder(output: Path) -> Path:
    return output.with_name(f"{output.name}-report")


def _make_for_tasks(asked: CompressionSettings) -> None:
    from fedbert.ei_bert.compression.public_text import general_sentences
    from fedbert.ei_bert.compression.tasks_compression import Asked, Places, compress_tasks
    from fedbert.ei_bert.compression.tasks_goal import Inputs, TasksGoal
    from fedbert.ei_bert.teaching.sets import train_and_test
    from fedbert.ei_bert.teaching.splits import evidence_lines
    from fedbert.ei_bert.teaching.tasks import Task
    from fedbert.ei_bert.teaching.teacher import load_teacher
    from fedbert.provenance import commit, versions
    from fedbert.reporting.compression.folder import write_compression

    if asked.transformers_output is not None:
        import fedbert.ei_bert.hf  # noqa: F401  # an export that cannot be made is said before the training

    plan, threads = asked.task_plan(), asked.threads_used
    sets = read_sets(asked.data)
    tasks = tuple(each for each in sets if isinstance(each, Task))
    wanted = Asked(
        title=asked.output.name,
        seeds=tuple(range(asked.seed, asked.seed + asked.seeds)),
        whole_seeds=asked.whole_seeds,
        with_ablation=asked.ablation,
        with_rivals=asked.rivals,
        held_out=read_tasks(asked.probe) if asked.probe else (),
        others=tuple(each for each in sets if not isinstance(each, Task)),
        command=command_line(),
    )
    for each in (*sets, *wanted.held_out):
        for line in evidence_lines(each.name, *train_and_test(each)):
            click.echo(line)
    sentences, sources = general_sentences(asked.public or data_folder(), asked.general_text)
    goal = TasksGoal(Inputs(load_teacher(asked.teacher), tasks, sentences, sources), plan)
    searched = None if asked.search_record is None else _search_rows(asked.search_record)
    places = Places(asked.output, asked.work, asked.transformers_output)
    with Screen() as screen:
        record = compress_tasks(goal, places, screen, wanted, threads)
    record["environment"] = {**versions(), **machine_record(plan.precision, threads), "commit": commit()}
    if searched is not None:
        record["search"] = searched
    folder = _report_folder(asked.output)
    write_compression(record, folder)
    if "rivals" in record:
        show_rivals(record["rivals"])
    if "kinds" in record:
        show_kinds(record["kinds"])
    _say_made(asked.output, record["total_bytes"], record["sha256"], record["seconds"])
    click.echo(f"{folder / 'report.html'}: what each stage cost and won")


def _say_made(output: Path, total_bytes: int, sha256: str, seconds: float) -> None:
    click.echo(f"{output}: {total_bytes:,} bytes, sha256 {sha256}, {seconds:.0f} s")


def _search_rows(path: Path) -> list[ShapeRow]:
    try:
        rows: list[ShapeRow] = read_json(path)["search"]
    except UnreadableFile as error:
        raise error.of("search_record", str(path)) from None
    except (KeyError, TypeError):
        raise invalid("search_record", str(path), "be a file of the command search") from None
    return rows


def _make_for_catalogue(asked: CompressionSettings) -> None:
    from fedbert.ei_bert.artefact.artefact import load_artefact
    from fedbert.ei_bert.compression.catalogue_compression import Places, compress_catalogue
    from fedbert.ei_bert.compression.catalogue_goal import CatalogueGoal
    from fedbert.ei_bert.compression.one_space import Space
    from fedbert.ei_bert.compression.public_text import load_public_text
    from fedbert.ei_bert.pretrained import model_folder
    from fedbert.ei_bert.teaching.teacher import load_teacher

    output = asked.output
    server = asked.server_output or output.with_name(f"{output.name}-server")
    if not asked.overwrite:
        refuse_filled(server, "server_output")
    to = asked.align_to
    space = None if to is None else Space(to, load_artefact(model_folder(to)))
    public = load_public_text(asked.public or data_folder(), asked.general_text)
    goal = CatalogueGoal(public, load_teacher(asked.teacher), asked.catalogue_plan())
    places = Places(output, server, asked.work)
    with Screen() as screen:
        made = compress_catalogue(goal, places, screen, command_line(), asked.threads_used, space)
    _say_made(output, made.artefact.total_bytes, made.artefact.sha256, made.seconds)
    click.echo(f"{server}: what a server needs to go on training it")


def _make_general(asked: CompressionSettings) -> None:
    from fedbert.cli.probe import show_probes
    from fedbert.ei_bert.compression.general_compression import compress_general
    from fedbert.ei_bert.compression.general_goal import GeneralGoal
    from fedbert.ei_bert.compression.general_sources import general_texts
    from fedbert.ei_bert.teaching.outside_vectors import load_outside_teacher
    from fedbert.ei_bert.teaching.teacher import load_teacher

    tasks, held_out = read_tasks(asked.data), read_tasks(asked.probe) if asked.probe else ()
    if asked.teacher_vectors is not None and asked.vocabulary is not None:
        outside = load_outside_teacher(asked.teacher_vectors, asked.vocabulary)
        given = general_texts(tasks, asked.general_text, outside)
        goal = GeneralGoal(outside, given, asked.general_plan())
    else:
        given = general_texts(tasks, asked.general_text, public=asked.public)
        goal = GeneralGoal(load_teacher(asked.teacher), given, asked.general_plan())
    with Screen() as screen:
        made = compress_general(
            goal, asked.output, asked.work, screen, held_out, command_line(), asked.threads_used
        )
    if made.probes:
        show_probes(made.probes, asked.output.name, goal.teacher.name)
    _say_made(asked.output, made.artefact.total_bytes, made.artefact.sha256, made.seconds)


def _search(**flags: Any) -> None:
    asked = SearchSettings(**given(flags))
    check_file(asked.output, "output", asked.overwrite)
    check_writable(asked.work, "work")
    from fedbert.ei_bert.compression.plan import TaskPlan
    from fedbert.ei_bert.compression.public_text import general_sentences
    from fedbert.ei_bert.compression.shape_search import search_shapes
    from fedbert.ei_bert.compression.tasks_goal import Inputs
    from fedbert.ei_bert.teaching.teacher import load_teacher

    plan = TaskPlan(
        budget_bytes=asked.budget_bytes,
        precision=asked.precision,
        pruning=asked.pruning,
        embedding_bits=asked.embedding_bits,
    )
    sentences, sources = general_sentences(data_folder(), None)
    tasks = read_tasks(asked.data)
    inputs = Inputs(load_teacher(asked.teacher), tasks, sentences, sources)
    with Screen() as screen:
        rows = search_shapes(inputs, plan, asked.steps, asked.work, screen, asked.threads_used)
    record = {
        "command": command_line(),
        "steps": asked.steps,
        "budget_bytes": asked.budget_bytes,
        "search": rows,
    }
    write_text(asked.output, json.dumps(record, indent=1) + "\n")
    _say_shapes(rows)


def _say_shapes(rows: Sequence[ShapeRow]) -> None:
    for row in rows:
        shape = ", ".join(f"{name} {value}" for name, value in row["shape"].items())
        click.echo(
            f"{'* ' if row['chosen'] else '  '}loss {row['loss']:.4f}, {row['bytes']:,} bytes, "
            f"{row['texts_per_s']:,} texts/s: {shape}"
        )


class _OptionsToMake(Group):
    """A group in which options without a command go to ``make``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["make", *args]
        return super().parse_args(ctx, args)


_GROUPS = {
    "goal": ("data", "general", "size", "budget_bytes", "fast"),
    "output": ("output", "server_output", "transformers_output", "search_record", "work", "overwrite"),
    "student": ("layers", "width", "inner", "heads", "embedding", "shared", "dim", "align_to"),
    "files": ("pruning", "embedding_bits", "weight_bits", "wide_bytes", "entropy_coded"),
    "texts": (
        "teacher",
        "public",
        "general_text",
        "general_sentences",
        "varied_texts",
        "remixed_texts",
        "word_texts",
        "asked_texts",
        "probe",
        "teacher_vectors",
        "vocabulary",
    ),
    "training": (
        "method",
        "pretrain_steps",
        "cross_steps",
        "word_dropout",
        "task_weight",
        "teachers",
        "average_steps",
        "label_smoothing",
        "seed",
        "seeds",
        "whole_seeds",
        "ablation",
        "rivals",
    ),
    "machine": ("precision", "threads"),
}

compress = _OptionsToMake(
    "compress",
    commands={
        "make": Command(
            "make",
            callback=_make,
            params=options_from(CompressionSettings, _GROUPS),
            help="Compress a teacher into a student within a byte budget: prune, distil, quantise, export, "
            "report.",
            short_help="make a student, for your tasks or for the catalogue of runs",
        ),
        "search": Command(
            "search",
            callback=_search,
            params=options_from(SearchSettings),
            help="Compare student shapes under a byte budget, by their loss after a little pre-distillation "
            "and by speed.",
            short_help="compare student shapes under a byte budget",
        ),
        "probe": probe,
        "add-head": add_head,
        "align": align,
        "rivals": rivals,
        "unknown": unknown,
        "widen": widen,
    },
    help="Compress a teacher into a student. Options without a command go to make: see make --help.",
)
