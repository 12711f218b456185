"""The files of a capacity forecast, and its report made again from them."""

from pathlib import Path

from fedbert.files import encoded
from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.reporting.capacity.page import render
from fedbert.reporting.capacity.record import CAPACITY_FILE, frame, load_forecast, record_of
from fedbert.reporting.page_folder import REPORT_FILE, record_bytes, write_page


def contents(result: CapacityForecast, command: str) -> dict[str, bytes]:
    """Return the files of a forecast by name."""
    return {
        CAPACITY_FILE: record_bytes(record_of(result, command)),
        "forecast.csv": encoded(frame(result).to_csv(index=False)),
        REPORT_FILE: encoded(render(result, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``capacity.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    return write_page(folder, render(*load_forecast(folder)))
