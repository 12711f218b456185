"""From the cells of a grid to the frontier: one row per cell, then one row per arm with intervals.

Quality is that of the int8 student of the final release on every evaluation session of the run, all of them
scored (20 candidates, mean over evaluation sessions); release 0 and the pooled-data bound stand beside it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fedbert.comparison import (
    EVERY_SESSION,
    FINAL,
    POOLED,
    RELEASE_0,
    STUDENTS,
    TEXT_ONLY,
    TIER_COLUMNS,
    ranked_by,
    system_id,
    tier_ndcg,
)
from fedbert.errors import FedbertError
from fedbert.intervals import t_interval
from fedbert.planning.tradeoff.arms import PUBLIC
from fedbert.planning.tradeoff.epsilons import epsilon_text
from fedbert.planning.tradeoff.paired import paired_columns
from fedbert.privacy.mechanism import SEES_PARTICIPATION
from fedbert.results import TIERS, Metrics, RunResult

if TYPE_CHECKING:
    import pandas as pd

SHORT = dict(zip(TIER_COLUMNS, ("seen", "scored", "release_0", "final", "pooled"), strict=True))
"""Names in columns of the figures of `tier_ndcg`; the last three are with every session scored."""

TIER_FIGURES = tuple(f"{tier}_{short}_ndcg@10" for tier in TIERS for short in SHORT.values())
"""Columns of cells and frontier; NaN where a run has no device of the tier, or did not keep the figure."""

TIER_FINAL = SHORT[f"all scored: {list(EVERY_SESSION)[1]}"]
"""The column name of the final release with every session scored."""

SYSTEMS = (RELEASE_0, FINAL, POOLED)
"""The students of a run's comparison that the frontier reads."""

KEYS = ["signal", "mechanism", "privacy_mode", "budget"]
"""What makes a point of the frontier; `budget` is the epsilon as text, or "none"."""

FIGURES = (
    "ndcg@10",
    "auc",
    "text_only_ndcg@10",
    "text_only_auc",
    "release_0_ndcg@10",
    "release_0_auc",
    "pooled_ndcg@10",
    "pooled_auc",
    "closed",
    "text_only_closed",
    "seen_ndcg@10",
    *TIER_FIGURES,
)
"""Figures of a cell that get a mean and an interval over seeds; shares closed are in 0..1."""


HORIZON_DAYS = (1, 30, 365)
HORIZONS = tuple(
    f"{name}_{days}_days" for days in HORIZON_DAYS for name in ("epsilon_spent", "epsilon_unamplified")
)
"""Columns: both epsilons if the same noise and rounds went on for so many days."""

SPENT = ("epsilon_spent", "epsilon_unamplified", *HORIZONS)
"""Columns of what is proved; the same for all seeds of an arm."""

ATTACKS = ("attack_epsilon", "exposed_items")
"""Columns of what the audit's attackers got: the largest lower bound on an epsilon, participation seen, and
the share of clicked items that reports without their masks give away, in 0..1."""


def cell_row(result: RunResult) -> dict[str, Any]:
    """Return the figures of one cell; raises FedbertError if the run lacks its comparison."""
    gap = result["gap"]
    if gap is None:
        raise FedbertError(
            f"run {result['name']!r} must have compared release 0, final and pooled; run it again"
        )
    quality = {
        (name, text_only): _quality(result, name, text_only)
        for name in SYSTEMS
        for text_only in (False, True)
    }
    privacy = result["privacy"]
    epsilon = result["scenario"]["epsilon"]
    return {
        "signal": result["scenario"].get("signal", "prototypes"),
        "mechanism": result["scenario"]["mechanism"],
        "privacy_mode": privacy["mode"],
        "budget": epsilon_text(epsilon),
        "epsilon": epsilon,
        "seed": result["seed"],
        "devices": result["scenario"]["devices"],
        "noise_devices": result["scenario"].get("noise_cohort") or result["scenario"]["devices"],
        "delta": privacy["delta"],
        "noise_multiplier": privacy["noise_multiplier"],
        "epsilon_spent": privacy["epsilon"],
        "epsilon_unamplified": privacy["epsilon_unamplified"],
        **_horizons(result),
        **_attacks(result),
        "ndcg@10": gap["final"],
        "auc": quality["final", False]["auc"],
        "text_only_ndcg@10": gap["text_only_final"],
        "text_only_auc": quality["final", True]["auc"],
        "release_0_ndcg@10": gap["release_0"],
        "release_0_auc": quality["release_0", False]["auc"],
        "pooled_ndcg@10": gap["pooled"],
        "pooled_auc": quality["pooled", False]["auc"],
        "closed": gap["closed"],
        "text_only_closed": gap["text_only_closed"],
        "seen_ndcg@10": result["rounds"][-1]["ndcg@10"],
        **tier_figures(result),
        "bytes_per_report": result["traffic"]["bytes_per_report"],
        "wall_s": result["wall_s"],
    }


def _horizons(result: RunResult) -> dict[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys(HORIZONS)
    for row in result["privacy"]["projections"]:
        if row["days"] in HORIZON_DAYS:
            found[f"epsilon_spent_{row['days']}_days"] = row["epsilon"]
            found[f"epsilon_unamplified_{row['days']}_days"] = row["epsilon_unamplified"]
    return found


def _attacks(result: RunResult) -> dict[str, float | None]:
    """Return `ATTACKS` of a run; None for what was not attacked."""
    audit = result.get("audit")
    if audit is None:
        return dict.fromkeys(ATTACKS)
    found = [row["epsilon"] for row in audit["bounds"] if row["adversary"] == SEES_PARTICIPATION]
    exposure = audit["exposure"]
    return {
        "attack_epsilon": max(found, default=None),
        "exposed_items": exposure["items"] if exposure is not None else None,
    }


def _quality(result: RunResult, system: str, text_only: bool) -> Metrics:
    for row in result["comparison"]:
        if system_id(row) == ranked_by(system, text_only):
            return row["quality"]
    kind = f" ({TEXT_ONLY})" if text_only else ""
    raise FedbertError(f"run {result['name']!r} must compare {STUDENTS[system]!r}{kind}; run it again")


def cells_frame(results: Sequence[RunResult]) -> "pd.DataFrame":
    """Return one row per cell, in the order given; `epsilon` is NaN for a run without privacy."""
    import pandas as pd

    frame = pd.DataFrame([cell_row(result) for result in results])
    for name in ("epsilon", "noise_multiplier", *SPENT, *ATTACKS, *FIGURES):
        frame[name] = frame[name].astype("float64")
    return frame


def frontier_frame(cells: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per arm (`KEYS`), budgets ascending, "none" last; the arm `public` comes first.

    Each of `FIGURES` and `paired.PAIRED` has three columns: the mean over seeds, and `_low` and `_high` of
    Student's t interval (NaN with one seed). A figure that a seed lacks has none: a mean over the others
    would be of those alone in which it came out well. Privacy figures are the same for all seeds of a row.
    """
    import pandas as pd

    rows = []
    for key, group in cells.groupby(KEYS, sort=False):
        row: dict[str, Any] = dict(zip(KEYS, key, strict=True))
        row |= {
            "epsilon": group["epsilon"].iloc[0],
            "seeds": len(group),
            "noise_multiplier": group["noise_multiplier"].iloc[0],
            **{name: group[name].max() for name in (*SPENT, *ATTACKS)},
            **{name: group[name].iloc[0] for name in ("devices", "noise_devices", "bytes_per_report")},
            "delta": group["delta"].iloc[0],
        }
        for name in FIGURES:
            known = group[name].dropna().to_numpy("float64")
            if len(known) < len(group):
                row |= {name: float("nan"), f"{name}_low": float("nan"), f"{name}_high": float("nan")}
                continue
            found = t_interval(known)
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row | paired_columns(group, cells))
    frame = pd.DataFrame(rows)
    frame["public"] = frame["signal"] != PUBLIC
    for name in FIGURES:
        for column in (f"{name}_low", f"{name}_high"):
            frame[column] = frame[column].astype("float64")
    order = ["public", "signal", "mechanism", "epsilon"]
    return frame.sort_values(order, na_position="last", ignore_index=True).drop(columns="public")


def tier_figures(result: RunResult) -> dict[str, float | None]:
    """Return nDCG@10 by tier of one run as columns, `TIER_FIGURES`; None for what it lacks."""
    figures: dict[str, float | None] = dict.fromkeys(TIER_FIGURES)
    for tier in result["tiers"]:
        values = zip(SHORT.values(), tier_ndcg(result, tier), strict=True)
        figures |= {f"{tier}_{short}_ndcg@10": value for short, value in values}
    return {name: figures[name] for name in TIER_FIGURES}
