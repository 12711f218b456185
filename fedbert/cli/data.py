"""``fedbert data``: published sets as the files of a world, and what a run would read of your own files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.command import Command, Group

if TYPE_CHECKING:
    from fedbert.recommendation.published.world_files import PublishedLog


@click.group(cls=Group)
def data() -> None:
    """Turn published sets into a world, and check files of your own before a run."""


def _writes(command: Callable[..., int]) -> Callable[..., int]:
    """Return a command with the options of those that write a world."""
    for option in (
        click.option("--overwrite", is_flag=True, help="replace the files of an earlier call"),
        click.option(
            "--public-users",
            type=float,
            default=0.0,
            show_default=True,
            metavar="SHARE",
            help="users whose choices are public: they count as the items' popularity",
        ),
        click.option(
            "--output",
            type=click.Path(path_type=Path),
            required=True,
            metavar="PATH",
            help="folder for items.csv and interactions.parquet",
        ),
    ):
        command = option(command)
    return command


@data.command(cls=Command, short_help="turn MovieLens' files into a world")
@click.argument("folder", type=click.Path(path_type=Path))
@_writes
def movielens(folder: Path, **flags: Any) -> int:
    """Turn the unpacked MovieLens files in FOLDER into the two files of the world `interactions`.

    Read are u.data and u.item (100k), ratings.dat and movies.dat (1M, 10M), or ratings.csv and movies.csv.
    """

    def read() -> "PublishedLog":
        from fedbert.recommendation.published.movielens import read_movielens

        return read_movielens(folder)

    return _write(read, **flags)


@data.command(cls=Command, short_help="turn MIND's files into a world")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FOLDER...")
@_writes
def mind(folders: tuple[Path, ...], **flags: Any) -> int:
    """Turn the unpacked MIND files in one or more FOLDERs into the two files of the world `interactions`.

    Each FOLDER holds news.tsv and behaviors.tsv, as the parts train and dev do. Sessions rank the news that
    were shown.
    """

    def read() -> "PublishedLog":
        from fedbert.recommendation.published.mind import read_mind

        return read_mind(folders)

    return _write(read, **flags)


def _write(read: "Callable[[], PublishedLog]", output: Path, public_users: float, overwrite: bool) -> int:
    """Read a set and write its world, all of it or nothing; the folder is held before anything is read."""
    import shlex

    from fedbert.errors import invalid
    from fedbert.output_folder import foreign_check, write_together
    from fedbert.recommendation.published.world_files import (
        INTERACTIONS,
        ITEMS,
        contents,
        too_few,
        with_public_users,
    )
    from fedbert.run_folder import holding

    if not 0.0 <= public_users < 1.0:
        raise invalid("public_users", public_users, "be from 0 to less than 1", "0.1 makes a tenth public")
    own = (ITEMS, INTERACTIONS)
    refuse_foreign = foreign_check(output, own)

    def not_in_the_way(present: list[str]) -> None:
        if present and not overwrite:
            raise invalid("output", str(output), "be empty or not exist", "add --overwrite or choose another")
        refuse_foreign(present)

    with holding(output, not_in_the_way):
        found = with_public_users(read(), public_users)
        write_together(output, contents(found))
    for line in found.lines:
        click.echo(line)
    if warning := too_few(found):
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{output}: {ITEMS} and {INTERACTIONS} written")
    files = ["--items", str(output / ITEMS), "--interactions", str(output / INTERACTIONS)]
    click.echo(f"next: {shlex.join(['fedbert', 'run', '--world', 'interactions', *files])}")
    return 0


@data.command(cls=Command, short_help="say what a run would read of your files")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--split", default="date", show_default=True, metavar="[date|own-time]", help="as of a run")
@click.option("--min-rating", type=float, metavar="X", help="as of a run")
@click.option("--model", default="default", show_default=True, metavar="NAME", help="as of a run")
def check(files: tuple[Path, ...], split: str, min_rating: float | None, model: str) -> int:
    """Say what a run would read of each FILE; the exit code is 2 if it would refuse one.

    The columns tell what a file is: a catalogue, a log of interactions (with its catalogue), a trace of
    phones, or texts and labels for compression. A .toml is a device profile.
    """
    from fedbert.cli.data_check import lines_on

    for line in lines_on(files, {"split": split, "min_rating": min_rating, "model": model}):
        click.echo(line)
    return 0
