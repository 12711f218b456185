"""What the folders of all reports share: a record as JSON, and the page that is made again from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbert.files import encoded
from fedbert.output_folder import write_together
from fedbert.run_folder import holding

REPORT_FILE = "report.html"


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a record as it is written; raises ValueError for a number that JSON has no word for."""
    return encoded(json.dumps(record, indent=1, allow_nan=False) + "\n")


def write_page(folder: Path, page: str) -> Path:
    """Write ``report.html`` of a finished folder again; return its path.

    Raises:
        FedbertError: if the folder is in use or cannot be written.
    """
    with holding(folder):
        write_together(folder, {REPORT_FILE: encoded(page)})
    return folder / REPORT_FILE
