"""At 100 million devices no number wraps, no index runs over and every file format holds."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.errors import FedbertError
from fedbert.federation import phone_files
from fedbert.federation import shard_report as r
from fedbert.federation.compare import replayed_parts
from fedbert.federation.environment import Environment
from fedbert.federation.phone_state import COLUMNS, PhoneState
from fedbert.federation.protocol import RoundOrder, members_of
from fedbert.federation.replay import COMPARED_DEVICES
from fedbert.federation.shard import Shard
from fedbert.privacy.mechanisms import fixed_point_scale, largest_cohort
from fedbert.recommendation.sessions import MAX_SLOTS
from fedbert.scenario import MAX_DEVICES, Scenario

MOST_ROUNDS = 10_000


@pytest.fixture(scope="module")
def largest(release_0: Artefact) -> Environment:
    """The environment of the largest fleet."""
    return Environment.create(Scenario(devices=MAX_DEVICES, mechanism="poisson", epsilon=None), release_0)


def test_the_last_devices_of_the_largest_fleet_work_as_any(largest: Environment) -> None:
    """Devices 99,999,952 to 99,999,999 start, take part and report, alone or in two shards."""
    first, releases = MAX_DEVICES - 48, {0: largest.encoded_0}
    sums = []
    for counts in ((48,), (20, 28)):
        parts, start = [], first
        for count in counts:
            shard = Shard(largest, start, count)
            state = shard.start()
            report, _ = shard.run_round(state, RoundOrder(1, 0, 0), releases)
            report.check(count, largest.layout.size, 1, largest.places)
            parts.append(report.arrays())
            start += count
        sums.append(r.add_all(parts))
    assert sums[0]["truth.devices"].sum() == 48
    assert sums[0]["truth.ranks"].any()
    assert all(np.array_equal(sums[0][name], sums[1][name]) for name in sums[0])


@pytest.mark.parametrize("rate", [1e-4, 1 / 12, 0.1, 1.0])
def test_sums_of_the_largest_cohort_stay_below_2_31(rate: float) -> None:
    """Whatever the rate, the reports of the largest cohort add up within the signed range, in steps below
    the norm that a report is clipped to."""
    cohort = largest_cohort(MAX_DEVICES, rate)
    assert rate * MAX_DEVICES <= cohort <= MAX_DEVICES
    scale = fixed_point_scale(1.0, cohort)
    assert cohort * 1.0 * scale < 2**31
    assert scale >= 16


def test_counts_add_up_beyond_32_bits(largest: Environment) -> None:
    """All counts are 64 bits wide: a text or user that every device shares passes 2^31 in a day."""
    truth = r.empty_truth(largest.places)
    assert {array.dtype for array in truth.values()} == {np.dtype(np.int64)}
    truth["text_sessions"][0] = MAX_DEVICES * MAX_SLOTS
    assert r.add(r.add(None, truth), truth)["text_sessions"][0] == 2 * MAX_DEVICES * MAX_SLOTS > 2**31


def test_bounds_of_a_report_hold_at_the_limit() -> None:
    """100 million devices with all the sessions that there can be are taken, and one more is refused."""
    most = np.array([MAX_DEVICES * MAX_SLOTS])
    r._check_values("truth.text_sessions", most, MAX_DEVICES)
    with pytest.raises(FedbertError, match="add up to at most 6,400,000,000"):
        r._check_values("truth.text_sessions", most + 1, MAX_DEVICES)


def test_counts_of_the_longest_run_are_exact_as_floats() -> None:
    """Histograms stand in run.json as floats, exact up to 2^53; release numbers fit int16."""
    assert MAX_DEVICES * 2 * MAX_SLOTS * MOST_ROUNDS < 2**53
    assert Scenario.model_fields["rounds"].metadata[1].le == MOST_ROUNDS < np.iinfo(np.int16).max


def test_shards_cover_the_largest_fleet() -> None:
    """10,000 shards hold each device once, and replay each compared device once."""
    members = members_of(list(range(10_000)), MAX_DEVICES)
    assert sum(member.count for member in members) == MAX_DEVICES == members[-1].first + members[-1].count
    parts = replayed_parts(members, MAX_DEVICES)
    assert parts[0][0] == 0
    assert all(before[0] + before[1] == after[0] for before, after in pairwise(parts))
    assert sum(count for _, count in parts) == COMPARED_DEVICES


def test_small_fleets_are_replayed_by_their_own_shards() -> None:
    """Up to a million devices each member replays the devices that it holds, and all are compared."""
    members = members_of([5, 6, 7], 1_000)
    assert replayed_parts(members, 1_000) == [(member.first, member.count) for member in members]


def test_files_hold_the_memory_of_100_million_phones(tmp_path: Path) -> None:
    """The last phone's row is written and read again; the files take only the room of what was written."""
    small = PhoneState.empty(1, 8, 2, 3)
    for name in COLUMNS:
        one = getattr(small, name)
        open_memmap(
            tmp_path / f"{name}.npy", mode="w+", dtype=one.dtype, shape=(MAX_DEVICES, *one.shape[1:])
        ).flush()
    for name in ("pooled_sums", "pooled_clicks"):
        np.save(tmp_path / f"{name}.npy", getattr(small, name))
    state = phone_files.opened(tmp_path, writable=True)
    state.text[MAX_DEVICES - 1, 7] = 12_345
    phone_files.let_go(state)
    del state
    assert phone_files.opened(tmp_path).text[-1].tolist() == [0] * 7 + [12_345]
    assert (tmp_path / "text.npy").stat().st_size > MAX_DEVICES * 8 * 4
