"""The files of a comparison, and its report made again from them."""

import json
from pathlib import Path

from fedbert.files import encoded
from fedbert.output_folder import write_together
from fedbert.planning.comparing.comparison import Comparison
from fedbert.reporting.compare.page import render
from fedbert.reporting.compare.record import COMPARE_FILE, load_comparison, record_of
from fedbert.run_folder import holding


def contents(found: Comparison, command: str) -> dict[str, bytes]:
    """Return the files of a comparison by name."""
    return {
        COMPARE_FILE: encoded(json.dumps(record_of(found, command), indent=1, allow_nan=False) + "\n"),
        "report.html": encoded(render(found, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``compare.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    page = render(*load_comparison(folder))
    with holding(folder):
        write_together(folder, {"report.html": encoded(page)})
    return folder / "report.html"
