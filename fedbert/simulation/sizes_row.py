"""Each phone the largest size that fits, beside one size for all: reach, quality and cost, as a table."""

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.cost_model import Outcome
from fedbert.evidence import Absent, as_row
from fedbert.federation import shard_report as r
from fedbert.federation.rows import outcomes
from fedbert.federation.run_state import RunState
from fedbert.federation.server import size_names
from fedbert.federation.session import Session
from fedbert.federation.size_replay import SCORED, SEEN
from fedbert.recommendation.metrics import mean_draws
from fedbert.results import SizeRow, SizesRow
from fedbert.simulation.percentiles import percentiles
from fedbert.simulation.quality_rows import METRIC, Compared
from fedbert.units import HOURS_PER_DAY


def sizes_row(session: Session, state: RunState, found: Compared | None) -> SizesRow | None:
    """Return the table; None for a run with one size, or in which nothing was compared."""
    counted = session.replayed
    if found is None or counted is None or "size_ranks" not in counted:
        return None
    scenario = session.scenario
    days = state.round * scenario.round_hours / HOURS_PER_DAY
    per_day = (len(state.server.releases) - 1) / days
    names = (scenario.model, *size_names(scenario.model))
    devices = counted["size_devices"]
    draws = quality_draws(counted["size_ranks"], scenario.seed)
    rows = list[SizeRow]()
    for choice, name in enumerate(names):
        mine = {key: counted[key][choice] for key in ("size_outcomes", "size_latency", "size_memory")}
        reached = mine["size_outcomes"][Outcome.SCORED] / mine["size_outcomes"].sum()
        won = Absent("it is this choice") if not choice else found.known(won_by_auto(draws, choice))
        rows.append(
            {
                "model": name,
                "devices": int(devices[choice - 1] if choice else devices.sum()),
                "bytes": counted["size_bytes"][choice] / devices.sum(),
                "outcomes": outcomes(mine["size_outcomes"]),
                "scored_share": float(reached),
                "release_0": float(draws[0, 0, SCORED, choice]),
                "final": float(draws[0, 1, SCORED, choice]),
                "seen_release_0": float(draws[0, 0, SEEN, choice]),
                "seen_final": float(draws[0, 1, SEEN, choice]),
                "won": as_row(won),
                "latency_p95_ms": percentiles(mine["size_latency"], r.latency_edges_ms()).get("p95"),
                "memory_p95_bytes": percentiles(mine["size_memory"], r.memory_edges_bytes()).get("p95"),
                "energy_mj_per_day": energy_mj_per_day(
                    counted["size_spent"][choice],
                    int(devices.sum()),
                    days * scenario.evaluation_share,
                    per_day,
                ),
            }
        )
    return {
        "sessions": found.sample.sessions,
        "devices": int(devices.sum()),
        "releases_per_day": per_day,
        "rows": rows,
    }


def quality_draws(counted: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return means of nDCG@10 and their bootstrap draws `[1 + draw, release, scored or seen, choice]`.

    `counted` is int64 [release, scored or seen, choice, cluster, rank - 1]. All come from the same clusters.
    """
    shape = counted.shape[:3]
    return mean_draws(counted.reshape(-1, *counted.shape[3:]), METRIC, seed).reshape(-1, *shape)


def won_by_auto(draws: NDArray[np.float64], choice: int) -> NDArray[np.float64]:
    """Return how much more nDCG@10 users see of the final release with auto than with `choice`, by draw."""
    return np.asarray(draws[:, 1, SEEN, 0] - draws[:, 1, SEEN, choice])


def energy_mj_per_day(
    spent_uj: NDArray[np.int64], devices: int, days: float, releases_per_day: float
) -> float:
    """Return what the mean phone spends on answers and releases in a day, in mJ (modelled).

    `spent_uj` [3] has the answers of `days`, and a download and an install by each of the `devices`. Signals
    cost the same with every size, and are not in it.
    """
    answers, *release = (float(each) / r.MICRO / devices for each in spent_uj)
    return answers / days + releases_per_day * sum(release)
