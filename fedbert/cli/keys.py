"""``fedbert keys``: make the keys of a deployment, and say which file goes where and how to start."""

from pathlib import Path

import click

from fedbert.cli.command import Command

PORT = 9091
"""The SuperLink's port in the commands that are printed, as in docs/deployment.md."""


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--supernodes", type=int, required=True, metavar="N", help="SuperNodes that get a key pair")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME_OR_IP",
    help="name or IP address by which the SuperLink is reached; may be given again  [default: loopback only]",
)
@click.option("--valid-days", type=int, default=365, show_default=True, help="how long certificates hold")
def keys(folder: Path, supernodes: int, hosts: tuple[str, ...], valid_days: int) -> int:
    """Make certificates and keys of a deployment in the new FOLDER, with one folder for each machine.

    Nothing is overwritten; private keys can be read by their owner alone.
    """
    from fedbert.federation.keys import make_keys

    make_keys(folder, supernodes, hosts, valid_days)
    for line in next_steps(folder.absolute(), supernodes, hosts[0] if hosts else "127.0.0.1"):
        click.echo(line)
    return 0


def next_steps(folder: Path, supernodes: int, host: str) -> list[str]:
    """Return what to copy where, Flower's connection and the commands, for keys in the absolute `folder`."""
    address = f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"
    nodes = "supernode-1" if supernodes == 1 else f"supernode-1 .. supernode-{supernodes}"
    number = "1" if supernodes == 1 else "N"
    return [
        f"{folder}: written. Copy each part to its machine alone, over a safe channel:",
        "  ca         offline: it signs new certificates",
        "  superlink  the SuperLink",
        "  server     where the ServerApp runs: the SuperLink's machine, unless you run it elsewhere",
        "  operator   where you call flwr",
        f"  {nodes}  one SuperNode each",
        "",
        "SuperLink:",
        f"  flower-superlink --host 0.0.0.0 --port {PORT} --disable-runtime-dependency-installation"
        " --enable-supernode-auth"
        " --ssl-ca-certfile superlink/ca.pem --ssl-certfile superlink/superlink.pem"
        " --ssl-keyfile superlink/superlink-key.pem",
        "",
        "operator, $FLWR_HOME/config.toml (the path must be absolute):",
        "  [superlink.deployed]",
        f'  address = "{address}"',
        f'  root-certificates = "{folder / "operator" / "ca.pem"}"',
        "",
        "operator, for each SuperNode:",
        f"  flwr supernode register operator/supernode-{number}.pub deployed",
        "",
        "each SuperNode:",
        f"  flower-supernode --superlink {address} --root-certificates supernode-{number}/ca.pem"
        f" --auth-supernode-private-key supernode-{number}/supernode-key"
        f' --node-config "server-key=\\"$(cat supernode-{number}/server-key.txt)\\""',
        "",
        "All of it, step by step: docs/deployment.md",
    ]
