"""When a run has spent its budget: the round that would take it above is not begun."""

from fedbert.budget import parse_budget
from fedbert.errors import FedbertError
from fedbert.privacy.mechanism import Mechanism
from fedbert.scenario import Scenario


def overspent(mechanism: Mechanism, scenario: Scenario, round_: int) -> str:
    """Return why round `round_` would exceed the scenario's budget; empty if it would not.

    Every horizon of the budget's days costs what the first does, since all rounds cost alike. The epsilon is
    that against the strongest adversary that the mechanism names.
    """
    if scenario.budget is None or not mechanism.private:
        return ""
    allowed, days = parse_budget(scenario.budget)
    horizon = max(1, round(days * scenario.rounds_per_day))
    bound = mechanism.spent(min(round_, horizon))[-1]
    if bound.epsilon <= allowed:
        return ""
    return (
        f"the budget {scenario.budget} is spent: round {round_} would take it to epsilon {bound.epsilon:.4g} "
        f"against one who {bound.adversary}"
    )


def check_budget(mechanism: Mechanism, scenario: Scenario) -> None:
    """Raise FedbertError if not even the first round keeps the budget."""
    why = overspent(mechanism, scenario, 1)
    if why:
        raise FedbertError(
            f"budget(={scenario.budget!r}) must allow one round: {why}; raise it, lower --epsilon, or choose "
            "another --mechanism"
        )
