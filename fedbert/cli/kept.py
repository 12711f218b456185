"""What a command finds where it writes: kept, unless --overwrite says otherwise."""

from pathlib import Path

from fedbert.errors import invalid


def refuse_filled(folder: Path, name: str = "output") -> None:
    """Raise FedbertError if `folder` holds anything; `name` is its flag."""
    if folder.is_dir() and any(folder.iterdir()):
        raise invalid(name, str(folder), "be empty or not exist", "add --overwrite or choose another")


def refuse_present(file: Path, name: str = "output") -> None:
    """Raise FedbertError if there is a `file`; `name` is its flag."""
    if file.exists():
        raise invalid(name, str(file), "not exist", "add --overwrite or choose another")
