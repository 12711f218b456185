"""The compression for tasks from end to end, with a teacher of two layers."""

import copy
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from ei_bert_fakes import Silent, only_in

from fedbert.cli.main import call
from fedbert.ei_bert.artefact.artefact import load_artefact, parts
from fedbert.ei_bert.artefact.kinds import KINDS
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression import pipeline as pipelines
from fedbert.ei_bert.compression.ablation import ablation
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.plan import CATALOGUE_PLANS, TASK_PLANS, Architecture, TaskPlan
from fedbert.ei_bert.compression.shape_search import search_shapes
from fedbert.ei_bert.compression.tasks_compression import Asked, Places, compress_tasks
from fedbert.ei_bert.compression.tasks_goal import Inputs, TasksGoal
from fedbert.ei_bert.compression.tasks_stages import (
    TaskPipeline,
    pruned_accuracy,
    tune,
    tuned_states,
)
from fedbert.ei_bert.compression.token_pruning import pruned_vocabulary
from fedbert.ei_bert.model.tokenizer import TextRules, Tokens
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching import course as courses
from fedbert.ei_bert.teaching.methods import METHODS
from fedbert.ei_bert.teaching.tasks import SPLITS, load_tasks
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.errors import FedbertError

WORDS = {"alarm": ("set an alarm", "wake me at six"), "bank": ("freeze my account", "block my bank account")}
SENTENCES = ("a song about an alarm", "the bank and the music", "an account for six")
PLAN = TaskPlan(
    budget_bytes=120_000,
    architecture=Architecture(layers=1, width=32, heads=4, inner=32, embedding=16),
    tune_epochs=6,
    tune_layers=1,
    remixed_texts=20,
    cross_texts=20,
    pretrain_steps=6,
    cross_steps=40,
    ablation_steps=2,
)


ONCE = Asked()


def _pipeline(inputs: Inputs, work: Path, plan: TaskPlan = PLAN, shown: Silent | None = None) -> TaskPipeline:
    return Pipeline(TasksGoal(inputs, plan), work, shown or Silent(), 1)


def _compress(
    inputs: Inputs, folder: Path, plan: TaskPlan = PLAN, asked: Asked = ONCE, work: Path | None = None
) -> dict[str, Any]:
    """Compress into the folder m of `folder`; its stages are in w, or in `work`."""
    places = Places(folder / "m", work or folder / "w")
    return compress_tasks(TasksGoal(inputs, plan), places, Silent(), asked, threads=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two tasks on the same eight texts a label."""
    folder = tmp_path_factory.mktemp("sets")
    rows = [(f"{text} {end}", label) for label, texts in WORDS.items() for text in texts for end in "abcd"]
    for name in ("one", "two"):
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / f"{name}.csv", index=False)
    return [folder / "one.csv", folder / "two.csv"]


@pytest.fixture(scope="module")
def inputs(files: list[Path], small_teacher: str) -> Inputs:
    """The small teacher, two tasks, three sentences."""
    return Inputs(load_teacher(small_teacher), load_tasks(files), SENTENCES, {"sentences": "0" * 64})


@pytest.fixture(scope="module")
def made(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An artefact and its record, two seeds."""
    folder = tmp_path_factory.mktemp("made")
    record = _compress(inputs, folder, asked=Asked(seeds=(0, 1), held_out=inputs.tasks[:1], with_rivals=True))
    return folder / "m", record


def test_the_record_holds_what_each_stage_came_to(made: tuple[Path, dict[str, Any]], inputs: Inputs) -> None:
    """Stages with accuracy over seeds, forms of quantisation, bytes by part; all of it is JSON."""
    folder, record = made
    assert json.loads(json.dumps(record)) == record
    assert [stage["stage"] for stage in record["stages"]] == [
        "tuning of the teacher",
        "states of the teacher",
        "token pruning",
        "pre-distillation",
        "parameter integration",
        "quantisation",
    ]
    scored = [stage for stage in record["stages"] if "accuracy" in stage]
    assert [len(stage["accuracy"]["one"]) for stage in scored] == [1, 1, 2, 2]
    gone = len(inputs.teacher.vocabulary) - record["vocabulary"]["size"]
    assert scored[0]["bytes"] == record["teacher"]["bytes"] - 4 * inputs.teacher.width * gone
    assert [row["set"] for row in record["probe"]] == ["one"]
    student, *rivals = record["rivals"]["rows"]
    assert student["accuracy"]["one"] == scored[-1]["accuracy"]["one"][0]
    assert max(row["bytes"] for row in rivals) <= record["stages"][-1]["bytes"] == student["bytes"]
    by_what = {row["what"]: row["reached"] for row in record["targets"]}
    kept = np.mean(scored[-1]["accuracy"]["two"]) / record["teacher"]["accuracy"]["two"]
    assert by_what["two: share of the teacher's accuracy"] == pytest.approx(kept)
    assert by_what["bytes of all files"] == record["total_bytes"]
    assert record["total_bytes"] <= PLAN.budget_bytes
    assert sum(record["parts"].values()) == record["total_bytes"]
    assert len(record["quantisation"]) == 5
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) == record["total_bytes"]
    assert "Runs refuse it" in folder.with_name("m.md").read_text()


def test_a_wide_part_is_a_stage_of_its_own(inputs: Inputs, tmp_path: Path) -> None:
    """Each seed's student gets a wide part within the budget, one of them is saved, and aims and rivals are
    of the whole; the deep part is what the same plan makes in the bytes that are left, and its stages are
    not made again.
    """
    plan = replace(PLAN, budget_bytes=128_000, wide_bytes=8_000)
    record = _compress(inputs, tmp_path, plan, Asked(seeds=(0, 1), with_rivals=True))
    quantised, wide = record["stages"][-2:]
    assert (quantised["stage"], wide["stage"]) == ("quantisation", "wide part")
    assert [len(values) for values in wide["accuracy"].values()] == [2, 2]
    assert wide["note"].endswith("weight 0.6, 0.6")  # no validation texts
    model = EiBert.from_pretrained(tmp_path / "m")
    assert set(model.artefact.wide) == {"one", "two"}
    assert quantised["bytes"] < record["total_bytes"] == wide["bytes"] <= 128_000
    assert record["plan"]["wide_bytes"] == 8_000
    test = inputs.tasks[0].test
    right = (model.logits(test.texts, "one").argmax(1) == test.labels).mean()
    assert wide["accuracy"]["one"][0] == pytest.approx(right, abs=1e-4)
    assert record["rivals"]["rows"][0]["bytes"] == record["total_bytes"]
    assert [row["rival"] for row in record["rivals"]["parts"]] == ["deep part alone", "wide part alone"]
    by_what = {row["what"]: row["reached"] for row in record["targets"]}
    best = max(row["accuracy"]["two"] for row in record["rivals"]["rows"][1:])
    over_seeds = np.mean(wide["accuracy"]["two"])
    assert by_what["two: points above the best rival"] == pytest.approx(100 * (over_seeds - best))
    before = {path.name for path in (tmp_path / "w").iterdir()}
    _compress(inputs, tmp_path, PLAN, Asked(seeds=(0, 1)))
    deep = load_artefact(tmp_path / "m")
    assert deep.files["model.onnx"] == model.artefact.files["model.onnx"]
    assert {path.name for path in (tmp_path / "w").iterdir()} == before


@pytest.mark.parametrize(
    ("wide_bytes", "words"), [(1_510, "have room for a bucket"), (120_000, "be at least 0")]
)
def test_a_wide_part_without_room_is_one_line(
    wide_bytes: int, words: str, inputs: Inputs, tmp_path: Path
) -> None:
    """Nothing is trained for it."""
    with pytest.raises(FedbertError, match=rf"wide_bytes\(={wide_bytes}\) must {words}"):
        _compress(inputs, tmp_path, replace(PLAN, wide_bytes=wide_bytes))
    assert list(tmp_path.iterdir()) == []


def test_a_whole_vocabulary_costs_the_teacher_nothing(inputs: Inputs, tmp_path: Path) -> None:
    """Reading all of its own tokens, the tuned teacher is as good as it was."""
    pipeline = _pipeline(inputs, tmp_path)
    tuned = tune(pipeline)
    found = pruned_accuracy(pipeline, tuned, inputs.teacher.vocabulary)
    assert found == tuned.done.record["accuracy"]["test"]


def test_stages_of_an_earlier_run_count_with_their_time(inputs: Inputs, tmp_path: Path) -> None:
    """What was reused is said: nothing at first, the stage's own seconds the second time."""
    first, second = (_pipeline(inputs, tmp_path) for _ in range(2))
    done = first.importance()[1]
    first.importance()
    assert first.reused_s == 0.0
    record = done.folder / "stage.json"
    record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), "seconds": 7.5}), "utf-8")
    second.importance()
    second.importance()
    assert second.reused_s == 7.5


def test_the_artefact_answers_as_its_record_says(made: tuple[Path, dict[str, Any]], inputs: Inputs) -> None:
    """`EiBert` classifies the test texts with the recorded accuracy, each text alone as in one batch."""
    folder, record = made
    model, task = EiBert.from_pretrained(folder), inputs.tasks[0]
    names = model.classify(task.test.texts, "one")
    right = np.mean([task.labels[label] == name for label, name in zip(task.test.labels, names, strict=True)])
    assert right == record["stages"][-1]["accuracy"]["one"][0]
    alone = np.concatenate([model.encode([text]) for text in task.test.texts])
    assert np.array_equal(alone, model.encode(task.test.texts))


def test_the_artefact_runs_in_plain_onnxruntime(made: tuple[Path, dict[str, Any]]) -> None:
    """ONNX file and vocabulary need nothing of fedbert's."""
    folder, _ = made
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    rows = Tokens(tuple((folder / "vocab.txt").read_text().splitlines())).rows(["set an alarm"])
    (vector,) = session.run(None, {"ids": np.array(rows, np.int32)})
    assert np.array_equal(vector, EiBert.from_pretrained(folder).encode(["set an alarm"]))


def test_the_same_seed_gives_the_same_hash(
    made: tuple[Path, dict[str, Any]], inputs: Inputs, tmp_path: Path
) -> None:
    """Made again from nothing, the artefact is the same to the last byte; another seed's is not."""
    again = _compress(inputs, tmp_path, asked=Asked(seeds=(0, 1)))
    assert again["sha256"] == made[1]["sha256"]
    other = _compress(inputs, tmp_path / "o", asked=Asked(seeds=(1,)), work=tmp_path / "w")
    assert other["sha256"] != again["sha256"]


def _pre_distilled(pipeline: TaskPipeline) -> Mapping[str, torch.Tensor]:
    found = pipeline.importance()
    return pipeline.pretrain(found, pipeline.targets(found[0]), 0).student.state_dict()


def _tuned(pipeline: TaskPipeline) -> Mapping[str, torch.Tensor]:
    tuned = tune(pipeline)
    return {**tuned.teacher.body.state_dict(), **tuned.heads.state_dict(prefix="head.")}


@pytest.mark.parametrize("make", [_pre_distilled, _tuned])
def test_a_stopped_stage_goes_on_from_its_checkpoint(
    make: Callable[[TaskPipeline], Mapping[str, torch.Tensor]],
    inputs: Inputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interrupted after its second step it ends with the same weights as without a stop, and does not begin
    anew.
    """
    monkeypatch.setattr(courses, "SAVED_EVERY", 2)
    plan = replace(PLAN, pretrain_steps=4, tune_epochs=4)
    whole = make(_pipeline(inputs, tmp_path / "one", plan, Silent()))
    save, steps = pipelines.save_tensors, list[int]()

    def stop(value: Mapping[str, Any], file: Path) -> None:
        save(value, file)
        if file.name == "checkpoint.pt":
            steps.append(value["step"])
            if len(steps) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(pipelines, "save_tensors", stop)
    with pytest.raises(KeyboardInterrupt):
        make(_pipeline(inputs, tmp_path / "two", plan, Silent()))
    again = make(_pipeline(inputs, tmp_path / "two", plan, Silent()))
    assert all(torch.equal(value, again[key]) for key, value in whole.items())
    assert steps[:2] == [2, 4]


def test_every_method_is_compared_on_the_same_start(inputs: Inputs, tmp_path: Path) -> None:
    """One row a method, one accuracy a seed and task; differences leave out the reference itself."""
    pipeline = _pipeline(inputs, tmp_path)
    tuned, found = tune(pipeline), pipeline.importance()
    start = pipeline.pretrain(found, pipeline.targets(found[0]), 0)
    before = copy.deepcopy(start.student.state_dict())
    made = ablation(pipeline, start, tuned, tuned_states(pipeline, tuned), (0, 1), 2)
    assert [arm["arm"] for arm in made["arms"]] == list(METHODS)
    assert {len(values) for arm in made["arms"] for values in arm["accuracy"].values()} == {2}
    assert len(made["differences"]) == 2 * (len(METHODS) - 1)
    assert all(torch.equal(value, before[key]) for key, value in start.student.state_dict().items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_reaches_every_stage(
    precision: Literal["float32", "bfloat16"], inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor that would choose the other precision no stage does, the ablation and the search
    included; the manifest names it.
    """
    only_in(precision, monkeypatch)
    plan = replace(PLAN, precision=precision, tune_epochs=1, pretrain_steps=2, cross_steps=2)
    record = _compress(inputs, tmp_path, plan, Asked(with_ablation=True))
    assert record["plan"]["precision"] == precision
    assert load_artefact(tmp_path / "m").manifest["precision"] == precision
    assert search_shapes(inputs, plan, 2, tmp_path / "w", Silent(), 1, [PLAN.architecture])


def test_the_search_ranks_shapes_that_fit(inputs: Inputs, tmp_path: Path) -> None:
    """Shapes over the budget are left out; the one of least loss is chosen; none that fits is one line."""
    small = Architecture(layers=1, width=32, heads=4, inner=32, embedding=16)
    shared = replace(small, layers=2, shared=True)
    large = Architecture(layers=12, width=768, heads=12, inner=3072)
    shown = Silent()
    rows = search_shapes(inputs, PLAN, 3, tmp_path, shown, 1, (small, large, shared))
    assert [row["shape"]["layers"] for row in sorted(rows, key=lambda row: row["shape"]["layers"])] == [1, 2]
    assert [row["chosen"] for row in rows] == [True, False]
    assert rows[0]["loss"] <= rows[1]["loss"]
    assert all(row["bytes"] <= 120_000 for row in rows)
    with pytest.raises(FedbertError, match=r"budget_bytes\(=1000\) must have room"):
        search_shapes(inputs, replace(PLAN, budget_bytes=1_000), 3, tmp_path, shown, 1, (small,))


def test_a_budget_for_no_student_says_the_least(inputs: Inputs, tmp_path: Path) -> None:
    """The line names a budget that would do, and that budget does."""
    with pytest.raises(FedbertError, match="must be at least") as caught:
        _compress(inputs, tmp_path, replace(PLAN, budget_bytes=9_000))
    least = int(str(caught.value).split("at least ")[1].split(" ")[0])
    _pipeline(inputs, tmp_path, replace(PLAN, budget_bytes=least)).check_budget()
    with pytest.raises(FedbertError):
        _pipeline(inputs, tmp_path, replace(PLAN, budget_bytes=least - 1)).check_budget()
    assert not (tmp_path / "m").exists()


def test_the_command_writes_artefact_card_and_report(
    files: list[Path],
    small_teacher: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`compress.py --data` from end to end, all flags given; tags and pairs get heads at the end, within
    the budget, and rows in the record.
    """
    monkeypatch.chdir(tmp_path)
    slots = "text,tags,split\nset an alarm,O O B-thing,train\nblock my bank,O O B-thing,test\n"
    (tmp_path / "slots.csv").write_text(slots, "utf-8")
    pairs = [f"set an alarm,wake me,same,{split}\nset an alarm,my bank,not,{split}\n" for split in SPLITS]
    (tmp_path / "pairs.csv").write_text("text,text_b,label,split\n" + "".join(pairs), "utf-8")
    public = tmp_path / "public" / "services"
    public.mkdir(parents=True)
    table = pd.DataFrame({"text": SENTENCES, "item": [-1] * 3, "split": ["general"] * 3})
    table.to_parquet(public / "public.parquet")
    flags = "--layers 1 --width 32 --heads 4 --inner 32 --embedding 16 --budget-bytes 200000"
    flags += " --pretrain-steps 4 --cross-steps 4 --threads 1 --fast --entropy-coded --output m"
    flags += " --transformers-output t"
    sets = [*files, tmp_path / "slots.csv", tmp_path / "pairs.csv"]
    data = [part for file in sets for part in ("--data", str(file))]
    common = ["--teacher", small_teacher, "--public", str(public.parent)]
    assert call("compress", [*data, *common, *flags.split()]) == 0
    assert "m: " in capsys.readouterr().out
    assert load_artefact(tmp_path / "m").total_bytes <= 200_000
    assert [EiBert.from_pretrained("m").kind(name) for name in ("one", "slots", "pairs")] == list(KINDS)
    record = json.loads((tmp_path / "m-report" / "compression.json").read_text("utf-8"))
    assert [(row["name"], row["kind"]) for row in record["kinds"]] == [("slots", "tags"), ("pairs", "pairs")]
    assert record["budget_bytes"] == 200_000
    assert [row["name"] for row in record["tasks"]] == ["one", "two"]
    assert not (tmp_path / "m" / "model.onnx").exists()
    report = (tmp_path / "m-report" / "report.html").read_text("utf-8")
    assert "parameter integration" in report
    assert (tmp_path / "m-report" / "compression.json").is_file()
    config = json.loads((tmp_path / "t" / "config.json").read_text("utf-8"))
    assert (config["hidden_size"], sorted(config["tasks"])) == (32, ["one", "two"])


def test_an_export_that_cannot_be_made_is_said_before_the_training(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the package `transformers` its flag is one line with what to type, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "fedbert.ei_bert.hf", raising=False)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert call("compress", ["--data", str(files[0]), "--transformers-output", "t"]) == 2
    assert "run: pip install 'fedbert[export]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--method", "luck"], "method(='luck') must be one of"),
        (["--word-dropout", "1"], "word_dropout(='1') must be less than 1"),
        (["--embedding-bits", "3"], "embedding_bits(=3)"),
        (["--embedding", "999"], "embedding(=999)"),
        (["--heads", "5"], "heads(=5)"),
        (["--dim", "64"], "--dim is for the model of runs"),
        (["--server-output", "s"], "--server-output is for the model of runs"),
        (["--search-record", "none.json"], "search_record(='none.json') must exist"),
        (["--budget-bytes", "5000"], "budget_bytes(=5000) must be at least"),
        (["--seeds", "0"], "seeds(='0')"),
    ],
)
def test_bad_flags_with_tasks_are_one_line(
    flags: list[str],
    words: str,
    files: list[Path],
    small_teacher: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each mistake is one line on standard error with exit code 2, and no artefact is written."""
    monkeypatch.chdir(tmp_path)
    assert (
        call("compress", ["--data", str(files[0]), "--teacher", small_teacher, "--output", "m", *flags]) == 2
    )
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_presets_are_within_their_budgets_names() -> None:
    """Three sizes, each with its own budget, whatever the student is for."""
    for plans in (TASK_PLANS, CATALOGUE_PLANS):
        budgets = {name: plan.budget_bytes for name, plan in plans.items()}
        assert budgets == {"default": 1_910_000, "small": 1_000_000, "tiny": 500_000}


def test_parts_add_up(made: tuple[Path, dict[str, Any]]) -> None:
    """What the report shows of the bytes is all of them."""
    artefact = load_artefact(made[0])
    assert sum(parts(artefact).values()) == artefact.total_bytes


def test_the_artefact_reads_texts_as_its_teacher_did(inputs: Inputs, tmp_path: Path) -> None:
    """A cased teacher's student tells capitals apart, in the runtime too; an uncased one's does not."""
    for lowercase in (True, False):
        teacher = replace(inputs.teacher, rules=TextRules(lowercase=lowercase))
        pipeline = _pipeline(replace(inputs, teacher=teacher), tmp_path)
        vocabulary = pruned_vocabulary(teacher.vocabulary, np.ones(len(teacher.vocabulary)), SENTENCES, 120)
        artefact = pipeline.goal.sized(pipeline.new_student(vocabulary, 0), vocabulary)
        one, two = Int8Encoder(artefact).vectors(["play a song", "PLAY a song"])
        assert np.array_equal(one, two) == lowercase
