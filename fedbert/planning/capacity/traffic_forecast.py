"""Bytes and roll-outs of the larger fleet: a day's downloads and reports, and how a release reaches it."""

import numpy as np

from fedbert.intervals import Array, Estimate, from_draws
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.rollout import bits_per_s
from fedbert.units import HOURS_PER_DAY, S_PER_DAY, S_PER_HOUR

ROLLOUT_SHARES = (0.5, 0.9, 0.95, 0.99)

BEYOND_THE_RUN = "beyond what the run saw"
FULL = 1e-6
"""Headroom below which the link is full: that of rounding."""

_DOWN = (
    "devices fetch whole releases at the run's pace, under the cap, and repeat as often as there; one that "
    "missed a release fetches only the newest"
)
_UP = "every completed device of a cohort sends one dense masked report of the run's size, repeats included"


def with_chance(rng: np.random.Generator, means: Array) -> Array:
    """Return Poisson counts around `means` `[draw, ...]`; row 0, the best guess, stays as it is."""
    counts = rng.poisson(means).astype(np.float64)
    counts[0] = means[0]
    return counts


def traffic(load: Load, rng: np.random.Generator) -> list[Forecast]:
    """Return releases, downloads, reports, check-ins and bytes of a day, of the fleet and of a phone."""
    plan, base = load.plan, load.base
    most = load.fetching * load.releases_per_day + load.early.sum(axis=1)
    fetched = np.minimum(with_chance(rng, load.downloads_per_day), most)
    sent = with_chance(rng, load.reports_per_day)
    check_ins = with_chance(rng, load.check_ins.mean(axis=1) * plan.rounds_per_day)
    made = (
        "as planned: every release that is offered is made"
        if plan.schedule == "steady"
        else "releases due as in the run, each let through with the chance that the run's gate shows"
    )
    asks = "a device checks in once per round while it is eligible"
    transfers = fetched * base.download_attempts + sent * base.upload_attempts
    egress = fetched * load.bytes_per_download
    extra = check_ins * plan.check_in_bytes + transfers * plan.connection_bytes
    return [
        _row("releases per day", "releases", load.releases_per_day, made),
        _row("downloads per day", "downloads", fetched, _DOWN, _held_by_cap(load)),
        _row("egress per day", "bytes", egress, _DOWN, _held_by_cap(load)),
        *_in_vain(load, fetched),
        _row("reports per day", "reports", sent, _UP),
        _row("ingress per day", "bytes", sent * base.report_bytes, _UP),
        _row("check-ins per day", "check-ins", check_ins, asks),
        _row(
            "check-in and TLS bytes, each way",
            "bytes",
            extra,
            f"{plan.check_in_bytes:,.0f} bytes a check-in and {plan.connection_bytes:,.0f} a transfer, each "
            "way: assumed",
        ),
        _row("downloads per phone and day", "downloads", fetched / plan.devices, _DOWN),
        _row(
            "bytes down per phone and day", "bytes", fetched * load.bytes_per_download / plan.devices, _DOWN
        ),
        _row("bytes up per phone and day", "bytes", sent * base.report_bytes / plan.devices, _UP),
    ]


def _in_vain(load: Load, fetched: Array) -> list[Forecast]:
    """Return what interrupted downloads cost a day, and with it what range requests would save."""
    base, size = load.base, load.release_bytes
    over = "an interrupted download starts over, as in the run; with range requests, of which there would be "
    over += "as many, it would go on from where it ended"
    return [
        _row("downloads started over per day", "requests", fetched * (base.download_attempts - 1), over),
        _row("bytes moved in vain per day", "bytes", fetched * (load.bytes_per_download - size), over),
    ]


def rollouts(load: Load, hours_to_share: dict[float, Array]) -> list[Forecast]:
    """Return the arithmetic of one release, the hours to shares of the fleet, and the link's headroom."""
    plan = load.plan
    bytes_each = load.release_bytes_of_all
    mean = bits_per_s(plan.devices, bytes_each, S_PER_DAY)
    plain = "plain arithmetic: every device fetches one release, evenly over 24 hours"
    once = plan.devices * bytes_each
    least = mean * S_PER_DAY / plan.release_bits_per_s / S_PER_HOUR
    peak = load.asked_downloads.max(axis=1) / S_PER_HOUR
    return [
        Forecast(
            "egress, one release to all devices",
            "bytes",
            _exact(once),
            "measured",
            plain,
        ),
        *_coded(load),
        Forecast("egress, one release in 24 h", "bit/s", _exact(mean), "measured", plain),
        Forecast("minimum hours under the cap", "hours", _exact(least), "measured", plain),
        *(_hours_to(load, share, hours) for share, hours in hours_to_share.items()),
        _row(
            "peak egress without a cap",
            "bit/s",
            peak * load.bytes_per_download * 8,
            "peak hour of a usual day if every device that asks is served at once",
        ),
        _row(
            "egress headroom, peak hour",
            "share",
            headroom(load),
            "what downloads leave free of the cap in the peak hour of a usual day; 0 if the cap binds",
            _held_by_cap(load),
        ),
        _row(
            "hours a day at the cap",
            "hours",
            hours_at_cap(load),
            "five-minute steps of a usual day in which downloads fill the cap",
        ),
    ]


def _coded(load: Load) -> list[Forecast]:
    """Return the egress of a release if it is fetched entropy coded; nothing where that size is not known."""
    if load.base.coded_bytes is None:
        return []
    said = "as above, entropy coded: the run's last release; each phone decodes it, which no figure counts"
    once = _exact(load.plan.devices * load.base.coded_bytes)
    return [Forecast("egress, one release to all devices, coded", "bytes", once, "measured", said)]


def headroom(load: Load) -> Array:
    """Return `[draw]` what downloads leave of the cap in the peak hour."""
    busiest = bits_per_s(1, load.bytes_per_download, S_PER_HOUR) * load.downloads.max(axis=1)
    left = 1.0 - busiest / load.plan.release_bits_per_s
    return np.where(left > FULL, left, 0.0)


def hours_at_cap(load: Load) -> Array:
    """Return `[draw]` hours of a mean day in which downloads fill the cap."""
    step_bits = load.served * (load.bytes_per_download * 8 / 300.0)
    full = step_bits >= load.plan.release_bits_per_s * (1 - FULL)
    return np.asarray(full.mean(axis=1) * HOURS_PER_DAY)


def _hours_to(load: Load, share: float, hours: Array) -> Forecast:
    name, seen = f"hours to {share:.0%}", load.base.seen_share
    world = load.plan.world
    link = "unmetered network, or allowed on another" if world.metered_share else "unmetered network"
    wait = (
        f"devices ask when on an {link}, at the rate and with the differences between devices of "
        "the run, and wait their turn under the cap; the control group is left out"
        f"{'; stages as planned' if world.stages else ''}"
    )
    if share <= seen:
        return _row(name, "hours", hours, wait, _held_by_cap(load))
    note = f"{BEYOND_THE_RUN}: a release reached {100 * seen:.1f}% at most"
    return Forecast(name, "hours", Estimate(np.nan, None, None), "modelled", wait, note=note)


def _held_by_cap(load: Load) -> str:
    """Return the note of what is held by the cap: where that is so in the best guess and in most draws."""
    full = load.downloads.sum(axis=1) < load.asked_downloads.sum(axis=1) * (1 - 1e-3)
    full |= hours_at_cap(load) > 0
    if not full[0] or full.mean() < 0.975:
        return ""
    return f"the cap binds: {load.plan.release_bits_per_s / 1e6:,.0f} Mbit/s"


def _row(name: str, unit: str, draws: Array, assumption: str, note: str = "") -> Forecast:
    estimate = from_draws(draws)
    return Forecast(name, unit, estimate, "modelled", assumption, note=note if _closed(estimate) else "")


def closed_by_cap(load: Load, estimate: Estimate) -> str:
    """Return the note of a figure whose interval has closed because the cap decides it, or nothing."""
    return _held_by_cap(load) if _closed(estimate) else ""


def _closed(estimate: Estimate) -> bool:
    """Return whether an interval is too narrow to speak for itself."""
    return (estimate.high or 0.0) - (estimate.low or 0.0) <= 0.02 * abs(estimate.value)


def _exact(value: float) -> Estimate:
    return Estimate(value, None, None)
