"""What of a run's traffic went over metered links, from its setting and its shares by hour. Modelled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedbert.intervals import Array
from fedbert.results import HourRow, RunResult


@dataclass(frozen=True)
class MeteredLinks:
    """Shares on metered links; 0 where a run allows none, or is from before they were kept."""

    fetching: bool  # whether phones fetch releases there
    downloads: Array  # [24] of the fetches of a local hour
    reports: Array  # [24] of the reports


def metered_links(result: RunResult, hours: Sequence[HourRow]) -> MeteredLinks:
    """Return what a run says; `hours` are its rows in order."""
    allowed = result["scenario"].get("metered", "never")
    downloads, reports = np.zeros(len(hours)), np.zeros(len(hours))
    for place, row in enumerate(hours):
        if allowed == "always" and row.get("online"):
            downloads[place] = 1 - row["unmetered"] / row["online"]
        if allowed != "never" and "eligible_unmetered" in row and row["eligible"]:
            reports[place] = 1 - row["eligible_unmetered"] / row["eligible"]
    return MeteredLinks(allowed == "always", downloads, reports)
