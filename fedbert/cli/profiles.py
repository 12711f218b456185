"""``fedbert profiles``: list and show the classes of phones, check a folder of them, measure this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbert.cli.command import Group, console_for_tables

if TYPE_CHECKING:
    from fedbert.devices.profiles import DeviceProfile

_FOLDER = click.option(
    "--profiles",
    "folder",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="folder of device profiles  [default: those that come with fedbert]",
)


@click.group(cls=Group)
def profiles() -> None:
    """Look at the classes of phones, check your own, and measure this machine."""


@profiles.command("list", short_help="list the classes of a fleet with their shares")
@_FOLDER
@click.option(
    "--fleet", default="global", show_default=True, metavar="NAME", help="a fleet's name, or its .toml"
)
def list_(folder: Path | None, fleet: str) -> int:
    """List the classes of a fleet with their shares."""
    from rich.table import Table

    from fedbert.devices.fleet_shares import fleet_names, load_fleet

    table = Table(title=f"Fleet {fleet}", title_justify="left", box=None, pad_edge=False)
    for name, right in (
        ("class", False),
        ("tier", False),
        ("share", True),
        ("fastest cores, GHz", False),
        ("GMAC/s", True),
        ("free MB", True),
    ):
        table.add_column(name, justify="right" if right else "left")
    for profile in load_fleet(folder, fleet):
        first = profile.clusters[0]
        table.add_row(
            profile.name,
            profile.tier,
            f"{profile.share:.1%}",
            f"{first.count}x {first.core} {first.clock_ghz:g}",
            f"{profile.big_core.int8_gmacs_per_s:.1f}",
            f"{profile.free_memory.p50_bytes / 1e6:.1f}",
        )
    console = console_for_tables()
    console.print(table)
    console.print(
        "Modelled. GMAC/s: int8, one of the fastest cores. free MB: memory free to the feature, median. "
        f"Fleets: {', '.join(fleet_names(folder)) or 'none'}.",
        highlight=False,
    )
    return 0


@profiles.command(short_help="show every number of a class, and where it is from")
@click.argument("name")
@_FOLDER
def show(name: str, folder: Path | None) -> int:
    """Show every number of the class NAME, and where it is from.

    NAME is a class's name, its file, or a part of either that no other class has.
    """
    from fedbert.devices.profiles import load_profiles

    found = load_profiles(folder)
    key = _pick(name, found)
    click.echo(f"# {key}.toml")
    for line in _lines(found[key]):
        click.echo(line)
    return 0


def _pick(name: str, found: "dict[str, DeviceProfile]") -> str:
    """Return the file (without .toml) of the one class that `name` means."""
    from fedbert.errors import FedbertError

    wanted = name.casefold().removesuffix(".toml")
    whole = [key for key, profile in found.items() if wanted in (key.casefold(), profile.name.casefold())]
    part = [
        key for key, profile in found.items() if wanted in key.casefold() or wanted in profile.name.casefold()
    ]
    matches = whole or part
    if len(matches) == 1:
        return matches[0]
    what = f"is part of {len(matches)} classes ({', '.join(matches)})" if matches else "is none"
    raise FedbertError(
        f"NAME(={name!r}) must be a class's name, its file or a part of one; it {what}; "
        "list them with: fedbert profiles list"
    )


def _lines(profile: "DeviceProfile") -> list[str]:
    """Return a line for each number and text of a profile, with its source."""

    def source(key: str) -> str:
        known = [text for name, text in profile.sources.items() if key == name or key.startswith(f"{name}.")]
        return f"  # {known[0]}" if known else ""

    lines: list[str] = []
    values = profile.model_dump(exclude={"sources", "share"}, exclude_none=True)
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [
                f"{key}.{inner} = {number}{source(f'{key}.{inner}')}" for inner, number in value.items()
            ]
        elif isinstance(value, list):
            cores = " + ".join(f"{c['count']}x {c['core']} {c['clock_ghz']:g} GHz" for c in value)
            lines.append(f"{key} = {cores}{source(key)}")
        else:
            lines.append(f"{key} = {value}{source(key)}")
    return lines


@profiles.command(short_help="check a folder of profiles, links and fleets")
@click.argument("folder", type=click.Path(path_type=Path))
def check(folder: Path) -> int:
    """Check the profiles, the links and the fleets of FOLDER; the exit code is 2 if anything is wrong."""
    from fedbert.devices.fleet_shares import check_folder, notes

    problems = check_folder(folder)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if not problems:
        click.echo(f"{folder}: all profiles, links and fleets are good")
        for note in notes(folder):
            click.echo(f"note: {note}")
    return 2 if problems else 0


@profiles.command("calibrate-host", short_help="measure this machine into a profile")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("host.toml"),
    show_default=True,
    metavar="PATH",
    help="profile to write",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3_600),
    default=90.0,
    show_default=True,
    metavar="SECONDS",
    help="time to measure",
)
@click.option("--verify/--no-verify", default=True, help="compare predicted with measured latency of models")
@click.option("--rows", type=click.Path(path_type=Path), help="write the comparison as CSV, too")
@click.option("--overwrite", is_flag=True, help="replace files that are there")
def calibrate_host(output: Path, seconds: float, verify: bool, rows: Path | None, overwrite: bool) -> int:
    """Time single operators on this machine, fit its constants, and write them as a profile.

    Then predict whole models, which no constant was fitted to, and show measured latency beside it.
    """
    import tomli_w

    from fedbert.cli.kept import check_file
    from fedbert.devices.host.calibrate import calibrate, screen_lines
    from fedbert.devices.host.check import write_rows
    from fedbert.errors import FedbertError
    from fedbert.files import write_text

    if rows is not None and not verify:
        raise FedbertError(f"rows(='{rows}') must come with --verify; leave one of them out")
    for name, path in (("output", output), ("rows", rows)):
        if path is not None:
            check_file(path, name, overwrite)
    if rows is not None and rows.absolute() == output.absolute():
        raise FedbertError(f"rows(='{rows}') must be another file than output; choose another --rows")
    with click.progressbar(length=1_000, label="measuring", file=sys.stderr) as bar:
        found = calibrate(seconds, verify, lambda share: bar.update(int(1_000 * share) - bar.pos))
    write_text(output, tomli_w.dumps(found.profile.tables()))
    if rows is not None:
        write_rows(rows, found.rows)
    for line in screen_lines(found):
        click.echo(line)
    if found.warning:
        click.echo(f"warning: {found.warning}", err=True)
    click.echo(f"{output}: written")
    return 0
