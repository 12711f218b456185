"""Chapter of a capacity plan's report: what the plan reveals, and the quality that goes with it."""

from fedbert.planning.budget.plan import HORIZON_DAYS, Reading
from fedbert.planning.capacity.capacity import CapacityForecast, PrivacyPlan
from fedbert.reporting.capacity.text import UNKNOWN, number_text
from fedbert.reporting.parts.page import Section, table_html

DAYS = tuple("a day" if days == 1 else f"{days} days" for days in HORIZON_DAYS)


def privacy_rows(plan: PrivacyPlan) -> list[list[str]]:
    """Return adversaries with their epsilon after `DAYS`, as text."""
    return [[each.adversary, *map(number_text, each.epsilons)] for each in plan.guarantees]


def privacy_note(plan: PrivacyPlan) -> str:
    """Return mechanism, noise and quality in sentences."""
    if plan.why:
        noise = f"Epsilon is {UNKNOWN}: {plan.why}."
    else:
        noise = (
            f"Mechanism {plan.mechanism}, noise multiplier {plan.noise_multiplier or 0.0:.3g} as in the run, "
            f"delta {plan.delta:.3g}."
        )
    return f"{noise} {_quality(plan)}{_loss(plan.loss)}"


def _quality(plan: PrivacyPlan) -> str:
    if plan.quality is None:
        return f"Quality at this fleet is {UNKNOWN}: {plan.quality_why}."
    low, high = plan.quality.low, plan.quality.high
    interval = "" if low is None or high is None else f" (95%: {low:.3f} to {high:.3f})"
    return f"nDCG@10 of the final release {plan.quality.value:.3f}{interval}, measured in the run."


def _loss(loss: Reading | None) -> str:
    """Return what privacy costs by the grid, with a space before it; empty if no grid was given."""
    if loss is None:
        return ""
    if loss.value is None:
        return f" What privacy costs at this noise is {UNKNOWN} by the grid: {loss.why}."
    interval = "" if loss.low is None or loss.high is None else f" (95%: {loss.low:+.3f} to {loss.high:+.3f})"
    return (
        f" Against no privacy it is {loss.value:+.3f} nDCG@10{interval} at this noise, read between arms of "
        f"the grid ({loss.seeds} seeds)."
    )


def privacy(result: CapacityForecast) -> Section:
    """Return the chapter on privacy."""
    plan = result.privacy
    columns = ["against one who", *(f"epsilon in {days}" for days in DAYS)]
    table = table_html(privacy_rows(plan), columns) if plan.guarantees else ""
    return Section("Privacy at the plan's cohort", "proved", table, lead=privacy_note(plan))
