"""The table of systems side by side; it refuses systems that did not do the same work."""

from collections.abc import Sequence
from typing import TypedDict

from fedbert.errors import invalid

BASE = "fedbert"
SAME = ("sessions", "clicks", "reports", "sum_sha256")
"""What all systems must agree on at one number of devices; the last is the SHA-256 of the sum of reports."""


class Measured(TypedDict):
    """What a script of a system writes: one round of `devices` phones, its start apart."""

    system: str
    version: str
    how: str
    devices: int
    sessions: int
    clicks: int
    reports: int
    start_s: float
    wall_s: float
    cpu_s: float
    sum_sha256: str


class Row(Measured):
    """A line of the table. Ratios are times a device, over those of fedbert with as many devices."""

    wall_us_per_device: float
    cpu_us_per_device: float
    wall_ratio: float
    cpu_ratio: float


def rows_of(found: Sequence[Measured]) -> list[Row]:
    """Return the rows of the table, by devices and then as given.

    Raises FedbertError if fedbert is missing at a number of devices, or if a system worked other sessions, or
    has another sum.
    """
    rows: list[Row] = []
    for devices in sorted({each["devices"] for each in found}):
        here = [each for each in found if each["devices"] == devices]
        bases = [each for each in here if each["system"] == BASE]
        if len(bases) != 1:
            rule = f"have one run of {BASE} beside the others"
            raise invalid("devices", devices, rule, "measure it with them")
        for each in here:
            check_same(bases[0], each)
            rows.append(_row(bases[0], each))
    return rows


def check_same(base: Measured, other: Measured) -> None:
    """Raise FedbertError unless two systems did the same work."""
    for key in SAME:
        if other[key] != base[key]:  # type: ignore[literal-required]
            rule = f"be {base[key]} as {base['system']}'s, for {base['devices']:,} devices"  # type: ignore[literal-required]
            name = f"{key} of {other['system']}"
            raise invalid(name, other[key], rule, "work of different size is not compared")  # type: ignore[literal-required]


def _row(base: Measured, each: Measured) -> Row:
    devices = each["devices"]
    return Row(
        **each,
        wall_us_per_device=1e6 * each["wall_s"] / devices,
        cpu_us_per_device=1e6 * each["cpu_s"] / devices,
        wall_ratio=each["wall_s"] / base["wall_s"],
        cpu_ratio=each["cpu_s"] / base["cpu_s"],
    )


def markdown(rows: Sequence[Row], machine: str) -> str:
    """Return the table as Markdown, with the machine in words above it."""
    lines = [
        f"Measured on {machine}.",
        "",
        "| devices | system | version | how | sessions | start, s | wall, s | CPU, s | wall, µs a device | "
        "CPU, µs a device | wall, × fedbert | CPU, × fedbert |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['devices']:,} | {row['system']} | {row['version']} | {row['how']} | {row['sessions']:,} "
            f"| {row['start_s']:.0f} | {row['wall_s']:.2f} | {row['cpu_s']:.2f} "
            f"| {row['wall_us_per_device']:,.1f} | {row['cpu_us_per_device']:,.1f} "
            f"| {row['wall_ratio']:,.0f} | {row['cpu_ratio']:,.0f} |"
        )
    return "\n".join(lines) + "\n"
