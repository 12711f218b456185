"""One finished round as a row of the result."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.cost_model import Outcome
from fedbert.devices.round_end import EndState
from fedbert.federation import shard_report as r
from fedbert.federation.energy_rows import participant_energy
from fedbert.federation.observer import RoundTruth
from fedbert.federation.protocol import Arrays, RoundOrder
from fedbert.federation.round_clock import US_PER_S
from fedbert.federation.server import RoundUpdate
from fedbert.federation.sums_apart import POISONED
from fedbert.recommendation.metrics import all_metrics, cluster_interval
from fedbert.results import METRICS, OUTCOMES, ROUND_ENDS, ROUND_PARTS, Metrics, RoundRow
from fedbert.scenario import Scenario
from fedbert.units import HOURS_PER_DAY

RANKED = (
    *(*METRICS, "ndcg@10_low", "ndcg@10_high", "scored_ndcg@10"),
    *(f"{arm}_ndcg@10{end}" for arm in ("control", "treated") for end in ("", "_low", "_high")),
)
"""Keys of a row that are null where nothing was ranked."""

_RESAMPLES = 200
"""Bootstrap samples of a round's interval: enough for a band in a plot, cheap enough for every round."""


def metrics(histogram: NDArray[np.int64]) -> Metrics | None:
    """Return the metrics of a rank histogram `[rank]`; None if it is empty."""
    return cast(Metrics, all_metrics(histogram)) if histogram.sum() else None


def outcomes(counts: NDArray[np.int64]) -> dict[str, int]:
    """Return counts `[outcome]` by the outcome's name."""
    return {name: int(count) for name, count in zip(OUTCOMES, counts, strict=True)}


def round_ends(totals: Arrays, tier: int) -> tuple[dict[str, int], dict[str, float]]:
    """Return how rounds ended for a tier's devices that were asked, and where the taken reports' time went.

    Counts by `ROUND_ENDS`; mean seconds by `ROUND_PARTS`, empty if no report was taken.
    """
    ends = dict(zip(ROUND_ENDS, totals["round_ends"][tier].tolist(), strict=True))
    spent_us, done = totals["round_us"][tier].tolist(), ends[ROUND_ENDS[EndState.DONE]]
    named = zip(ROUND_PARTS, spent_us, strict=True) if done else ()
    return ends, {part: spent / US_PER_S / done for part, spent in named}


def _arm(name: str, by_cluster: NDArray[np.int64], sampling: dict[str, int]) -> dict[str, Any]:
    """Return the keys of one arm's scored sessions `[cluster, rank]`, with how many there are."""
    found = metrics(by_cluster.sum(axis=0, dtype=np.int64))
    low, high = cluster_interval(by_cluster, "ndcg@10", **sampling) or (None, None)
    return {
        f"{name}_ndcg@10": found["ndcg@10"] if found else None,
        f"{name}_ndcg@10_low": low,
        f"{name}_ndcg@10_high": high,
        f"{name}_sessions": int(by_cluster.sum()),
    }


def round_row(
    scenario: Scenario, order: RoundOrder, truth: RoundTruth, update: RoundUpdate, wall_s: float
) -> RoundRow:
    """Return the row of one finished round."""
    counts, ranks = truth.counts(), truth.truth["ranks"]
    seen = ranks.sum(axis=(0, 1, 2))
    quality = metrics(seen) or dict.fromkeys(METRICS)
    by_cluster, by_arm = truth.truth["cluster_ranks"], truth.truth["arm_ranks"].transpose(1, 0, 2)
    sampling = {"seed": scenario.seed, "resamples": _RESAMPLES, "time": truth.round}
    low, high = cluster_interval(by_cluster, "ndcg@10", **sampling) or (None, None)
    scored = metrics(ranks[:, :, Outcome.SCORED].sum(axis=(0, 1)))
    participants, spent_mj = participant_energy(truth.truth)
    users = truth.truth["user_sessions"]

    row: dict[str, Any] = {
        "round": truth.round,
        "hour": (truth.round * scenario.round_hours) % HOURS_PER_DAY,
        **quality,
        "ndcg@10_low": low,
        "ndcg@10_high": high,
        "sessions": int(seen.sum()),
        "users": int(np.count_nonzero(users)) if len(users) else None,
        "texts": int(np.count_nonzero(truth.truth["text_sessions"])),
        "scored_ndcg@10": scored["ndcg@10"] if scored else None,
        **_arm("control", by_arm[r.CONTROL], sampling),
        **_arm("treated", by_arm[r.TREATED], sampling),
        "outcomes": outcomes(ranks.sum(axis=(0, 1, 3))),
        "epsilon": update.epsilon,
        "epsilon_unamplified": update.epsilon_unamplified,
        "cohort": counts["cohort"],
        "eligible": counts["eligible"],
        "completed": counts["completed"],
        "dropped": counts["eligible"] - counts["completed"],
        "reported": counts["reported"],
        "signal_release": update.signal_release,
        "bytes_up": counts["upload_bytes"],
        "bytes_down": counts["download_bytes"],
        "downloads": counts["downloads"],
        "installed": truth.installed,
        "server_ndcg@10": update.server_ndcg,
        "released": update.released,
        "gate": update.gate,
        "round_status": update.status,
        "loss": update.loss,
        "participants": participants,
        "energy_mj_per_participant": spent_mj,
        "wall_s": wall_s,
    }
    if order.closing is not None:
        ends = truth.truth["round_ends"].sum(axis=0)
        row |= {"round_s": order.closing.last_us / US_PER_S} | {
            name: int(ends[place]) for place, name in enumerate(ROUND_ENDS) if place != EndState.DONE
        }
    if scenario.timing_only:
        row |= dict.fromkeys(RANKED)
    if truth.missing:
        row["missing"] = truth.missing
    if truth.apart is not None:
        row["poisoned"] = int(truth.apart.reports[POISONED])
        row["poisoned_norm_share"] = truth.apart.poisoned_norm_share
    return cast(RoundRow, row)
