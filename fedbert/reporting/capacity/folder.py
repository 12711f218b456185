"""The files of a capacity forecast, and its report made again from them."""

import json
from pathlib import Path

from fedbert.files import encoded
from fedbert.output_folder import write_together
from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.reporting.capacity.page import render
from fedbert.reporting.capacity.record import CAPACITY_FILE, frame, load_forecast, record_of
from fedbert.run_folder import holding


def contents(result: CapacityForecast, command: str) -> dict[str, bytes]:
    """Return the files of a forecast by name."""
    return {
        CAPACITY_FILE: encoded(json.dumps(record_of(result, command), indent=1, allow_nan=False) + "\n"),
        "forecast.csv": encoded(frame(result).to_csv(index=False)),
        "report.html": encoded(render(result, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``capacity.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    page = render(*load_forecast(folder))
    with holding(folder):
        write_together(folder, {"report.html": encoded(page)})
    return folder / "report.html"
