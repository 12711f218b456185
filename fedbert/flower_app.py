"""The ServerApp of ``flwr run .``: the same run as ``simulations/run.py``, on SuperNodes wherever they are.

Flower's run configuration carries the scenario: each key is a flag of ``fedbert run``, with ``_`` for ``-``,
as in ``flwr run . --run-config 'devices=10000 output="runs/deployed"'``.
"""

from pathlib import Path
from typing import Any

from fedbert.federation.places.deployment import RunConfig, server_app


def settings_of(run_config: RunConfig) -> dict[str, Any]:
    """Return the scenario keys of a run configuration.

    An empty text leaves a key at its default; "none" is no value, as an epsilon's that is not private.
    """
    return {
        name.replace("-", "_"): None if isinstance(value, str) and value.lower() == "none" else value
        for name, value in run_config.items()
        if value != ""
    }


def serve(grid: Any, run_config: RunConfig) -> None:
    """Run the scenario of `run_config` on `grid` and write its folder; ``resume`` names one to go on with.

    How many SuperNodes there are decides the shards, so that key is not one of the run's own.
    """
    from fedbert.cli.run import HOW, resumed_settings, work
    from fedbert.scenario import build

    given = settings_of(run_config)
    resume = Path(str(given.pop("resume"))) if "resume" in given else None
    if resume is not None:
        # What `pyproject.toml` sets by itself is no wish to change the run.
        how = {name: value for name, value in given.items() if name in HOW}
        given = resumed_settings(resume, None, how)
    scenario, execution = build(given)
    work(scenario, execution, resume, "flwr run", grid)


app = server_app(serve)
