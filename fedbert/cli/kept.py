"""What a command finds where it writes: kept, unless --overwrite says otherwise."""

from pathlib import Path

from fedbert.errors import invalid
from fedbert.files import path_problem
from fedbert.run_folder import check_path, check_writable, present


def refuse_filled(folder: Path, name: str = "output") -> None:
    """Raise FedbertError if `folder` holds anything; `name` is its flag."""
    if folder.is_dir() and present(folder):
        raise invalid(name, str(folder), "be empty or not exist", "add --overwrite or choose another")


def refuse_present(file: Path, name: str = "output") -> None:
    """Raise FedbertError if there is a `file`; `name` is its flag."""
    if file.exists() or file.is_symlink():
        raise invalid(name, str(file), "not exist", "add --overwrite or choose another")


def check_file(file: Path, name: str, overwrite: bool) -> None:
    """Raise FedbertError, before the work, if `file` could not be written after it; `name` is its flag."""
    flag = f"--{name.replace('_', '-')}"
    check_path(file.parent, name)
    if (problem := path_problem(str(file))) is not None:
        raise invalid(name, str(file), problem, f"choose another {flag}")
    if file.is_dir():
        raise invalid(name, str(file), "be a file, not a folder", f"choose another {flag}")
    if not overwrite:
        refuse_present(file, name)
    check_writable(file.parent, name)
