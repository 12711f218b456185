"""One real run of two rounds with all that a run can write, for the tests of the pages."""

import sys
from pathlib import Path

import pytest

from fedbert.cli.main import call

SMALL = "--devices 150 --rounds 2 --availability always --min-reports 2 --model tiny --release-every 1"
MORE = "--sampling-probability 0.4 --update-steps 1 --sessions-per-day 12 --epsilon 2 --mechanism poisson"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small private run."""
    folder = tmp_path_factory.mktemp("written") / "run"
    tried = ["--verify-devices", "2"] if sys.platform == "linux" else []
    assert call("run", [*f"{SMALL} {MORE}".split(), *tried, "--output", str(folder)]) == 0
    return folder
