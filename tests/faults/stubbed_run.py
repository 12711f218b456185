"""The command line of `fedbert run` with a stub in place of training: a process that tests may kill."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    from faults.stub import stubbed

    from fedbert.cli.main import call

    with stubbed():
        sys.exit(call("run"))
