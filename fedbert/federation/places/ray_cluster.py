"""The Ray cluster of a run: connect, and find out before anything is loaded whether it can be used.

An address that does not answer, another version of Ray, Python or fedbert, a cluster without a free CPU: each
is one line.
"""

import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fedbert.errors import FedbertError, invalid
from fedbert.interrupts import NAMES
from fedbert.machine import cores

ANSWER_S = 10.0
"""How long an address may take to answer."""

STARTS = 3
"""Times that Ray is started on this machine: it gives itself 30 s, and a busy machine may need more."""

WORKER_S = 180.0
"""How long a node may take to start a worker that tells its versions."""

AUTO = "auto"
VARIABLE = "RAY_ADDRESS"
"""Ray's own variable for the address; ``ray job submit`` sets it."""

_DECIDING = ("fedbert", "python", "ray", "numpy", "onnxruntime", "scipy")
"""What must be equal on every node: a figure, or what travels between them, may depend on it."""


@dataclass(frozen=True)
class Cluster:
    """What a run may use."""

    cpus: int
    """Of all nodes together."""
    nodes: int


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """Connect to the cluster at `address`, "auto" for Ray's own choice; None starts Ray on this machine.

    A process that is connected already stays so. Raises FedbertError for a cluster that cannot be used.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise FedbertError("backend(='ray') needs Ray; pip install 'fedbert[ray]'") from None

    address = address or os.environ.get(VARIABLE)
    own = not ray.is_initialized()
    if own:
        _quiet()
        _init(ray, address)
    try:
        if address or not own:
            _check_versions(ray)
        yield _found(ray, address)
    finally:
        if own:
            ray.shutdown()


def _quiet() -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray explains it on the terminal


def _init(ray: Any, address: str | None) -> None:
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        how |= {"address": "local", "num_cpus": cores(), "include_dashboard": False}
    else:
        check_answers(address)
        how["address"] = address
    # Ray takes SIGTERM for itself, and would end a run that could still save what it has.
    before = {name: signal.getsignal(getattr(signal, name)) for name in NAMES if hasattr(signal, name)}
    try:
        for left in reversed(range(STARTS)):
            try:
                ray.init(**how)
                break
            except Exception as error:  # Ray raises many kinds, each with its text
                ray.shutdown()
                if address is not None or not left or "timed out during startup" not in str(error):
                    raise unusable(address, error) from None
    finally:
        for name, handler in before.items():
            if signal.getsignal(getattr(signal, name)) is not handler:
                signal.signal(getattr(signal, name), handler)


def check_answers(address: str) -> None:
    """Raise FedbertError unless `address` is "auto", or HOST:PORT and something listens there."""
    if address == AUTO:
        return
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in address or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise invalid(
            "ray_address",
            address,
            "be HOST:PORT or auto",
            "on a machine outside the cluster: ray job submit (docs/how-to/cluster.md)",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise _silent(address, error.strerror or str(error)) from None
    # Ray itself would ask a stranger for minutes. With TLS the channel needs Ray's certificates: left to Ray.
    if os.environ.get("RAY_USE_TLS", "0") in ("", "0") and not _speaks_grpc(address):
        raise _silent(address, "something else answers there")


def _speaks_grpc(address: str) -> bool:
    import grpc

    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=ANSWER_S)
        except grpc.FutureTimeoutError:
            return False
    return True


def _silent(address: str | None, why: str) -> FedbertError:
    return invalid(
        "ray_address",
        address,
        f"be that of a running Ray cluster ({why})",
        "start one with `ray start --head`, or check host and port",
    )


def unusable(address: str | None, error: Exception) -> FedbertError:
    """Return the one line for what `ray.init` raised."""
    text = " ".join(str(error).split())
    versions = re.findall(r"Ray: (\S+) Python: (\S+)", text)
    if "ersion mismatch" in text and len(versions) == 2:
        there, here = ({"ray": ray, "python": python} for ray, python in versions)
        return _other_versions("the cluster", there, here)
    if address is None:
        return FedbertError(f"backend(='ray') could not be started here: {text}; try backend 'inprocess'")
    if isinstance(error, ConnectionError):
        return _silent(address, text)
    return invalid("ray_address", address, f"be a Ray cluster that takes this run: {text}")


def _check_versions(ray: Any) -> None:
    """Raise FedbertError unless every node that computes has this process's versions."""
    here = _versions_here()
    for node, there in _each_node(ray).items():
        if isinstance(there, Exception):
            text = " ".join(str(there).split())
            raise FedbertError(f"node {node} of the Ray cluster gave no worker: {text[:200]}; see its log")
        if there != here:
            raise _other_versions(f"node {node} of the Ray cluster", there, here)


def _other_versions(who: str, there: Mapping[str, str], here: Mapping[str, str]) -> FedbertError:
    for name in here:
        if there.get(name) != here[name]:
            has = f"{name} {there[name]}" if there.get(name) else f"no {name}"
            return FedbertError(
                f"{who} must have {name} {here[name]}, as this machine, and has {has}; install the same there"
            )
    raise AssertionError("they are equal")


def _versions_here() -> dict[str, str]:
    return _probe(_DECIDING)()


def _probe(names: tuple[str, ...]) -> Callable[[], dict[str, str]]:
    """Return a function that tells the versions where it is called.

    It is made here and needs only Python, so that it also runs where fedbert is missing.
    """

    def versions() -> dict[str, str]:
        import platform
        from importlib import metadata

        found = {"python": platform.python_version()}
        for name in names:
            if name != "python":
                try:
                    found[name] = metadata.version(name)
                except metadata.PackageNotFoundError:
                    found[name] = ""
        return found

    return versions


def _each_node(ray: Any) -> dict[str, dict[str, str] | Exception]:
    """Return the versions of each node with a CPU, by its address; an exception where none came."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(num_cpus=0, max_retries=0)(_probe(_DECIDING))
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            reference = probe.options(scheduling_strategy=there).remote()
            asked[node["NodeManagerAddress"], node["NodeID"]] = reference
    if asked:
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=WORKER_S)
    found: dict[str, dict[str, str] | Exception] = {}
    for (address, _), reference in asked.items():
        try:
            said = ray.get(reference, timeout=0)
        except Exception as error:  # a node that is just leaving, or cannot start a process
            said = error
        # Several nodes may share an address; the one that differs is named.
        if address not in found or said != _versions_here():
            found[address] = said
    return found


def _found(ray: Any, address: str | None) -> Cluster:
    """Return what the cluster has; raises FedbertError if no CPU of it is free."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    cpus = sum(int(node["Resources"]["CPU"]) for node in nodes)
    if not cpus:
        raise invalid("ray_address", address, "be a cluster with a CPU", "add a node: ray start --address")
    if ray.available_resources().get("CPU", 0) < 1:
        rule = f"be a cluster with a free CPU: all {cpus} are taken"
        raise invalid("ray_address", address, rule, "wait for one (`ray status`), or add a node")
    return Cluster(cpus, len(nodes))
