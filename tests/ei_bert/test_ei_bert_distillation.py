"""Losses, methods and texts of the distillation for tasks, against plain loops."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ei_bert_fakes import LABELS, TEXTS, reading_student, small_task
from torch import nn

from fedbert.ei_bert.compression.ablation import differences
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import Tokens
from fedbert.ei_bert.teaching.course import Course
from fedbert.ei_bert.teaching.methods import FULL, INTEGRATION, METHODS, WARM_KD, Method
from fedbert.ei_bert.teaching.task_distillation import (
    Rates,
    TaskLesson,
    distil,
    folded,
    student_states,
    thinned,
)
from fedbert.ei_bert.teaching.task_losses import Terms, relative_error
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher
from fedbert.ei_bert.teaching.tuning import Heads, Tuning, fine_tune, pooled_states
from fedbert.errors import FedbertError


@pytest.fixture(scope="module")
def start(guide: Teacher) -> tuple[Student, Tokens, TaskLesson, Heads]:
    """An untrained student with the teacher's whole vocabulary, a lesson of five texts, and random heads."""
    student, tokens, rows = reading_student(guide)
    assert tokens.first["item"] != tokens.first["text"]
    states = (pooled_states(guide, TEXTS),)
    lesson = TaskLesson(tokens.rows(TEXTS), np.zeros(5, np.int64), LABELS, states, rows)
    torch.manual_seed(0)
    return student, tokens, lesson, Heads([small_task()], 128)


def test_losses_are_those_of_a_plain_loop() -> None:
    """Cross-entropy and KL of each row by its own task's head; a row of no task or label counts for
    neither.
    """
    torch.manual_seed(1)
    heads = Heads([small_task("a"), small_task("b")], 3)
    state, theirs = torch.randn(4, 3), torch.randn(4, 3)
    task, label = torch.tensor([0, 1, -1, 1]), torch.tensor([1, 0, -1, -1])
    terms = Terms(["a", "b"], task, label, 2.0)
    mine, guide = terms.logits(heads, state), terms.logits(heads, theirs)
    entropy = divergence = 0.0
    for row in (0, 1, 3):
        head = heads["ab"[int(task[row])]]
        p, q = torch.softmax(head(state[row]), -1), torch.softmax(head(theirs[row]), -1)
        if label[row] >= 0:
            entropy -= float(torch.log(p[label[row]]).detach())
        p, q = (torch.softmax(head(part[row]) / 2, -1) for part in (state, theirs))
        divergence += 4 * float((q * (q / p).log()).sum().detach())
    assert float(terms.cross_entropy(mine).detach()) == pytest.approx(entropy / 3, rel=1e-5)
    assert float(terms.divergence(mine, guide).detach()) == pytest.approx(divergence / 3, rel=1e-5)


def test_relative_error_is_one_for_a_state_of_zeros() -> None:
    """The error is measured in the norm of what is aimed at, whatever its scale."""
    goal = torch.tensor([[3.0, 4.0], [30.0, 40.0]])
    assert float(relative_error(torch.zeros(2, 2), goal)) == pytest.approx(1.0)
    assert float(relative_error(goal * 0.5, goal)) == pytest.approx(0.25)


def test_word_dropout_takes_a_share_and_leaves_the_special_tokens() -> None:
    """Of many tokens about the share is gone; each row keeps its first and last, and its order."""
    rows = [[1, *range(10, 110), 2], [1, 2]]
    assert thinned(rows, 0.0, np.random.default_rng(0)) == rows
    long, short = thinned(rows, 0.3, np.random.default_rng(0))
    assert (long[0], long[-1], list(short)) == (1, 2, [1, 2])
    inner = list(long[1:-1])
    assert 55 <= len(inner) <= 85 and inner == sorted(set(inner))


def test_projection_and_head_fold_into_one_matrix(start: tuple[Student, Tokens, TaskLesson, Heads]) -> None:
    """Pooled state times the folded matrix gives the logits of projection, then head."""
    student, tokens, _, heads = start
    head = heads["one"]
    assert isinstance(head, nn.Linear)
    weight, bias = folded(student, head)
    ids = torch.tensor(tokens.rows(TEXTS[:1]), dtype=torch.int32)
    state, pooled = student(ids)
    assert torch.allclose(pooled @ weight + bias, head(state), atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_and_leaves_its_inputs_alone(
    name: str, guide: Teacher, start: tuple[Student, Tokens, TaskLesson, Heads]
) -> None:
    """After some steps the five texts are told apart; teacher and heads given are as they were."""
    first, tokens, lesson, heads = start
    student, before = copy.deepcopy(first), copy.deepcopy(heads.state_dict())
    body = copy.deepcopy(guide.body.state_dict())
    # The teacher's heads are random here, so only methods that look at labels can tell the texts apart.
    method = replace(METHODS[name], cross_entropy=1.0, divergence=0.1 * METHODS[name].divergence)
    own = distil(student, heads, guide, lesson, method, Course(60, 0), Rates(student=3e-3))
    states = student_states(student, tokens, TEXTS)
    assert own["one"](states).argmax(-1).tolist() == LABELS.tolist()
    assert all(torch.equal(value, before[key]) for key, value in heads.state_dict().items())
    assert all(torch.equal(value, body[key]) for key, value in guide.body.state_dict().items())


def test_integration_keeps_the_teachers_head_and_the_others_do_not(
    guide: Teacher, start: tuple[Student, Tokens, TaskLesson, Heads]
) -> None:
    """Integration: the head stays to the bit. Interplay moves it at the teacher's small rate. KD moves it."""
    first, _, lesson, heads = start

    def moved(method: Method) -> float:
        own = distil(copy.deepcopy(first), heads, guide, lesson, method, Course(3, 0), Rates(1e-2, 1e-5))
        return float((own["one"].weight - heads["one"].weight).detach().abs().max())

    assert moved(INTEGRATION) == 0.0
    assert 0.0 < moved(FULL) < 1e-4
    assert moved(WARM_KD) > 1e-3


def test_fine_tuning_tells_the_texts_apart(small_teacher: str) -> None:
    """Lower layers stay; a head for the task comes out that knows the training texts."""
    teacher = load_teacher(small_teacher)
    lower = copy.deepcopy(teacher.body.layers[0].state_dict())
    heads = fine_tune(teacher, [small_task()], Tuning(epochs=40, trained_layers=1, top_rate=1e-3))
    found = heads["one"](pooled_states(teacher, TEXTS)).argmax(-1)
    assert found.tolist() == LABELS.tolist()
    assert all(torch.equal(value, lower[key]) for key, value in teacher.body.layers[0].state_dict().items())


def test_remixed_texts_take_words_of_their_own_group() -> None:
    """No word crosses groups; one seed gives one list; every text says where it began."""
    texts, groups = ["a b c d", "e f g", "v w x", "y z"], np.array([0, 0, 1, 1])
    made, source = remixed(texts, groups, 400, 3)
    assert made == remixed(texts, groups, 400, 3)[0]
    assert made != remixed(texts, groups, 400, 4)[0]
    own = ({*"abcdefg"}, {*"vwxyz"})
    assert all(set(text.split()) <= own[groups[index]] for text, index in zip(made, source, strict=True))
    assert all(made)
    assert len(set(made)) > 60


def test_remixed_texts_are_never_a_test_text() -> None:
    """What would have a test text's words becomes a text of its group; the other texts stay as they are."""
    texts, groups = ["Pay my bill", "my bill", "hello there", "pay it"], np.array([0, 0, 1, 0])
    plain, source = remixed(texts, groups, 300, 3)
    made, same = remixed(texts, groups, 300, 3, never=["my BILL!", "bill"])
    hit = [text.casefold() in ("my bill", "bill") for text in plain]
    assert any(hit)
    assert not any(text.casefold() in ("my bill", "bill") for text in made)
    assert [old for old, bad in zip(plain, hit, strict=True) if not bad] == [
        new for new, bad in zip(made, hit, strict=True) if not bad
    ]
    assert {new for new, bad in zip(made, hit, strict=True) if bad} <= {"Pay my bill", "pay it"}
    assert np.array_equal(source, same)
    with pytest.raises(FedbertError, match="every training text is also a test text"):
        remixed(["my bill"], np.zeros(1, np.int64), 20, 0, never=["My bill."])


def test_near_words_are_those_of_least_angle(guide: Teacher) -> None:
    """The neighbours of a word are the words of highest cosine, itself left out; new texts use nothing
    else.
    """
    near = neighbours(guide, ["Play the music"], 2)
    words = [token for token in guide.vocabulary if token.isalpha() and len(token) > 1]
    vectors = {word: guide.body.words.weight[guide.vocabulary.index(word)].numpy() for word in words}

    def cosine(one: str, two: str) -> float:
        a, b = vectors[one], vectors[two]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert set(near) == {"play", "the", "music"}
    for word, found in near.items():
        others = sorted((other for other in words if other != word), key=lambda other: -cosine(word, other))
        assert list(found) == others[:2]
    made, _ = remixed(["Play the music"], np.zeros(1, np.int64), 200, 0, near)
    known = {"Play", "the", "music", *(other for found in near.values() for other in found)}
    assert {word for text in made for word in text.split()} == known


def test_differences_are_paired_by_seed() -> None:
    """Mean, interval and p are those of scipy's paired t test; one seed has a mean alone."""
    from scipy import stats

    base, other = [0.90, 0.92, 0.91], [0.93, 0.94, 0.95]
    arms = [{"arm": "kd", "accuracy": {"t": base}}, {"arm": "new", "accuracy": {"t": other}}]
    (row,) = differences(arms, ["t"], "kd")
    test = stats.ttest_rel(other, base)
    interval = test.confidence_interval(0.95)
    assert row["p"] == pytest.approx(float(test.pvalue))
    assert (row["low"], row["high"]) == pytest.approx((float(interval.low), float(interval.high)))
    single = [{"arm": arm["arm"], "accuracy": {"t": arm["accuracy"]["t"][:1]}} for arm in arms]  # type: ignore[index]
    assert differences(single, ["t"], "kd") == [{"arm": "new", "task": "t", "mean": pytest.approx(0.03)}]
