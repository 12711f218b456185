"""Fleets: which share of the phones each class of device profiles has, read from ``fleets/NAME.toml``.

A fleet file names classes by the file of their profile, without its ending. Classes it does not name are not
in the fleet. Beside the classes of `folder` it may use any fleet file, given by its path.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from fedbert.devices.links import check_links
from fedbert.devices.profiles import (
    SHARE_TOLERANCE,
    DeviceProfile,
    Table,
    adds_up,
    load_profiles,
    raise_first,
    read_profiles,
    read_table,
    scaled,
)
from fedbert.paths import profiles_folder

FLEETS_FOLDER = "fleets"
DEFAULT_FLEET = "global"


class FleetShares(Table):
    """A fleet: `shares` of its phones by class, adding up to 1 within `SHARE_TOLERANCE`, and their source."""

    description: str = Field(min_length=1)
    shares: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = sum(self.shares.values())
        if not adds_up(total):
            raise ValueError(
                f"shares must add up to 1 (within {SHARE_TOLERANCE:g}), not {total:.9g}; change the shares"
            )
        return self

    @property
    def scaled(self) -> dict[str, float]:
        """The shares by class, scaled to add up to 1."""
        return dict(zip(self.shares, scaled(list(self.shares.values())), strict=True))


def fleet_file(folder: Path, fleet: str) -> Path:
    """Return the file of `fleet`: a path to a .toml, or a name in the `fleets` folder of `folder`."""
    given = Path(fleet)
    return given if given.suffix == ".toml" else folder / FLEETS_FOLDER / f"{fleet}.toml"


def fleet_names(folder: Path | None = None) -> list[str]:
    """Return the names of the fleets of `folder`, sorted."""
    folder = profiles_folder() if folder is None else folder
    return sorted(file.stem for file in (folder / FLEETS_FOLDER).glob("*.toml"))


def load_fleet(folder: Path | None = None, fleet: str = DEFAULT_FLEET) -> tuple[DeviceProfile, ...]:
    """Return the profiles of a fleet with their shares, which add up to 1, in the order of their files.

    `folder` holds the profiles (default: those that come with fedbert); `fleet` is a name in its `fleets`
    folder or the path of a .toml. Raises `FedbertError`, one line, for the first problem found.
    """
    return read_fleet(folder, fleet)[0]


def read_fleet(
    folder: Path | None = None, fleet: str = DEFAULT_FLEET
) -> tuple[tuple[DeviceProfile, ...], tuple[str, ...]]:
    """Return what `load_fleet` does, and a line for people on each kind of shares that was scaled to 1."""
    folder = profiles_folder() if folder is None else folder
    profiles = load_profiles(folder)
    table, problems = _read_fleet(folder, fleet_file(folder, fleet), fleet, profiles)
    raise_first(problems, folder)
    assert table is not None
    shares = table.scaled
    chosen = {name: profile for name, profile in profiles.items() if name in shares}
    drawn = tuple(profile.model_copy(update={"share": shares[name]}) for name, profile in chosen.items())
    return drawn, (*_fleet_notes(fleet, table), *_radio_notes(chosen))


def check_folder(folder: Path) -> list[str]:
    """Return every problem of the profiles, the links and the fleets in `folder`, a line each.

    A folder without any fleet has one: no run can draw its phones.
    """
    profiles, problems = read_profiles(folder)
    problems = problems + check_links(folder)
    names = fleet_names(folder)
    if profiles and not names:
        problems.append(
            f"fleet: {folder.name}/{FLEETS_FOLDER} must hold a fleet, such as {DEFAULT_FLEET}.toml, and has "
            "none; write one, or give each run another with --fleet FILE.toml"
        )
    for name in names:
        problems += _read_fleet(folder, fleet_file(folder, name), name, profiles)[1]
    return problems


def notes(folder: Path) -> list[str]:
    """Return what a run with a good `folder` has to know, a line each: --fleet needed, shares scaled."""
    names = fleet_names(folder)
    found = []
    if DEFAULT_FLEET not in names:
        found.append(f"no fleet {DEFAULT_FLEET} here: a run needs --fleet {names[0]}")
    for name in names:
        table, _ = read_table(fleet_file(folder, name), FleetShares)
        if table is not None:
            found += _fleet_notes(name, table)
    return [*found, *_radio_notes(read_profiles(folder)[0])]


def _fleet_notes(fleet: str, table: FleetShares) -> list[str]:
    if table.scaled == table.shares:
        return []
    return [f"fleet {fleet}: shares add up to {sum(table.shares.values()):.6g}, scaled to 1"]


def _radio_notes(profiles: dict[str, DeviceProfile]) -> list[str]:
    """Return one line on the profiles whose shares of radios were scaled, by the names of their files."""
    names = [name for name, profile in profiles.items() if profile.radios.are_scaled]
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"radios of {', '.join(names[:3])}{more}: shares do not add up to 1, scaled to 1"]


def _read_fleet(
    folder: Path, file: Path, fleet: str, profiles: dict[str, DeviceProfile]
) -> tuple[FleetShares | None, list[str]]:
    if not file.is_file():
        known = ", ".join(fleet_names(folder)) or "none"
        return None, [
            f"fleet(={fleet!r}) must be a fleet of {folder.name}/{FLEETS_FOLDER} ({known}) or a .toml file; "
            "see docs/how-to/phones.md"
        ]
    table, problems = read_table(file, FleetShares)
    if table is None:
        return None, problems
    unknown = sorted(set(table.shares) - set(profiles))
    problems = [
        f"{file.name}: shares.{name} must name a profile of {folder.name} by its file without .toml; "
        "list them with: fedbert profiles list"
        for name in unknown
    ]
    return table, problems
