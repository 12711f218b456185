"""The files of a comparison, and its report made again from them."""

from pathlib import Path

from fedbert.files import encoded
from fedbert.planning.comparing.comparison import Comparison
from fedbert.reporting.compare.page import render
from fedbert.reporting.compare.record import COMPARE_FILE, load_comparison, record_of
from fedbert.reporting.page_folder import REPORT_FILE, record_bytes, write_page


def contents(found: Comparison, command: str) -> dict[str, bytes]:
    """Return the files of a comparison by name."""
    return {
        COMPARE_FILE: record_bytes(record_of(found, command)),
        REPORT_FILE: encoded(render(found, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``compare.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    return write_page(folder, render(*load_comparison(folder)))
