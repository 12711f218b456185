"""An allowance of epsilon over some days, as a person writes it: ``4/30`` is epsilon 4 in 30 days."""

LARGEST_EPSILON, LONGEST_DAYS = 10_000.0, 3_650
"""An epsilon of more bounds nothing; ten years are longer than any run is accounted for."""


def parse_budget(text: str) -> tuple[float, int]:
    """Return (epsilon, days) of ``EPSILON/DAYS``; raises ValueError with the rule."""
    epsilon_text, _, days_text = text.partition("/")
    try:
        epsilon, days = float(epsilon_text), int(days_text)
    except ValueError:
        epsilon, days = 0.0, 0
    # Written so that NaN is refused.
    if not (0 < epsilon <= LARGEST_EPSILON and 1 <= days <= LONGEST_DAYS):
        raise ValueError(
            f"written EPSILON/DAYS, as 4/30: an epsilon > 0 and <= {LARGEST_EPSILON:g}, and "
            f"1 to {LONGEST_DAYS} whole days"
        )
    return epsilon, days
