"""What the larger fleet asks of the servers in a mean day: downloads and reports, drawn, before any unit.

Where weekdays differ it is a mean week: figures by hour have 168 of them, Monday's first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fedbert.intervals import Array
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.clocks import by_server_clock, over_a_week
from fedbert.planning.capacity.draws import Draws, draw_inputs
from fedbert.planning.capacity.filling import sampling_probability
from fedbert.planning.capacity.privacy_forecast import largest_probability
from fedbert.planning.capacity.rollout import (
    ALL,
    STEPS_PER_DAY,
    Groups,
    by_hour,
    groups_of,
    per_step,
    scheduled,
    usual_day,
)
from fedbert.planning.capacity.run_releases import releases_made
from fedbert.randomness import Purpose, generator
from fedbert.units import HOURS_PER_DAY, S_PER_DAY

BURST_S = 180.0
"""A synchronous round's reports arrive within two to three minutes (Bonawitz et al. 2019)."""


@dataclass(frozen=True)
class Load:
    """The plan's mean day; rows of drawn arrays as in `Draws`."""

    base: BaseRun
    plan: Plan  # without None
    draws: Draws  # by the server's clock, but for fetch rates, which are by that of the phones
    sampling_probability: float
    served: Array  # [draw, step] releases fetched from a midnight on, in steps of five minutes, under the cap
    asked: Array  # [draw, step] the same if every device that asks is served at once
    early: Array  # [draw, hour] downloads of release 0 by new phones, a mean day; 0 in a steady schedule
    releases_per_day: Array  # [draw]
    groups: Groups = ALL

    @property
    def fetching(self) -> float:
        """Devices that fetch releases: all but the control group."""
        treated: float = self.plan.devices * (1 - self.base.control_share)
        return treated

    @property
    def bytes_per_download(self) -> float:
        """Bytes moved for one download, repeated ones included."""
        return self.release_bytes * (self.base.moved_bytes / self.base.release_bytes)

    @property
    def release_bytes(self) -> float:
        """Bytes of a release in the mean download: tiers download as often as in the run."""
        return self._mean_bytes([tier.devices * tier.installs_per_day for tier in self.base.tiers])

    @property
    def release_bytes_of_all(self) -> float:
        """Bytes of a release, in the mean over all phones."""
        return self._mean_bytes([tier.devices for tier in self.base.tiers])

    @property
    def stored_bytes(self) -> float:
        """Bytes of all sizes of a release together."""
        sizes = {self.bytes_of(tier.name) for tier in self.base.tiers}
        return sum(sizes) if self.plan.world.tier_bytes else self.bytes_of("")

    def bytes_of(self, tier: str) -> float:
        """Return the bytes of a release as the phones of a tier download it."""
        sizes = {each.tier: each.bytes for each in self.plan.world.tier_bytes}
        return sizes.get(tier, self.plan.download_bytes or self.base.release_bytes)

    def _mean_bytes(self, weights: Sequence[float]) -> float:
        if not self.plan.world.tier_bytes or not sum(weights):
            return self.bytes_of("")
        sizes = [self.bytes_of(tier.name) for tier in self.base.tiers]
        return float(np.average(sizes, weights=weights))

    @property
    def sessions_per_day(self) -> float:
        """Sessions of one phone."""
        return self.plan.sessions_per_day or self.base.sessions_per_day

    @cached_property
    def downloads(self) -> Array:
        """`[draw, hour]` downloads by hour of a mean day, or week."""
        return self._by_hour(self.served)

    @property
    def downloads_per_day(self) -> Array:
        """`[draw]`, of the fleet."""
        return np.asarray(self.downloads.sum(axis=1) * (HOURS_PER_DAY / self.downloads.shape[1]))

    @cached_property
    def asked_downloads(self) -> Array:
        """`[draw, hour]` the same without a cap."""
        return self._by_hour(self.asked)

    @cached_property
    def reports(self) -> Array:
        """`[draw, hour]` reports that a round of that hour gets."""
        share = np.minimum(self.sampling_probability * self.draws.reporting, 1.0)
        return self.plan.devices * share

    @property
    def reports_per_day(self) -> Array:
        """`[draw]`, of the fleet."""
        return np.asarray(self.reports.mean(axis=1) * self.plan.rounds_per_day)

    @property
    def check_ins(self) -> Array:
        """`[draw, hour]` devices that check in for a round of that hour: the eligible ones."""
        return self.plan.devices * self.draws.eligible

    @property
    def burst(self) -> Array:
        """`[draw, hour]` reports a second while a round closes; rounds that overlap add up."""
        return np.asarray(self.reports * max(1 / BURST_S, self.plan.rounds_per_day / S_PER_DAY))

    @property
    def held_reports(self) -> Array:
        """`[draw]` reports of the rounds that are open at the busiest time."""
        return np.asarray(self.burst.max(axis=1) * BURST_S)

    @property
    def burst_share(self) -> float:
        """Share of a day's seconds in which a round closes."""
        return min(1.0, self.plan.rounds_per_day * BURST_S / S_PER_DAY)

    def _by_hour(self, served: Array) -> Array:
        return by_hour(served, self.hours, self.draws.reporting.shape[1]) + self.early

    @property
    def hours(self) -> float:
        """Hours that `served` covers."""
        return float(self.served.shape[1] * HOURS_PER_DAY / STEPS_PER_DAY)


def resolved(plan: Plan, base: BaseRun) -> Plan:
    """Return `plan` with the run's own figures for what it leaves open."""
    return replace(
        plan,
        sessions_per_day=plan.sessions_per_day or base.sessions_per_day,
        download_bytes=plan.download_bytes or base.release_bytes,
    )


def load_of(base: BaseRun, plan: Plan) -> Load:
    """Return the load of `plan`; the same arguments give the same load."""
    plan = resolved(plan, base)
    drawn = draw_inputs(base, plan.model_spread, plan.seed, plan.world.metered_share)
    draws = _in_the_world(drawn, plan)
    load = Load(
        base=base,
        plan=plan,
        draws=draws,
        sampling_probability=planned_probability(plan, base),
        served=np.zeros((1, 0)),
        asked=np.zeros((1, 0)),
        early=np.zeros(draws.reporting.shape),
        releases_per_day=np.full(len(draws.cost), plan.releases_per_day),
        groups=groups_of(plan.world),
    )
    capacity = per_step(plan.release_bits_per_s, load.bytes_per_download)
    if plan.schedule == "run":
        return _as_the_run(load, capacity)
    arguments = (draws.fetch_rate, draws.frailty, plan.release_hour, plan.releases_per_day, load.groups)
    return replace(
        load,
        served=usual_day(load.fetching, capacity, *arguments),
        asked=usual_day(load.fetching, np.inf, *arguments),
    )


def _in_the_world(draws: Draws, plan: Plan) -> Draws:
    """Return draws of the fleet's weekdays and zones; fetch rates stay those of a phone's own clock."""
    world = plan.world

    def seen(share: Array) -> Array:
        if world.days_differ:
            share = np.minimum(over_a_week(share, world), 1.0)
        return by_server_clock(share, world)

    return replace(
        draws,
        eligible=seen(draws.eligible),
        reporting=seen(draws.reporting),
        metered_reporting=seen(draws.metered_reporting),
        fetch_rate=over_a_week(draws.fetch_rate, world),
        metered=np.tile(draws.metered, (1, max(1, len(world.weekday_factors)))),
    )


def planned_probability(plan: Plan, base: BaseRun) -> float:
    """Return the chance that a device joins a round of the plan."""
    mean = float(base.report_share.mean())
    wanted = sampling_probability(plan.reports_per_round, plan.over_selection, plan.devices, mean)
    return min(wanted, largest_probability(base, plan))


def _as_the_run(load: Load, capacity: float) -> Load:
    """Return the load of the hours of the run, with its releases where the gate lets them."""
    base, draws, rows = load.base, load.draws, len(load.early)
    rng = generator(load.plan.seed, Purpose.RESAMPLING, 2)
    made = releases_made(base.releases, rng, rows)
    arguments = (draws.fetch_rate, draws.frailty, base.releases.due_hours, made, base.days * HOURS_PER_DAY)
    early = rng.gamma(base.releases.early_downloads + 0.5, size=(rows, int(HOURS_PER_DAY)))
    early[0] = base.releases.early_downloads
    return replace(
        load,
        served=scheduled(load.fetching, capacity, *arguments),
        asked=scheduled(load.fetching, np.inf, *arguments),
        early=early * (load.plan.devices / base.devices / base.days),
        releases_per_day=made.sum(axis=1) / base.days,
    )
