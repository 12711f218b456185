"""Real processes on the loopback interface, started by the commands that stand in docs/deployment.md.

A command is taken from the page as it is; only names, ports and paths of the example are put in the place of
this machine's.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""How long to wait for something that takes seconds on an idle machine."""


@dataclass(frozen=True)
class Place:
    """Where commands run: a working folder, and the environment with a Flower home of its own."""

    folder: Path
    env: dict[str, str]


def make_place(folder: Path) -> Place:
    """Return a place in the existing `folder`, with this interpreter's programs first."""
    home = folder / "flower-home"
    home.mkdir()
    env = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return Place(folder, env)


def documented(heading: str) -> list[str]:
    """Return the indented commands and lines of a section of docs/deployment.md, broken lines joined."""
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    joined = section.replace(" \\\n", " ")
    lines = (line for line in joined.splitlines() if line.startswith("    "))
    return [" ".join(line.split()) for line in lines]


def command(heading: str, program: str, **instead: str) -> str:
    """Return the one documented command that begins with `program`, with some of its words replaced.

    `instead` names each change; its value is ``old|new``, and old must be in the command.
    """
    (found,) = [line for line in documented(heading) if line.startswith(program)]
    for change in instead.values():
        old, new = change.split("|")
        assert old in found, f"{found!r} has no {old!r}"
        found = found.replace(old, new)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextlib.contextmanager
def started(place: Place, line: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a shell command in the background; end it and its children on leaving."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=place.folder,
            env=place.env,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def ask(place: Place, line: str) -> str:
    """Run a shell command to its end and return what it printed; it must succeed."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=place.folder,
        env=place.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until(true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return when `true()` is; fails with `what` after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def wait_for_port(port: int) -> None:
    """Return when something listens on `port`."""

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(answers, f"nothing answers on port {port}")


def wait_for_online(place: Place, connection: str, count: int) -> None:
    """Return when `count` SuperNodes are online."""

    def online() -> bool:
        nodes = json.loads(ask(place, f"flwr supernode ls {connection} --format json"))["nodes"]
        return sum(node["status"] == "online" for node in nodes) == count

    wait_until(online, f"{count} SuperNodes are not online")


def connect(place: Place, heading: str, **instead: str) -> None:
    """Write the documented connection into the place's Flower home."""
    lines = documented(heading)
    first = next(i for i, line in enumerate(lines) if line.startswith("[superlink."))
    settings = [line for line in lines[first : first + 4] if line.startswith("[") or " = " in line]
    text = "\n".join(settings) + "\n"
    for change in instead.values():
        old, new = change.split("|")
        assert old in text, f"{text!r} has no {old!r}"
        text = text.replace(old, new)
    (Path(place.env["FLWR_HOME"]) / "config.toml").write_text(text)
