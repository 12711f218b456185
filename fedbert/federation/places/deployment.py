"""The ServerApp of a real deployment: its SuperLink and SuperNodes run already."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedbert.errors import FedbertError

RunConfig = Mapping[str, bool | int | float | str]
"""Flower's run configuration: each key is a flag of ``fedbert run``."""

Serve = Callable[[Any, RunConfig], None]
"""Takes a grid and the run configuration."""


def server_app(serve: Serve) -> ServerApp:
    """Return a ServerApp that waits for ``shards`` SuperNodes (default 2) and then calls `serve`."""
    app = ServerApp()

    @app.main()  # type: ignore[untyped-decorator]
    def main(grid: Grid, context: Context) -> None:
        config = dict(context.run_config)
        wait_for_nodes(grid, int(config.get("shards", 2)))
        serve(grid, config)

    return app


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
