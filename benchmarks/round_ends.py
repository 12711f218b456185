"""How rounds end by the clock of a run's own phones: python benchmarks/round_ends.py [--devices 50000].

A day of rounds. Each is asked of a cohort by coins, and closes with 1 / 1.3 of those asked, as in Bonawitz et
al. 2019, who saw 75 % done, 22 % late, 2 % interrupted, and rounds of two to three minutes. Once with the
release on every phone, and once with a release that each must fetch and install first.
"""

import argparse
from dataclasses import replace

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.round_clock import US_PER_S, by_clock, closing_of, course_of, deadline_us
from fedbert.paths import models_folder
from fedbert.results import ROUND_ENDS
from fedbert.scenario import Scenario


def day(environment: Environment, over_selection: float, newest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return devices by how rounds ended for them `[ROUND_ENDS]`, and each round's length in s `[round]`."""
    scenario = environment.scenario
    phones = Phones(environment, DeviceRange(scenario.seed, 0, scenario.devices))
    nobody = np.zeros(scenario.devices, np.bool_)
    release_0 = np.zeros(scenario.devices, np.int16)
    number = np.arange(scenario.devices)
    ends, length_s = np.zeros(len(ROUND_ENDS), np.int64), []
    for round_ in range(1, scenario.rounds + 1):
        order = RoundOrder(round_, newest, newest)
        course = course_of(phones, nobody, release_0, order)
        target = round(int(course.asked.sum()) / over_selection)
        closing = closing_of(course.arrival_us, number, target, deadline_us(environment))
        part = by_clock(phones, course, replace(order, closing=closing))
        ends += np.bincount(part.ends[part.eligible], minlength=len(ROUND_ENDS))
        length_s.append(closing.last_us / US_PER_S)
    return ends, np.array(length_s)


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=50_000)
    parser.add_argument("--over-selection", type=float, default=1.3)
    flags = parser.parse_args()
    scenario = Scenario(
        devices=flags.devices, rounds=12, mechanism="poisson", epsilon=None, control_share=0.0
    )
    environment = Environment.create(scenario, load_artefact(models_folder() / scenario.model))
    for name, newest in (("release on the phone", 0), ("release to fetch first", 1)):
        ends, length_s = day(environment, flags.over_selection, newest)
        shares = ", ".join(
            f"{share:.1%} {end}" for end, share in zip(ROUND_ENDS, ends / ends.sum(), strict=True)
        )
        low, middle, high = np.quantile(length_s, [0.1, 0.5, 0.9])
        print(
            f"{name}: {ends.sum():,} asked in {len(length_s)} rounds, {shares}; "
            f"length {middle:.1f} s in the median ({low:.1f} to {high:.1f})"
        )


if __name__ == "__main__":
    main()
