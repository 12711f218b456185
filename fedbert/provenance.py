"""Where a figure comes from: versions, the checkout's commit, the command."""

import hashlib
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from fedbert.files import encoded
from fedbert.version import __version__

_SHOWN_VERSIONS = (
    "flwr",
    "torch",
    "onnxruntime",
    "transformers",
    "dp-accounting",
    "pld-accounting",
    "numpy",
    "pandas",
    "scipy",
)


def versions() -> dict[str, str]:
    """Return the versions of fedbert, Python and the packages that a figure may depend on."""
    found = {"fedbert": __version__, "python": platform.python_version()}
    for name in _SHOWN_VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the checkout this package is in, ``+changes`` if it differs; None outside one."""
    from fedbert.paths import PACKAGE

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(PACKAGE), *words], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    number = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{number}+changes" if number and changed else number


@cache
def source_digest() -> str:
    """Return the SHA-256 of fedbert's own Python files, which tells one state of the code from another."""
    from fedbert.paths import PACKAGE

    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def command_line() -> str:
    """Return the command as it was typed; bytes that are no UTF-8 become escapes."""
    words = ["python", *sys.argv] if Path(sys.argv[0]).suffix == ".py" else ["fedbert", *sys.argv[1:]]
    return encoded(shlex.join(words)).decode("utf-8")
