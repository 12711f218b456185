"""Finished trade-off grids as a plan reads them: their private arms, each with the noise of its mean."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbert.devices.availability_trace import load_trace
from fedbert.errors import FedbertError, invalid
from fedbert.parts import MECHANISMS
from fedbert.planning.budget.account import kind_of
from fedbert.planning.budget.noise import Shares, mean_noise, report_shares
from fedbert.planning.budget.plan import MeasuredArm
from fedbert.planning.tradeoff.grid import FRONTIER, GRID_FILE
from fedbert.planning.tradeoff.paired import column
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.scenario import DEFAULTS, Scenario, build, read_toml
from fedbert.user_tables import UserTable, read_table

_TEXTS = ("signal", "mechanism")
_DIFFERENCES = (column("ndcg@10", "no_privacy"), column("ndcg@10", "public_only"))
_NUMBERS = (
    *("epsilon", "epsilon_unamplified", "noise_multiplier", "delta", "seeds"),
    *(f"{name}{end}" for name in _DIFFERENCES for end in ("", "_low", "_high")),
)
_FREE = frozenset(
    {"devices", "noise_cohort", "delta", "seed", "noise_seed", "signal", "mechanism", "epsilon", "budget"}
)
"""Keys in which grids that are read together may differ: fleets, noise, arms and seeds."""


@dataclass(frozen=True)
class Measured:
    """What the grids have in common, and all their private arms."""

    scenario: Scenario
    shares: Shares
    arms: tuple[MeasuredArm, ...]


def read_frontiers(folders: tuple[Path, ...]) -> Measured:
    """Return the arms of finished grids of one scenario, but for fleets, noise, arms and seeds.

    Raises FedbertError if a folder is not a finished grid, if its phones add the noise, or if two are of
    different scenarios.
    """
    scenarios = [_scenario(folder) for folder in folders]
    first = scenarios[0]
    for folder, other in zip(folders, scenarios, strict=True):
        _refuse_other(folders[0], first, folder, other)
    shares = report_shares(first.round_hours, first.availability, load_trace(first.availability_trace))
    arms = [
        arm
        for folder, scenario in zip(folders, scenarios, strict=True)
        for arm in _arms(folder, scenario, shares)
    ]
    return Measured(first, shares, tuple(arms))


def _scenario(folder: Path) -> Scenario:
    if not (folder / GRID_FILE).is_file() or not (folder / f"{FRONTIER}.parquet").is_file():
        raise invalid(
            "frontier",
            str(folder),
            f"be the folder of a finished trade-off grid ({GRID_FILE} and {FRONTIER}.parquet)",
            "run `fedbert tradeoff` to its end",
        )
    scenario = build(read_toml(folder / GRID_FILE))[0]
    if scenario.mode == "local":
        rule = "have noise that the aggregator adds (its mode is 'local')"
        raise invalid("frontier", str(folder), rule, "plan with a grid of mode central")
    if scenario.clocked:
        raise invalid(
            "frontier",
            str(folder),
            "be of rounds that take every report, and these close by the clock",
            "run the grid without round_deadline_s, buffer_reports and target_reports",
        )
    if scenario.selection != DEFAULTS.selection:
        raise invalid(
            "frontier",
            str(folder),
            f"be of rounds that ask whom the mechanism draws, and these ask by {scenario.selection!r}",
            "run the grid without selection",
        )
    return scenario


def _refuse_other(folder: Path, first: Scenario, other_folder: Path, other: Scenario) -> None:
    values, others = first.model_dump(exclude=set(_FREE)), other.model_dump(exclude=set(_FREE))
    for key, value in values.items():
        if others[key] != value:
            raise invalid(
                "frontier",
                str(other_folder),
                f"be of the scenario of {folder} (its {key} is {others[key]!r}, not {value!r})",
                "plan with one of them",
            )


def _arms(folder: Path, scenario: Scenario, shares: Shares) -> list[MeasuredArm]:
    path = folder / f"{FRONTIER}.parquet"
    table = read_table("frontier", path, [*_TEXTS, *_NUMBERS])
    texts = {name: table.text(name).to_pylist() for name in _TEXTS}
    numbers = {name: table.numbers(name).tolist() for name in _NUMBERS}
    rows: list[dict[str, Any]] = [
        {name: values[row] for name, values in (texts | numbers).items()}
        for row in range(table.data.num_rows)
    ]
    return [
        _arm(folder, scenario, shares, _checked(table, number, row))
        for number, row in enumerate(rows)
        if not math.isnan(row["epsilon"]) and row["mechanism"] in MECHANISMS
    ]


def _checked(table: UserTable, number: int, row: dict[str, Any]) -> dict[str, Any]:
    for name in ("noise_multiplier", "epsilon", "delta", "seeds"):
        if not (row[name] > 0 and math.isfinite(row[name])):
            raise table.bad(number, name, row[name], "be > 0 in a private arm", "run the grid again")
    return row


def _arm(folder: Path, scenario: Scenario, shares: Shares, row: dict[str, Any]) -> MeasuredArm:
    devices = scenario.protected_devices
    mechanism = kind_of(row["mechanism"]).make(
        PrivacySettings(
            epsilon=row["epsilon"],
            delta=row["delta"],
            sampling_probability=scenario.cohort_probability,
            clip_norm=1.0,
            rounds=scenario.rounds,
            rounds_per_day=scenario.rounds_per_day,
            devices=devices,
            noise_multiplier=row["noise_multiplier"],
        )
    )
    noise = mean_noise(mechanism, scenario.rounds, devices, shares)
    if noise is None:
        raise FedbertError(
            f"frontier(={str(folder)!r}) must have opened a sum; run the grid with more rounds"
        )
    loss, gain = ((row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in _DIFFERENCES)
    return MeasuredArm(
        frontier=str(folder),
        signal=row["signal"],
        mechanism=row["mechanism"],
        epsilon=row["epsilon_unamplified"],
        devices=scenario.devices,
        noise_devices=devices,
        seeds=int(row["seeds"]),
        noise=noise,
        loss=loss,
        gain=gain,
    )
