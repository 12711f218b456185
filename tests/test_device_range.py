"""A range of devices: its parts hold the same devices with the same numbers."""

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.randomness import Purpose, uniforms, words

DEVICES = DeviceRange(seed=3, first=100, count=10)


def test_numbers_are_those_of_seed_and_device() -> None:
    """`uniforms` and `words` are those of `randomness` for the seed and the ids 100 to 109."""
    assert np.array_equal(
        DEVICES.uniforms(Purpose.CLICK, 7, 2), uniforms(3, Purpose.CLICK, 7, first=100, count=10, draws=2)
    )
    assert np.array_equal(
        DEVICES.words(Purpose.CLICK, 7, 2), words(3, Purpose.CLICK, 7, first=100, count=10, draws=2)
    )


def test_a_part_is_the_same_devices() -> None:
    """Rows 4 to 6 of devices 100 to 109 are devices 104 to 106, and draw what they draw in the whole."""
    part = DEVICES.part(slice(4, 7))
    assert part == DeviceRange(3, 104, 3)
    assert part.end == 107
    whole = DEVICES.uniforms(Purpose.TASTE, 0, 5)
    assert np.array_equal(part.uniforms(Purpose.TASTE, 0, 5), whole[4:7])


def test_blocks_are_all_rows_once() -> None:
    """Ten devices in blocks of four are rows 0-3, 4-7 and 8-9; no devices are no blocks."""
    assert list(DEVICES.blocks(4)) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert list(DeviceRange(3, 100, 0).blocks(4)) == []
