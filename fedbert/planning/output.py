"""Output folders of the planning commands: made, refused or emptied of what the command itself once wrote."""

import shutil
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fedbert.errors import FedbertError, invalid

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


def is_filled(folder: Path) -> bool:
    """Return whether `folder` exists with something in it; raises FedbertError if it is a file."""
    if folder.exists() and not folder.is_dir():
        raise invalid("output", str(folder), "be a folder", "choose another --output")
    return folder.is_dir() and any(folder.iterdir())


def make_folder(folder: Path) -> None:
    """Make `folder` with its parents; raises FedbertError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FedbertError(
            f"output(={str(folder)!r}) could not be made: {error.strerror}; choose another --output"
        ) from None


def empty_folder(folder: Path, own: Collection[str]) -> None:
    """Remove the files and folders named in `own` from `folder`.

    Raises FedbertError if there is anything else in it: then it is not a folder of this command.
    """
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in own)
    if foreign:
        raise FedbertError(
            f"output(={str(folder)!r}) holds {foreign[0]!r}, which this command did not write; "
            "choose another --output"
        )
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_partial(folder: Path) -> None:
    """Remove files that a stopped writer left half written below `folder`."""
    for path in folder.rglob("*.partial"):
        path.unlink(missing_ok=True)


def parquet_bytes(frame: "pd.DataFrame") -> bytes:
    """Return `frame` as the bytes of a Parquet file, without its index."""
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def console_for_tables() -> "Console":
    """Return standard output for tables: as wide as the terminal, 120 columns where there is none."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=120)
