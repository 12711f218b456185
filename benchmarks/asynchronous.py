"""Asynchronous against synchronous rounds at one concurrency: python benchmarks/asynchronous.py.

The same phones, clicks and hours twice. Synchronous rounds ask 130 % of the reports that they want and close
with the last of these; asynchronous ones keep as many phones at work and step with each tenth of the reports,
as Huba et al. 2022 (Papaya) compared them (1,300 at work, 1,000 reports a round, 100 a buffer). A window of
the asynchronous run is several synchronous rounds long and asks as many phones as they do together.

Quality is nDCG@10 of the server's student on one set of private evaluation sessions, every session scored.
Time is that in which a round was open, as if rounds followed each other at once: the sum of `round_s`. With
--timing-only nothing is trained, and both are compared at their ends alone.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedbert.comparison import SystemHeader
from fedbert.ei_bert.artefact.artefact import pack
from fedbert.federation.places.backends import run_inprocess
from fedbert.federation.protocol import blob_to_array
from fedbert.federation.replay import replay
from fedbert.federation.round_step import step
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.recommendation.metrics import all_metrics
from fedbert.scenario import Scenario

OVER_SELECTION = 1.3


@dataclass(frozen=True)
class Point:
    """A run so far."""

    open_s: float
    asked: int
    taken: int
    steps: int
    up_mb: float
    down_mb: float
    up_j: float
    """Energy of the phones' uploads; that of releases is the same in both runs."""
    ndcg: float | None


def states_of(scenario: Scenario, every: int) -> tuple[Session, list[RunState]]:
    """Return the session of a run, and its state after each `every` rounds."""
    session, kept = Session.open(scenario), list[RunState]()

    def body(grid: Any) -> None:
        state = session.start(grid)
        for round_ in range(scenario.rounds + 1):
            state, _ = step(session, state)
            if round_ % every == 0:
                kept.append(state)

    run_inprocess(body, 2)
    return session, kept


def judged(session: Session, states: Sequence[RunState]) -> list[float | None]:
    """Return nDCG@10 of the student of each state on all sessions of the run; None: untrained."""
    environment = session.environment
    if environment.scenario.timing_only:
        return [None] * len(states)
    arrays = {f"s{number}": blob_to_array(pack(state.server.current)) for number, state in enumerate(states)}
    systems: list[SystemHeader] = [{"kind": "release", "artefact": name} for name in arrays]
    shard = Shard(environment, 0, environment.scenario.devices)
    found = replay(environment, shard, systems, environment.scenario.rounds, arrays)
    return [float(all_metrics(ranks.sum(axis=0))["ndcg@10"]) for ranks in found["ranks"]]


def points_of(states: Sequence[RunState], quality: Sequence[float | None]) -> list[Point]:
    """Return the run so far at each of its states."""
    found = []
    for state, ndcg in zip(states, quality, strict=True):
        rows = [row for row in state.rows if row["round"]]
        found.append(
            Point(
                open_s=sum(row.get("round_s", 0.0) for row in rows),
                asked=sum(row["eligible"] for row in rows),
                taken=sum(row["completed"] - row.get("discarded", 0) for row in rows),
                steps=sum(row.get("buffers", int(row["completed"] > 0)) for row in rows),
                up_mb=sum(row["bytes_up"] for row in rows) / 1e6,
                down_mb=sum(row["bytes_down"] for row in rows) / 1e6,
                up_j=int(state.totals["signal_uj"].sum()) / 1e6 if rows else 0.0,
                ndcg=ndcg,
            )
        )
    return found


def line(name: str, point: Point) -> str:
    """Return a row of the table."""
    ndcg = "" if point.ndcg is None else f"{point.ndcg:.4f}"
    return (
        f"| {name} | {ndcg} | {point.open_s:,.0f} | {point.steps:,} | {point.asked:,} | "
        f"{point.taken:,} | {point.up_mb:,.1f} | {point.down_mb:,.0f} | {point.up_j:,.0f} |"
    )


def main() -> None:
    """Print both runs to a common quality and to their ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--reports", type=int, default=40, help="of a synchronous round")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--window-hours", type=float, default=1.0, help="of the asynchronous run")
    parser.add_argument("--rounds-a-window", type=int, default=6, help="of the synchronous run")
    parser.add_argument("--deadline-s", type=float, default=240.0, help="of a synchronous round")
    parser.add_argument("--update-steps", type=int, default=1)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--timing-only", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    windows, many = round(flags.hours / flags.window_hours), flags.rounds_a_window
    q = flags.reports / flags.devices
    common: dict[str, Any] = {
        "devices": flags.devices,
        "availability": "always",
        "mechanism": "poisson",
        "epsilon": None,
        "pooled_bound": False,
        "control_share": 0.0,
        "verify_masks": 0,
        "model": flags.model,
        "update_steps": flags.update_steps,
        "seed": flags.seed,
        "timing_only": flags.timing_only,
        "over_selection": OVER_SELECTION,
    }
    asynchronous = Scenario(
        **common,
        rounds=windows,
        round_hours=flags.window_hours,
        sampling_probability=q * many,
        buffer_reports=max(2, flags.reports // 10),
        concurrency=round(OVER_SELECTION * flags.reports),
        min_reports=2,
        release_every=1,
    )
    synchronous = Scenario(
        **common,
        rounds=windows * many,
        round_hours=flags.window_hours / many,
        sampling_probability=q,
        target_reports=flags.reports,
        round_deadline_s=flags.deadline_s,
        release_every=many,
    )
    session, buffered = states_of(asynchronous, 1)
    _, plain = states_of(synchronous, 2)
    quality = judged(session, [*buffered, *plain])
    fast, slow = points_of(buffered, quality[: len(buffered)]), points_of(plain, quality[len(buffered) :])
    rows = [row for row in buffered[-1].rows if row["round"]]
    stale, weight = ([row.get(key) or 0.0 for row in rows] for key in ("staleness_mean", "weight_mean"))
    busy_s = sum(row.get("at_work", 0.0) * row.get("round_s", 0.0) for row in rows)
    print(
        f"means by window: stale {min(stale):.1f} to {max(stale):.1f} steps, weight {min(weight):.2f} to "
        f"{max(weight):.2f}; open for {busy_s / (asynchronous.concurrency or 1):,.0f} s if all places were "
        "always taken"
    )
    print(
        "| | nDCG@10 | open, s | steps | asked | taken | MB up | MB down | J up |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    runs = (("synchronous", slow), ("asynchronous", fast))
    start, least = fast[0].ndcg, min(points[-1].ndcg or 0.0 for _, points in runs)
    if start is not None:
        print(line("release 0", fast[0]))
        wanted = start + 0.9 * (least - start)
        for name, points in runs:
            first = next(point for point in points if (point.ndcg or 0.0) >= wanted)
            print(line(f"{name}, to nine tenths of the lesser gain", first))
    for name, points in runs:
        print(line(f"{name}, at the end", points[-1]))


if __name__ == "__main__":
    main()
