"""Rules of TensorBoard, MLflow and W&B: what was written is read back with each tool's own reader."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from example_tracked import SCENARIO, result, row

from fedbert.tracking.registry import open_trackers

NUMBERS = [0.5, 0.625, 0.75]
"""nDCG@10 of the example's rounds 0, 1 and 2."""


@pytest.fixture(autouse=True)
def _closed_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the user's settings and folders out; hold that no other machine is called, no process left."""
    for name in (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "WANDB_MODE",
        "WANDB_PROJECT",
        "WANDB_NAME",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home"))
    connect, called = socket.socket.connect, list[object]()

    def watched(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            called.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    assert called == []
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def _run(tmp_path: Path, name: str, resume_at: int | None = None, status: str = "finished") -> Path:
    """Tell tracker `name` of a run of three rows, killed before row `resume_at`; return the run folder."""
    folder = tmp_path / "runs of mine" / "example"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
    (folder / "run.json").write_text("{}", encoding="utf-8")
    trackers = open_trackers([name], pytest.fail)
    trackers.started(SCENARIO, folder)
    for index in range(3):
        if index == resume_at:
            trackers.stopped("killed")
            trackers = open_trackers([name], pytest.fail)
            trackers.started(SCENARIO, folder, index)
        trackers.round(row(index))
    trackers.finished(result(status))
    return folder


def _events(folder: Path) -> Any:
    """Return what TensorBoard itself reads of the run: later sessions replace the rounds they write again."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def _scalars(events: Any, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.tensor_proto.float_val[0]) for event in events.Tensors(name)]


def _texts(events: Any, name: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in events.Tensors(name)]


def test_tensorboard_reads_the_rounds(tmp_path: Path) -> None:
    """Numbers are scalars at their round, texts are texts, the run's figures stand at the last round."""
    events = _events(_run(tmp_path, "tensorboard"))
    assert _scalars(events, "ndcg@10") == list(enumerate(NUMBERS))
    assert _scalars(events, "outcomes/too slow") == [(0, 3.0), (1, 3.0), (2, 3.0)]
    assert _texts(events, "gate") == ["not due", "passed", "passed"]
    assert _scalars(events, "run/wall_s") == [(2, 1.5)]
    assert _texts(events, "run/status") == ["finished"]
    assert set(events.PluginTagToContent("scalars")) >= {"ndcg@10", "outcomes/scored"}


def test_tensorboard_reads_the_scenario(tmp_path: Path) -> None:
    """The scenario's keys are hyperparameters."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = _events(_run(tmp_path, "tensorboard")).PluginTagToContent("hparams")
    read = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info.hparams
    assert (read["devices"].number_value, read["world"].string_value) == (50, "services")


def test_tensorboard_goes_on_with_a_resumed_run(tmp_path: Path) -> None:
    """What was written from the resumed round on is dropped, so that no round stands twice."""
    folder = _run(tmp_path, "tensorboard", resume_at=2)
    assert len(list((folder / "tensorboard").iterdir())) == 2
    assert _scalars(_events(folder), "ndcg@10") == list(enumerate(NUMBERS))
    trackers = open_trackers(["tensorboard"], pytest.fail)
    trackers.started(SCENARIO, folder, 1)
    trackers.stopped("killed again")
    assert _scalars(_events(folder), "ndcg@10") == [(0, 0.5)]


def _mlflow_runs(folder: Path) -> tuple[Any, list[Any]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(folder.parent / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("fedbert")
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id]))


def _history(client: Any, run: Any, name: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))


def test_mlflow_reads_the_run(tmp_path: Path) -> None:
    """Metrics by round, texts as tags, the scenario as parameters, report and result as artefacts."""
    folder = _run(tmp_path, "mlflow")
    client, (run,) = _mlflow_runs(folder)
    assert (run.info.run_name, run.info.status) == ("example", "FINISHED")
    assert _history(client, run, "ndcg_at_10") == list(enumerate(NUMBERS))
    assert _history(client, run, "outcomes/too slow") == [(0, 3.0), (1, 3.0), (2, 3.0)]
    assert run.data.metrics["run/totals/sessions"] == 129
    assert (run.data.params["devices"], run.data.params["epsilon"]) == ("50", "8.0")
    assert (run.data.tags["gate"], run.data.tags["run/status"]) == ("passed", "finished")
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html", "run.json"]


def test_mlflow_goes_on_with_a_resumed_run(tmp_path: Path) -> None:
    """A resumed run is the same run, finished in the end, and no round is missing."""
    folder = _run(tmp_path, "mlflow", resume_at=2)
    client, (run,) = _mlflow_runs(folder)
    assert run.info.status == "FINISHED"
    assert _history(client, run, "ndcg_at_10") == list(enumerate(NUMBERS))


def test_mlflow_knows_an_interrupted_run(tmp_path: Path) -> None:
    """A result that is not finished is a killed run, one without a result has failed and says why."""
    folder = _run(tmp_path, "mlflow", status="interrupted after round 2")
    assert _mlflow_runs(folder)[1][0].info.status == "KILLED"
    trackers = open_trackers(["mlflow"], pytest.fail)
    trackers.started(SCENARIO, folder, 2)
    trackers.stopped("the disk is full")
    (run,) = _mlflow_runs(folder)[1]
    assert (run.info.status, run.data.tags["run/status"]) == ("FAILED", "the disk is full")


def test_mlflow_takes_more_figures_than_fit_one_call(tmp_path: Path) -> None:
    """A row of 1,200 numbers and 120 texts arrives whole."""
    many: Any = {"round": 0, **{f"n{i}": i for i in range(1200)}, **{f"t{i}": "x" for i in range(120)}}
    trackers = open_trackers(["mlflow"], pytest.fail)
    folder = tmp_path / "run"
    folder.mkdir()
    trackers.started(SCENARIO, folder)
    trackers.round(many)
    trackers.stopped("enough")
    (run,) = _mlflow_runs(folder)[1]
    assert (len(run.data.metrics), run.data.metrics["n1199"], run.data.tags["t119"]) == (1200, 1199, "x")


def test_a_server_that_is_gone_costs_the_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow with a server that does not answer is left out with one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        notes = list[str]()
        trackers = open_trackers(["mlflow"], notes.append)
        trackers.started(SCENARIO, tmp_path)
        trackers.round(row(0))
        trackers.finished(result())
    (note,) = notes
    assert note.startswith("tracker mlflow failed and is left out from here on: MlflowException: ")
    assert len(note.splitlines()) == 1


def _wandb_records(folder: Path) -> list[Any]:
    """Return the records of one offline run as W&B reads them."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    store, records = DataStore(), []
    store.open_for_scan(str(next(folder.glob("*.wandb"))))
    while data := store.scan_data():
        records.append(Record.FromString(data))
    return records


def _wandb_run(records: list[Any]) -> Any:
    return next(record.run for record in records if record.WhichOneof("record_type") == "run")


def _wandb_history(records: list[Any]) -> list[dict[str, Any]]:
    return [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]


def test_wandb_keeps_the_run_offline(tmp_path: Path) -> None:
    """The offline run holds configuration, rounds at their steps, whole figures, and copies of files."""
    folder = _run(tmp_path, "wandb")
    (place,) = (folder / "wandb").glob("offline-run-*")
    records = _wandb_records(place)
    history = _wandb_history(records)
    assert [(line["_step"], line["ndcg@10"]) for line in history] == list(enumerate(NUMBERS))
    assert (history[2]["outcomes/too slow"], history[2]["gate"]) == (3, "passed")
    run = _wandb_run(records)
    config = {item.key: item.value_json for item in run.config.update}
    assert (run.project, run.display_name, config["devices"]) == ("fedbert", "example", "50")
    summary = {
        item.key: item.value_json
        for record in records
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert summary["run/status"] == '"finished"'
    for name in ("report.html", "run.json"):
        assert (place / "files" / name).read_bytes() == (folder / name).read_bytes()
        assert not (place / "files" / name).is_symlink()


def test_wandb_goes_on_with_a_resumed_run(tmp_path: Path) -> None:
    """Two parts of a run have one id, so that they upload to one run, and hold each round once."""
    folder = _run(tmp_path, "wandb", resume_at=2)
    parts = [_wandb_records(part) for part in (folder / "wandb").glob("offline-run-*")]
    assert len({_wandb_run(part).run_id for part in parts}) == 1
    assert [len(_wandb_history(part)) for part in parts] in ([2, 1], [1, 2])
    lines = [line for part in parts for line in _wandb_history(part)]
    assert sorted((line["_step"], line["ndcg@10"]) for line in lines) == list(enumerate(NUMBERS))
