"""Which devices join a round: what the accountant assumes is what is drawn here.

Each device decides with its own random number, whether it is available or not; one that cannot take part in
the end adds zero, and the rate that is accounted for stays the same.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.errors import invalid
from fedbert.privacy.accounting import Sampler, day_of_round
from fedbert.randomness import Purpose


def cohort(
    devices: DeviceRange,
    round_number: int,
    sampler: Sampler,
    sampling_probability: float,
    rounds_per_day: float,
) -> NDArray[np.bool_]:
    """Return whether each device joins round `round_number` (from 1): `[device]`.

    `poisson`: each round each device tosses a coin of rate `sampling_probability`, over-selection included.
    `once-a-day`: each day each device draws one of the day's rounds, or none, so that it joins a round at the
    rate `min(sampling_probability, 1 / rounds of a day)` and never two of a day.
    """
    if round_number < 1:
        raise invalid("round", round_number, "be >= 1")
    if not 0 < sampling_probability <= 1:
        raise invalid("sampling_probability", sampling_probability, "be > 0 and <= 1")
    if sampler == "poisson":
        return devices.uniforms(Purpose.COHORT, round_number, 1)[:, 0] < sampling_probability
    if sampler != "once-a-day":
        raise invalid("sampler", sampler, "be 'poisson' or 'once-a-day'")
    day = day_of_round(round_number, rounds_per_day)
    # Days need not have the same number of rounds: the first of this one is looked for.
    first_round = round_number
    while first_round > 1 and day_of_round(first_round - 1, rounds_per_day) == day:
        first_round -= 1
    # Never more than one round's share of the longest day: the draws below must fit into any day.
    rate = min(sampling_probability, 1.0 / max(1, math.ceil(rounds_per_day - 1e-9)))
    drawn = np.floor(devices.uniforms(Purpose.COHORT, day, 1)[:, 0] / rate)
    return np.asarray(drawn == round_number - first_round)
