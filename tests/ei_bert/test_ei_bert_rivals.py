"""Rivals of a student: bags of features, bytes, what they learn, and how they are compared."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedbert.cli.main import call
from fedbert.ei_bert.artefact.heads import head_bytes, quantise_head
from fedbert.ei_bert.compression.rival_models import (
    Rival,
    buckets_within,
    linear_rival,
    n_grams,
    pooled,
    static_rival,
    static_shape,
    token_bags,
)
from fedbert.ei_bert.compression.rivals import LINEAR, TAUGHT, compare_rivals, lessons, margin
from fedbert.ei_bert.model.tokenizer import SPECIALS, Tokens
from fedbert.ei_bert.teaching.splits import seen
from fedbert.ei_bert.teaching.tasks import Part, Task
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.errors import FedbertError

TRAIN = ("set an alarm", "wake me at six", "freeze my account", "block my bank account")
TEST = ("Set an alarm!", "an alarm at six", "my bank", "freeze my account")
LABELS = np.array([0, 0, 1, 1])


def _task(name: str = "one", test: tuple[str, ...] = TEST) -> Task:
    none = Part((), np.zeros(0, np.int64))
    return Task(name, ("alarm", "bank"), Part(TRAIN, LABELS), none, Part(test, LABELS[: len(test)]), "0" * 64)


def test_a_bag_of_tokens_is_their_mean() -> None:
    """Through a table, a text is the mean of its tokens' rows; the product through which it learns agrees."""
    vocabulary = (*SPECIALS, "an", "alarm", "set")
    tokens = Tokens(vocabulary)
    table = np.random.default_rng(0).normal(size=(len(vocabulary), 3)).astype(np.float32)
    bags = token_bags(tokens, ["set an alarm", "alarm alarm"], len(vocabulary))
    plain = [table[row].mean(0) for row in tokens.rows(["set an alarm", "alarm alarm"])]
    np.testing.assert_allclose(bags @ table, plain, atol=1e-6)
    np.testing.assert_allclose(pooled(bags, torch.from_numpy(table)).numpy(), plain, atol=1e-6)


def test_n_grams_of_equal_words_are_equal() -> None:
    """Case and signs between words do not count for words; another order of the words is another bag."""
    same = n_grams(["wake me", "wake me", "me wake"], 512).toarray()
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


@pytest.mark.parametrize("budget", [1_000, 4_321, 20_000])
def test_the_buckets_fill_the_bytes(budget: int) -> None:
    """As many buckets as fit: the files are within the budget, and with a bucket more they are not."""
    tasks = (_task("one"), _task("two"))
    count = buckets_within(budget, tasks)

    def size(buckets: int) -> int:
        heads = [quantise_head(np.ones((buckets, 2)), np.zeros(2), task.labels, task.name) for task in tasks]
        return sum(len(head_bytes(head)) for head in heads)

    assert size(count) <= budget < size(count + 8)
    with pytest.raises(FedbertError, match=r"budget_bytes\(=100\) must have room for a rival"):
        buckets_within(100, tasks)


def test_the_static_rival_keeps_what_fits(small_teacher: str) -> None:
    """With room all tokens of the training texts are kept, as wide as fits; else the frequent ones of 64."""
    teacher = load_teacher(small_teacher)
    roomy, width = static_shape(teacher, (_task(),), 12_000)
    used = {token for row in teacher.tokens.rows(TRAIN) for token in row}
    assert {teacher.vocabulary[index] for index in used} <= set(roomy)
    assert 64 < width <= teacher.width
    few, narrow = static_shape(teacher, (_task(),), 1_400)
    assert (narrow, set(few) < set(roomy)) == (64, True)
    assert static_rival("s", teacher, (_task(),), _right_lessons(), 1_400, 0).total_bytes <= 1_400
    with pytest.raises(FedbertError, match="must have room for the tokens"):
        static_shape(teacher, (_task(),), 400)


def _right_lessons() -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    return {"one": (TRAIN, np.eye(2, dtype=np.float32)[LABELS])}


def test_rivals_learn_what_they_are_taught(small_teacher: str) -> None:
    """By labels or by a teacher: one taught the other way round answers the other way round."""
    task, teacher = _task(), load_teacher(small_teacher)
    turned = {"one": (TRAIN * 50, np.eye(2, dtype=np.float32)[1 - np.tile(LABELS, 50)])}
    by_labels = linear_rival("a", (task,), None, 20_000, 0)
    taught = linear_rival("b", (task,), turned, 20_000, 0)
    static = static_rival("c", teacher, (task,), turned, 20_000, 0)
    assert by_labels.answer(TRAIN, "one").tolist() == [0, 0, 1, 1]
    assert taught.answer(TRAIN, "one").tolist() == [1, 1, 0, 0]
    assert static.answer(TRAIN, "one").tolist() == [1, 1, 0, 0]
    assert max(each.total_bytes for each in (by_labels, taught, static)) <= 20_000


def test_lessons_go_to_their_own_task() -> None:
    """Each task's texts, in order, with the softmax of what is said of them."""
    found = lessons((_task("one"), _task("two")), ["a", "b", "c"], np.array([1, 0, 1]), _said)
    assert [list(found[name][0]) for name in ("one", "two")] == [["b"], ["a", "c"]]
    np.testing.assert_allclose(found["two"][1], [[0.75, 0.25]] * 2, atol=1e-6)


def _said(texts: "list[str]", task: str) -> np.ndarray:
    return np.tile([math.log(3.0), 0.0], (len(texts), 1))


def test_a_margin_is_paired() -> None:
    """Differences 1, 0, 0, -1, 0 by text: mean 0 and Student's t of their spread, not of two accuracies."""
    mine = np.array([True, True, False, False, True])
    other = np.array([False, True, False, True, True])
    found = margin(mine, other)
    half = 2.7764451 * math.sqrt(0.5 / 5)
    assert [found["mean"], found["low"], found["high"]] == pytest.approx([0.0, -half, half])


def test_texts_that_were_trained_on_are_left_out(small_teacher: str) -> None:
    """Of four test texts three are training texts, one of them of the other task: only the second counts."""
    assert seen(TRAIN, TEST) == [True, False, False, True]
    other = replace(_task("two"), train=Part(("my bank", "go"), LABELS[1:3]))
    tasks = (_task(), other)
    always = Rival("student", 20_000, 0.0, lambda texts, task: np.zeros(len(texts), np.int64))
    given = {name: (TRAIN, np.eye(2, dtype=np.float32)[LABELS]) for name in ("one", "two")}
    found = compare_rivals(always, load_teacher(small_teacher), tasks, ("a teacher", given))
    mine, *rivals = found["rows"]
    assert (mine["accuracy"]["one"], mine["accuracy_unseen"]["one"]) == (0.5, 1.0)
    assert "ahead" not in mine
    assert [row["ahead"]["one"]["mean"] for row in rivals] == [0.5 - row["accuracy"]["one"] for row in rivals]
    assert len(rivals) == 3


def test_a_rival_without_room_is_left_out(small_teacher: str) -> None:
    """In 500 bytes n-grams have some buckets and token vectors no room; in 100 there is no rival."""
    teacher, given = load_teacher(small_teacher), _right_lessons()
    for size, names in ((500, [LINEAR, TAUGHT]), (100, [])):
        mine = Rival("student", size, 0.0, lambda texts, task: np.zeros(len(texts), np.int64))
        found = compare_rivals(mine, teacher, (_task(),), ("a teacher", given))
        assert [row["rival"] for row in found["rows"]] == ["student", *names]


def test_a_model_without_the_heads_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the head; labels that are not the head's are one line too."""
    for name in ("mine", "clinc150"):
        rows = [f"{text},{label}" for label in "ab" for text in ("x", "y", "z", "v", "w")]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    flags = ["rivals", "--model", "intents-tiny", "--data"]
    assert call("compress", [*flags, str(tmp_path / "mine.csv")]) == 2
    assert "task(='mine') must be one of banking77" in capsys.readouterr().err
    assert call("compress", [*flags, str(tmp_path / "clinc150.csv")]) == 2
    assert "must have the 2 labels of clinc150 in its head" in capsys.readouterr().err
