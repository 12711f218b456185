"""Several teachers as one, mean weights, smoothed labels, weighed texts and coverage, against plain loops."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ei_bert_fakes import LABELS, TEXTS, Silent, reading_student, small_task

from fedbert.cli.main import call
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.card import write_card
from fedbert.ei_bert.artefact.heads import read_head
from fedbert.ei_bert.compression.coverage import coverage, covered, occurrences
from fedbert.ei_bert.compression.ensemble import mean_heads, teacher_seeds
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.plan import Architecture, TaskPlan
from fedbert.ei_bert.compression.stages import load_tensors, save_tensors
from fedbert.ei_bert.compression.tasks_compression import Asked, Places, compress_tasks
from fedbert.ei_bert.compression.tasks_goal import Inputs, TasksGoal
from fedbert.ei_bert.compression.token_pruning import pruned_vocabulary
from fedbert.ei_bert.model.student import Student, facing
from fedbert.ei_bert.model.tokenizer import SPECIALS
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching import task_distillation
from fedbert.ei_bert.teaching.course import Course, Hooks
from fedbert.ei_bert.teaching.methods import INTEGRATION, WARM_KD, Method
from fedbert.ei_bert.teaching.task_distillation import Rates, TaskLesson, distil
from fedbert.ei_bert.teaching.task_losses import Terms
from fedbert.ei_bert.teaching.tasks import load_tasks
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher
from fedbert.ei_bert.teaching.tuning import Heads, pooled_states

SENTENCES = ("a song about an alarm", "the bank and the music", "an account for six")
PLAN = TaskPlan(
    budget_bytes=120_000,
    architecture=Architecture(layers=1, width=32, heads=4, inner=32, embedding=16),
    tune_epochs=2,
    tune_layers=1,
    remixed_texts=20,
    cross_texts=20,
    pretrain_steps=4,
    cross_steps=6,
    precision="float32",
)


@pytest.fixture(scope="module")
def inputs(guide: Teacher) -> Inputs:
    """The small teacher, a task of five texts without validation texts, three sentences."""
    return Inputs(guide, (small_task(),), SENTENCES, {})


def _started(guide: Teacher, teachers: int) -> tuple[Student, TaskLesson, Heads]:
    """An untrained student, five texts with as many teachers' states, and random heads on these."""
    student, tokens, rows = reading_student(guide, layers=1)
    states = tuple(pooled_states(guide, TEXTS).half() * (1 + index) for index in range(teachers))
    lesson = TaskLesson(tokens.rows(TEXTS), np.zeros(5, np.int64), LABELS, states, rows)
    torch.manual_seed(0)
    return facing(student, teachers), lesson, Heads([small_task()], teachers * 128)


def test_heads_side_by_side_give_the_mean_of_the_logits() -> None:
    """Two teachers' states in a row, times the joint head: the mean of what each head says of its own."""
    torch.manual_seed(0)
    tasks = [small_task("a"), small_task("b")]
    one, two = Heads(tasks, 3), Heads(tasks, 3)
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    joint = mean_heads(tasks, [one, two])
    for name in ("a", "b"):
        mean = (one[name](first) + two[name](second)) / 2
        assert torch.allclose(joint[name](torch.cat([first, second], 1)), mean, atol=1e-6)


def test_a_student_faces_each_teacher_alike(guide: Teacher) -> None:
    """Before it learns, its state stands there once for each teacher; with one it is a copy to the bit."""
    one, lesson, _ = _started(guide, 1)
    ids = torch.tensor([lesson.rows[0]], dtype=torch.int32)
    state, pooled = one(ids)
    wide, same = facing(one, 2)(ids)
    assert torch.equal(wide, torch.cat([state, state], 1)) and torch.equal(same, pooled)
    again = facing(one, 1)
    assert again is not one and torch.equal(again(ids)[0], state)


def test_no_two_students_share_a_teacher() -> None:
    """Student 0 has the first teachers, student 1 the next ones."""
    assert [list(teacher_seeds(seed, 2)) for seed in (0, 1)] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("method", [INTEGRATION, WARM_KD])
def test_mean_weights_are_the_mean_over_the_last_steps(
    method: Method, guide: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights seen after each of the last three of six steps, added and divided by three; heads too."""
    monkeypatch.setattr(task_distillation, "SHOWN_EVERY", 1)
    start, lesson, heads = _started(guide, 1)
    student, plain, seen = copy.deepcopy(start), copy.deepcopy(start), []

    def look(*_: object) -> None:
        seen.append(copy.deepcopy(plain.state_dict()))

    distil(plain, heads, guide, lesson, method, Course(6, 0), hooks=Hooks(look))
    own = distil(student, heads, guide, lesson, method, Course(6, 0), Rates(average_steps=3))
    for name, value in student.state_dict().items():
        mean = sum(state[name] for state in seen[-3:]) / 3
        assert torch.allclose(value, mean, atol=1e-6)
    moved = not torch.equal(own["one"].weight, heads["one"].weight)
    assert moved == (method is WARM_KD)


def test_smoothed_labels_share_out_a_part_of_each_label() -> None:
    """.8 of the loss is against the label and .2 against all labels alike; a row without a label is 0."""
    torch.manual_seed(1)
    logits, label = [torch.randn(3, 4)], torch.tensor([2, -1, 0])
    terms = Terms(["a"], torch.zeros(3, dtype=torch.long), label, 1.0)
    logs = torch.log_softmax(logits[0], -1)
    plain = sum(-0.8 * logs[row, label[row]] - 0.2 * logs[row].mean() for row in (0, 2)) / 3
    assert float(terms.cross_entropy(logits, 0.2)) == pytest.approx(float(plain), rel=1e-5)


def test_texts_of_tasks_weigh_more_if_that_is_asked_for(inputs: Inputs, tmp_path: Path) -> None:
    """Training texts have the plan's weight, sentences 1; the tokens of either move as the weight says."""
    equal = TasksGoal(inputs, replace(PLAN, pruning="frequency", task_weight=1.0))
    heavy = TasksGoal(inputs, replace(PLAN, pruning="frequency", task_weight=10.0))
    assert equal.ranked()[1] is None and equal.ranked_key() == {}
    assert heavy.ranked()[1] == [10.0] * len(TEXTS) + [1.0] * len(SENTENCES)
    found = [Pipeline(goal, tmp_path, Silent(), 1).importance()[0] for goal in (equal, heavy)]
    place = {token: index for index, token in enumerate(inputs.teacher.vocabulary)}
    # "my" is in two training texts, "the" twice in a sentence, "song" once in each kind.
    assert [[each[place[word]] for word in ("my", "the", "song")] for each in found] == [
        [2, 2, 2],
        [20, 2, 11],
    ]


def test_coverage_counts_what_stays_whole(inputs: Inputs) -> None:
    """Of training texts' tokens those that are kept, in a plain loop; kept ones that none of them has."""
    teacher, goal = inputs.teacher, TasksGoal(inputs, PLAN)
    found = occurrences(teacher, TEXTS)
    vocabulary, size = teacher.vocabulary, len(teacher.vocabulary)
    kept = pruned_vocabulary(vocabulary, found, goal.texts(), size - 12, teacher.rules)
    rows = [token for row in teacher.tokens.rows(TEXTS) for token in row[1:-1]]
    whole = [vocabulary[token] for token in rows]
    (row,) = coverage(goal, kept, found)
    read = set(whole)
    assert row == {
        "size": len(kept),
        "train": sum(token in kept for token in whole) / len(whole),
        "unread": len({token for token in kept if token not in SPECIALS} - read) + len(SPECIALS) - 1,
        "split": len(read - set(kept)),
        "chosen": True,
    }
    assert covered(found, teacher, vocabulary) == 1.0
    assert covered(found * 0, teacher, vocabulary) == 0.0


def test_tensors_may_stay_in_their_file(tmp_path: Path) -> None:
    """Mapped or not, the same values are read."""
    save_tensors(torch.arange(6).reshape(2, 3), tmp_path / "t.pt")
    assert torch.equal(load_tensors(tmp_path / "t.pt", mapped=True), load_tensors(tmp_path / "t.pt"))


@pytest.fixture(scope="module")
def together(small_teacher: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """All of it at once: two teachers a seed, two whole seeds, mean weights, smoothed labels, weights."""
    folder = tmp_path_factory.mktemp("together")
    rows = [(f"{text} {end}", label) for text, label in zip(TEXTS, LABELS, strict=True) for end in "abcdef"]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "one.csv", index=False)
    inputs = Inputs(load_teacher(small_teacher), load_tasks([folder / "one.csv"]), SENTENCES, {})
    plan = replace(PLAN, teachers=2, average_steps=3, label_smoothing=0.1, task_weight=5.0)
    asked = Asked(seeds=(0, 1), whole_seeds=True, with_rivals=False)
    record = compress_tasks(TasksGoal(inputs, plan), Places(folder / "m", folder / "w"), Silent(), asked, 1)
    return folder, record


def test_whole_seeds_have_teachers_and_a_start_of_their_own(together: tuple[Path, Any]) -> None:
    """Four teachers, two ensembles, two pre-distillations; every stage has a figure for each seed."""
    folder, record = together
    names = [path.name.split("-")[0] for path in (folder / "w").iterdir() if path.is_dir()]
    counts = {
        name: names.count(name) for name in ("teacher", "states", "ensemble", "predistilled", "crossed")
    }
    assert counts == {"teacher": 4, "states": 4, "ensemble": 2, "predistilled": 2, "crossed": 2}
    assert [len(row["accuracy"]["one"]) for row in record["stages"] if "accuracy" in row] == [2, 2, 2, 2]
    assert len(record["teacher"]["each"]) == 2 and record["whole_seeds"]
    (chosen,) = [row for row in record["vocabulary"]["coverage"] if row["chosen"]]
    assert chosen["size"] == record["vocabulary"]["size"]
    times = [row["cpu_seconds"] for row in record["stages"][:-1]]
    assert sum(times) <= record["cpu_seconds"] and record["cpu_seconds"] > 0


def test_a_student_of_two_teachers_is_no_larger(together: tuple[Path, Any]) -> None:
    """Its head is as wide as the student's states, and it answers as its record says."""
    folder, record = together
    artefact, task = load_artefact(folder / "m"), load_tasks([folder / "one.csv"])[0]
    assert read_head(artefact.heads["one"], "one").weight.shape == (32, 2)
    named = EiBert.from_pretrained(folder / "m").classify(task.test.texts, "one")
    right = np.mean([task.labels[label] == name for label, name in zip(task.test.labels, named, strict=True)])
    assert right == record["stages"][-1]["accuracy"]["one"][0]


def test_the_card_keeps_the_time_that_the_files_took(together: tuple[Path, Any]) -> None:
    """Written anew without a time it says what it said; a card of other files has no time to keep."""
    folder, record = together
    artefact, card = load_artefact(folder / "m"), folder / "m.md"
    line = f"**Took** {record['cpu_seconds'] / 60:.1f} min of processor time"
    assert line in card.read_text("utf-8")
    write_card(artefact, folder / "m")
    assert line in card.read_text("utf-8")
    card.write_text(card.read_text("utf-8").replace(artefact.sha256, "0" * 64), "utf-8")
    write_card(artefact, folder / "m")
    assert "**Took**" not in card.read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--teachers", "2", "--method", "cross-distillation"], "teachers(=2) must be 1 with the method"),
        (["--teachers", "2", "--ablation"], "give --teachers 1 or leave it out"),
        (["--teachers", "0"], "teachers(='0') must be greater than or equal to 1"),
        (["--task-weight", "0"], "task_weight(='0') must be greater than 0"),
        (["--label-smoothing", "1"], "label_smoothing(='1') must be less than 1"),
        (["--average-steps", "-1"], "average_steps(='-1') must be greater than or equal to 0"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    flags: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Said before anything is read or written, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert call("compress", ["--data", "none.csv", "--output", "m", *flags]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_options_of_tasks_are_refused_without_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    """The model of runs has no teachers to tune."""
    assert call("compress", ["--teachers", "2"]) == 2
    assert "--teachers needs tasks; give --data FILE" in capsys.readouterr().err
