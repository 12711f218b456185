"""The files of a back-test, and its report made again from them."""

from pathlib import Path

from fedbert.files import encoded
from fedbert.planning.capacity.backtest import Backtest
from fedbert.reporting.backtest.page import render
from fedbert.reporting.backtest.record import BACKTEST_FILE, load_backtest, record_of
from fedbert.reporting.page_folder import REPORT_FILE, record_bytes, write_page


def contents(found: Backtest, command: str) -> dict[str, bytes]:
    """Return the files of a back-test by name."""
    return {
        BACKTEST_FILE: record_bytes(record_of(found, command)),
        REPORT_FILE: encoded(render(found, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``backtest.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    return write_page(folder, render(*load_backtest(folder)))
