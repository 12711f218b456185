"""A range of devices: its parts hold the same devices with the same numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    seed=st.integers(0, 2**31 - 1),
    first=st.integers(0, 10**8),
    count=st.integers(0, 40),
    draws=st.integers(1, 9),
    size=st.integers(1, 50),
    data=st.data(),
)
def test_any_split_draws_the_same(
    seed: int, first: int, count: int, draws: int, size: int, data: st.DataObject
) -> None:
    """However devices are cut, in blocks or at any places, each draws what it draws alone."""
    devices = DeviceRange(seed, first, count)
    whole = devices.uniforms(Purpose.CLICK, 3, draws)
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=3)))
    at_places = [slice(low, high) for low, high in zip([0, *cuts], [*cuts, count], strict=True)]
    for split in (at_places, list(devices.blocks(size))):
        parts = [devices.part(rows).uniforms(Purpose.CLICK, 3, draws) for rows in split]
        assert np.array_equal(np.concatenate([whole[:0], *parts]), whole)
    for row in range(count):
        alone = DeviceRange(seed, first + row, 1).uniforms(Purpose.CLICK, 3, draws)
        assert np.array_equal(alone[0], whole[row])
