"""A real deployment on loopback: SuperLink, two SuperNodes, `flwr run` of the bundle."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = {"devices": 120, "rounds": 2, "shards": 2, "availability": "always", "seed": 5, "min_reports": 1}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextlib.contextmanager
def _started(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=env, stdout=file, stderr=file, start_new_session=True)
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


def _wait_for(port: int, patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing answers on port {port}"
            time.sleep(0.2)


def _program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None
    return found


def _config(values: dict[str, object]) -> str:
    return " ".join(
        f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in values.items()
    )


@pytest.mark.deployment
def test_a_deployment_on_loopback_gives_the_figures_of_a_run_in_process(tmp_path: Path) -> None:
    """SuperLink and two SuperNodes run the bundle; every figure equals the in-process run's to the bit."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    port, node_a, node_b = _free_ports(3)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "loop"\n\n[superlink.loop]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    env = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    superlink = [
        _program("flower-superlink"),
        "--insecure",
        "--disable-runtime-dependency-installation",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]

    def supernode(own: int) -> list[str]:
        program = _program("flower-supernode")
        return [program, "--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(own)]

    output = tmp_path / "deployed"
    with (
        _started(superlink, env, tmp_path / "superlink.log"),
        _started(supernode(node_a), env, tmp_path / "a.log"),
        _started(supernode(node_b), env, tmp_path / "b.log"),
    ):
        _wait_for(port)
        submitted = subprocess.run(
            [
                _program("flwr"),
                "run",
                str(ROOT),
                "loop",
                "--run-config",
                _config(SETTINGS | {"output": str(output)}),
            ],
            env=env,
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        deadline = time.monotonic() + 300
        while not (output / "report.html").is_file():
            logs = "".join(path.read_text(errors="replace")[-3000:] for path in tmp_path.glob("*.log"))
            assert time.monotonic() < deadline, logs
            time.sleep(1)
    here = tmp_path / "here"
    words = [word for key, value in SETTINGS.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    subprocess.run(
        [sys.executable, str(ROOT / "simulations" / "run.py"), *words, "--output", str(here)],
        check=True,
        timeout=300,
    )
    deployed, local = (json.loads((folder / "run.json").read_text()) for folder in (output, here))
    # Outside a checkout there is no commit: the bundle ran, not this folder.
    assert deployed["commit"] is None
    for rows in (deployed["rounds"], local["rounds"]):
        for row in rows:
            del row["wall_s"]
    for key in ("rounds", "tiers", "comparison", "gap", "secure_sum", "model"):
        assert deployed[key] == local[key]
