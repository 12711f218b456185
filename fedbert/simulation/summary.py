"""From the raw sums of a run to its result: rates, percentiles, intervals. No simulation happens here."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import hourly_shares
from fedbert.devices.availability_trace import Trace
from fedbert.devices.cost_model import Outcome
from fedbert.devices.energy import charge_mah
from fedbert.devices.errors_table import device_errors
from fedbert.devices.links import LINK_KINDS
from fedbert.devices.network import upload_state
from fedbert.devices.profiles import DeviceProfile
from fedbert.federation import shard_report as r
from fedbert.federation.energy_rows import tier_energy
from fedbert.federation.environment import Environment
from fedbert.federation.group_sums import group_row
from fedbert.federation.phones import Phones
from fedbert.federation.rows import metrics, outcomes, round_ends
from fedbert.federation.run_state import RunState
from fedbert.federation.server import TRAINING_THREADS
from fedbert.federation.session import Session
from fedbert.machine import machine_record, peak_memory_bytes
from fedbert.recommendation.sessions import activity_share
from fedbert.results import (
    LABELS,
    SCHEMA,
    TAKING_PART,
    TIERS,
    ExecutionRow,
    HourRow,
    RunResult,
    SecureSumRow,
    SelectionRow,
    TierRow,
    TrafficRow,
)
from fedbert.scenario import Scenario, anchored
from fedbert.selection.selection import Selection, privacy_sentence
from fedbert.simulation.budget import overspent
from fedbert.simulation.percentiles import percentiles
from fedbert.simulation.poisoned_row import poisoned_row
from fedbert.simulation.privacy_row import privacy_row
from fedbert.simulation.quality_rows import compared, comparison_rows, findings, gap_row
from fedbert.simulation.sizes_row import sizes_row
from fedbert.simulation.unplaced import unplaced_row
from fedbert.simulation.world_facts import world_facts
from fedbert.units import HOURS_PER_DAY

if TYPE_CHECKING:
    import pandas as pd

SAMPLED_DEVICES = 1_000
"""Devices in the table that shows what a fleet is made of."""

HOURLY_SAMPLE = 20_000
"""Most devices from which the shares by local hour are estimated: to about a third of a per cent."""


def _tier_row(
    scenario: Scenario, state: RunState, tier: int, profiles: tuple[DeviceProfile, ...]
) -> TierRow | None:
    totals, rounds = state.totals, state.round
    ranks = totals["ranks"][tier]
    devices = int(totals["devices"][tier]) // max(rounds, 1)
    if not devices or not ranks.any():
        return None
    ranked = not scenario.timing_only
    days = rounds * scenario.round_hours / HOURS_PER_DAY
    energy = tier_energy(totals, tier, devices, days)
    spent_us = sum(int(totals[key][tier]) for key in ("session_us", "install_us"))
    installs = int(totals["installs"][tier])
    own = [profile for profile in profiles if profile.tier == TIERS[tier]]
    weight = [profile.share for profile in own]
    capacity = float(np.average([profile.battery_mah for profile in own], weights=weight))
    voltage = float(np.average([profile.battery_voltage_v for profile in own], weights=weight))
    per_day = float(charge_mah(energy.per_day, voltage))
    row: TierRow = {
        "devices": devices,
        "sessions": int(ranks.sum()),
        "quality": metrics(ranks.sum(axis=(0, 1))) if ranked else None,
        "scored_quality": metrics(ranks[:, Outcome.SCORED].sum(axis=0)) if ranked else None,
        "outcomes": outcomes(ranks.sum(axis=(0, 2)) + totals["learning_outcomes"][tier]),
        "latency_ms": percentiles(totals["latency"][tier], r.latency_edges_ms()),
        "peak_memory_bytes": percentiles(totals["memory"][tier], r.memory_edges_bytes()),
        "energy_mj_per_session": energy.per_session,
        "energy_mj_per_round": energy.per_round,
        "energy_mj_per_round_by": energy.per_round_by,
        "energy_mj_per_day_by": energy.per_day_by,
        "install_ms": int(totals["install_us"][tier]) / r.MICRO / installs if installs else None,
        "installs_per_day": installs / devices / days,
        "mah_per_day": per_day,
        "battery_percent_per_day": 100 * per_day / capacity,
        "device_ms_per_day": spent_us / r.MICRO / devices / days,
        "taking_part": dict(zip(TAKING_PART, totals["taking_part"][tier].tolist(), strict=True)),
        "groups": group_row(totals["groups"][tier]),
    }
    if scenario.clocked:
        row["round_ends"], row["round_s_by"] = round_ends(totals, tier)
    return row


def _hours(scenario: Scenario, trace: Trace | None) -> list[HourRow]:
    # Shares are the model's, not this fleet's: a small fleet has them from more devices than it has.
    sample = min(HOURLY_SAMPLE, max(scenario.devices, 1000))
    shares = hourly_shares(scenario.availability, scenario.seed, sample, trace)
    eligible = shares[upload_state(scenario.metered)]
    return [
        {
            "hour": hour,
            "idle": float(shares["idle"][hour]),
            "charging": float(shares["charging"][hour]),
            "unmetered": float(shares["unmetered"][hour]),
            "eligible": float(eligible[hour]),
            "sessions": activity_share(float(hour), 1.0),
            "online": float(shares["online"][hour]),
            "eligible_unmetered": float(shares["eligible"][hour]),
        }
        for hour in range(24)
    ]


def _histogram(table: NDArray[np.int64], edges: NDArray[np.float64], name: str) -> dict[str, list[float]]:
    return {name: edges.tolist()} | {
        tier: table[index].astype(float).tolist() for index, tier in enumerate(TIERS)
    }


def device_sample(environment: Environment) -> "pd.DataFrame":
    """Return the first devices of the fleet, one row each, with units in the names."""
    import pandas as pd

    scenario, profiles = environment.scenario, environment.profiles
    count = min(SAMPLED_DEVICES, scenario.devices)
    phones = Phones(environment, DeviceRange(scenario.seed, 0, count))
    fleet, network = phones.fleet, phones.network(np.arange(count))
    return pd.DataFrame(
        {
            "device": np.arange(count),
            "profile": [profiles[index].name for index in fleet.profile],
            "tier": [TIERS[index] for index in fleet.tier],
            "free_memory_bytes": fleet.free_memory_bytes,
            "wifi_downlink_bits_per_s": network.wifi_downlink_bits_per_s,
            "wifi_uplink_bits_per_s": network.wifi_uplink_bits_per_s,
            "cellular_kind": [LINK_KINDS[kind] for kind in network.cellular_kind],
            "cellular_downlink_bits_per_s": network.cellular_downlink_bits_per_s,
            "cellular_uplink_bits_per_s": network.cellular_uplink_bits_per_s,
            "speed_factor": fleet.speed_factor,
        }
    )


def selection_row(selection: Selection) -> SelectionRow:
    """Return who was asked, and what that costs in privacy."""
    return {
        "name": selection.name,
        "reveals": selection.reveals,
        "statement": privacy_sentence(selection),
    }


def secure_sum(scenario: Scenario, state: RunState) -> SecureSumRow:
    """Return what really running phones' masks showed; shards check their own phones, and say yes or no."""
    return {"devices_per_shard": scenario.verify_masks, "dropped": "one in eight", "equal": state.masks_equal}


def summarise(
    session: Session,
    state: RunState,
    *,
    command: str,
    started: str,
    wall_s: float,
    versions: dict[str, str],
    commit: str | None,
    execution: ExecutionRow,
) -> tuple[RunResult, "pd.DataFrame"]:
    """Return the result of a run with its round 1 at least, and the sample of devices.

    `execution` says how it was computed: backend, shards, resumed rounds; no figure depends on it.
    """
    scenario, environment, server = session.scenario, session.environment, session.server
    done, rows, totals = state.round, list(state.rows), state.totals
    found = compared(session)
    shown = findings(session, state, found)
    counts = dict(zip(r.COHORT_KEYS, totals["counts"].tolist(), strict=True)) if done > 0 else {}
    sessions = int(totals["ranks"].sum() + totals["learning_outcomes"].sum())
    tiers = {
        name: row
        for index, name in enumerate(TIERS)
        if (row := _tier_row(scenario, state, index, environment.profiles)) is not None
    }
    scored = int(
        totals["ranks"][:, :, Outcome.SCORED].sum() + totals["learning_outcomes"][:, Outcome.SCORED].sum()
    )
    traffic: TrafficRow = {
        "bytes_per_report": server.layout.bytes_up,
        "bytes_per_release": environment.release_bytes,
        "bytes_up": sum(row["bytes_up"] for row in rows),
        "bytes_down": sum(row["bytes_down"] for row in rows),
        "upload_attempts": counts.get("upload_attempts", 0),
        "uploads_failed": counts.get("uploads_failed", 0),
        "download_attempts": counts.get("download_attempts", 0),
        "downloads_failed": counts.get("downloads_failed", 0),
    }
    ended = overspent(environment.mechanism, scenario, done + 1) if done < scenario.rounds else ""
    compared_or_timed = session.replayed is not None or scenario.timing_only
    finished = (done == scenario.rounds or bool(ended)) and compared_or_timed
    result: RunResult = {
        "schema": SCHEMA,
        "name": f"{session.world.name}, {scenario.devices:,} devices",
        "command": command,
        "seed": scenario.seed,
        "started": started,
        "versions": versions,
        "machine": machine_record(scenario.precision, TRAINING_THREADS),
        "commit": commit,
        "status": "finished" if finished else f"interrupted after round {done}",
        "labels": dict(LABELS),
        "scenario": anchored(scenario).model_dump(mode="json"),
        "world": world_facts(environment),
        "model": server.model_facts(state.server),
        "privacy": privacy_row(environment.mechanism, scenario, done),
        "rounds": rows,
        "tiers": tiers,
        "hours": _hours(scenario, environment.trace),
        "comparison": comparison_rows(found),
        "gap": gap_row(found, shown["figures"]),
        "findings": shown,
        "latency_histogram": _histogram(totals["latency"], r.latency_edges_ms(), "upper_ms"),
        "memory_histogram": _histogram(totals["memory"], r.memory_edges_bytes(), "upper_bytes"),
        "secure_sum": secure_sum(scenario, state),
        "selection": selection_row(environment.selection),
        "traffic": traffic,
        "totals": {
            "sessions": sessions,
            "scored": scored,
            "scored_share": scored / sessions if sessions else None,
            "clicks": None if scenario.timing_only else counts.get("clicks", 0),
            "reports": counts.get("reported", 0),
            "downloads": counts.get("downloads", 0),
            "devices_per_s": scenario.devices * (done + 1) / max(sum(row["wall_s"] for row in rows), 1e-9),
            "missing_device_rounds": state.missing_device_rounds,
        },
        "execution": {**execution, "masks_checked": state.masks_checked},
        "events": [event.row() for event in (*state.events, *session.events)],
        "device_errors": device_errors(scenario.profiles),
        "timing_s": {name: round(seconds, 3) for name, seconds in session.timing_s.items()},
        "wall_s": wall_s,
        "peak_memory_bytes": peak_memory_bytes(),
    }
    if (lies := poisoned_row(environment, rows)) is not None:
        result["poisoned"] = lies
    if (sizes := sizes_row(session, state, found)) is not None:
        result["sizes"] = sizes
    if (unplaced := unplaced_row(session, state)) is not None:
        result["unplaced"] = unplaced
    if ended and finished:
        result["ended"] = ended
    return result, device_sample(environment)
