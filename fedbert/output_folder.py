"""Output folders of the planning commands: held while they work, written as one, never taken from others."""

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from fedbert.errors import FedbertError
from fedbert.files import is_temporary, reason
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


def empty_folder(folder: Path, own: Collection[str]) -> None:
    """Remove the files and folders named in `own` from `folder`."""
    for path in (folder / name for name in own):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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
