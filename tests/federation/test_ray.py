"""Runs on Ray: a cluster of three nodes that loses one, and clusters that cannot be used."""

import contextlib
import json
import platform
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray.cluster_utils import Cluster
from ray_nodes import HOLDING_SIGNAL, SOON, add_node, hold, kill_one_at_work, nodes
from small_runs import TINY

from fedbert.cli.main import call
from fedbert.errors import FedbertError
from fedbert.federation.checkpoint import read_phones
from fedbert.federation.places import ray_cluster
from fedbert.federation.places.backends import DEVICES_AN_ANSWER, inprocess, opened, shards_for
from fedbert.federation.places.ray_grid import RayGrid
from fedbert.federation.round_step import step
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.scenario import Execution, Scenario


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes; a test that kills one starts another."""
    with nodes(3, **SOON) as found:
        yield found


def said(state: RunState) -> tuple[str, dict[str, Any]]:
    """Return all that a state is, without times."""
    plain = state.plain()
    rows = [{name: value for name, value in row.items() if name != "wall_s"} for row in plain["rows"]]
    return json.dumps(dict(plain, rows=rows)), state.arrays()


def same(one: RunState, other: RunState) -> bool:
    """Return whether two states are equal to the bit."""
    (text, arrays), (other_text, others) = said(one), said(other)
    equal = all(np.array_equal(array, others[name]) for name, array in arrays.items())
    return text == other_text and arrays.keys() == others.keys() and equal


def test_a_node_killed_in_the_middle_of_a_round_changes_no_bit(cluster: Cluster, tmp_path: Path) -> None:
    """Three nodes, the one killed that holds a shard of round 2: every state equals the in-process one's.

    World and signal are the user's own, and their files are gone before a worker could read them. The world
    is small, so that workers are given the vectors of its texts. The phones' memory that a checkpoint keeps
    is the same.
    """
    own, items, clicks = (tmp_path / name for name in ("own.py", "items.csv", "clicks.csv"))
    own.write_text(HOLDING_SIGNAL.format(place=str(tmp_path)))
    names = [f"{colour} {thing}" for colour in ("red", "blue", "green", "grey") for thing in THINGS]
    items.write_text("\n".join(["item,text", *(f"i{n},{name}" for n, name in enumerate(names))]))
    sold = [
        f"u{user},i{(7 * user + 3 * step) % 32},{1_700_000_000 + 1000 * step + user}" for user, step in USED
    ]
    clicks.write_text("\n".join(["user,item,timestamp", *sold]))
    files = {"world": "interactions", "items": items, "interactions": clicks}
    scenario = Scenario.model_validate(TINY.model_dump() | files | {"signal": f"{own}:Holding"})
    loaded = Session.open(scenario)
    for each in (own, items, clicks):
        each.unlink()
    plain, kept = run(loaded, inprocess(6), tmp_path / "plain")
    notes: list[str] = []
    execution = Execution(backend="ray", ray_address=cluster.address, shards=6)

    def kill(round_: int) -> None:
        if round_ == 2:
            hold(tmp_path)
            threading.Thread(target=kill_one_at_work, args=(cluster, tmp_path)).start()
        if round_ == 3:  # the loss is told at the end of a round in which Ray knows of it
            deadline = time.monotonic() + 120
            while sum(node["Alive"] for node in ray.nodes()) == 3 and time.monotonic() < deadline:
                time.sleep(0.05)

    on_ray = opened(execution, scenario.devices, notes.append)
    states, kept_on_ray = run(loaded, on_ray, tmp_path / "ray", kill)
    assert len(cluster.worker_nodes) == 1, "the node must have been killed"
    add_node(cluster)  # for the tests after this one
    assert all(same(one, other) for one, other in zip(plain, states, strict=True))
    here = read_phones(tmp_path / "plain", kept.values(), 0, scenario.devices).arrays()
    there = read_phones(tmp_path / "ray", kept_on_ray.values(), 0, scenario.devices).arrays()
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert len(notes) == 1 and "was lost; its shards were run again" in notes[0]
    assert states[-1].events == ()


THINGS = ("lamp", "chair", "table", "carpet", "vase", "clock", "mirror", "shelf")
USED = [(user, step) for user in range(30) for step in range(12)]


def run(loaded: Session, place: Any, folder: Path, before: Any = lambda round_: None) -> Any:
    """Return the states of a run on the grid that `place` gives; `before` is told of each round."""
    session = Session(loaded.scenario, loaded.environment, loaded.server)
    with place as grid:
        states = [session.start(grid)]
        for round_ in range(session.scenario.rounds + 1):
            before(round_)
            states.append(step(session, states[-1], str(folder))[0])
        if isinstance(grid, RayGrid):
            assert len(grid._vectors) == len(states[-2].server.releases), "texts must come encoded"
    return states, session.kept


@pytest.fixture
def web_server() -> Iterator[str]:
    """The address of something that answers, and is no Ray."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("127.0.0.1:1", "must be that of a running Ray cluster (Connection refused); start one"),
        ("no.such.host.invalid:6379", "must be that of a running Ray cluster"),
        ("somewhere", "must be HOST:PORT or auto; on a machine outside the cluster: ray job submit"),
        ("127.0.0.1:99999", "must be HOST:PORT or auto"),
        ("ray://127.0.0.1:10001", "must be HOST:PORT or auto"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(
    address: str, rule: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command ends at once with exit code 2 and one line that names the address; no folder is left."""
    flags = ["--quick", "--backend", "ray", "--ray-address", address, "--output", str(tmp_path / "run")]
    assert call("run", flags) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "ray_address" in line]
    assert f"ray_address(={address!r}) {rule}" in line
    assert not (tmp_path / "run").exists()


def test_what_answers_and_is_no_ray_is_told(web_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server at the address is refused, where Ray itself would ask it for minutes."""
    monkeypatch.setattr(ray_cluster, "ANSWER_S", 0.5)
    with pytest.raises(FedbertError, match="something else answers there"):
        ray_cluster.check_answers(web_server)


@pytest.mark.parametrize(
    ("name", "versions"),
    [("ray", ("2.9.0", platform.python_version())), ("python", (ray.__version__, "3.8.1"))],
)
def test_another_version_of_the_cluster_is_named(name: str, versions: tuple[str, str]) -> None:
    """What Ray raises for a cluster of another version of Ray or Python becomes one line with both."""
    cluster = dict(zip(("ray_version", "python_version"), versions, strict=True))
    with pytest.raises(RuntimeError) as raised:
        ray._private.utils.check_version_info(cluster, "127.0.0.1")
    here, there = (ray.__version__, "2.9.0") if name == "ray" else (platform.python_version(), "3.8.1")
    assert str(ray_cluster.unusable("127.0.0.1:6379", raised.value)) == (
        f"the cluster must have {name} {here}, as this machine, and has {name} {there}; "
        "install the same there"
    )


def test_a_node_with_another_fedbert_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node is asked for its versions; the first difference is one line."""
    here = ray_cluster._versions_here() | {"fedbert": "99.0"}
    monkeypatch.setattr(ray_cluster, "_versions_here", lambda: here)
    with (
        pytest.raises(
            FedbertError, match=r"^node .* must have fedbert 99.0, as this machine, and has fedbert"
        ),
        ray_cluster.connected(cluster.address),
    ):
        raise AssertionError("not reached")
    assert not ray.is_initialized()


def test_a_cluster_without_a_free_cpu_is_refused(cluster: Cluster) -> None:
    """Where other work has every CPU, a run would wait without a word: it is one line instead."""
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        taken = [ray.remote(num_cpus=1)(lambda: time.sleep(300)).remote() for _ in range(3)]
        while ray.available_resources().get("CPU", 0) >= 1:
            time.sleep(0.05)
        with (
            pytest.raises(FedbertError, match="must be a cluster with a free CPU: all 3 are taken; wait for"),
            ray_cluster.connected(cluster.address),
        ):
            raise AssertionError("not reached")
        for each in taken:
            ray.cancel(each, force=True)
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("devices", "cpus", "shards"),
    [
        (60, 3, 1),
        (10_000, 3, 3),
        (100_000, 3, 9),
        (1_000_000, 3, 12),
        (8_400_000, 50, 100),
        (8_400_000, 500, 109),
    ],
)
def test_shards_are_a_multiple_of_the_clusters_cpus(devices: int, cpus: int, shards: int) -> None:
    """One to four a CPU; fewer than CPUs where the answers of so many would take longer than the work."""
    assert shards_for(cpus, devices) == shards
    compute, answer = 15e-6, 15e-6 * DEVICES_AN_ANSWER
    round_s = [devices / min(k, cpus) * compute + k * answer for k in range(1, 2 * cpus)]
    assert devices / min(shards, cpus) * compute + shards * answer < 1.6 * min(round_s)
