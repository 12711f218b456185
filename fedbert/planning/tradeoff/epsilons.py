"""The list after ``--epsilons``: privacy budgets, and ``none`` for a run without privacy."""

import math
import re

from fedbert.errors import FedbertError
from fedbert.scenario import NO_EPSILON

MAX_EPSILON = 1000.0


def parse_epsilons(texts: list[str]) -> list[float | None]:
    """Return the budgets in `texts`, ascending, without repetitions, None (``none``) last.

    Each text is one value or several, parted by commas or spaces. Raises FedbertError for anything but
    ``none`` and finite numbers in (0, 1000].
    """
    words = [word for text in texts for word in re.split(r"[,\s]+", text) if word]
    if not words:
        raise FedbertError("epsilons must name one value at least, as in --epsilons 0.5 2 none")
    budgets = {None if word.lower() == NO_EPSILON else _budget(word) for word in words}
    return sorted(budgets, key=lambda epsilon: math.inf if epsilon is None else epsilon)


def _budget(word: str) -> float:
    try:
        epsilon = float(word)
    except ValueError:
        epsilon = math.nan
    if not 0 < epsilon <= MAX_EPSILON:
        raise FedbertError(
            f"epsilons(={word!r}) must be > 0 and <= {MAX_EPSILON:.0f}, or 'none' for a run without privacy"
        )
    return epsilon


def epsilon_text(epsilon: float | None) -> str:
    """Return a budget as it is typed: ``0.5``, ``2``, ``none``."""
    return NO_EPSILON if epsilon is None else f"{epsilon:.12g}"
