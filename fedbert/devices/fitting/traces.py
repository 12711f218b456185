"""From traces of throughput to the spread of a link: between units (lines, rides), and between transfers.

A trace is read as a phone would live through it: one file after the other is downloaded, and each download is
one transfer with one mean rate. No second is left out: a silent one lengthens the transfer it lies in. The
variance of the logarithm of these rates is split into that between units and that within a unit by a one-way
analysis of variance with random effects (moment estimates for groups of unequal size: Searle, Casella and
McCulloch 1992, chapter 3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fedbert.devices.fleet import Floats
from fedbert.units import BITS_PER_BYTE


class Spread(NamedTuple):
    """Mean of each unit `[unit]`, and the standard deviations between and within units."""

    means: Floats
    between: float
    within: float


class LinkFacts(NamedTuple):
    """What the traces of one kind of link say, of transfers; `sigma_moments` is of single points."""

    units: int
    transfers: int
    transfer_bytes: int
    unit_kbit_per_s_p10: float
    unit_kbit_per_s_p50: float
    unit_kbit_per_s_p90: float
    sigma_between_units: float
    sigma_within_transfers: float
    sigma_moments: float


def transfer_rates(seconds: Floats, mbit_per_s: Floats, size_bytes: int) -> Floats:
    """Return the mean rates `[transfer]` (Mbit/s) of downloads of `size_bytes`, one after the other.

    `seconds`, `mbit_per_s` `[point]`, two points or more: a rate holds until the next point, the last one for
    the usual step. What is left at the end, less than a whole download, is left out.
    """
    ends = np.append(seconds, seconds[-1] + np.median(np.diff(seconds)))
    moved_mbit = np.concatenate([[0.0], np.cumsum(mbit_per_s * np.diff(ends))])
    one_mbit = size_bytes * BITS_PER_BYTE / 1e6
    edges = one_mbit * np.arange(int(moved_mbit[-1] / one_mbit + 1e-9) + 1)
    return np.asarray(one_mbit / np.diff(np.interp(edges, moved_mbit, ends)))


def spread(groups: Sequence[Floats]) -> Spread:
    """Return the split of the variance of `groups`: one array `[value]` per unit, two or more, none empty.

    With n_i values in unit i, N in all and k units: within = MSW, between = (MSB - MSW) / n_0, not below 0,
    with n_0 = (N - sum n_i^2 / N) / (k - 1).
    """
    sizes = np.array([len(group) for group in groups], np.float64)
    means = np.array([group.mean() for group in groups])
    total, freedom = sizes.sum(), len(groups) - 1
    middle = (sizes * means).sum() / total
    inside = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / (total - len(groups))
    outside = float((sizes * (means - middle) ** 2).sum()) / freedom
    usual = (total - (sizes**2).sum() / total) / freedom
    return Spread(means, float(np.sqrt(max(outside - inside, 0.0) / usual)), float(np.sqrt(inside)))


def link_facts(traces: Sequence[Floats], size_bytes: int) -> LinkFacts:
    """Return the facts of one kind of link from its units' `traces`, each `[point, (seconds, Mbit/s)]`.

    A unit with less than one whole transfer is left out. `sigma_moments` is the spread of single points of
    all units; a silent point has no logarithm and is left out there, and only there.
    """
    rates = [transfer_rates(trace[:, 0], trace[:, 1], size_bytes) for trace in traces]
    rates = [rate for rate in rates if len(rate)]
    transfers = spread([np.log(rate) for rate in rates])
    moments = spread([np.log(trace[trace[:, 1] > 0, 1]) for trace in traces])
    p10, p50, p90 = (float(value) for value in 1e3 * np.exp(np.quantile(transfers.means, [0.1, 0.5, 0.9])))
    return LinkFacts(
        len(rates),
        sum(map(len, rates)),
        size_bytes,
        round(p10, 1),
        round(p50, 1),
        round(p90, 1),
        round(transfers.between, 4),
        round(transfers.within, 4),
        round(float(np.hypot(moments.between, moments.within)), 4),
    )
