"""Weights & Biases: an offline run in ``<run folder>/wandb``, which ``wandb sync`` uploads if it is to.

``WANDB_MODE=online`` and W&B's other environment variables are heeded. Its reports of its own errors are off.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario
from fedbert.tracking.columns import Columns, result_columns, row_columns, settings

ID_FILE = "wandb_run_id.txt"
"""Where the run folder keeps the id, for a run that is resumed."""


class WandbTracker:
    """Figures and texts by round, the scenario as configuration, report and result as files of the run."""

    def __init__(self) -> None:
        """Import W&B; raises ModuleNotFoundError where it is not installed."""
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._wandb = wandb
        self._run: Any = None
        self._folder = Path()

    def started(self, scenario: Scenario, folder: Path, resumed_rounds: int) -> None:
        """Begin a run, or go on with the one whose id the folder keeps: offline, as a part of that id."""
        kept = folder / ID_FILE
        resumed = bool(resumed_rounds) and kept.is_file()
        online = os.environ["WANDB_MODE"] != "offline"
        self._folder = folder
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "fedbert"),
            name=os.environ.get("WANDB_NAME", folder.resolve().name),
            id=kept.read_text(encoding="utf-8").strip() if resumed else None,
            resume="allow" if resumed and online else None,
            dir=str(folder),
            config=settings(scenario),
            reinit="create_new",  # a run that the user's own code has open is none of ours
            settings=self._wandb.Settings(console="off", silent=True),
        )
        kept.write_text(f"{self._run.id}\n", encoding="utf-8")

    def round(self, row: RoundRow) -> None:
        """Log the figures of a round at its step."""
        figures = row_columns(row)
        self._run.log({**figures.numbers, **figures.texts}, step=row["round"])

    def finished(self, result: RunResult) -> None:
        """Add the figures of the run and its files, and end it."""
        self._summarise(result_columns(result))
        for name in ("report.html", "run.json"):
            if (self._folder / name).is_file():  # a copy: W&B would link to the file, and the folder may move
                copy = shutil.copy(self._folder / name, self._run.dir)
                self._run.save(copy, base_path=self._run.dir, policy="now")
        self._end(0 if result["status"] == "finished" else 1)

    def stopped(self, reason: str) -> None:
        """Keep why the run ended, and end it as failed."""
        try:
            if self._run is not None:
                self._summarise(Columns({}, {"run/status": reason}))
        finally:
            self._end(1)

    def _summarise(self, figures: Columns) -> None:
        self._run.summary.update({**figures.numbers, **figures.texts})

    def _end(self, exit_code: int) -> None:
        try:
            if self._run is not None:
                self._run.finish(exit_code=exit_code)
        finally:
            self._run = None
            if self._wandb.run is None:  # nobody else in this process uses W&B: end its process too
                self._wandb.teardown(exit_code)
