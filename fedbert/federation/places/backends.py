"""Where the shards run: threads of this process, or Ray actors through Flower's simulation runtime."""

import contextlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fedbert.errors import FedbertError
from fedbert.machine import cores
from fedbert.scenario import Execution

Main = Callable[[Any], None]
"""The body of the ServerApp: takes a Flower Grid."""


def shard_count(execution: Execution, devices: int) -> int:
    """Return the shards of a run: as asked, or one per core, and never more than devices."""
    return min(execution.shards or cores(), devices)


def run_on(main: Main, execution: Execution, devices: int) -> None:
    """Run the ServerApp's body and the ClientApp where `execution` says."""
    shards = shard_count(execution, devices)
    if execution.backend == "ray":
        run_ray(main, shards, execution.ray_address)
    else:
        run_inprocess(main, shards)


def run_inprocess(main: Main, shards: int) -> None:
    """Run the ServerApp's body and the ClientApp in this process."""
    from fedbert.federation.places.client_app import app
    from fedbert.federation.places.inprocess import InProcessGrid

    grid = InProcessGrid(app, shards)
    try:
        main(grid)
    finally:
        grid.close()


def run_ray(main: Main, shards: int, address: str | None) -> None:
    """Run the ClientApp in Ray actors of one core each, through Flower's simulation runtime."""
    try:
        import ray
    except ModuleNotFoundError:
        raise FedbertError("backend(='ray') needs Ray; pip install 'fedbert[ray]'") from None

    from fedbert.federation.places.client_app import app as client_app

    failure: list[BaseException] = []
    with _quiet_flower(), tempfile.TemporaryDirectory(prefix="fedbert-flwr-") as home:
        os.environ.setdefault("FLWR_HOME", home)
        from flwr.serverapp import ServerApp
        from flwr.simulation import run_simulation

        server_app = ServerApp()

        @server_app.main()  # type: ignore[untyped-decorator]
        def serve(grid: Any, context: Any) -> None:
            wait_for_nodes(grid, shards)
            try:
                main(grid)
            except BaseException as error:
                failure.append(error)

        init: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False}
        if address:
            init["address"] = address
        else:
            init["num_cpus"] = cores()
        try:
            run_simulation(
                server_app=server_app,
                client_app=client_app,
                num_supernodes=shards,
                backend_config={"init_args": init, "client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
            )
        except ConnectionError as error:
            raise FedbertError(f"ray_address(={address!r}) must be a running Ray cluster: {error}") from None
        finally:
            ray.shutdown()
    if failure:
        raise failure[0]


def wait_for_nodes(grid: Any, nodes: int, patience_s: float = 120.0) -> None:
    """Return once a grid has `nodes` SuperNodes; raises FedbertError if fewer connect within `patience_s`."""
    deadline = time.monotonic() + patience_s
    while (connected := len(list(grid.get_node_ids()))) < nodes:
        if time.monotonic() > deadline:
            raise FedbertError(
                f"only {connected} of {nodes} SuperNodes connected within {patience_s:.0f} s; "
                "start the others, or lower shards"
            )
        time.sleep(0.1)


@contextlib.contextmanager
def _quiet_flower() -> Iterator[None]:
    """Keep Flower's and Ray's progress messages and deprecation notes off the terminal."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
