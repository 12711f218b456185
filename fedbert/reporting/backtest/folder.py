"""The files of a back-test, and its report made again from them."""

import json
from pathlib import Path

from fedbert.files import encoded
from fedbert.output_folder import write_together
from fedbert.planning.capacity.backtest import Backtest
from fedbert.reporting.backtest.page import render
from fedbert.reporting.backtest.record import BACKTEST_FILE, load_backtest, record_of
from fedbert.run_folder import holding


def contents(found: Backtest, command: str) -> dict[str, bytes]:
    """Return the files of a back-test by name."""
    return {
        BACKTEST_FILE: encoded(json.dumps(record_of(found, command), indent=1, allow_nan=False) + "\n"),
        "report.html": encoded(render(found, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``backtest.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    page = render(*load_backtest(folder))
    with holding(folder):
        write_together(folder, {"report.html": encoded(page)})
    return folder / "report.html"
