"""The files of a privacy plan, and its report made again from them."""

from pathlib import Path

from fedbert.files import encoded
from fedbert.planning.budget.plan import BudgetPlan
from fedbert.reporting.budget.page import render
from fedbert.reporting.budget.record import BUDGET_FILE, load_plan, record_of
from fedbert.reporting.page_folder import REPORT_FILE, record_bytes, write_page


def contents(plan: BudgetPlan, command: str) -> dict[str, bytes]:
    """Return the files of a plan by name."""
    return {
        BUDGET_FILE: record_bytes(record_of(plan, command)),
        REPORT_FILE: encoded(render(plan, command)),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from ``budget.json``; return its path.

    Raises:
        FedbertError: if that is missing or damaged, or the folder is in use or cannot be written.
    """
    return write_page(folder, render(*load_plan(folder)))
