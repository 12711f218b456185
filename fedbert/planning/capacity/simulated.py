"""Figures of a simulated run under the names that a forecast has for them: counted, not forecast.

Only what needs no model is here: counts, bytes, what phones spend, and how a release reached them.
"""

from collections.abc import Iterator

import numpy as np

from fedbert.results import RoundRow, RunResult
from fedbert.units import HOURS_PER_DAY

Key = tuple[str, int | None, str | None]
"""Name, local hour and tier of a figure, as `fedbert.planning.capacity.capacity.Forecast` has them."""

REACHED = (0.5, 0.9, 0.95, 0.99)
SCORED = "scored"


def simulated(result: RunResult) -> dict[Key, float]:
    """Return the figures of a finished run; the hour of a window is that in which it ends."""
    found: dict[Key, float] = {(name, None, None): value for name, value in _fleet(result)}
    found |= dict(_tiers(result))
    found |= dict(_eligible(result))
    return found | {(f"hours to {share:.0%}", None, None): hours for share, hours in _reached(result)}


def _rounds(result: RunResult) -> list[RoundRow]:
    return [row for row in result["rounds"] if row["round"] > 0]


def _days(result: RunResult) -> float:
    return float(len(_rounds(result)) * result["scenario"]["round_hours"] / HOURS_PER_DAY)


def _fleet(result: RunResult) -> Iterator[tuple[str, float]]:
    rounds, days = _rounds(result), _days(result)
    downloads = sum(row["downloads"] for row in rounds) / days
    reports = sum(row["completed"] for row in rounds) / days
    down, up = (sum(row[key] for row in rounds) / days for key in ("bytes_down", "bytes_up"))
    yield "releases per day", sum(bool(row["released"]) for row in rounds) / days
    yield "downloads per day", downloads
    yield "egress per day", down
    yield "reports per day", reports
    yield "ingress per day", up
    outcomes = [row["outcomes"] for row in result["tiers"].values()]
    sessions = sum(sum(each.values()) for each in outcomes)
    if sessions:
        yield "share of sessions scored", sum(each[SCORED] for each in outcomes) / sessions


def _tiers(result: RunResult) -> Iterator[tuple[Key, float]]:
    for tier, row in result["tiers"].items():
        by_use = row.get("energy_mj_per_day_by", {})
        sessions = sum(row["outcomes"].values())
        values: dict[str, float | None] = {
            "installs per day": row.get("installs_per_day"),
            "computing per day": row["device_ms_per_day"],
            "energy per session": row["energy_mj_per_session"],
            "energy per round": row.get("energy_mj_per_round"),
            **{f"energy per day, {use}": value for use, value in by_use.items()},
            "energy per day": sum(by_use.values()) if by_use else None,
            "charge per day": row["mah_per_day"],
            "battery per day": row["battery_percent_per_day"],
            "share of sessions scored": row["outcomes"][SCORED] / sessions if sessions else None,
        }
        for name, value in values.items():
            if value is not None:
                yield (name, None, tier), float(value)


def _eligible(result: RunResult) -> Iterator[tuple[Key, float]]:
    """Yield the eligible devices at the middle of each window of the day, from who of a cohort was eligible.

    Only of rounds of one day each: where devices of an earlier round may report, too, it is not that.
    """
    if result["privacy"].get("mechanism") != "poisson":
        return
    devices = int(result["scenario"]["devices"])
    half = float(result["scenario"]["round_hours"]) / 2
    shares: dict[int, list[float]] = {}
    for row in _rounds(result):
        if row["cohort"]:
            hour = int((row["hour"] - half) % HOURS_PER_DAY)
            shares.setdefault(hour, []).append(row["eligible"] / row["cohort"])
    for hour, found in shares.items():
        yield ("eligible devices", hour, None), devices * float(np.mean(found))


def _reached(result: RunResult) -> Iterator[tuple[float, float]]:
    """Yield hours from the first release to shares of the devices that fetch it, by interpolation.

    What is reached within the first window is left out: when in it, the run does not say.
    """
    rounds = _rounds(result)
    first = next((index for index, row in enumerate(rounds) if row["released"]), None)
    if first is None:
        return
    release, hours = rounds[first]["released"], float(result["scenario"]["round_hours"])
    treated = int(result["scenario"]["devices"]) * (1 - float(result["scenario"]["control_share"]))
    curve = [0.0]
    for row in rounds[first + 1 :]:
        curve.append(row["installed"].get(str(release), 0) / treated)
        if row["released"]:
            break  # the next one takes its place
    for share in REACHED:
        if max(curve) >= share:
            after = int(np.argmax(np.array(curve) >= share))
            if after < 2:
                continue
            part = (share - curve[after - 1]) / (curve[after] - curve[after - 1])
            yield share, (after - 1 + part) * hours
