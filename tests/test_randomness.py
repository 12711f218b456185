"""Random numbers belong to devices: no split of a range may change them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedbert.randomness import Purpose, draws, generator, to_uniforms, uniforms, words


def test_a_range_is_the_sum_of_its_parts() -> None:
    """Numbers of devices 0..99 are the same drawn at once or in parts."""
    whole = uniforms(3, Purpose.TASTE, 5, 0, 100, 7)
    parts = [uniforms(3, Purpose.TASTE, 5, first, 25, 7) for first in (0, 25, 50, 75)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_a_far_device_is_reached_without_the_ones_before() -> None:
    """Device 10 million has its numbers at once, and they are its own."""
    one = words(1, Purpose.COHORT, 0, 10_000_000, 1, 2)
    assert np.array_equal(one[0], words(1, Purpose.COHORT, 0, 9_999_999, 2, 2)[1])


def test_seed_purpose_and_time_each_change_the_numbers() -> None:
    """Streams that differ in one word share no number."""
    base = set(words(1, 2, 3, 0, 50, 4).ravel().tolist())
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not base & set(words(*other, 0, 50, 4).ravel().tolist())


def test_uniforms_are_inside_the_open_interval_and_uniform() -> None:
    """All lie in (0, 1); 40,000 of them have the mean .5 within five standard errors."""
    drawn = uniforms(0, Purpose.CLICK, 0, 0, 10_000, 4)
    assert drawn.min() > 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 5 * (1 / 12) ** 0.5 / 200


def test_draws_give_the_generators_of_their_times_and_of_no_others() -> None:
    """Without the seed, a purpose's numbers come out as with it; a time that was not given is refused."""
    held = draws(7, Purpose.TRAINING, [1, 1_003])
    for time in (1, 1_003):
        assert (
            held.generator(time).random(4).tolist() == generator(7, Purpose.TRAINING, time).random(4).tolist()
        )
    with pytest.raises(KeyError):
        held.generator(2)


@given(arrays(np.uint64, st.integers(1, 20), elements=st.integers(0, 2**64 - 1)))
@example(np.array([0, 2**64 - 1], np.uint64))
def test_any_word_stands_for_a_number_inside_the_open_interval(raw: np.ndarray) -> None:
    """Neither 0 nor 1 comes out, whatever the 64 bits; a larger word is no smaller number."""
    found = to_uniforms(np.sort(raw))
    assert ((found > 0) & (found < 1)).all()
    assert (np.diff(found) >= 0).all()
