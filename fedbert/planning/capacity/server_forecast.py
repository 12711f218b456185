"""Servers of a plan: CPU time, cores, memory, storage and machines, from a calibration of what each costs.

CPU seconds are counts of the load times the measured cost of one. Cores are for the busiest time of each
part, over the utilisation that is wanted, as if all of them had it at once.
"""

from dataclasses import dataclass

import numpy as np

from fedbert.intervals import NORMAL_QUANTILE, Array, Estimate, from_draws
from fedbert.planning.capacity.calibration import Calibration
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.load import BURST_S, Load
from fedbert.planning.capacity.rollout import STEP_S
from fedbert.planning.capacity.storage_forecast import storage
from fedbert.randomness import Purpose, generator
from fedbert.units import S_PER_DAY, S_PER_HOUR, format_bytes

DOWNLOADS, FRONT, AGGREGATOR, UPDATE = PARTS = (
    "release downloads",
    "check-ins and uploads",
    "aggregator",
    "server update",
)


@dataclass(frozen=True)
class Work:
    """What one part of the servers does, `[draw]` each."""

    cpu_s_per_day: Array
    busiest: Array  # CPU seconds a second in its busiest time
    memory_bytes: Array


def costs_drawn(calibration: Calibration, seed: int, rows: int) -> dict[str, Array]:
    """Return each cost `[draw]`: row 0 is the mean, the others vary as its 95 % interval says, from 0 up."""
    rng = generator(seed, Purpose.RESAMPLING, 3)
    return {name: _drawn(cost, rng, rows) for name, cost in calibration.costs.items()}


def _drawn(cost: Estimate, rng: np.random.Generator, rows: int) -> Array:
    low, high = (cost.value if end is None else end for end in (cost.low, cost.high))
    drawn = np.maximum(cost.value + rng.standard_normal(rows) * (high - low) / (2 * NORMAL_QUANTILE), 0.0)
    drawn[0] = cost.value
    return drawn


def work(load: Load, costs: dict[str, Array], measured_report_bytes: float) -> dict[str, Work]:
    """Return what each of `PARTS` does: every count of the load times the cost of one.

    A report takes memory by its size: `measured_report_bytes` is that of the calibration's.
    """
    base, plan = load.base, load.plan
    attempts = base.download_attempts
    # Repeated downloads move some of their bytes again, and ask again.
    a_download = attempts * costs["download_cpu_s"] + load.bytes_per_download * costs["download_byte_cpu_s"]
    an_upload = base.upload_attempts * costs["upload_cpu_s"] + base.report_bytes * costs["upload_byte_cpu_s"]
    check_ins = load.check_ins * plan.rounds_per_day / S_PER_DAY
    a_round = costs["aggregator_round_cpu_s"]
    reports, rounds = load.reports_per_day, plan.rounds_per_day
    early = load.early.max(axis=1) / S_PER_HOUR
    served = load.served.max(axis=1) / STEP_S + early
    held = load.held_reports * (base.report_bytes / measured_report_bytes)
    closing = max(1 / BURST_S, rounds / S_PER_DAY)  # rounds a second while one closes
    return {
        DOWNLOADS: Work(
            load.downloads_per_day * a_download,
            served * a_download,
            costs["download_memory_bytes"]
            + load.stored_bytes  # the files themselves are kept in memory
            + served * attempts * plan.download_s * costs["download_open_memory_bytes"],
        ),
        FRONT: Work(
            check_ins.mean(axis=1) * S_PER_DAY * costs["check_in_cpu_s"]
            + reports * an_upload
            + rounds * costs["link_round_cpu_s"],
            check_ins.max(axis=1) * costs["check_in_cpu_s"]
            + load.burst.max(axis=1) * an_upload
            + closing * costs["link_round_cpu_s"],
            costs["link_memory_bytes"] + held * costs["link_report_memory_bytes"],
        ),
        AGGREGATOR: Work(
            reports * costs["aggregator_report_cpu_s"] + rounds * a_round,
            load.burst.max(axis=1) * costs["aggregator_report_cpu_s"] + a_round * closing,
            costs["aggregator_memory_bytes"] + held * costs["aggregator_report_memory_bytes"],
        ),
        UPDATE: Work(
            rounds * costs["update_cpu_s"],
            costs["update_cpu_s"] * closing,
            costs["update_memory_bytes"],
        ),
    }


def servers(load: Load, calibration: Calibration, utilisation: float) -> tuple[Forecast, ...]:
    """Return CPU time, cores and memory by part; machines, headroom and storage of all."""
    costs = costs_drawn(calibration, load.plan.seed, len(load.draws.cost))
    found = work(load, costs, calibration.report_bytes)
    said = calibration.said
    parts = {
        DOWNLOADS: "busiest five minutes; a static server of Python, no TLS, no CDN; its release in memory, "
        f"each download open for {load.plan.download_s:g} s",
        FRONT: f"check-ins of the peak hour and a round's reports within {BURST_S:.0f} s, a message of a "
        "SuperNode each, no TLS; the reports of the largest round held",
        AGGREGATOR: f"a round's reports within {BURST_S:.0f} s, each phone a party, nobody drops out; the "
        "reports of the largest round held",
        UPDATE: f"an update a round, with the model {calibration.model}, done in {BURST_S:.0f} s",
    }
    rows: list[Forecast] = []
    for name, part in found.items():
        assumption = f"{parts[name]}; {said}"
        rows += [
            _row(f"CPU time per day, {name}", "core-hours", part.cpu_s_per_day / S_PER_HOUR, assumption),
            _row(
                f"cores, {name}",
                "cores",
                part.busiest / utilisation,
                f"at a utilisation of {utilisation:g}; {assumption}",
            ),
            _row(f"memory, {name}", "bytes", part.memory_bytes, assumption),
        ]
    everything = f"all parts at their busiest at once, at a utilisation of {utilisation:g}; {said}"
    each, memory_each = calibration.machine["cores"], calibration.machine["memory_bytes"]
    cores = np.sum([part.busiest for part in found.values()], axis=0) / utilisation
    memory = np.sum([part.memory_bytes for part in found.values()], axis=0)
    machines = np.maximum(np.ceil(cores / each), np.ceil(memory / memory_each))
    of_machines = f"of {each} cores and {format_bytes(memory_each)}"
    return (
        *rows,
        _row("cores, all servers", "cores", cores, everything),
        _row(
            "memory, all servers",
            "bytes",
            memory,
            f"each part once; {said}",
        ),
        _row("machines, all servers", "machines", machines, f"{of_machines}, by what binds; {everything}"),
        _row(
            "server headroom",
            "share",
            1 - cores / (machines * each),
            f"of the cores of these machines, beside what the utilisation leaves; {everything}",
        ),
        *storage(load),
    )


def _row(name: str, unit: str, draws: Array, assumption: str) -> Forecast:
    return Forecast(name, unit, from_draws(np.asarray(draws, np.float64)), "modelled", assumption)
