"""Transfers in a shard's rounds: what breaks is lost and charged, and metered links carry what they may."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedbert.federation import shard_report as r
from fedbert.federation.energy_rows import participant_energy, tier_energy
from fedbert.federation.environment import Environment, world_settings
from fedbert.federation.group_sums import add_groups, empty_groups
from fedbert.federation.phone_state import NO_RELEASE, PhoneState
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.shard import Shard
from fedbert.recommendation.clusters import Places
from fedbert.results import ENERGY_USES, GROUP_SUMS

DEVICES = 300
BROKEN = 1 - 1e-9


def _round(environment: Environment, **changes: Any) -> tuple[dict[str, int], Any, PhoneState]:
    """Return counts and report of a round that asks for release 1, and the state after it.

    `changes` are scenario keys, but for `failure`: the chance of all links that an attempt breaks.
    """
    links = environment.links
    if "failure" in changes:
        links = links._replace(failure_probability=np.full(4, changes.pop("failure")))
    scenario = environment.scenario.model_copy(
        update={"devices": DEVICES, "sampling_probability": 1.0, "sessions_per_day": 1.0} | changes
    )
    here = replace(environment, scenario=scenario, settings=world_settings(scenario), links=links)
    shard = Shard(here, 0, DEVICES)
    state = shard.start()
    releases = dict.fromkeys((0, 1), environment.encoded_0)
    report, _ = shard.run_round(state, RoundOrder(1, 0, 1), releases)
    counts = dict(zip(r.COHORT_KEYS, report.truth["counts"].tolist(), strict=True))
    return counts, report, state


def test_whole_transfers_move_their_bytes_once(environment: Environment) -> None:
    """Where nothing breaks, bytes are transfers times size, and every phone needs one attempt."""
    counts, report, state = _round(environment, failure=0.0)
    assert counts["completed"] > 0
    assert counts["upload_attempts"] == counts["completed"] + counts["uploads_failed"]
    assert counts["uploads_failed"] == counts["downloads_failed"] == 0
    assert counts["upload_bytes"] == counts["completed"] * environment.layout.bytes_up
    assert counts["download_bytes"] == counts["downloads"] * environment.release_0.total_bytes
    assert counts["download_attempts"] == counts["downloads"] > 0
    assert np.count_nonzero(state.installed == 1) == counts["downloads"]
    assert report.truth["download_uj"].sum() > 0


def test_a_network_that_always_breaks(environment: Environment) -> None:
    """Three attempts each; nothing is reported or installed, but energy is spent and bytes have moved."""
    good, good_report, _ = _round(environment, failure=0.0)
    counts, report, state = _round(environment, failure=BROKEN)
    assert (state.installed == NO_RELEASE).all()
    assert counts["eligible"] == good["eligible"]
    assert counts["completed"] == counts["reported"] == counts["downloads"] == 0
    assert counts["uploads_failed"] == good["completed"]
    assert counts["upload_attempts"] == 3 * good["completed"]
    assert 0 < counts["upload_bytes"] < 3 * good["completed"] * environment.layout.bytes_up
    assert counts["downloads_failed"] * 3 == counts["download_attempts"] > 0
    assert report.truth["signal_uj"].sum() > good_report.truth["signal_uj"].sum()
    assert report.truth["installs"].sum() == 0


def test_retries_help(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """With half of the attempts broken, about an eighth of the uploads is lost; with one attempt, half."""
    counts, _, _ = _round(environment, failure=0.5)
    sent = counts["completed"] + counts["uploads_failed"]
    assert counts["uploads_failed"] / sent == pytest.approx(1 / 8, abs=5 * np.sqrt(0.11 / sent))
    monkeypatch.setattr("fedbert.devices.network.ATTEMPTS", 1)
    once, _, _ = _round(environment, failure=0.5)
    assert once["upload_attempts"] == sent
    assert once["uploads_failed"] / sent == pytest.approx(1 / 2, abs=5 * np.sqrt(0.25 / sent))


def test_metered_links(environment: Environment) -> None:
    """'uploads' lets more phones send and no more fetch; 'always' lets more fetch, and as many send."""
    never, uploads, always = (_round(environment, metered=name)[0] for name in ("never", "uploads", "always"))
    assert never["eligible"] < uploads["eligible"] == always["eligible"]
    assert never["completed"] < uploads["completed"] == always["completed"]
    assert never["downloads"] == uploads["downloads"]
    tried = [counts["downloads"] + counts["downloads_failed"] for counts in (never, uploads, always)]
    assert tried[0] == tried[1] < tried[2]


def test_participants_are_charged_for_all_that_they_do_in_the_round(environment: Environment) -> None:
    """Who tries to send takes part; all uploads are theirs, and some of what all phones spend otherwise."""
    counts, report, _ = _round(environment, failure=0.5)
    truth = report.truth
    assert truth["participants"].sum() == counts["completed"] + counts["uploads_failed"] > 0
    by_use = dict(zip(r.ENERGY_KEYS, truth["participant_uj"].T, strict=True))
    assert by_use["signal_uj"].tolist() == truth["signal_uj"].tolist()
    for key in ("session_uj", "install_uj", "download_uj"):
        assert 0 < by_use[key].sum() < truth[key].sum()


def test_groups_of_devices_add_up_to_their_tier(environment: Environment) -> None:
    """Sums over groups are those of the tier: devices, installs, participants, time and energy by use."""
    _, report, _ = _round(environment, failure=0.5)
    truth = report.truth
    summed = dict(zip(GROUP_SUMS, truth["groups"].sum(axis=1).T, strict=True))
    ours = ("devices", "installs", "participants", "installs_us", "sessions_us")
    theirs = ("devices", "installs", "participants", "install_us", "session_us")
    energies = tuple(f"{use}_uj" for use in ENERGY_USES)
    for name, other in zip((*ours, *energies), (*theirs, *r.ENERGY_KEYS), strict=True):
        assert summed[name].tolist() == truth[other].tolist(), name
        assert summed[name].sum() > 0
    assert summed["participants_uj"].tolist() == truth["participant_uj"].sum(axis=1).tolist()
    assert summed["sessions"].tolist() == truth["latency"].sum(axis=1).tolist()
    assert np.count_nonzero(truth["groups"][:, :, 0], axis=1).min() > 25  # of 32 groups


def test_a_device_is_in_one_group_wherever_the_fleet_is_split() -> None:
    """Devices 31, 32 and 33 of tiers 0, 2 and 0 are in groups 31, 0 and 1, in one block and in two."""
    tier, installs = np.array([0, 2, 0]), np.array([1, 0, 5])
    whole, split = empty_groups(3), empty_groups(3)
    add_groups(whole, 31, tier, {"installs": installs})
    add_groups(split, 31, tier[:1], {"installs": installs[:1]})
    add_groups(split, 32, tier[1:], {"installs": installs[1:]})
    assert np.array_equal(whole, split)
    devices, of_installs = GROUP_SUMS.index("devices"), GROUP_SUMS.index("installs")
    assert np.argwhere(whole[:, :, devices]).tolist() == [[0, 1], [0, 31], [2, 0]]
    assert (whole[0, 1, of_installs], whole[0, 31, of_installs]) == (5, 1)


def test_energy_a_session_a_round_and_a_day_by_hand() -> None:
    """Micro- to millijoules: sessions by those that ran, rounds by participants, days by devices and days."""
    totals = r.empty_truth(Places(1, 0))
    totals["latency"][1, 5] = 4
    for key, value in zip(r.ENERGY_KEYS, (8_000, 6_000, 4_000, 2_000), strict=True):
        totals[key][1] = value
    totals["participants"][1], totals["participant_uj"][1] = 2, [1_000, 0, 4_000, 3_000]
    found = tier_energy(totals, 1, devices=5, days=0.5)
    assert found.per_session == 2.0
    assert found.per_round_by == {"sessions": 0.5, "installs": 0.0, "uploads": 2.0, "downloads": 1.5}
    assert found.per_round == 4.0
    assert found.per_day_by == pytest.approx(
        {"sessions": 3.2, "installs": 2.4, "uploads": 1.6, "downloads": 0.8}
    )
    assert found.per_day == pytest.approx(8.0)
    assert participant_energy(totals) == (2, 4.0)
    nobody = tier_energy(totals, 0, devices=5, days=0.5)
    assert (nobody.per_round, nobody.per_round_by) == (None, {})
    assert participant_energy(r.empty_truth(Places(1, 0))) == (0, None)
