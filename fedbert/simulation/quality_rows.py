"""From the replayed sessions of a run to its comparison, its gap and its findings, with their evidence.

Every figure of one bootstrap draw comes from the same clusters of sessions for all systems, so that
differences and ratios are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedbert.comparison import FINAL, POOLED, RELEASE_0, System, ranked_by
from fedbert.evidence import Absent, Evidence, Known, Sample, as_row
from fedbert.federation import shard_report as r
from fedbert.federation.protocol import Arrays
from fedbert.federation.replay import compared_devices
from fedbert.federation.rows import metrics
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.findings import TIMING_ONLY, held_rows, no_arms, no_figures, no_finding, said
from fedbert.intervals import bootstrap_interval
from fedbert.recommendation.clusters import MOST_CLUSTERS, Places
from fedbert.recommendation.metrics import cluster_count, mean_draws
from fedbert.results import TIERS, ArmsRow, BaselineRow, ComparisonRow, Figures, Findings, Gap, RoundRow

METRIC = "ndcg@10"

WIDEST_SHARE = 0.5
"""Width of the interval of a closed share above which the share is left out: from "a quarter" to "three
quarters" says nothing."""

BASELINES = ("popularity", "tfidf", "user")
"""Systems that the final release should beat, by id, beside release 0."""


@dataclass(frozen=True)
class Compared:
    """The systems of a run on the same sessions, `replayed` as `federation.replay` counts them."""

    systems: list[System]
    replayed: Arrays
    places: Places
    seed: int
    devices: int
    """Those whose sessions were replayed."""

    @cached_property
    def sample(self) -> Sample:
        """What carries every figure of the comparison."""
        users, texts = self.replayed["user_sessions"], self.replayed["text_sessions"]
        return Sample(
            int(texts.sum()),
            int(np.count_nonzero(users)) if self.places.users else None,
            int(np.count_nonzero(texts)),
        )

    @cached_property
    def draws(self) -> dict[str, NDArray[np.float64]]:
        """Means of nDCG@10 by the system's id, `[1 + draw]`: the first is the figure itself."""
        found = mean_draws(self.replayed["ranks"], METRIC, self.seed)
        return {system.id: found[:, place] for place, system in enumerate(self.systems)}

    @cached_property
    def clusters(self) -> int:
        """How many clusters have a session."""
        return cluster_count(self.replayed["ranks"][0])

    def known(self, draws: NDArray[np.float64]) -> Known:
        """Return the figure `draws[0]` with its interval."""
        low, high = bootstrap_interval(draws, self.clusters) or (None, None)
        return Known(float(draws[0]), low, high, self.sample)


def compared(session: Session) -> Compared | None:
    """Return the comparison of a run, None if it did not come to it or no session took place in it."""
    if session.replayed is None or not session.replayed["text_sessions"].any():
        return None
    scenario, places = session.scenario, session.environment.places
    devices = compared_devices(scenario.devices)
    return Compared(session.systems, session.replayed, places, scenario.seed, devices)


def comparison_rows(found: Compared | None) -> list[ComparisonRow]:
    """Return one row for each system."""
    rows: list[ComparisonRow] = []
    if found is None:
        return rows
    counted = zip(found.systems, found.replayed["ranks"], found.replayed["tier_ranks"], strict=True)
    for system, ranks, tier_ranks in counted:
        quality = metrics(ranks.sum(axis=0, dtype=np.int64))
        if quality is None:
            return []
        known = found.known(found.draws[system.id])
        rows.append(
            {
                "id": system.id,
                "system": system.name,
                "inputs": system.inputs,
                "quality": quality,
                "low": known.low,
                "high": known.high,
                "sessions": known.sample.sessions,
                "users": known.sample.users,
                "texts": known.sample.texts or 0,
                "devices": found.devices,
                "tiers": {
                    tier: each
                    for tier, part in zip(TIERS, tier_ranks, strict=True)
                    if (each := metrics(part)) is not None
                },
            }
        )
    return rows


def gap_row(found: Compared | None, figures: Figures) -> Gap | None:
    """Return release 0, final release and pooled-data bound; None if one of them was not compared."""
    if found is None or ranked_by(POOLED) not in found.draws:
        return None

    def mean(artefact: str, text_only: bool) -> float:
        return float(found.draws[ranked_by(artefact, text_only)][0])

    return {
        "release_0": mean(RELEASE_0, False),
        "final": mean(FINAL, False),
        "pooled": mean(POOLED, False),
        "closed": figures["closed"]["value"],
        "text_only_release_0": mean(RELEASE_0, True),
        "text_only_final": mean(FINAL, True),
        "text_only_pooled": mean(POOLED, True),
        "text_only_closed": figures["text_only_closed"]["value"],
    }


def closed_share(won: Evidence, gap: Evidence, share: Known) -> Evidence:
    """Return the share of the gap that was won, or why there is none.

    `share` is won / gap with its interval in the same draws. It is left out where the gap is small against
    its own error, or where the share's interval is wider than `WIDEST_SHARE`.
    """
    if isinstance(won, Absent):
        return won
    if isinstance(gap, Absent):
        return gap
    if gap.sign is None or share.low is None or share.high is None:
        return Absent("too little was evaluated for an interval")
    if gap.sign < 0:
        return Absent("training on all clicks in one place is worse than release 0")
    if gap.sign == 0:
        return Absent("the gap between release 0 and pooled data is not more than chance")
    if share.high - share.low > WIDEST_SHARE:
        return Absent(f"its 95% interval is {share.low:.0%} to {share.high:.0%}, too wide to say")
    return share


def _figures(found: Compared, why_not: str | None) -> Figures:
    rows = no_figures("the pooled-data bound was not trained (pooled_bound is off)")
    for prefix, text_only in (("", False), ("text_only_", True)):
        first, final = (found.draws[ranked_by(name, text_only)] for name in (RELEASE_0, FINAL))
        won: Evidence = found.known(final - first) if why_not is None else Absent(why_not)
        rows[f"{prefix}won"] = as_row(won)  # type: ignore[literal-required]
        pooled = found.draws.get(ranked_by(POOLED, text_only))
        if pooled is None:
            continue
        gap = found.known(pooled - first)
        # A draw without a gap has no share; where they are many, the gap is not more than chance.
        width = np.where(pooled > first, pooled - first, np.nan)
        closed = closed_share(won, gap, found.known((final - first) / width))
        rows[f"{prefix}gap"] = as_row(gap)  # type: ignore[literal-required]
        rows[f"{prefix}closed"] = as_row(closed)  # type: ignore[literal-required]
    return rows


def _baselines(found: Compared, moved: bool) -> list[BaselineRow]:
    """Return the final release against each baseline; against release 0 only if it is another (`moved`)."""
    rows: list[BaselineRow] = []
    final, pooled = found.draws[ranked_by(FINAL)], found.draws.get(ranked_by(POOLED))
    for system in found.systems:
        if system.id not in BASELINES and not (moved and system.id == ranked_by(RELEASE_0)):
            continue
        own = found.draws[system.id]
        bound = (
            Absent("the pooled-data bound was not trained") if pooled is None else found.known(pooled - own)
        )
        rows.append(
            {
                "id": system.id,
                "system": "release 0" if system.id == ranked_by(RELEASE_0) else system.name,
                "ndcg": float(own[0]),
                "difference": as_row(found.known(final - own)),
                "pooled": as_row(bound),
            }
        )
    return rows


def arms_row(by_arm: NDArray[np.int64], places: Places, seed: int, first_round: int | None) -> ArmsRow:
    """Return treated devices against the control group.

    `by_arm` is int64 [cluster, arm, rank], scored sessions of the rounds from `first_round` on, the first in
    which a treated device had another release than 0; None if there was none.
    """
    if first_round is None:
        return no_arms("no treated device had another release than 0 when a round began")
    ranks = by_arm.transpose(1, 0, 2)
    for arm, name in ((r.TREATED, "treated devices"), (r.CONTROL, "the control group")):
        if not ranks[arm].any():
            return no_arms(f"no session of {name} was scored from round {first_round} on")
    draws = mean_draws(ranks, METRIC, seed, time=first_round)

    def known(values: NDArray[np.float64], sessions: int, clusters: int) -> Known:
        low, high = bootstrap_interval(values, clusters) or (None, None)
        by_user = places.unit == "user"
        users = clusters if by_user and places.users <= MOST_CLUSTERS else None
        return Known(float(values[0]), low, high, Sample(sessions, users, None if by_user else clusters))

    clusters = [cluster_count(ranks[arm]) for arm in (r.TREATED, r.CONTROL)]
    sessions = [int(ranks[arm].sum()) for arm in (r.TREATED, r.CONTROL)]
    difference = draws[:, r.TREATED] - draws[:, r.CONTROL]
    return {
        "first_round": first_round,
        "treated": as_row(known(draws[:, r.TREATED], sessions[r.TREATED], clusters[r.TREATED])),
        "control": as_row(known(draws[:, r.CONTROL], sessions[r.CONTROL], clusters[r.CONTROL])),
        # The smaller arm decides how sure the difference is.
        "difference": as_row(known(difference, sum(sessions), min(clusters))),
    }


def arms_differ_from(rounds: Sequence[RoundRow]) -> int | None:
    """Return the first round that began with another release than 0 on a device, None if there was none."""
    for before, row in pairwise(rounds):
        if any(name.isdigit() and int(name) for name in before["installed"]):
            return row["round"]
    return None


def findings(session: Session, state: RunState, found: Compared | None) -> Findings:
    """Return what the run shows, and what it does not."""
    scenario, places = session.scenario, session.environment.places
    releases = state.server.releases
    moved = state.server.newest.artefact.sha256 != releases[0].artefact.sha256
    if found is None:
        why = "the run stopped before the systems were compared"
        if scenario.timing_only:
            why = TIMING_ONLY
        elif session.replayed is not None:
            why = "no evaluation session took place"
        figures, baselines = no_figures(why), list[BaselineRow]()
    else:
        figures = _figures(found, None if moved else no_finding(state.rows))
        baselines = _baselines(found, moved)
    if scenario.timing_only:
        arms = no_arms(TIMING_ONLY)
    elif scenario.control_share == 0:
        arms = no_arms("there is no control group (control_share is 0)")
    else:
        arms = arms_row(state.totals["arm_ranks"], places, scenario.seed, arms_differ_from(state.rows))

    def mean(artefact: str) -> float | None:
        draws = found.draws.get(ranked_by(artefact)) if found else None
        return None if draws is None else float(draws[0])

    rows: Findings = {
        "interval": f"95% interval, resampling {places.unit}s",
        "figures": figures,
        "final": mean(FINAL),
        "release_0": mean(RELEASE_0),
        "pooled": mean(POOLED),
        "baselines": baselines,
        "arms": arms,
        "held": held_rows(state.rows),
        "said": {"won": "", "delivery": "", "gap": "", "arms": "", "baselines": "", "held": ""},
    }
    rows["said"] = said(rows, state.rows)
    return rows
