"""The report of a privacy plan: one HTML page."""

from fedbert.planning.budget.plan import BudgetPlan
from fedbert.reporting.budget.cost import cost
from fedbert.reporting.budget.tables import NOISE, SPENT, noise_rows, spent_rows
from fedbert.reporting.budget.text import ASSUMPTIONS, NOISE_NOTE, answer, fleet, noise, span
from fedbert.reporting.parts.page import Card, Section, facts_html, render_page, table_html


def render(plan: BudgetPlan, command: str) -> str:
    """Return report.html of a plan."""
    spent = (
        "Epsilons are for the same noise and rounds going on. A cycle: the rounds up to the first release."
    )
    refused = [[row.mechanism, row.participation, row.why] for row in plan.refused]
    sections = [
        Section(
            "What the noise spends",
            "proved",
            table_html(spent_rows(plan), SPENT, align="ll" + "r" * (len(SPENT) - 2)),
            note=spent,
        ),
        Section(
            "Noise of the mean",
            "modelled",
            table_html(noise_rows(plan), NOISE, align="ll" + "r" * (len(NOISE) - 2)),
            note=NOISE_NOTE,
        ),
        cost(plan),
        *(
            [Section("Out of reach", None, table_html(refused, ["mechanism", "participation", "why"], "lll"))]
            if refused
            else []
        ),
        Section(
            "What each figure assumes",
            None,
            table_html(
                [list(row) for row in ASSUMPTIONS], ["figure", "kind", "what it assumes"], align="lll"
            ),
        ),
        Section("The plan", None, facts_html(_facts(plan)), note=f"Command: {command}"),
    ]
    return render_page(
        f"How to keep {span(plan.question)}", answer(plan), _cards(plan), sections, subtitle="Privacy plan"
    )


def _cards(plan: BudgetPlan) -> list[Card]:
    row = plan.chosen
    if row is None:
        return []
    accounted, free = row.accounted, row.free
    cards = [
        Card(
            "Mechanism",
            accounted.mechanism,
            "least noise of the first day's mean, participation seen",
            "modelled",
        ),
        Card(
            "Noise multiplier",
            f"{accounted.noise_multiplier:.4g}",
            "standard deviation over clip norm",
            "proved",
        ),
        Card(
            "Noise of a day's mean",
            noise(accounted.day_noise),
            f"clip norms a coordinate, {plan.question.devices:,} phones",
            "modelled",
        ),
    ]
    if free.devices is not None:
        note = f"phones; to what {free.seeds} seeds resolve"
        cards.append(Card("Costs nothing from", fleet(free), note, "measured"))
    return cards


def _facts(plan: BudgetPlan) -> dict[str, str]:
    question = plan.question
    facts = {
        "budget": span(question),
        "delta": f"{question.delta_of(question.devices):.2g}",
        "devices": f"{question.devices:,}",
        "rounds": f"{question.rounds:,}, every {question.round_hours:g} hours",
        "rounds between releases": f"{question.release_every}",
        "chance that a device joins a round": f"{question.sampling_probability:g}",
        "of those, report in the round": f"{100 * question.shares.in_time:.0f}%",
        "or until a day's sum is opened": f"{100 * question.shares.by_opening:.0f}%",
    }
    if plan.measured_rounds is not None:
        facts["signal"] = question.signal
        facts["frontiers"] = ", ".join(dict.fromkeys(arm.frontier for arm in plan.arms))
    return facts
