"""``fedbert compress``: from a teacher and texts to an int8 student, its stages shown as they run."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from fedbert.cli.compression_progress import Screen
from fedbert.errors import FedbertError, invalid
from fedbert.files import UnreadableFile, read_json, write_text
from fedbert.machine import checked_precision, cores, machine_record
from fedbert.paths import data_folder
from fedbert.run_folder import check_writable

MAX_THREADS = 256
"""More than torch gains from; hundreds of thousands would end the process."""

SIZES = ("default", "small", "tiny")
_WIDEST, _DIM = 256, 96
_PRECISION_HELP = "of training: float32, bfloat16, or auto, as the processor multiplies"


def make(
    output: Annotated[Path, typer.Option(help="folder of the artefact that phones fetch")] = Path(
        "runs/model"
    ),
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV or Parquet file of text,label[,split], or a folder of such; repeat for several tasks. "
            "Without it the student is made that runs start from"
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(help="preset: default (1.91 MB), small (1 MB) or tiny (.5 MB)")
    ] = "default",
    teacher: Annotated[
        str | None, typer.Option(help="folder or hub name of a BERT-like encoder; default: the installed one")
    ] = None,
    budget_bytes: Annotated[
        int | None, typer.Option(help="limit of all files together; default: the size's")
    ] = None,
    layers: Annotated[int | None, typer.Option(help="passes through a layer")] = None,
    width: Annotated[int | None, typer.Option(help="features of the hidden states")] = None,
    inner: Annotated[int | None, typer.Option(help="features inside a feed-forward part")] = None,
    heads: Annotated[int | None, typer.Option(help="attention heads")] = None,
    embedding: Annotated[int | None, typer.Option(help="width of word embeddings, 0 for WIDTH")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="one layer's weights for all passes (ALBERT)")
    ] = False,
    dim: Annotated[int, typer.Option(help="width of vectors without --data, 8 to 256")] = _DIM,
    pruning: Annotated[
        str, typer.Option(help="what ranks tokens: attention, frequency or attention_per_occurrence")
    ] = "attention",
    method: Annotated[
        str | None, typer.Option(help="how tasks are learnt; default: the one that measured best")
    ] = None,
    embedding_bits: Annotated[int | None, typer.Option(help="bits of an embedding's value, 8 or 4")] = None,
    weight_bits: Annotated[int | None, typer.Option(help="bits of a weight, 8 or 4")] = None,
    entropy_coded: Annotated[
        bool, typer.Option("--entropy-coded", help="store the model file entropy coded: a smaller download")
    ] = False,
    pretrain_steps: Annotated[int | None, typer.Option(help="steps of the pre-distillation")] = None,
    cross_steps: Annotated[int | None, typer.Option(help="steps of the cross-distillation")] = None,
    word_dropout: Annotated[
        float | None, typer.Option(help="with --data: share of tokens unseen at a step of cross-distillation")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of every random choice")] = 0,
    seeds: Annotated[int, typer.Option(help="with --data: cross-distillations, SEED and the next ones")] = 1,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="with --data: compare all methods under one budget of steps")
    ] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="about a sixth of the work, for a first student")
    ] = False,
    general_text: Annotated[Path | None, typer.Option(help="file of further sentences, one a line")] = None,
    public: Annotated[
        Path | None, typer.Option(help="folder with services/public.parquet; default: the shipped one")
    ] = None,
    server_output: Annotated[
        Path | None, typer.Option(help="without --data: the server's float weights; default OUTPUT-server")
    ] = None,
    probe: Annotated[
        list[Path] | None,
        typer.Option(help="with --data: set held out of distillation, for linear probes; may be repeated"),
    ] = None,
    search_record: Annotated[
        Path | None, typer.Option(help="with --data: what the command search wrote, for the report")
    ] = None,
    transformers_output: Annotated[
        Path | None, typer.Option(help="with --data: folder for the float student as transformers reads it")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="threads of torch; default: all cores")] = None,
    precision: Annotated[str, typer.Option(help=_PRECISION_HELP)] = "auto",
    work: Annotated[
        Path, typer.Option(help="folder of the stages' files; a stopped run goes on from them")
    ] = Path(".cache/compress"),
) -> None:
    """Compress a teacher into a student within a byte budget: prune, distil, quantise, export, report."""
    if size not in SIZES:
        raise invalid("size", size, f"be one of {', '.join(SIZES)}")
    checked_precision(precision)
    for name, number, low in (("seed", seed, 0), ("seeds", seeds, 1)):
        if number < low:
            raise invalid(name, number, f"be at least {low}")
    _check_threads(threads)
    for name, value in (("pretrain_steps", pretrain_steps), ("cross_steps", cross_steps)):
        if value is not None and value < 1:
            raise invalid(name, value, "be at least 1")
    if not 8 <= dim <= _WIDEST:
        raise invalid("dim", dim, f"be within 8..{_WIDEST}")
    written = {
        "output": output,
        "server_output": server_output,
        "transformers_output": transformers_output,
        "work": work,
    }
    for name, folder in written.items():
        if folder is not None:
            check_writable(folder, name)
    if data:
        check_writable(output.with_name(f"{output.name}-report"))
    count = threads or cores()
    line = shlex.join(["python", "simulations/compress.py", *sys.argv[1:]])
    sizes = {
        "layers": layers,
        "width": width,
        "inner": inner,
        "heads": heads,
        "embedding": embedding,
        "shared": shared or None,
    }
    steps: dict[str, Any] = {"pretrain_steps": pretrain_steps, "cross_steps": cross_steps}
    steps |= {"budget_bytes": budget_bytes, "precision": precision}
    common = {"output": output, "work": work, "threads": count, "command": line}
    if data:
        bits = {
            "method": method,
            "embedding_bits": embedding_bits,
            "weight_bits": weight_bits,
            "pruning": pruning,
            "word_dropout": word_dropout,
        }
        plan = {**steps, **bits, "entropy_coded": entropy_coded or None}
        for name, used in (("dim", dim != _DIM), ("server_output", server_output is not None)):
            if used:
                raise FedbertError(
                    f"--{name.replace('_', '-')} is for the model of runs; leave out --data or it"
                )
        _tasks(
            data,
            size,
            teacher,
            general_text,
            public,
            plan,
            sizes,
            fast,
            range(seed, seed + seeds),
            ablation,
            probe or [],
            search_record,
            {**common, "transformers_output": transformers_output},
        )
        return
    for name, used in (
        ("seeds", seeds > 1),
        ("ablation", ablation),
        ("method", method is not None),
        ("word_dropout", word_dropout is not None),
        ("weight_bits", weight_bits is not None),
        ("entropy_coded", entropy_coded),
        ("probe", bool(probe)),
        ("search_record", search_record is not None),
        ("transformers_output", transformers_output is not None),
    ):
        if used:
            raise FedbertError(f"--{name.replace('_', '-')} needs tasks; give --data FILE")
    plan = {**steps, "dim": dim, "seed": seed, "embedding_bits": embedding_bits, "pruning": pruning}
    server = server_output or output.with_name(f"{output.name}-server")
    _catalogue(size, teacher, general_text, public, {**plan, **sizes}, fast, server, common)


def _check_threads(threads: int | None) -> None:
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise invalid("threads", threads, f"be from 1 to {MAX_THREADS}", f"this machine has {cores()} cores")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _tasks(
    data: Sequence[Path],
    size: str,
    teacher: str | None,
    general_text: Path | None,
    public: Path | None,
    plan: dict[str, Any],
    sizes: dict[str, Any],
    fast: bool,
    seeds: Sequence[int],
    ablation: bool,
    probe: Sequence[Path],
    search_record: Path | None,
    common: dict[str, Any],
) -> None:
    from fedbert.ei_bert.compression.pipeline import Inputs
    from fedbert.ei_bert.compression.plan import PRESETS
    from fedbert.ei_bert.compression.public_text import general_sentences
    from fedbert.ei_bert.compression.record import compress_tasks
    from fedbert.ei_bert.teaching.tasks import load_tasks
    from fedbert.ei_bert.teaching.teacher import load_teacher
    from fedbert.provenance import commit, versions
    from fedbert.reporting.compression.folder import write_compression

    chosen = PRESETS[size]
    chosen = replace(chosen, architecture=replace(chosen.architecture, **_given(sizes)), **_given(plan))
    tasks = load_tasks(data)
    held_out = load_tasks(probe) if probe else ()
    sentences, sources = general_sentences(public or data_folder(), general_text)
    inputs = Inputs(load_teacher(teacher), tasks, sentences, sources)
    searched = {} if search_record is None else {"search": _search_rows(search_record)}
    output: Path = common["output"]
    with Screen() as screen:
        record = compress_tasks(
            inputs,
            chosen.fast() if fast else chosen,
            reporter=screen,
            title=output.name,
            seeds=tuple(seeds),
            with_ablation=ablation,
            held_out=held_out,
            **common,
        )
    record |= searched
    record["environment"] = {
        **versions(),
        **machine_record(chosen.precision, common["threads"]),
        "commit": commit(),
    }
    folder = output.with_name(f"{output.name}-report")
    write_compression(record, folder)
    typer.echo(
        f"{output}: {record['total_bytes']:,} bytes, sha256 {record['sha256']}, {record['seconds']:.0f} s"
    )
    typer.echo(f"{folder / 'report.html'}: what each stage cost and won")


def _search_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = read_json(path)["search"]
    except UnreadableFile as error:
        raise error.of("search_record", str(path)) from None
    except (KeyError, TypeError):
        raise invalid("search_record", str(path), "be a file of the command search") from None
    return rows


def _catalogue(
    size: str,
    teacher: str | None,
    general_text: Path | None,
    public: Path | None,
    plan: dict[str, Any],
    fast: bool,
    server: Path,
    common: dict[str, Any],
) -> None:
    from fedbert.ei_bert.compression.catalogue_goal import PLANS, compress

    chosen = replace(PLANS[size], **_given(plan))
    chosen.check()
    with Screen() as screen:
        made = compress(
            server_output=server,
            data=public or data_folder(),
            reporter=screen,
            teacher=teacher,
            general_text=general_text,
            plan=chosen.fast() if fast else chosen,
            **common,
        )
    artefact, output = made.artefact, common["output"]
    typer.echo(f"{output}: {artefact.total_bytes:,} bytes, sha256 {artefact.sha256}, {made.seconds:.0f} s")
    typer.echo(f"{server}: what a server needs to go on training it")


def search(
    data: Annotated[list[Path], typer.Option(help="tasks as for make; repeat for several")],
    output: Annotated[Path, typer.Option(help="file of the record, .json")] = Path("runs/search.json"),
    budget_bytes: Annotated[int, typer.Option(help="limit of all files together")] = 1_910_000,
    steps: Annotated[int, typer.Option(help="steps of pre-distillation a shape")] = 500,
    teacher: Annotated[str | None, typer.Option(help="folder or hub name of a BERT-like encoder")] = None,
    threads: Annotated[int | None, typer.Option(help="threads of torch; default: all cores")] = None,
    precision: Annotated[str, typer.Option(help=_PRECISION_HELP)] = "auto",
    work: Annotated[Path, typer.Option(help="folder of the stages' files")] = Path(".cache/compress"),
) -> None:
    """Compare student shapes under a byte budget by their loss after a little pre-distillation, and by
    speed.
    """
    _check_threads(threads)
    if steps < 1:
        raise invalid("steps", steps, "be at least 1")
    if output.is_dir():
        raise invalid("output", str(output), "be a file, not a folder", "choose another --output")
    check_writable(output.parent)
    check_writable(work, "work")
    from fedbert.ei_bert.compression.pipeline import Inputs
    from fedbert.ei_bert.compression.public_text import general_sentences
    from fedbert.ei_bert.compression.shape_search import search_shapes
    from fedbert.ei_bert.teaching.tasks import load_tasks
    from fedbert.ei_bert.teaching.teacher import load_teacher

    checked = checked_precision(precision)
    sentences, sources = general_sentences(data_folder(), None)
    inputs = Inputs(load_teacher(teacher), load_tasks(data), sentences, sources)
    with Screen() as screen:
        rows = search_shapes(inputs, budget_bytes, steps, work, screen, threads or cores(), precision=checked)
    write_text(output, json.dumps({"search": rows}, indent=1) + "\n")
    for row in rows:
        shape = ", ".join(f"{name} {value}" for name, value in row["shape"].items())
        typer.echo(
            f"{'* ' if row['chosen'] else '  '}loss {row['loss']:.4f}, {row['bytes']:,} bytes, "
            f"{row['texts_per_s']:,} texts/s: {shape}"
        )


class _DefaultToMake(click.Group):
    """A group in which options without a command go to ``make``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


def _command(name: str, function: Any) -> click.Command:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name)(function)
    return typer.main.get_command(app)


def _probe() -> click.Command:
    from fedbert.cli.probe import probe

    return _command("probe", probe)


def _add_head() -> click.Command:
    from fedbert.cli.add_head import add_head

    return _command("add-head", add_head)


compress = _DefaultToMake(
    "compress",
    commands={
        "make": _command("make", make),
        "search": _command("search", search),
        "probe": _probe(),
        "add-head": _add_head(),
    },
    help="Compress a teacher into a student. Options without a command go to make: see make --help.",
)
