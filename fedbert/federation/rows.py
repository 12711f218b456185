"""One finished round as a row of the result."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.cost_model import Outcome
from fedbert.federation import shard_report as r
from fedbert.federation.energy_rows import participant_energy
from fedbert.federation.observer import RoundTruth
from fedbert.federation.server import RoundUpdate
from fedbert.recommendation.metrics import all_metrics, text_interval
from fedbert.results import METRICS, OUTCOMES, Metrics, RoundRow
from fedbert.scenario import Scenario
from fedbert.units import HOURS_PER_DAY

_RESAMPLES = 200
"""Bootstrap samples of a round's interval: enough for a band in a plot, cheap enough for every round."""


def metrics(histogram: NDArray[np.int64]) -> Metrics | None:
    """Return the metrics of a rank histogram `[rank]`; None if it is empty."""
    return cast(Metrics, all_metrics(histogram)) if histogram.sum() else None


def outcomes(counts: NDArray[np.int64]) -> dict[str, int]:
    """Return counts `[outcome]` by the outcome's name."""
    return {name: int(count) for name, count in zip(OUTCOMES, counts, strict=True)}


def round_row(scenario: Scenario, truth: RoundTruth, update: RoundUpdate, wall_s: float) -> RoundRow:
    """Return the row of one finished round."""
    counts, ranks = truth.counts(), truth.truth["ranks"]
    seen = ranks.sum(axis=(0, 1, 2))
    quality = metrics(seen) or cast(Metrics, dict.fromkeys(METRICS, 0.0))
    low, high = (
        text_interval(
            truth.truth["text_ranks"], "ndcg@10", scenario.seed, resamples=_RESAMPLES, time=truth.round
        )
        if seen.sum()
        else (0.0, 0.0)
    )
    scored = ranks[:, :, Outcome.SCORED].sum(axis=0)
    participants, spent_mj = participant_energy(truth.truth)

    def ndcg(histogram: NDArray[np.int64]) -> float | None:
        found = metrics(histogram)
        return found["ndcg@10"] if found else None

    row: dict[str, Any] = {
        "round": truth.round,
        "hour": (truth.round * scenario.round_hours) % HOURS_PER_DAY,
        **quality,
        "ndcg@10_low": low,
        "ndcg@10_high": high,
        "sessions": int(seen.sum()),
        "scored_ndcg@10": ndcg(scored.sum(axis=0)),
        "control_ndcg@10": ndcg(scored[r.CONTROL]),
        "treated_ndcg@10": ndcg(scored[r.TREATED]),
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
    if truth.missing:
        row["missing"] = truth.missing
    return cast(RoundRow, row)
