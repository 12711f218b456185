"""MLflow: a run in the store of ``MLFLOW_TRACKING_URI``, or else in ``mlruns`` beside the run folder.

``MLFLOW_EXPERIMENT_NAME`` names the experiment; without it that is "fedbert". MLflow's telemetry is off.
"""

import os
import re
import time
from pathlib import Path
from typing import Any

from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario
from fedbert.tracking.columns import Columns, result_columns, row_columns, settings

METRICS_AT_ONCE, PARAMETERS_AT_ONCE = 1000, 100
"""What MLflow takes in one call."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # else MLflow wants a data base
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is gone holds the run up once, for seconds
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
}
"""MLflow's environment variables where the user has set no others."""

ID_FILE = "mlflow_run_id.txt"
"""Where the run folder keeps the id, for a run that is resumed."""


class MLflowTracker:
    """Metrics by round, last texts as tags, the scenario as parameters, report and result as artefacts."""

    def __init__(self) -> None:
        """Import MLflow; raises ModuleNotFoundError where it is not installed."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow  # noqa: F401

        self._client: Any = None
        self._run = ""
        self._folder = Path()
        self._step = 0

    def started(self, scenario: Scenario, folder: Path, resumed_rounds: int) -> None:
        """Begin a run, or go on with the one whose id the folder keeps."""
        from mlflow import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve().parent / "mlruns").as_uri()
        self._client, self._folder = MlflowClient(tracking_uri=place), folder
        kept = folder / ID_FILE
        if resumed_rounds and kept.is_file():
            self._run = kept.read_text(encoding="utf-8").strip()
            self._client.update_run(self._run, status="RUNNING")
            return
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "fedbert")
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self._client.create_experiment(experiment)
        self._run = self._client.create_run(number, run_name=folder.resolve().name).info.run_id
        kept.write_text(self._run + "\n", encoding="utf-8")
        self._log_parameters(settings(scenario))

    def round(self, row: RoundRow) -> None:
        """Log the figures of a round at its step."""
        self._step = row["round"]
        self._log(row_columns(row))

    def finished(self, result: RunResult) -> None:
        """Log the figures of the run and its files, and end it."""
        self._log(result_columns(result))
        for name in ("report.html", "run.json"):
            if (self._folder / name).is_file():
                self._client.log_artifact(self._run, str(self._folder / name))
        self._client.set_terminated(self._run, "FINISHED" if result["status"] == "finished" else "KILLED")

    def stopped(self, reason: str) -> None:
        """Tag the run with why it ended, and end it as failed."""
        if self._run:
            self._log(Columns({}, {"run/status": reason}))
            self._client.set_terminated(self._run, "FAILED")

    def _log_parameters(self, values: dict[str, bool | int | float | str]) -> None:
        from mlflow.entities import Param

        pairs = [Param(key, str(value)) for key, value in values.items()]
        for start in range(0, len(pairs), PARAMETERS_AT_ONCE):
            self._client.log_batch(self._run, params=pairs[start : start + PARAMETERS_AT_ONCE])

    def _log(self, figures: Columns) -> None:
        from mlflow.entities import Metric, RunTag

        now_ms = int(time.time() * 1000)
        metrics = [
            Metric(metric_name(name), value, now_ms, self._step) for name, value in figures.numbers.items()
        ]
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            self._client.log_batch(self._run, metrics=metrics[start : start + METRICS_AT_ONCE])
        tags = [RunTag(metric_name(name), text) for name, text in figures.texts.items()]
        self._client.log_batch(self._run, tags=tags)


def metric_name(name: str) -> str:
    """Return `name` in the letters that MLflow allows on every system: ``ndcg@10`` becomes ``ndcg_at_10``."""
    return re.sub(r"[^\w./ -]", "_", name.replace("@", "_at_"))
