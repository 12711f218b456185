"""TensorBoard: event files in ``<run folder>/tensorboard``; ``tensorboard --logdir runs`` shows all runs.

Events are written one by one with TensorBoard's own record writer, not its background thread: a full disk is
then an error of the round it happens in.
"""

import time
from pathlib import Path
from typing import IO, Any

from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario
from fedbert.tracking.columns import Columns, result_columns, row_columns, settings


class TensorBoardTracker:
    """Scalars and texts by round, the scenario as hyperparameters."""

    def __init__(self) -> None:
        """Import TensorBoard; raises ModuleNotFoundError where it is not installed."""
        import tensorboard.summary.writer.record_writer  # noqa: F401

        self._file: IO[bytes] | None = None
        self._records: Any = None
        self._step = 0

    def started(self, scenario: Scenario, folder: Path, resumed_rounds: int) -> None:
        """Begin an event file; TensorBoard drops what older ones hold from round `resumed_rounds` on."""
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.record_writer import RecordWriter

        place = folder / "tensorboard"
        place.mkdir(exist_ok=True)
        # TensorBoard reads files in the order of their names: nanoseconds put a resumed part last.
        self._file = (place / f"events.out.tfevents.{time.time_ns()}").open("xb")
        self._records = RecordWriter(self._file)
        self._step = resumed_rounds
        self._event(file_version="brain.Event:2")
        self._event(session_log=SessionLog(status=SessionLog.START))
        if not resumed_rounds:
            self._event(summary=hparams_pb(settings(scenario), trial_id=folder.name))
        self._file.flush()

    def round(self, row: RoundRow) -> None:
        """Write the figures of a round."""
        self._step = row["round"]
        self._write(row_columns(row))

    def finished(self, result: RunResult) -> None:
        """Write the figures of the run at the last round's step, and close."""
        self._end(result_columns(result))

    def stopped(self, reason: str) -> None:
        """Write why the run ended, and close."""
        if self._file is not None:
            self._end(Columns({}, {"run/status": reason}))

    def _end(self, figures: Columns) -> None:
        assert self._file is not None
        try:
            self._write(figures)
        finally:
            self._file.close()
            self._file = None

    def _write(self, figures: Columns) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        assert self._file is not None
        for name, value in figures.numbers.items():
            self._event(summary=scalar_pb(name, value))
        for name, text in figures.texts.items():
            self._event(summary=text_pb(name, text))
        self._file.flush()

    def _event(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), step=self._step, **content).SerializeToString())
