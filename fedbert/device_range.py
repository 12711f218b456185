"""The one way to say "these devices": a seed, the first id and how many there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.randomness import Purpose, keys, normals, uniforms, uniforms_at, words


class Devices(Protocol):
    """Some devices of a fleet, and what they draw."""

    @property
    def count(self) -> int:
        """How many they are."""
        ...

    def uniforms(self, purpose: Purpose, time: int, draws: int) -> NDArray[np.float64]:
        """Return each device's uniform numbers in (0, 1) for a purpose and a time, `[device, draws]`."""
        ...


@dataclass(frozen=True)
class ChosenDevices:
    """The devices `ids` [device] of the fleet of a run with `seed`, with the numbers that any range gives."""

    seed: int
    ids: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.ids)

    def uniforms(self, purpose: Purpose, time: int, draws: int) -> NDArray[np.float64]:
        """Return each device's uniform numbers in (0, 1) for a purpose and a time, `[device, draws]`."""
        return uniforms_at(keys(self.seed, purpose, [time]), self.ids, draws)


@dataclass(frozen=True)
class DeviceRange:
    """The devices `first` .. `first + count - 1` of the fleet of a run with `seed`."""

    seed: int
    first: int
    count: int

    @property
    def end(self) -> int:
        """The first device behind the range."""
        return self.first + self.count

    def uniforms(self, purpose: Purpose, time: int, draws: int) -> NDArray[np.float64]:
        """Return each device's uniform numbers in (0, 1) for a purpose and a time, `[device, draws]`.

        They depend on the device alone, so any range that holds it gives it the same ones.
        """
        return uniforms(self.seed, purpose, time, self.first, self.count, draws)

    def chosen(self, rows: NDArray[np.integer]) -> ChosenDevices:
        """Return the devices at `rows` [n] of the range: nothing is drawn for the others."""
        return ChosenDevices(self.seed, self.first + rows.astype(np.int64))

    def words(self, purpose: Purpose, time: int, draws: int) -> NDArray[np.uint64]:
        """Return the raw 64-bit words that `uniforms` come from, `[device, draws]`."""
        return words(self.seed, purpose, time, self.first, self.count, draws)

    def normals(
        self, purpose: Purpose, time: int, chosen: NDArray[np.bool_], size: int
    ) -> Iterator[NDArray[np.float64]]:
        """Yield standard normal numbers `[size]` of each device of `chosen` `[device]`, in one array.

        As `uniforms` they depend on the device alone; the array is filled anew for the next device.
        """
        yield from normals(self.seed, purpose, time, self.first + np.flatnonzero(chosen), size)

    def part(self, rows: slice) -> "DeviceRange":
        """Return the devices of some rows, ``slice(start, stop)`` within the range."""
        return DeviceRange(self.seed, self.first + rows.start, rows.stop - rows.start)

    def blocks(self, size: int) -> Iterator[slice]:
        """Yield the rows of the range, at most `size` at a time."""
        for start in range(0, self.count, size):
            yield slice(start, min(start + size, self.count))
