"""The aggregator: masks, the cohort's count, thresholds and the noise. It alone sees a sum before its noise.

It stands between the shards and the server. Shards give it masked sums; the server gets a `NoisySum`, or the
word that the round is held, and nothing else. It holds no private text and no model. In the simulation it is
a part of the ServerApp; `docs/deployment.md` says what must be added for it to be trusted.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.federation.protocol import Member, RoundOrder
from fedbert.privacy.mechanism import Mechanism
from fedbert.privacy.mechanisms import NOISE_SPREADS, decode
from fedbert.privacy.secure_sum import (
    KEY_BYTES,
    MaskKeys,
    connected,
    deal_keys,
    modular_sum,
    neighbour_graph,
    unmask,
)
from fedbert.signals.report import ReportLayout
from fedbert.signals.signal import NoisySum

LEAST_REPORTS = 2
"""A sum of one report is that report, so it is never opened, whatever `min_reports` says."""

SURVIVORS = 2 / 3
"""Share of the shards that must answer for a round to be opened; a third may drop (Bonawitz et al. 2017)."""


@dataclass(frozen=True)
class MaskedReport:
    """What one shard gives the aggregator in a round."""

    signal: NDArray[np.uint32]
    """[size] masked sum of its devices' vectors, mod 2^32."""
    reported: int
    """Devices whose vectors are in it."""


@dataclass(frozen=True)
class Opened:
    """What the aggregator hands the server: the noisy sums, or why the round is held."""

    signal: NoisySum | None
    ranks: NoisySum | None
    held: str


@dataclass(frozen=True)
class Refusal:
    """A shard whose sum cannot be, and why."""

    member: Member
    why: str


class Aggregator:
    """The aggregator of one run; its secret and the noise's seed never leave it."""

    def __init__(
        self,
        mechanism: Mechanism,
        layout: ReportLayout,
        members: tuple[Member, ...],
        *,
        noise_seed: int,
        min_reports: int,
        largest_cohort: int,
        devices: int,
        secret: bytes | None = None,
    ) -> None:
        """Take the members of the run; `secret` deals the masks, from the operating system by default.

        Masks cancel, so they change no figure and need no seed that can be repeated.
        """
        self._mechanism, self._layout, self._members = mechanism, layout, members
        self._noise_seed = noise_seed
        self._secret = os.urandom(KEY_BYTES) if secret is None else secret
        self._least = max(min_reports, LEAST_REPORTS)
        self._largest_cohort, self._devices = largest_cohort, devices
        self._keys: dict[int, dict[int, MaskKeys]] = {}

    def deal(self, round_: int) -> dict[int, MaskKeys]:
        """Return each member's own keys for a round, by its index."""
        if round_ not in self._keys:
            self._keys = {round_: deal_keys(self._secret, round_, self._graph(round_))}
        return self._keys[round_]

    def _graph(self, round_: int) -> dict[int, tuple[int, ...]]:
        return neighbour_graph(self._secret, round_, range(len(self._members)))

    def open(self, order: RoundOrder, reports: Mapping[int, MaskedReport]) -> tuple[Opened, list[Refusal]]:
        """Return the round's noisy sums, or why it is held, and the members whose sums were refused.

        `reports` are those of the members that answered, by index. Nothing is opened below the least number
        of reports or of survivors, or above the cohort that the fixed point holds.
        """
        kept, refusals = dict(reports), list[Refusal]()
        while True:
            held = self._held(order.round, kept)
            if held:
                return Opened(None, None, held), refusals
            total = self._total(order.round, kept)
            reported = sum(report.reported for report in kept.values())
            if self._possible(total, reported):
                return self._noised(order, total), refusals
            found = self._culprits(order.round, kept)
            if not found:
                suspects = ", ".join(str(self._members[index].index) for index in sorted(kept))
                held = f"held: the sum of shards {suspects} is out of the reach of its reports"
                return Opened(None, None, held), refusals
            for index in found:
                refusals.append(
                    Refusal(self._members[index], "its sum is out of the reach of its clipped reports")
                )
                del kept[index]

    def _held(self, round_: int, kept: Mapping[int, MaskedReport]) -> str:
        """Return why a round may not be opened, without any count; empty if it may."""
        needed = math.ceil(SURVIVORS * len(self._members))
        if len(kept) < needed:
            return f"held: fewer than {needed} of {len(self._members)} shards answered"
        if not connected(self._graph(round_), list(kept)):
            return "held: the shards that answered share no masks"
        if sum(report.reported for report in kept.values()) < self._least:
            return f"held: fewer than {self._least} reports (min_reports)"
        if sum(report.reported for report in kept.values()) > self._largest_cohort:
            return f"held: more than {self._largest_cohort:,} reports, which the sum's range does not hold"
        return ""

    def _total(self, round_: int, kept: Mapping[int, MaskedReport]) -> NDArray[np.float64]:
        """Return the exact sum `[size]` of the members in `kept`, in real units."""
        survivors = sorted(kept)
        masked = modular_sum([kept[index].signal for index in survivors])
        total = unmask(masked, survivors, self._graph(round_), self.deal(round_))
        return decode(total, self._layout.scale)

    def _possible(self, total: NDArray[np.float64], reported: int) -> bool:
        """Return whether `reported` clipped reports, with their devices' noise, can add up to `total`."""
        bound = reported * self._layout.clip_norm
        noise = self._mechanism.sigma if self._mechanism.noise_on_device else 0.0
        return float(np.linalg.norm(total)) <= bound + NOISE_SPREADS * noise * math.sqrt(len(total))

    def _culprits(self, round_: int, kept: Mapping[int, MaskedReport]) -> list[int]:
        """Return the members whose own sums cannot be; called once their common sum cannot.

        One shard's sum is looked at alone only where it has no report in it or enough to be opened.
        """
        found = []
        for index, report in kept.items():
            if 0 < report.reported < self._least:
                continue
            # The pairwise masks that are left are those shared with every other member.
            keys, alone = self.deal(round_), {index: self._graph(round_)[index]}
            own = unmask(report.signal, [index], alone, keys)
            if not self._possible(decode(own, self._layout.scale), report.reported):
                found.append(index)
        return found

    def _noised(self, order: RoundOrder, total: NDArray[np.float64]) -> Opened:
        sigma = self._mechanism.sigma
        noisy = total
        if sigma > 0:
            noisy = total + self._mechanism.on_sum(self._noise_seed, order.round, self._layout.size)
        # The expected reports, never the actual ones: how many took part is private too.
        expected = self._mechanism.round_rate * self._devices
        signal, ranks = (
            NoisySum(order.round, order.signal_release, part, sigma, expected)
            for part in self._layout.split(noisy)
        )
        return Opened(signal, ranks, "")
