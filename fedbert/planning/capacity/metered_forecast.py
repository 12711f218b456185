"""What of the plan's traffic goes over metered links, which some users pay for by the byte."""

import numpy as np

from fedbert.intervals import Array, from_draws
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.rollout import per_step, usual_by_group

_DOWN = (
    "phones that may fetch on a metered link do so as quickly as on an unmetered one; a usual day; what a "
    "byte costs of the battery stays the run's"
)
_UP = "reports of phones on a metered link, as the run lets them; by hour as often as there"


def metered(load: Load) -> list[Forecast]:
    """Return shares and bytes of downloads and reports on metered links; none where none is allowed."""
    devices, rows = load.plan.devices, []
    if load.draws.metered.any() and load.plan.schedule == "steady":
        share = _downloads(load)
        down = share * load.downloads_per_day * load.bytes_per_download / devices
        rows += [
            ("share of downloads", "share", share, _DOWN),
            ("bytes down per phone and day", "bytes", down, _DOWN),
        ]
    if load.draws.metered_reporting.any():
        share = load.draws.metered_reporting.mean(axis=1) / load.draws.reporting.mean(axis=1)
        up = share * load.reports_per_day * load.base.report_bytes / devices
        rows += [
            ("share of reports", "share", share, _UP),
            ("bytes up per phone and day", "bytes", up, _UP),
        ]
    return [
        Forecast(f"metered links: {name}", unit, from_draws(draws), "modelled", assumption)
        for name, unit, draws, assumption in rows
    ]


def _downloads(load: Load) -> Array:
    """Return `[draw]` the share of a usual day's downloads on metered links, by hour and group."""
    plan, draws = load.plan, load.draws
    served = usual_by_group(
        load.fetching,
        per_step(plan.release_bits_per_s, load.bytes_per_download),
        draws.fetch_rate,
        draws.frailty,
        plan.release_hour,
        plan.releases_per_day,
        load.groups,
    ).sum(axis=0)
    return np.asarray((served * draws.metered.T).sum(axis=0) / np.maximum(served.sum(axis=0), 1e-12))
