"""Output folders of the planning commands: held while they work, written as one, never taken from others."""

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from fedbert.errors import FedbertError
from fedbert.files import is_temporary, not_written, reason, temporary_name
from fedbert.run_folder import commit


def foreign_check(folder: Path, own: Collection[str]) -> Callable[[list[str]], None]:
    """Return a check for `fedbert.run_folder.reserve` that refuses a folder with anything in it but `own`."""

    def check(present: list[str]) -> None:
        foreign = [name for name in present if name not in own]
        if foreign:
            raise FedbertError(
                f"output(={str(folder)!r}) holds {foreign[0]!r}, which this command did not write; "
                "choose another --output"
            )

    return check


def remove_folder(folder: Path) -> None:
    """Remove `folder`, which lies in a held one, at once: what cannot be removed has no name any more."""
    if folder.is_dir():
        gone = folder.with_name(temporary_name(folder.name))
        try:
            folder.rename(gone)
        except OSError as error:
            raise not_written(folder, error) from None
        shutil.rmtree(gone, ignore_errors=True)  # the next to hold the folder tries again


def remove_temporary(folder: Path) -> None:
    """Remove files that a killed writer left half written in the folders of `folder`."""
    for path in folder.glob("*/.*.partial"):
        if is_temporary(path.name):
            path.unlink(missing_ok=True)


def write_together(folder: Path, contents: Mapping[str, bytes], remove: Iterable[str] = ()) -> None:
    """Write all of `contents` into the held `folder` or none, see `fedbert.run_folder.commit`.

    Raises:
        FedbertError: if it cannot be written.
    """
    try:
        commit(folder, contents, remove)
    except OSError as error:
        raise FedbertError(
            f"{str(folder)!r} could not be written: {reason(error)}; free some space and run it again"
        ) from None
