"""The ServerApp of ``flwr run .``: the same run as ``simulations/run.py``, on SuperNodes wherever they are.

Flower's run configuration carries the scenario: each key is a flag of ``fedbert run``, with ``_`` for ``-``,
as in ``flwr run . --run-config 'devices=10000 output="runs/deployed"'``.
"""

from pathlib import Path
from typing import Any

from fedbert.federation.deployment import server_app

_WORDS = {"": None, "none": None}


def settings_of(run_config: dict[str, Any]) -> dict[str, Any]:
    """Return the scenario keys of a run configuration; empty texts and "none" leave a key at its default."""
    return {
        name.replace("-", "_"): value
        for name, value in run_config.items()
        if not (isinstance(value, str) and value.lower() in _WORDS)
    }


def serve(grid: Any, run_config: dict[str, Any]) -> None:
    """Run the scenario of `run_config` on `grid` and write the run folder."""
    from fedbert.cli_run import default_folder
    from fedbert.reporting.files import prepare_folder, write_run_folder
    from fedbert.run_folder import release
    from fedbert.scenario import build
    from fedbert.simulation import run

    scenario, execution = build(settings_of(run_config))
    folder = Path(execution.output or default_folder(scenario))
    prepare_folder(folder, execution.overwrite)
    try:
        output = run(scenario, execution, command="flwr run", grid=grid)
        write_run_folder(output.result, output.devices, folder)
    finally:
        release(folder)


app = server_app(serve)
