"""The files of a privacy plan, and its report made again from them."""

import json
from pathlib import Path

from fedbert.files import encoded
from fedbert.output_folder import write_together
from fedbert.planning.budget.plan import BudgetPlan
from fedbert.reporting.budget.page import render
from fedbert.reporting.budget.record import BUDGET_FILE, load_plan, record_of
from fedbert.run_folder import holding


def contents(plan: BudgetPlan, command: str) -> dict[str, bytes]:
    """Return the files of a plan by name."""
    return {
        BUDGET_FILE: encoded(json.dumps(record_of(plan, command), indent=1, allow_nan=False) + "\n"),
        "report.html": encoded(render(plan, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``budget.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    page = render(*load_plan(folder))
    with holding(folder):
        write_together(folder, {"report.html": encoded(page)})
    return folder / "report.html"
