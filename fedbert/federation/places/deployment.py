"""The ServerApp of a real deployment: its SuperLink and SuperNodes run already."""

from collections.abc import Callable, Mapping
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedbert.federation.places.backends import wait_for_nodes

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
