"""A device that cannot report in its round may do so until the sum is opened, and is in it once."""

from dataclasses import replace

import numpy as np

from fedbert.devices.availability import interruptions
from fedbert.devices.network import UPLOAD_DEADLINE_MS, may_upload, transfer_uniforms, upload
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.shard import Shard
from fedbert.randomness import Purpose
from fedbert.scenario import Scenario

ROUNDS = 6
"""Two days of four rounds, the second cut short."""


def _completed(environment: Environment) -> list[int]:
    """Return the uploads that the shard counts in each round."""
    shard = Shard(environment, 0, environment.scenario.devices)
    state, found = shard.start(), []
    for round_ in range(ROUNDS + 1):
        releases = {0: environment.encoded_0}
        report, _ = shard.run_round(state, RoundOrder(round_, 0, 0), releases)[:2]
        found.append(int(report.truth["counts"][2]))
    return found[1:]


def _plainly(environment: Environment) -> tuple[list[int], list[int]]:
    """Return the uploads in each round, device by device; with later rounds, and in its own round alone."""
    scenario, mechanism = environment.scenario, environment.mechanism
    shard = Shard(environment, 0, scenario.devices)
    (phones,) = [Phones(environment, part.devices) for _, part in shard.blocks()]
    devices = phones.devices
    patient, once = [0] * ROUNDS, [0] * ROUNDS
    waits = [False] * devices.count
    for round_ in range(1, ROUNDS + 1):
        state = phones.availability(round_)
        stopped = interruptions(devices, round_, scenario.availability)
        everybody = np.arange(devices.count)
        sent = upload(
            environment.links,
            phones.network(everybody),
            state.unmetered,
            environment.layout.bytes_up,
            transfer_uniforms(devices, Purpose.UPLOAD, round_),
            UPLOAD_DEADLINE_MS,
        ).succeeded
        able = may_upload(state, scenario.metered) & ~stopped & sent
        own = mechanism.joins(devices, round_)
        for device in range(devices.count):
            tries = bool(own[device]) or (waits[device] and (round_ - 1) % 4 != 0)
            done = tries and bool(able[device])
            waits[device] = tries and not done
            patient[round_ - 1] += done
            once[round_ - 1] += bool(own[device] and able[device])
    return patient, once


def test_later_rounds_of_a_day_bring_more_reports_and_none_twice(
    small: Scenario, release_0: Artefact
) -> None:
    """As many as a plain count by device gives; where each round is opened by itself, those able in it."""
    values = {"devices": 400, "rounds": ROUNDS, "round_hours": 6.0, "sampling_probability": 1.0}
    daily = Environment.create(small.model_copy(update=values | {"mechanism": "daily"}), release_0)
    patient, once = _plainly(daily)
    assert _completed(daily) == patient
    assert sum(patient) > 1.2 * sum(once)
    assert sum(patient[:4]) <= 400
    allocated = Environment.create(small.model_copy(update=values | {"mechanism": "allocated"}), release_0)
    assert _completed(allocated) == once


def test_who_waits_says_nothing_of_clicks(small: Scenario, release_0: Artefact) -> None:
    """A device that sent its report waits no more, also where it had no click to send."""
    values = {"devices": 200, "rounds": 4, "round_hours": 6.0, "sampling_probability": 1.0}
    scenario = small.model_copy(update=values | {"mechanism": "daily", "availability": "always"})
    environment = Environment.create(scenario, release_0)
    shard = Shard(environment, 0, 200)
    state = shard.start()
    state.item[:] = -1
    state.text[:] = -1
    with_clicks = _completed(environment)
    shard.run_round(state, RoundOrder(1, 0, 0), {0: environment.encoded_0})
    own = environment.mechanism.joins(shard.devices, 1)
    assert own.any()
    assert int(own.sum()) - int(state.waiting.sum()) == with_clicks[0]


def test_the_sum_s_range_holds_those_who_come_later(small: Scenario, release_0: Artefact) -> None:
    """Where sums wait half of the fleet fits into a round; else the rate of the mechanism decides."""
    values = {"devices": 100_000, "rounds": 12}
    sizes = {
        name: replace(
            Environment.create(small.model_copy(update={"mechanism": name, "devices": 48}), release_0),
            scenario=small.model_copy(update=values | {"mechanism": name}),
        ).largest_cohort
        for name in ("daily", "allocated")
    }
    assert 50_000 < sizes["daily"] < 52_000
    assert sizes["allocated"] < 10_000
