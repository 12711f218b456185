"""Rounds that close by the clock: a plain reference, any split, and how far one device moves a day's sum."""

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pytest
from small_runs import TINY, stepped

from fedbert.devices.availability import interruption_causes
from fedbert.devices.network import UPLOAD_DEADLINE_MS, may_upload, transfer_uniforms, upload
from fedbert.devices.round_end import INTERRUPTED_SHARE, LOST_SHARE
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.errors import FedbertError
from fedbert.federation import block_round, round_clock
from fedbert.federation import shard_report as r
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import Closing, Member, RoundOrder
from fedbert.federation.round_close import checked_arrivals
from fedbert.federation.shard import Shard
from fedbert.privacy.once_a_day import Daily
from fedbert.randomness import Purpose
from fedbert.results import ROUND_ENDS
from fedbert.scenario import Scenario

DEVICES = 400
TARGET = 10
"""Reports that a round wants: as many come in each of the day's rounds."""


@pytest.fixture(scope="module")
def fleet(small: Scenario, release_0: Artefact) -> Environment:
    """A day of four rounds in one sum, which every phone joins once."""
    values = {"devices": DEVICES, "rounds": 4, "round_hours": 6.0, "sampling_probability": 1.0}
    values |= {"mechanism": "daily", "epsilon": None, "sessions_per_day": 2.0}
    return Environment.create(small.model_copy(update=values), release_0)


def _by(environment: Environment, deadline_s: float) -> Environment:
    """Return the same phones under a deadline."""
    other = copy.copy(environment)  # with all that it has read
    other.scenario = environment.scenario.model_copy(update={"round_deadline_s": deadline_s})
    return other


def _closing(shards: list[Shard], states: list[Any], order: RoundOrder, target: int) -> Closing:
    """Return when the round closes, by what each shard says of its own devices."""
    found = [
        shard.arrivals(state.waiting, state.installed, order, target)
        for shard, state in zip(shards, states, strict=True)
    ]
    times, who = (np.concatenate(part) for part in zip(*found, strict=True))
    return round_clock.closing_of(times, who, target, round_clock.deadline_us(shards[0].environment))


def _plainly(environment: Environment, state: Any, order: RoundOrder, target: int) -> tuple[str, float]:
    """Return a letter a device for how the round ends for it, "-" if it was not asked, and its length (s)."""
    scenario = environment.scenario
    phones = Phones(environment, Shard(environment, 0, DEVICES).devices)
    devices, everybody, round_ = phones.devices, np.arange(DEVICES), order.round
    here = phones.availability(round_)
    asked = environment.mechanism.joins(devices, round_) & may_upload(here, scenario.metered)
    out = interruption_causes(devices, round_, scenario.availability).dropped
    fate = devices.uniforms(Purpose.PARTICIPATION, 2 * round_, 2)[:, 1]
    sent = upload(
        environment.links,
        phones.network(everybody),
        here.unmetered,
        environment.layout.bytes_up,
        transfer_uniforms(devices, Purpose.UPLOAD, round_),
        UPLOAD_DEADLINE_MS,
    )
    history = scenario.history_length
    tokens = environment.catalogue_tokens + round(history * float(environment.text_tokens.mean()))
    texts = history + len(environment.world.public.catalogue.texts)
    install = environment.cost.install(phones.fleet, everybody, np.full(DEVICES, tokens), texts).time_ms
    masks = 1 + 2 * (environment_cohort(environment) - 1).bit_length()
    operations = environment.layout.size * (6 + 8 * masks)
    events = []
    for device in range(DEVICES):
        if not asked[device] or out[device]:
            continue
        profile = environment.profiles[phones.fleet.profile[device]]
        core = profile.little_core
        rate = (core.element_gops_per_s or core.float_gmacs_per_s) * 1e6
        time_ms = operations / rate / float(phones.fleet.speed_factor[device])
        wanted = 0 if phones.control[device] else order.newest_release
        if state.installed[device] != wanted:
            trying, got = phones.downloads(round_, everybody == device)
            if len(trying) and not got.succeeded[0]:
                continue
            time_ms += float(got.time_ms[0]) + float(install[device]) if len(trying) else 0.0
        if sent.succeeded[device]:
            events.append((round((time_ms + float(sent.time_ms[device])) * 1000), device))
    deadline = round(scenario.effective_deadline_s * 1e6)
    done = [device for time, device in sorted(events)[:target] if time <= deadline]
    letters = ["-"] * DEVICES
    for device in range(DEVICES):
        if asked[device]:
            letters[device] = "d" if device in done else "l"
            if out[device] and fate[device] < INTERRUPTED_SHARE + LOST_SHARE:
                letters[device] = "i" if fate[device] < INTERRUPTED_SHARE else "x"
    full = len(done) == target
    return "".join(letters), (sorted(events)[target - 1][0] if full else deadline) / 1e6


def environment_cohort(environment: Environment) -> int:
    """Return the devices that a round is expected to be joined by."""
    return int(np.ceil(environment.mechanism.round_rate * environment.scenario.devices))


@pytest.mark.parametrize(
    ("target", "deadline_s", "newest"),
    [(20, None, 0), (20, None, 1), (400, 3.0, 0), (400, 30.0, 1), (20, 3.0, 0), (400, None, 1)],
)
def test_a_round_ends_as_device_by_device(
    fleet: Environment, target: int, deadline_s: float | None, newest: int
) -> None:
    """Who is done, late, interrupted or lost, and the length, as a server that takes one report after the
    other finds; with a release to fetch first and without, whether the target or the deadline closes it.
    """
    environment = fleet if deadline_s is None else _by(fleet, deadline_s)
    shard = Shard(environment, 0, DEVICES)
    state, order = shard.start(), RoundOrder(1, newest, newest)
    closing = _closing([shard], [state], order, target)
    letters, length_s = _plainly(environment, state, order, target)
    assert closing.last_us / 1e6 == length_s
    (_, phones), *_ = shard.blocks()
    course = round_clock.course_of(phones, state.waiting, state.installed, order)
    part = round_clock.by_clock(phones, course, replace(order, closing=closing))
    names = np.array(["d", "l", "i", "x"])[part.ends]
    assert "".join(np.where(part.eligible, names, "-")) == letters
    assert (part.completed == (np.array(list(letters)) == "d")).all()
    assert {"d", "l"} <= set(letters)


def _day(environment: Environment, edges: list[int], target: int) -> list[dict[str, Any]]:
    """Return the summed reports of a day's rounds on shards between `edges`."""
    shards = [Shard(environment, a, b - a) for a, b in pairwise(edges)]
    states = [shard.start() for shard in shards]
    releases = dict.fromkeys((0, 1), environment.encoded_0)
    totals = []
    for round_ in range(1, 5):
        order = RoundOrder(round_, int(round_ > 2), int(round_ > 2))
        order = replace(order, closing=_closing(shards, states, order, target))
        parts = [
            shard.run_round(state, order, releases)[0] for shard, state in zip(shards, states, strict=True)
        ]
        totals.append(r.add_all(part.server for part in parts) | r.add_all(part.truth for part in parts))
    return totals


def test_any_split_closes_alike(fleet: Environment) -> None:
    """Uneven shards give the sums of one, to the bit, and as many reports as were wanted."""
    whole, parts = (_day(fleet, edges, TARGET) for edges in ([0, 400], [0, 7, 130, 131, 400]))
    for one, many in zip(whole, parts, strict=True):
        assert all(np.array_equal(one[name], many[name]) for name in one)
        assert int(one["completed"][0]) == TARGET
        ends = dict(zip(ROUND_ENDS, one["round_ends"].sum(axis=0).tolist(), strict=True))
        assert ends["done"] == TARGET
        assert sum(ends.values()) == int(one["counts"][r.COHORT_KEYS.index("eligible")])


def _without(device: int | None) -> Any:
    """Return `Daily.joins`, in whose fleet one device is not."""
    joins = Daily.joins

    def joining(self: Daily, devices: Any, round_: int) -> np.ndarray:
        found = joins(self, devices, round_)
        if device is not None:
            found[device] = False
        return found

    return joining


def _taken(environment: Environment, device: int | None) -> list[set[int]]:
    """Return whose reports each round of a day takes, in the fleet without `device`."""
    shard, found = Shard(environment, 0, DEVICES), list[set[int]]()
    state, deadline = shard.start(), round_clock.deadline_us(environment)
    real = round_clock.by_clock

    def noted(*arguments: Any) -> Any:
        part = real(*arguments)
        found.append(set(np.flatnonzero(part.completed).tolist()))
        return part

    with (
        mock.patch.object(Daily, "joins", _without(device)),
        mock.patch.object(block_round, "by_clock", noted),
    ):
        for round_ in range(1, 5):
            order = RoundOrder(round_, 0, 0)
            order = replace(order, closing=_closing([shard], [state], order, TARGET))
            assert order.closing is not None and order.closing.last_us < deadline
            shard.run_round(state, order, {0: environment.encoded_0})
    return found


def test_one_device_pushes_out_one_other_a_day(fleet: Environment) -> None:
    """In a fleet with one device more, the day's sums take its report once and lose at most one other: they
    move by two clip norms. Who is pushed out does not come again, or it would push out others.
    """
    everyone = _taken(fleet, None)
    took_part = sorted(set.union(*everyone))
    pushed = 0
    for device in took_part[::7]:
        others = _taken(fleet, device)
        differ = [(more - less, less - more) for more, less in zip(everyone, others, strict=True)]
        changed = [pair for pair in differ if any(pair)]
        assert len(changed) == 1
        came, went = changed[0]
        assert came == {device}
        assert len(went) <= 1
        pushed += len(went)
    assert pushed


def test_who_was_too_slow_comes_again_and_who_was_pushed_out_does_not(fleet: Environment) -> None:
    """Late for the deadline: waits for a later round of the day. Late for the target alone: does not."""
    environment = _by(fleet, 4.0)
    shard = Shard(environment, 0, DEVICES)
    state, order = shard.start(), RoundOrder(1, 0, 0)
    (_, phones), *_ = shard.blocks()
    course = round_clock.course_of(phones, state.waiting, state.installed, order)
    order = replace(order, closing=_closing([shard], [state], order, TARGET))
    shard.run_round(state, order, {0: environment.encoded_0})
    in_time = course.arrival_us <= 4_000_000
    assert np.count_nonzero(in_time) > TARGET < np.count_nonzero(course.asked & ~in_time)
    assert (state.waiting == (course.joined & ~in_time)).all()


def test_a_run_closes_with_its_target() -> None:
    """Through messages between server and shards: the round has the five reports that it wants and a length;
    the window before the clock has none.
    """
    values = {"mechanism": "daily", "round_hours": 12.0, "rounds": 1, "target_reports": 5, "min_reports": 2}
    states, updates = stepped(TINY.model_copy(update=values), 2)
    before, row = states[-1].rows
    assert row["completed"] == 5 <= row["eligible"] - row["late"]
    assert row["completed"] + row["late"] + row["interrupted"] + row["lost"] == row["eligible"]
    assert 0 < row["round_s"] < 600
    assert "round_s" not in before
    assert updates[-1].status == "updated"


@pytest.mark.parametrize(
    ("times", "who", "message"),
    [
        ([5, 6], [10, 10], "each once"),
        ([5], [9], "its own devices"),
        ([5, 6, 7, 8], [10, 11, 12, 13], "at most 3"),
        ([-1], [10], "from 0 to 100"),
        ([101], [10], "from 0 to 100"),
        ([5, 6], [10], "as many"),
    ],
)
def test_a_shard_that_lies_about_arrivals_is_refused(times: list[int], who: list[int], message: str) -> None:
    """Another's device, one twice, too many, and a time outside the round."""
    arrays = {"arrival_us": np.array(times), "device": np.array(who)}
    with pytest.raises(FedbertError, match=message):
        checked_arrivals(Member(0, 1, 10, 5), arrays, 3, 100)
    right = {"arrival_us": np.array([5, 6]), "device": np.array([14, 10])}
    assert checked_arrivals(Member(0, 1, 10, 5), right, 3, 100) is right
