"""What a capacity forecast is made of: the plan asked for, one figure, a curve, and all of them together."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedbert.intervals import Array, Estimate
from fedbert.planning.budget.plan import Reading
from fedbert.planning.capacity.assumed import CHECK_IN_BYTES, CONNECTION_BYTES, DOWNLOAD_S, RECORDS_DAYS
from fedbert.planning.capacity.world import PLAIN, World
from fedbert.results import DeviceErrors
from fedbert.units import HOURS_PER_DAY

HOURS = int(HOURS_PER_DAY)

Label = Literal["measured", "modelled"]

Rule = Literal["a Gaussian a round", "a Gaussian a day", "correlated", "tree", "the command"]
"""What epsilon follows from: the sensitivity of one Gaussian, or an account that only the command makes."""

Schedule = Literal["steady", "run"]
"""Releases at even times, or when they were due in the run that the forecast starts from."""


@dataclass(frozen=True)
class Plan:
    """What is planned for; None takes the run's own figure, see `fedbert.planning.capacity.load.resolved`."""

    devices: int
    release_bits_per_s: float
    reports_per_round: int
    rounds_per_day: float
    releases_per_day: float
    release_hour: float
    over_selection: float
    model_spread: float
    seed: int = 0
    schedule: Schedule = "steady"
    sessions_per_day: float | None = None  # a phone
    download_bytes: float | None = None  # of one release, as it is downloaded
    check_in_bytes: float = CHECK_IN_BYTES  # each way
    connection_bytes: float = CONNECTION_BYTES  # each way
    releases_kept: int | None = None  # None: every one of a year
    records_days: float = RECORDS_DAYS
    download_s: float = DOWNLOAD_S  # for which a download is open
    world: World = PLAIN


@dataclass(frozen=True)
class BaseFacts:
    """What a forecast says of the run that it starts from."""

    name: str
    seed: int
    commit: str | None
    devices: int
    days: float
    rounds: int
    rounds_per_day: float
    releases_per_day: float
    sampling_probability: float
    release_bytes: float
    report_bytes: float
    seen_share: float  # largest share of the fetching devices that one release reached
    tier_ndcg: dict[str, list[float | None]]  # in the order of `fedbert.comparison.TIER_COLUMNS`
    device_errors: DeviceErrors | None = None


@dataclass(frozen=True)
class Forecast:
    """One figure with what it rests on."""

    name: str
    unit: str
    estimate: Estimate
    label: Label
    assumption: str
    hour: int | None = None
    tier: str | None = None
    note: str = ""  # why there is no figure, or what its interval is held by


@dataclass(frozen=True)
class Curve:
    """A figure by time of a roll-out or by hour: value, low and high `[point]`."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Guarantee:
    """What the plan reveals to one adversary: proved."""

    adversary: str
    epsilons: tuple[float, ...]  # after `fedbert.planning.budget.plan.HORIZON_DAYS`
    budget_epsilon: float | None  # after the days of the budget


@dataclass(frozen=True)
class PrivacyPlan:
    """The run's mechanism and noise at the plan's cohort; None and a `why` for what is not known."""

    mechanism: str
    noise_multiplier: float | None
    delta: float
    guarantees: tuple[Guarantee, ...]  # weakest adversary first
    why: str
    budget_epsilon: float | None
    budget_days: float | None
    spent_epsilon: float | None  # in those days, against the budget's adversary
    quality: Estimate | None  # nDCG@10 of the final release: measured
    quality_why: str
    loss: Reading | None = None  # nDCG@10 against no privacy, from a grid; None: no grid was given


@dataclass(frozen=True)
class Alert:
    """What the plan does not carry: its number beside the limit, and the flag to change."""

    name: str
    unit: str
    value: float
    limit: float
    change: str
    text: str


@dataclass(frozen=True)
class Met:
    """A goal that the plan meets: what the best guess comes to, and the flags that were found for it."""

    goal: str
    value: float
    found: str


@dataclass(frozen=True)
class Price:
    """A number of the prices file as it was used."""

    name: str
    value: float
    date: str
    source: str
    above_tb_per_month: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class ServerFacts:
    """Whose measured costs the plan's servers rest on, and how busy they may be."""

    said: str
    utilisation: float


@dataclass(frozen=True)
class TierBasis:
    """What a device of one tier spent in the run, as far as the plan changes it."""

    name: str
    share: float  # of the run's devices
    session_ms: float  # a day
    install_ms: float  # a day
    installs_per_day: float
    mah_per_day: float
    battery_percent_per_day: float
    energy_mj_per_day_by: dict[str, float]  # by `fedbert.results.ENERGY_USES`; empty where it was not kept


@dataclass(frozen=True)
class GuaranteeBasis:
    """How epsilon against one adversary follows from the plan: by a formula, or only by the command."""

    adversary: str
    rule: Rule


@dataclass(frozen=True)
class PrivacyBasis:
    """The run's noise, for epsilons at another plan."""

    noise_multiplier: float
    delta: float | None  # as asked for; None: by the fleet
    guarantees: list[GuaranteeBasis]


@dataclass(frozen=True)
class ServerBasis:
    """What servers follow from: the calibration's figures, and what the plan keeps."""

    costs: dict[str, float]  # means, by `fedbert.planning.capacity.calibration.UNITS`
    report_bytes: float  # of the calibration: memory of a report is of that size
    cores: int  # of one machine
    memory_bytes: float  # of one machine
    download_s: float
    releases_kept: int | None
    records_days: float
    record_bytes_per_round: float


@dataclass(frozen=True)
class Basis:
    """The best guess of the run's shares, rates and sizes: with a plan, what the plan's figures follow from.

    The report computes figures of another plan from it (`capacity.js.j2`).
    """

    control_share: float
    once_a_day: bool  # a device joins one round a day at most
    moved_ratio: float  # bytes moved for a download over those of a release
    moved_bytes: float  # of one download
    download_attempts: float
    upload_attempts: float
    sessions_per_day: float  # a device, as the next two
    downloads_per_day: float
    reports_per_day: float
    eligible: list[float]  # [24]
    fetch_rate: list[float]  # [24] fetches an hour of a device behind that is often connected
    frailty: list[float]  # share of the devices that seldom are, and their rate over that of the others
    reporting: list[float]  # [24] reports of a round over the devices that join it
    report_share: float  # the mean of it that the cohort is planned with
    due_hours: list[float]  # of the releases that the run made, since it began
    early_downloads: list[float]  # [24] a mean day and device, by local hour: of release 0
    tiers: list[TierBasis]
    waits: bool  # a day's rounds are opened as one sum
    round_spread: float  # relative standard deviation of a round's reports beyond chance
    privacy: PrivacyBasis | None  # None: not private, or phones add the noise
    servers: ServerBasis | None  # None: without a calibration


@dataclass(frozen=True)
class CapacityForecast:
    """All figures of one forecast, and the curves of its plots."""

    run: BaseFacts
    plan: Plan
    sampling_probability: float
    forecasts: tuple[Forecast, ...]
    rollout_hours: Array  # [point] hours since the release, four points an hour
    rollout: Curve  # share of the fetching devices
    rollout_without_cap: Curve
    privacy: PrivacyPlan
    alerts: tuple[Alert, ...]
    goals: tuple[Met, ...] = ()
    prices: tuple[Price, ...] = ()
    priced_by: str = ""  # whose prices they are, of which region and days
    servers: ServerFacts | None = None
    basis: Basis | None = None  # None: from before it was kept, a mechanism of the user's own, or a world
    rollout_stopped: Curve | None = None  # share that has a release that is stopped; None: none is

    def find(self, name: str, hour: int | None = None, tier: str | None = None) -> Forecast:
        """Return the forecast of that name; raises KeyError if there is none."""
        for forecast in self.forecasts:
            if (forecast.name, forecast.hour, forecast.tier) == (name, hour, tier):
                return forecast
        raise KeyError((name, hour, tier))

    def by_hour(self, name: str) -> Curve:
        """Return the hourly figures of that name, `[24]`."""
        rows = [self.find(name, hour).estimate for hour in range(HOURS)]
        return Curve(
            np.array([row.value for row in rows]),
            np.array([row.value if row.low is None else row.low for row in rows]),
            np.array([row.value if row.high is None else row.high for row in rows]),
        )
