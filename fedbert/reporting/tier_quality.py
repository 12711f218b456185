"""Ranking quality by device tier, for every report: as users saw it, when scored, and with all scored."""

from fedbert import comparison
from fedbert.results import Metrics, RunResult

EVERY_SESSION = {
    "release 0": comparison.STUDENTS[comparison.RELEASE_0],
    "final release": comparison.STUDENTS[comparison.FINAL],
    "pooled-data bound": comparison.STUDENTS[comparison.POOLED],
}
"""Systems of the comparison that are shown by tier, with every evaluation session scored, by short names."""

TIER_COLUMNS = ("as users saw it", "scored sessions", *(f"all scored: {name}" for name in EVERY_SESSION))
"""Headings of the figures of `tier_ndcg`."""

TIER_NOTE = (
    "nDCG@10, 20 candidates, mean over the tier's evaluation sessions of the whole run. As users saw it: "
    "the default order where the phone could not answer. All scored: every session ranked, on whichever "
    "phone, so that what is left between tiers is what their users ask for, not what their phones can do."
)

NO_TIER_TASTES = "The scenario's tier_correlation is 0: what users do does not depend on the tier."


def tier_ndcg(result: RunResult, tier: str) -> list[float | None]:
    """Return nDCG@10 of one tier in the order of `TIER_COLUMNS`; None for what the run lacks."""
    row = result["tiers"][tier]
    found: list[Metrics | None] = [row.get("quality"), row.get("scored_quality")]
    found += [_every_session(result, system, tier) for system in EVERY_SESSION.values()]
    return [metrics["ndcg@10"] if metrics else None for metrics in found]


def _every_session(result: RunResult, system: str, tier: str) -> Metrics | None:
    for row in result["comparison"]:
        if (row["system"], row["inputs"]) == (system, comparison.FULL):
            return row.get("tiers", {}).get(tier)
    return None


def tier_note(result: RunResult) -> str:
    """Return what the figures are, and how far tastes differ by tier in this run."""
    strength = result["scenario"].get("tier_correlation")
    tastes = NO_TIER_TASTES if strength == 0 else ""
    if strength:
        tastes = f"What users do differs by tier (modelled; tier_correlation {strength:g})."
    return f"{TIER_NOTE} {tastes}".rstrip()
