"""A rate for each device tier, as a person writes it: ``entry=1,mid=0.5,flagship=0.25``."""

from fedbert.results import TIERS

EXAMPLE = "entry=1,mid=0.5,flagship=0.25"


def parse_tier_rates(text: str) -> tuple[float, ...]:
    """Return the rate `[tier]` of each of `TIERS`; a tier that is left out has 1.

    Raises ValueError with the rule, unless each tier stands there once at most with a rate from 0 to 1, and
    some tier has one above 0.
    """
    rates, seen = [1.0] * len(TIERS), set[str]()
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            rate = float(value)
        except ValueError:
            rate = -1.0
        # Written so that NaN is refused.
        if name not in TIERS or name in seen or not 0 <= rate <= 1:
            raise ValueError(
                f"written TIER=RATE,..., as {EXAMPLE}: each of {', '.join(TIERS)} once at most, "
                "with a rate from 0 to 1"
            )
        seen.add(name)
        rates[TIERS.index(name)] = rate
    if not any(rates):
        raise ValueError("above 0 for some tier, or nobody is ever asked")
    return tuple(rates)
