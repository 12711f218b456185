"""A deployment with TLS and authenticated SuperNodes by the commands of docs/deployment.md."""

import contextlib
import datetime
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import loopback
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest, PullMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedbert.cli.keys import next_steps
from fedbert.federation.keys import make_keys

SECURE, TRY = "A deployment with keys", "On one machine, for a try"
SETTINGS = {"devices": 120, "rounds": 2, "shards": 2, "availability": "always", "seed": 5, "min_reports": 1}
# Without noise: that of a deployment is drawn anew, which no run in one process can repeat.
SETTINGS |= {"epsilon": "none", "mechanism": "poisson"}

pytestmark = pytest.mark.deployment


@dataclass(frozen=True)
class Secure:
    """A SuperLink that runs, and what is registered there."""

    place: loopback.Place
    port: int
    nodes: tuple[int, ...]  # node ids of supernode-1, -2, -3


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """SuperLink with three registered SuperNodes; none is running, and `other/` has keys of someone else."""
    folder = tmp_path_factory.mktemp("secure")
    place = loopback.make_place(folder)
    loopback.ask(
        place, loopback.command(SECURE, "fedbert keys", nodes="s 2|s 3", host=" --host fleet.example.org|")
    )
    make_keys(folder / "other", 1, (), 1)
    for part in (folder / "keys").iterdir():
        part.rename(folder / part.name)
    (port,) = loopback.free_ports(1)
    loopback.connect(
        place,
        SECURE,
        address=f"fleet.example.org:9091|127.0.0.1:{port}",
        ca=f"/path/to/keys/operator/ca.pem|{folder / 'operator' / 'ca.pem'}",
    )
    superlink = loopback.command(SECURE, "flower-superlink", port=f"9091|{port}", host="0.0.0.0|127.0.0.1")
    with loopback.started(place, superlink, folder / "superlink.log"):
        loopback.wait_for_port(port)
        ids = []
        for number in (1, 2, 3):
            line = loopback.command(SECURE, "flwr supernode register", number=f"node-1.pub|node-{number}.pub")
            ids.append(int(json.loads(loopback.ask(place, f"{line} --format json"))["node-id"]))
        yield Secure(place, port, tuple(ids))


def _supernode(secure: Secure, number: int, own_port: int, **instead: str) -> str:
    line = loopback.command(
        SECURE,
        "flower-supernode",
        address=f"fleet.example.org:9091|127.0.0.1:{secure.port}",
        number=f"supernode-1|supernode-{number}",
        **instead,
    )
    return f"{line} --port {own_port}"


def _words(values: dict[str, object]) -> str:
    return " ".join(
        f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in values.items()
    )


def test_a_deployment_with_tls_and_keys_gives_the_figures_of_a_run_in_process(
    secure: Secure, tmp_path: Path
) -> None:
    """Two authenticated SuperNodes take signed orders; every figure equals a run in process, to the bit."""
    output = tmp_path / "deployed"
    submit = loopback.command(
        SECURE,
        "flwr run",
        checkout=f"run .|run {loopback.ROOT}",
        settings='devices=2000 rounds=3 epsilon=2 output="/path/to/my-run"|'
        + _words(SETTINGS | {"output": str(output)}),
        key=f"/path/to/keys/server|{secure.place.folder / 'server'}",
    )
    with contextlib.ExitStack() as stack:
        nodes = []
        for number, port in zip((1, 2), loopback.free_ports(2), strict=True):
            line = _supernode(secure, number, port)
            nodes.append(
                stack.enter_context(loopback.started(secure.place, line, tmp_path / f"{number}.log"))
            )
        loopback.ask(secure.place, submit)

        def finished() -> bool:
            assert [node.poll() for node in nodes] == [None, None], _logs(secure, tmp_path)
            return (output / "report.html").is_file()

        try:
            loopback.wait_until(finished, "the run has not ended", patience_s=900)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{_logs(secure, tmp_path)}") from None
    here = tmp_path / "here"
    words = [word for key, value in SETTINGS.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    subprocess.run(
        [sys.executable, str(loopback.ROOT / "simulations" / "run.py"), *words, "--output", str(here)],
        check=True,
        timeout=900,
    )
    deployed, local = (json.loads((folder / "run.json").read_text()) for folder in (output, here))
    # Outside a checkout there is no commit: the bundle ran, not this folder.
    assert deployed["commit"] is None
    for rows in (deployed["rounds"], local["rounds"]):
        for row in rows:
            del row["wall_s"]
    for key in ("rounds", "tiers", "comparison", "gap", "secure_sum", "model", "privacy"):
        assert deployed[key] == local[key]


def _logs(secure: Secure, folder: Path) -> str:
    paths = [secure.place.folder / "superlink.log", *folder.glob("*.log")]
    return "".join(path.read_text(errors="replace")[-3000:] for path in paths if path.is_file())


def test_a_wrong_certificate_and_strangers_are_refused(secure: Secure, tmp_path: Path) -> None:
    """Wrong authority, no TLS, a key that nobody registered, no key: each ends by itself and says why."""
    key, ca = "supernode-1/supernode-key", "supernode-1/ca.pem"
    no_tls = f"flower-supernode --insecure --max-retries 0 --superlink 127.0.0.1:{secure.port}"
    ports = loopback.free_ports(4)
    refused = {
        "wrong authority": (
            _supernode(secure, 1, ports[0], ca=f"{ca}|other/{ca}"),
            "certificate verify failed",
        ),
        "stranger": (
            _supernode(secure, 1, ports[1], key=f"{key}|other/{key}"),
            "Failed to activate SuperNode",
        ),
        "no key": (
            _supernode(secure, 1, ports[2], key=f"--auth-supernode-private-key {key}|"),
            "must be registered via the CLI",
        ),
        "no TLS": (f"{no_tls} --port {ports[3]}", "Failed to initialize the connection"),
    }
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(loopback.started(secure.place, line, tmp_path / name))
            for name, (line, _) in refused.items()
        }
        for name, process in running.items():
            assert process.wait(timeout=loopback.PATIENCE_S) != 0, name
            assert refused[name][1] in (tmp_path / name).read_text(errors="replace"), name


def _status(secure: Secure, call: str, request: Any) -> int:
    """Return the HTTP status of a request that supernode-3 signs."""
    key = load_ssh_private_key((secure.place.folder / "supernode-3/supernode-key").read_bytes(), None)
    with FleetHttpClient.from_server_address(
        f"127.0.0.1:{secure.port}",
        False,
        (secure.place.folder / "supernode-3/ca.pem").read_bytes(),
        interceptors=[NodeAuthHttpInterceptor(key, key.public_key())],
    ) as client:
        try:
            getattr(client, call)(request)
        except httpx.HTTPStatusError as error:
            return error.response.status_code
    return 200


def test_an_old_request_and_anothers_messages_are_refused(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SuperNode gets its own messages; neither another's, nor by a request of six minutes ago."""
    key = load_ssh_private_key((secure.place.folder / "supernode-3/supernode-key").read_bytes(), None)
    public = public_key_to_bytes(key.public_key())
    own, others = (PullMessagesRequest(node=Node(node_id=secure.nodes[index])) for index in (2, 0))
    activate = ActivateNodeRequest(public_key=public, heartbeat_interval=60)
    assert _status(secure, "ActivateNode", activate) == 200
    try:
        assert _status(secure, "PullMessages", own) == 200
        assert _status(secure, "PullMessages", others) == 401
        with monkeypatch.context() as then:
            then.setattr(
                "flwr.supernode.node_auth_http_interceptor.now", lambda: now() - datetime.timedelta(minutes=6)
            )
            assert _status(secure, "PullMessages", own) == 401
    finally:
        # Offline again: a run must not wait for answers of a SuperNode that is only this test.
        assert _status(secure, "DeactivateNode", DeactivateNodeRequest(node_id=secure.nodes[2])) == 200


def test_the_insecure_try_on_one_machine_starts(tmp_path: Path) -> None:
    """SuperLink and both SuperNodes of the page come online."""
    place = loopback.make_place(tmp_path)
    port, *own = loopback.free_ports(3)
    lines = [line for line in loopback.documented(TRY) if line.startswith("flower-")]
    assert len(lines) == 3
    for old, new in zip(("9091", "9094", "9095"), (port, *own), strict=True):
        lines = [line.replace(old, str(new)) for line in lines]
    loopback.connect(place, TRY, address=f"9091|{port}")
    with contextlib.ExitStack() as stack:
        for number, line in enumerate(lines):
            stack.enter_context(loopback.started(place, line, tmp_path / f"{number}.log"))
            if number == 0:
                loopback.wait_for_port(port)
        loopback.wait_for_online(place, "loop", 2)


def test_the_page_and_the_printed_steps_have_the_same_commands() -> None:
    """What `fedbert keys` prints at its end is what docs/deployment.md says and the tests above start."""
    printed = [line.strip() for line in next_steps(Path("/path/to/keys"), 1, "fleet.example.org")]
    documented = [
        line for line in loopback.documented(SECURE) if not line.startswith(("fedbert", "flwr run"))
    ]
    assert len(documented) == 6
    assert [line for line in documented if line not in printed] == []
