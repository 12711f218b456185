"""What a capacity forecast takes from a finished run: shares, rates and sizes, and the counts behind them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.comparison import tier_ndcg
from fedbert.errors import FedbertError
from fedbert.parts import AUTO
from fedbert.planning.capacity.metered_links import MeteredLinks, metered_links
from fedbert.planning.capacity.run_groups import run_groups
from fedbert.planning.capacity.run_privacy import RunPrivacy, gathering, run_privacy
from fedbert.planning.capacity.run_releases import RunReleases, run_releases, window_hours
from fedbert.results import DeviceErrors, RoundRow, RunResult, TierRow, load_run
from fedbert.scenario import DEFAULTS
from fedbert.units import HOURS_PER_DAY

BYTES_PER_WORD = 4
"""A masked report is a vector of 32-bit words (sums mod 2^32)."""

SCORED = "scored"
"""The outcome of a session that was answered in time (`fedbert.devices.cost_model.Outcome`)."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tier:
    """Figures of one device tier of the run; see `fedbert.results.TierRow`."""

    name: str
    devices: int
    sessions: int  # learning and evaluation
    installs: float  # in the whole run
    reports: float  # in the whole run
    scored_share: float
    device_ms_per_day: float
    mah_per_day: float
    battery_percent_per_day: float
    energy_mj_per_session: float | None
    energy_mj_per_round: float | None  # None for runs from before it was kept
    energy_mj_per_day_by: Mapping[str, float]  # by `fedbert.results.ENERGY_USES`; empty as above
    installs_per_day: float  # a device
    install_ms_per_day: float
    ndcg: tuple[float | None, ...]  # in the order of `fedbert.comparison.TIER_COLUMNS`
    groups: Mapping[str, Array]  # [group] by `fedbert.results.GROUP_SUMS`; empty as above


@dataclass(frozen=True)
class FetchWindows:
    """Who could have fetched the newest release in each round's window, and who did."""

    behind: Array  # [window] devices without the newest release when the window opened
    fetched: Array  # [window]
    before: Array  # [window, 24] hours since the release, by local hour, when the window opened
    after: Array  # [window, 24] the same when it closed


@dataclass(frozen=True)
class BaseRun:
    """The run a forecast starts from."""

    name: str
    seed: int
    commit: str | None
    devices: int
    days: float
    rounds_per_day: float
    releases_per_day: float
    sampling_probability: float  # accounted q of the run, over-selection included
    control_share: float
    sessions_per_day: float  # a device
    scored_share: float
    release_bytes: float
    coded_bytes: float | None  # of the last release, entropy coded; None for a run from before it was kept
    moved_bytes: float  # of one download, repeated ones included
    report_bytes: float  # the same of one report
    download_attempts: float  # for one download
    upload_attempts: float  # for one report
    downloads_per_day: float  # a device
    reports_per_day: float  # a device
    eligible: Array  # [24] share of the fleet by local hour
    unmetered: Array  # [24]
    session_share: Array  # [24] of the day's sessions
    fetch: FetchWindows
    cohort: Array  # [round]
    cohort_eligible: Array  # [round]
    completed: Array  # [round]
    reported: Array  # [round]
    round_hours_of_day: Array  # [round, 24] hours of the round's window in each local hour
    waits: bool  # whether a device that joined and could not report may do so in a later round
    releases: RunReleases
    privacy: RunPrivacy
    tiers: tuple[Tier, ...]
    metered: MeteredLinks
    device_errors: DeviceErrors | None = None
    record_bytes_per_round: float = 0.0  # of run.json

    @property
    def report_words(self) -> float:
        """Numbers in one report."""
        return self.report_bytes / BYTES_PER_WORD

    @property
    def report_share(self) -> Array:
        """Reports that a round of that local hour gets, over the devices that join a round: `[24]`.

        Where devices wait for a later round it is taken from the run's rounds as they were.
        """
        if not self.waits:
            return np.asarray(self.eligible * (self.completed.sum() / self.cohort_eligible.sum()))
        hours = self.round_hours_of_day
        joining = self.sampling_probability * self.devices
        seen = hours.sum(axis=0)
        by_hour = (self.completed / joining) @ hours / np.where(seen > 0, seen, 1.0)
        # Hours that the run did not cover have the mean of those that it did.
        return np.where(seen > 0, by_hour, self.completed.mean() / joining)

    @property
    def seen_share(self) -> float:
        """The largest share of the fetching devices that one release reached in the run."""
        treated = self.devices * (1 - self.control_share)
        return float(np.max(1 - (self.fetch.behind - self.fetch.fetched) / treated))


def read_base_run(folder: Path) -> BaseRun:
    """Return the forecast's view of a run folder.

    Raises FedbertError if the folder is missing, not a run, unfinished or too small to forecast from.
    """
    if not folder.is_dir():
        raise FedbertError(f"from(={str(folder)!r}) must be the folder of a finished run; check the path")
    result = load_run(folder)
    try:
        return base_of(result)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FedbertError(
            f"{folder / 'run.json'} must be a whole run's, and is not ({type(error).__name__}: {error}); "
            "run the scenario again"
        ) from None


def base_of(result: RunResult) -> BaseRun:
    """Return the forecast's view of `result`.

    Raises FedbertError if it is unfinished or too small, or if no device fetched a release in it.
    """
    if result["status"] != "finished":
        raise FedbertError(
            f"run {result['name']!r} must be finished (it says {result['status']!r}); run it to its end first"
        )
    if result["scenario"].get("model") == AUTO:
        raise FedbertError(
            f"run {result['name']!r} must have one size of the model to forecast from, and has several "
            "(--model auto); run it with one of them"
        )
    rounds = [row for row in result["rounds"] if row["round"] > 0]
    # Its reports are those that a closing let in: they do not grow with the fleet.
    if any("round_s" in row for row in rounds):
        raise FedbertError(
            f"run {result['name']!r} must take every report of its rounds to forecast from, and closed them "
            "by the clock; run it without --round-deadline-s, --buffer-reports and --target-reports"
        )
    if result["scenario"].get("selection", DEFAULTS.selection) != DEFAULTS.selection:
        raise FedbertError(
            f"run {result['name']!r} must ask whom the mechanism's coins draw to forecast from, and had a "
            f"selection; run it without --selection {result['scenario']['selection']}"
        )
    completed = np.array([row["completed"] for row in rounds], np.float64)
    if completed.sum() < 1:
        raise FedbertError(
            f"run {result['name']!r} must have completed reports to forecast from; use more devices or rounds"
        )
    scenario = result["scenario"]
    round_hours = float(scenario["round_hours"])
    fetch = _fetch_windows(
        result["rounds"], int(scenario["devices"]), float(scenario["control_share"]), round_hours
    )
    # The roll-out rests on the rate of fetching: without any it would be a guess with an interval.
    if fetch.fetched.sum() < 1:
        raise FedbertError(
            f"run {result['name']!r} has no release that a device fetched ({len(rounds)} rounds, a release "
            f"every {scenario['release_every']}), so no roll-out to forecast from; use more rounds or a "
            "smaller --release-every"
        )
    days = len(rounds) * round_hours / HOURS_PER_DAY
    devices = int(scenario["devices"])
    windows = np.array([window_hours(row["hour"], round_hours) for row in rounds])
    downloads = float(sum(row["downloads"] for row in rounds))
    fetched_a_day = downloads / devices / days
    tiers = tuple(_tier(result, name, row, fetched_a_day, days) for name, row in result["tiers"].items())
    sessions = sum(tier.sessions for tier in tiers)
    if not sessions:
        raise FedbertError(
            f"run {result['name']!r} must have sessions to forecast from, and has none; use more devices"
        )
    gathered = gathering(result)
    released = sum(row["released"] is not None and row["released"] > 0 for row in rounds)
    hours = sorted(result["hours"], key=lambda row: row["hour"])
    if [row["hour"] for row in hours] != list(range(int(HOURS_PER_DAY))):
        raise ValueError("hours must be the 24 of a day")
    return BaseRun(
        name=result["name"],
        seed=int(result["seed"]),
        commit=result["commit"],
        devices=devices,
        days=days,
        rounds_per_day=HOURS_PER_DAY / round_hours,
        releases_per_day=released / days,
        sampling_probability=float(result["privacy"]["sampling_probability"]),
        control_share=float(scenario["control_share"]),
        sessions_per_day=float(scenario["sessions_per_day"]),
        scored_share=sum(tier.scored_share * tier.sessions for tier in tiers) / sessions,
        release_bytes=float(result["model"]["bytes"]),
        coded_bytes=_coded_bytes(result),
        moved_bytes=sum(row["bytes_down"] for row in rounds) / downloads,
        report_bytes=sum(row["bytes_up"] for row in rounds) / float(completed.sum()),
        download_attempts=_attempts(result["traffic"].get("download_attempts"), downloads),
        upload_attempts=_attempts(result["traffic"].get("upload_attempts"), float(completed.sum())),
        downloads_per_day=fetched_a_day,
        reports_per_day=float(completed.sum()) / devices / days,
        eligible=np.array([row["eligible"] for row in hours], np.float64),
        unmetered=np.array([row["unmetered"] for row in hours], np.float64),
        session_share=np.array([row["sessions"] for row in hours], np.float64),
        fetch=fetch,
        cohort=np.array([row["cohort"] for row in rounds], np.float64),
        cohort_eligible=np.array([row["eligible"] for row in rounds], np.float64),
        completed=completed,
        reported=np.array([row["reported"] for row in rounds], np.float64),
        round_hours_of_day=windows,
        waits=gathered(1) != 1,
        privacy=run_privacy(result),
        releases=run_releases(rounds, int(scenario["release_every"]), round_hours, gathered),
        tiers=tiers,
        metered=metered_links(result, hours),
        device_errors=result.get("device_errors"),
        record_bytes_per_round=sum(len(json.dumps(row)) for row in rounds) / len(rounds),
    )


def _coded_bytes(result: RunResult) -> float | None:
    size = result["model"].get("final_coded_bytes")
    if size is not None and size < 1:
        raise ValueError("model.final_coded_bytes must be >= 1")
    return None if size is None else float(size)


def _attempts(attempts: int | None, done: float) -> float:
    """Return attempts per transfer that was done; 1 for a run from before they were kept."""
    return max(1.0, (attempts or done) / done)


def _tier(result: RunResult, name: str, row: TierRow, downloads_per_day: float, days: float) -> Tier:
    sessions = sum(row["outcomes"].values())
    installs = row.get("installs_per_day", downloads_per_day)
    share = row["devices"] / result["scenario"]["devices"]
    taking_part = row.get("taking_part")
    if taking_part is None:
        reports = share * sum(each["completed"] for each in result["rounds"])
    else:
        reports = taking_part["completed"]
    return Tier(
        name=name,
        devices=row["devices"],
        sessions=sessions,
        installs=installs * row["devices"] * days,
        reports=reports,
        scored_share=row["outcomes"][SCORED] / max(1, sessions),
        device_ms_per_day=row["device_ms_per_day"],
        mah_per_day=row["mah_per_day"],
        battery_percent_per_day=row["battery_percent_per_day"],
        energy_mj_per_session=row.get("energy_mj_per_session"),
        energy_mj_per_round=row.get("energy_mj_per_round"),
        energy_mj_per_day_by=row.get("energy_mj_per_day_by", {}),
        installs_per_day=installs,
        install_ms_per_day=min(installs * (row["install_ms"] or 0.0), row["device_ms_per_day"]),
        ndcg=tuple(tier_ndcg(result, name)),
        groups=run_groups(row),
    )


def _installed(row: RoundRow, release: int) -> int:
    return row["installed"].get(str(release), 0)


def _fetch_windows(
    rounds: list[RoundRow], devices: int, control_share: float, round_hours: float
) -> FetchWindows:
    """Return the windows in which a release later than 0 was offered; the control group never fetches it."""
    treated = devices * (1 - control_share)
    behind: list[float] = []
    fetched: list[float] = []
    before: list[Array] = []
    after: list[Array] = []
    newest = 0
    exposure = np.zeros(int(HOURS_PER_DAY))
    for last, row in pairwise(rounds):
        if last["released"]:
            newest, exposure = last["released"], np.zeros(int(HOURS_PER_DAY))
        if newest > 0:
            fetched.append(float(row["downloads"]))
            behind.append(max(treated - _installed(last, newest), fetched[-1]))
            before.append(exposure)
            exposure = exposure + window_hours(row["hour"], round_hours)
            after.append(exposure)
    shape = (-1, int(HOURS_PER_DAY))
    return FetchWindows(
        np.array(behind), np.array(fetched), np.array(before).reshape(shape), np.array(after).reshape(shape)
    )
