"""What a plan does not carry: each with its number, the limit, and the flag to change."""

import numpy as np

from fedbert.intervals import Array
from fedbert.planning.capacity.capacity import Alert, PrivacyPlan
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.privacy_forecast import SLACK, largest_probability
from fedbert.planning.capacity.rollout import STEP_S, STEPS_PER_HOUR
from fedbert.planning.capacity.round_forecast import rounds_filled
from fedbert.planning.capacity.traffic_forecast import hours_at_cap
from fedbert.units import BITS_PER_BYTE, HOURS_PER_DAY

LEAST_FILLED = 0.95
LEAST_ROLLED_OUT = 0.9
_STEPS = 40
"""Halvings of a search: to a millionth of a millionth of where it begins."""


def alerts(load: Load, reached: Array, privacy: PrivacyPlan) -> tuple[Alert, ...]:
    """Return what the best guess of the plan does not carry.

    `reached` `[draw, step + 1]` are the devices that have one release by time, under the cap.
    """
    found = (_link(load), _rounds(load), _releases(load, reached), _budget(privacy))
    return tuple(alert for alert in found if alert is not None)


def _link(load: Load) -> Alert | None:
    hours = float(hours_at_cap(load)[0])
    if hours <= 0:
        return None
    busiest = load.asked[0].max() / STEP_S * load.bytes_per_download * BITS_PER_BYTE / 1e6
    return Alert(
        "link full",
        "hours",
        hours,
        0.0,
        f"--release-mbit-per-s {np.ceil(busiest):.0f}",
        f"Downloads fill the link of {load.plan.release_bits_per_s / 1e6:,.0f} Mbit/s for {hours:.3g} of 24 "
        f"hours. {busiest:,.0f} Mbit/s carry the busiest five minutes as they are asked for.",
    )


def _rounds(load: Load) -> Alert | None:
    filled = rounds_filled(load, load.sampling_probability)
    if filled >= LEAST_FILLED:
        return None
    over, wanted = load.plan.over_selection, load.plan.reports_per_round
    needed = over_selection_for(load, LEAST_FILLED)
    if needed is None:
        change, text = (
            "--reports-per-round",
            "No over-selection fills 95%: no cohort is large enough.",
        )
    else:
        change, text = f"--over-selection {needed:.3g}", f"An over-selection of {needed:.3g} fills 95%."
    return Alert(
        "rounds that do not fill",
        "share",
        1 - filled,
        1 - LEAST_FILLED,
        change,
        f"{100 * (1 - filled):.1f}% of the rounds do not get {wanted:,} reports at an over-selection of "
        f"{over:g}. {text}",
    )


def over_selection_for(load: Load, share: float) -> float | None:
    """Return the least over-selection, to three digits, with which `share` of the rounds fill; None: none."""
    each = load.plan.devices * float(load.base.report_share.mean()) / load.plan.reports_per_round
    low, high = 0.0, largest_probability(load.base, load.plan)
    if rounds_filled(load, high) < share:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rounds_filled(load, middle) >= share else (middle, high)
        if high - low <= 1e-4 * high:
            break
    size = 10.0 ** (np.floor(np.log10(high * each)) - 2)
    return float(np.ceil(high * each / size) * size)


def _releases(load: Load, reached: Array) -> Alert | None:
    gap_hours = HOURS_PER_DAY / max(float(load.releases_per_day[0]), 1e-9)
    step = round(gap_hours * STEPS_PER_HOUR)
    if step >= reached.shape[1]:
        return None
    share = float(reached[0, step] / load.fetching)
    if share >= LEAST_ROLLED_OUT:
        return None
    return Alert(
        "releases faster than the roll-out",
        "share",
        share,
        LEAST_ROLLED_OUT,
        "--releases-per-day" if load.plan.schedule == "steady" else "--release-every of the run",
        f"{100 * share:.1f}% of the phones that fetch have a release when the next one comes, "
        f"{gap_hours:.3g} hours later.",
    )


def _budget(privacy: PrivacyPlan) -> Alert | None:
    spent, allowed, days = privacy.spent_epsilon, privacy.budget_epsilon, privacy.budget_days
    if spent is None or allowed is None or days is None or spent <= allowed * (1 + SLACK):
        return None
    over = "a day" if days == 1 else f"{days:g} days"
    return Alert(
        "budget spent",
        "epsilon",
        spent,
        allowed,
        "--rounds-per-day, --reports-per-round or --epsilon of the run",
        f"The plan comes to epsilon {spent:.3g} in {over}, and {allowed:g} were allowed.",
    )
