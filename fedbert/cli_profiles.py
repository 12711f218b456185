"""``fedbert profiles``: check a folder of device profiles, or measure this machine into a profile."""

import sys
from pathlib import Path

import click


@click.group()
def profiles() -> None:
    """Work with device profiles."""


@profiles.command()
@click.argument("folder", type=click.Path(path_type=Path))
def check(folder: Path) -> int:
    """Check the TOML files of FOLDER; the exit code is 2 if anything is wrong."""
    from fedbert.devices.links import check_links
    from fedbert.devices.profiles import check_profiles

    problems = check_profiles(folder) + check_links(folder)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if not problems:
        click.echo(f"{folder}: all profiles are good")
    return 2 if problems else 0


@profiles.command("calibrate-host")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("host.toml"),
    help="profile to write (host.toml)",
)
@click.option("--seconds", type=click.FloatRange(1, 3_600), default=90.0, help="time to measure (90)")
@click.option("--verify/--no-verify", default=True, help="compare predicted with measured latency of models")
@click.option("--rows", type=click.Path(path_type=Path), help="write the comparison as CSV, too")
@click.option("--overwrite", is_flag=True, help="replace files that are there")
def calibrate_host(output: Path, seconds: float, verify: bool, rows: Path | None, overwrite: bool) -> int:
    """Time single operators on this machine, fit its constants, and write them as a profile.

    Then predict whole models, which no constant was fitted to, and show measured latency beside it.
    """
    import tomli_w

    from fedbert.devices.host_calibration import calibrate, screen_lines
    from fedbert.devices.host_report import write_rows
    from fedbert.errors import FedbertError
    from fedbert.results import write_text_atomically

    if rows is not None and not verify:
        raise FedbertError(f"rows(='{rows}') must come with --verify; leave one of them out")
    for name, path in (("output", output), ("rows", rows)):
        if path is not None and path.exists() and not overwrite:
            raise FedbertError(f"{name}(='{path}') must not exist yet; add --overwrite to replace it")
        if path is not None and not path.absolute().parent.is_dir():
            raise FedbertError(f"{name}(='{path}') must lie in a folder that exists; make the folder first")
    with click.progressbar(length=1_000, label="measuring", file=sys.stderr) as bar:
        found = calibrate(seconds, verify, lambda share: bar.update(int(1_000 * share) - bar.pos))
    write_text_atomically(output, tomli_w.dumps(found.profile))
    if rows is not None:
        write_rows(rows, found.rows)
    for line in screen_lines(found):
        click.echo(line)
    if found.warning:
        click.echo(f"warning: {found.warning}", err=True)
    click.echo(f"{output}: written")
    return 0
