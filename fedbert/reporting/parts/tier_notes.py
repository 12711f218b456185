"""What every report says of ranking quality by device tier."""

from fedbert.comparison import EVERY_SESSION
from fedbert.results import RunResult

TIER_TITLE = "Quality by device tier"

TIER_HEADINGS = ("tier", "as users saw it", "when scored", *EVERY_SESSION)
"""The headings of `fedbert.comparison.tier_ndcg` where there is little room."""

TIER_NOTE = (
    "nDCG@10, 20 candidates, mean over the tier's evaluation sessions of the whole run. As users saw "
    "it: the default order where the phone could not answer. All scored: every session is ranked, "
    "whatever the phone, so the difference between tiers is in what their users want, not in what "
    "their phones can do."
)

NO_TIER_TASTES = "The scenario's tier_correlation is 0: what users do does not depend on the tier."


def tier_note(result: RunResult) -> str:
    """Return what the figures are, and how far tastes differ by tier in this run."""
    strength = result["scenario"].get("tier_correlation")
    tastes = NO_TIER_TASTES if strength == 0 else ""
    if strength:
        tastes = f"What users do differs by tier (modelled; tier_correlation {strength:g})."
    return f"{TIER_NOTE} {tastes}".rstrip()
