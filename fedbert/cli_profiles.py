"""``fedbert profiles check``: say everything that is wrong with a folder of device profiles."""

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
