"""Phones that lie or break: which they are, and what they send in place of an honest report.

A poisoned phone takes part like any other and keeps every count right; it lies in its vector alone, which
nobody can look at under its mask. It does not clip, so that a lie is bounded by what is enforced and nothing
else: the range of a masked coordinate, or `ReportLayout.coordinate_bound`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.randomness import ONCE, Purpose, words
from fedbert.scenario import Attack
from fedbert.signals.report import ReportLayout

DEFAULT_FACTOR = 30.0
"""Length of a lie in clip norms. A sum longer than all its reports could make it is not opened: at a share of
1 % lies of less than 100 clip norms get through, and do the more harm the longer they are."""

_WORD_BITS = 64


@dataclass(frozen=True)
class Phones:
    """Some phones of the fleet of a run with `seed`: their numbers `[phone]`, in no need to be neighbours."""

    seed: int
    ids: NDArray[np.int64]


@dataclass(frozen=True)
class Poisoning:
    """Which share (0 to 1) of a fleet is poisoned and what it sends: vectors of `factor` clip norms.

    * ``boost``: a phone's honest report, made longer;
    * ``flip``: the same with its sign turned;
    * ``random``: each coordinate as long as any other, its sign drawn anew for each report;
    * ``stuck``: every coordinate at one and the same value, on all poisoned phones.

    Boosting is that of Bagdasaryan et al. 2020, "How to backdoor federated learning"; turned signs, and one
    value from all, are those of Li et al. 2019, "RSA: Byzantine-robust stochastic aggregation methods".
    """

    share: float
    attack: Attack = "boost"
    factor: float = DEFAULT_FACTOR

    def poisoned(self, devices: DeviceRange) -> NDArray[np.bool_]:
        """Return which devices are poisoned, `[device]`: by their own coins, for the whole run."""
        return np.asarray(devices.uniforms(Purpose.POISONING, ONCE, 1)[:, 0] < self.share)

    def lies(
        self, layout: ReportLayout, honest: NDArray[np.int64], phones: Phones, round_: int
    ) -> NDArray[np.int64]:
        """Return the integers `[phone, size]` that `phones`, all poisoned, send in a round (from 1).

        `honest` `[phone, size]` is what they would send if they were not. No integer is further from 0 than
        `layout.largest_integer`; a phone with nothing to report has nothing to make longer.
        """
        length = self.factor * layout.clip_norm * layout.scale
        sent = np.trunc(self._directions(layout.size, honest, phones, round_) * length)
        return np.asarray(np.clip(sent, -layout.largest_integer, layout.largest_integer), np.int64)

    def _directions(
        self, size: int, honest: NDArray[np.int64], phones: Phones, round_: int
    ) -> NDArray[np.float64]:
        """Return the vectors of norm 1 that point where the lies do, `[phone, size]`."""
        if self.attack == "stuck":
            return np.full((len(phones.ids), size), 1 / math.sqrt(size))
        if self.attack == "random":
            return signs(phones, round_, size) / math.sqrt(size)
        # A clipped integer vector's norm is below 2^31, so its square is exact.
        norm = np.sqrt(np.maximum((honest**2).sum(axis=1), 1).astype(np.float64))
        turned = -1.0 if self.attack == "flip" else 1.0
        return np.asarray(honest / norm[:, None] * turned, np.float64)


def signs(phones: Phones, round_: int, size: int) -> NDArray[np.float64]:
    """Return a drawn sign, 1.0 or -1.0, for each coordinate of each phone in a round, `[phone, size]`."""
    count = -(-size // _WORD_BITS)
    rows = [words(phones.seed, Purpose.POISONING, round_, int(each), 1, count) for each in phones.ids]
    # Of each word the lowest bit first, whatever the order of bytes in this machine's memory.
    drawn = np.concatenate(rows).astype("<u8").view(np.uint8)
    bits = np.unpackbits(drawn, axis=1, bitorder="little")[:, :size]
    return np.asarray(2.0 * bits - 1.0, np.float64)
