"""The report folder of a compression: its record, the page and the Markdown table made of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbert.files import encoded
from fedbert.output_folder import write_together
from fedbert.records import checked_record, load_record
from fedbert.reporting.compression.markdown import markdown
from fedbert.reporting.compression.page import compression_html
from fedbert.reporting.compression.record import COMPRESSION, COMPRESSION_FILE, CompressionRecord
from fedbert.run_folder import holding


def write_compression(record: Mapping[str, Any], folder: Path) -> Path:
    """Write ``compression.json``, ``report.html`` and ``report.md`` into `folder`; return the page's path.

    The record is on the disk before the page is made of it.

    Raises:
        FedbertError: if the folder is in use or cannot be written, or the record lacks a key.
    """
    content = encoded(json.dumps(record, indent=1) + "\n")
    with holding(folder):
        write_together(folder, {COMPRESSION_FILE: content})
        # Read back, so that `rerender` makes the very same page.
        read = checked_record(COMPRESSION, json.loads(content), folder / COMPRESSION_FILE)
        write_together(folder, _derived(read))
    return folder / "report.html"


def rerender(folder: Path) -> Path:
    """Write ``report.html`` and ``report.md`` again from ``compression.json``; return the page's path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    made = _derived(load_record(COMPRESSION, folder))
    with holding(folder):
        write_together(folder, made)
    return folder / "report.html"


def _derived(record: CompressionRecord) -> dict[str, bytes]:
    return {"report.md": encoded(markdown(record)), "report.html": encoded(compression_html(record))}
