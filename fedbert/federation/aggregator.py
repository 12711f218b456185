"""The aggregator: masks, the cohort's count, thresholds and the noise. It alone sees a sum before its noise.

It stands between the shards and the server. Shards give it masked sums; the server gets a `NoisySum`, or the
word that the round is held, and nothing else. It holds no private text and no model. In the simulation it is
a part of the ServerApp; `docs/deployment.md` says what must be added for it to be trusted.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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

GATHERED = "gathered: opened as one sum with later rounds"
"""What the server is told of a round whose sum waits."""

BEYOND_REACH = "held: the sum is out of the reach of its clipped reports"
"""What the server is told of a round with phones that lie too much."""

SURVIVORS = 2 / 3
"""Share of the shards that must answer for a round to be opened; a third may drop (Bonawitz et al. 2017)."""


@dataclass(frozen=True)
class MaskedReport:
    """What one shard gives the aggregator in a round."""

    signal: NDArray[np.uint32]
    """[size] masked sum of its devices' vectors, mod 2^32."""
    reported: int
    """Devices whose vectors are in it."""
    by_sum: tuple[int, ...] = ()
    """Of these those of each sum, where it is several in a row (`BufferedAggregator`)."""


@dataclass(frozen=True)
class Opened:
    """What the aggregator hands the server: the noisy sums, or why there are none."""

    signal: NoisySum | None
    ranks: NoisySum | None
    held: str
    """ "held: ..." or "gathered: ..."; beside sums, why the last round is not in them; else empty."""

    @property
    def sums(self) -> tuple[NoisySum, NoisySum] | None:
        """The sums of the signal and of the ranks; None if nothing was opened."""
        return None if self.signal is None or self.ranks is None else (self.signal, self.ranks)


@dataclass(frozen=True)
class AggregatorState:
    """What the aggregator keeps between two rounds. It never reaches the server."""

    opened: tuple[tuple[int, int, int], ...] = ()
    """(round, release, reports) of each opening so far."""
    pending: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[size] exact sum of the rounds that wait to be opened; empty if none does."""
    rounds: int = 0
    """Rounds in it."""
    reports: int = 0
    """Reports in it."""
    filled: int = 0
    """Reports that have come to the buffer that is open, those with nothing to say included."""
    steps: int = 0
    """Buffers that were full so far."""


@dataclass(frozen=True)
class Refusal:
    """A shard whose sum cannot be, and why."""

    member: Member
    why: str


class Aggregator:
    """The aggregator of one run; its secret and the noise's seed never leave it."""

    names_shards: bool = True
    """Whether a shard is to blame for a sum that cannot be. Where phones lie it is not, and the round is
    held: in a deployment each phone masks its own vector, and none can be looked at alone."""

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

    def open(
        self, order: RoundOrder, reports: Mapping[int, MaskedReport], state: AggregatorState
    ) -> tuple[Opened, list[Refusal], AggregatorState]:
        """Return the noisy sums, or why there are none; the members whose sums were refused; the next state.

        `reports` are those of the members that answered, by index. Nothing is opened below the least number
        of reports or of survivors, or above the cohort that the fixed point holds. Where the mechanism opens
        several rounds as one sum, `state` carries them, and the least number of reports is that of all.
        """
        gathered = self._mechanism.gathered(order.round)
        alone = gathered == 1 and not state.rounds
        total, reported, held, refusals = self._sum(order.round, reports, self._least if alone else 0)
        if total is not None:
            pending = state.pending + total if state.rounds else total
            state = replace(state, pending=pending, rounds=state.rounds + 1, reports=state.reports + reported)
        if not gathered:
            return Opened(None, None, held or GATHERED), refusals, state
        left = AggregatorState(state.opened)
        if not state.rounds:
            return Opened(None, None, held), refusals, left
        # What is too little is dropped: with another day's reports a device could be in one sum twice.
        if state.reports < self._least:
            return Opened(None, None, self._too_few), refusals, left
        opened = self._noised(order, state, held)
        entry = (order.round, order.signal_release, state.reports)
        return opened, refusals, replace(left, opened=(*state.opened, entry))

    def _sum(
        self, round_: int, reports: Mapping[int, MaskedReport], least: int
    ) -> tuple[NDArray[np.float64] | None, int, str, list[Refusal]]:
        """Return a round's exact sum `[size]`, its reports, or why there is none, and who was refused.

        A round with fewer than `least` reports has none; one with a single report never has.
        """
        kept, refusals = dict(reports), list[Refusal]()
        while True:
            held = self._held(round_, kept, least)
            if held:
                return None, 0, held, refusals
            total = self._total(round_, kept)
            reported = sum(report.reported for report in kept.values())
            if self._possible(total, reported):
                return total, reported, "", refusals
            if not self.names_shards:
                return None, 0, BEYOND_REACH, refusals
            found = self._culprits(round_, kept)
            if not found:
                suspects = ", ".join(str(self._members[index].index) for index in sorted(kept))
                held = f"held: the sum of shards {suspects} is out of the reach of its reports"
                return None, 0, held, refusals
            for index in found:
                refusals.append(
                    Refusal(self._members[index], "its sum is out of the reach of its clipped reports")
                )
                del kept[index]

    @property
    def _too_few(self) -> str:
        return f"held: fewer than {self._least} reports (min_reports)"

    def _held(self, round_: int, kept: Mapping[int, MaskedReport], least: int) -> str:
        """Return why a round's sum may not be taken, without any count; empty if it may."""
        needed = math.ceil(SURVIVORS * len(self._members))
        if len(kept) < needed:
            return f"held: fewer than {needed} of {len(self._members)} shards answered"
        if not connected(self._graph(round_), list(kept)):
            return "held: the shards that answered share no masks"
        reported = sum(report.reported for report in kept.values())
        if reported < least:
            return self._too_few
        if 0 < reported < LEAST_REPORTS:
            return f"held: fewer than {LEAST_REPORTS} reports"
        if reported > self._largest_cohort:
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

    def _sigma(self, reports: Mapping[int, int]) -> float:
        """Return the standard deviation of the noise in the sum of some openings: `reports` by round.

        Where devices add it, it grows with those that sent a report, which nothing hides there; else the
        counts change nothing.
        """
        mechanism = self._mechanism
        if not mechanism.noise_on_device:
            return mechanism.total_sigma(list(reports))
        expected = mechanism.round_rate * self._devices
        return math.sqrt(
            sum(
                mechanism.total_sigma([round_]) ** 2 * count / (expected * mechanism.gathered(round_))
                for round_, count in reports.items()
            )
        )

    def _noised(self, order: RoundOrder, state: AggregatorState, held: str) -> Opened:
        """Return what waits in `state` with its noise; `held` says why the round itself is not in it."""
        mechanism, noisy = self._mechanism, state.pending
        if mechanism.sigma > 0:
            noisy = noisy + mechanism.on_sum(self._noise_seed, order.round, self._layout.size)
        # The expected reports, never the actual ones: how many took part is private too.
        expected = mechanism.round_rate * self._devices * state.rounds
        # Ranks are kept by release, signals over all: each goes into a total of its own.
        alike = {
            round_: reports for round_, release, reports in state.opened if release == order.signal_release
        }
        totals = ({round_: reports for round_, _, reports in state.opened}, alike)
        own = {order.round: state.reports}
        sigma = self._sigma(own)
        signal, ranks = (
            NoisySum(
                order.round,
                order.signal_release,
                part,
                sigma,
                expected,
                self._sigma(before | own),
            )
            for part, before in zip(self._layout.split(noisy), totals, strict=True)
        )
        return Opened(signal, ranks, held)
