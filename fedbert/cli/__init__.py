"""The command line: `main` is the door, one file for each sub-command."""

from fedbert.cli.main import main

__all__ = ["main"]
