"""A student beside rivals of its bytes: who is how good, how large and how fast, on the same test texts."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact, deep_alone
from fedbert.ei_bert.artefact.heads import softmax
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.compression.rival_models import Lesson, Rival, linear_rival, static_rival
from fedbert.ei_bert.compression.rows import MarginRow, RivalRow, Rivals
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.splits import seen
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import joined
from fedbert.errors import FedbertError
from fedbert.intervals import t_interval, wilson

DEEP, WIDE = "deep part alone", "wide part alone"
LINEAR, TAUGHT, STATIC = "n-grams, linear", "n-grams, linear, taught", "token vectors, taught"
MADE_TEXTS = 15_000
"""Texts without a label by which rivals are taught, beside the training texts: a student's are more, but a
linear layer has learnt what it can from these.
"""
_TIMES = 2

Logits = Callable[[Sequence[str], str], NDArray[np.floating[Any]]]
"""Texts and a task's name to logits `[text, class]`."""


def made_lessons(
    teacher: Teacher, tasks: Sequence[Task], logits: Logits, seed: int, count: int = MADE_TEXTS
) -> dict[str, Lesson]:
    """Return the training texts of each task and `count` texts made of all of them, with the probabilities
    that `logits` gives; no made text is a test text.
    """
    texts, which, _ = joined(tasks)
    never = [text for task in tasks for text in task.test.texts]
    made, source = remixed(texts, which, count, seed, neighbours(teacher, texts), never)
    return lessons(tasks, [*texts, *made], np.concatenate([which, which[source]]), logits)


def lessons(
    tasks: Sequence[Task], texts: Sequence[str], which: NDArray[np.integer[Any]], logits: Logits
) -> dict[str, Lesson]:
    """Return each task's texts with the probabilities that `logits` gives; `which` is the task of a text."""
    found: dict[str, Lesson] = {}
    for index, task in enumerate(tasks):
        some = [texts[place] for place in np.flatnonzero(which == index).tolist()]
        found[task.name] = (some, softmax(logits(some, task.name)).astype(np.float32))
    return found


def mean_logits(models: Sequence[EiBert]) -> Logits:
    """Return the mean of the logits of `models`."""

    def logits(texts: Sequence[str], task: str) -> NDArray[np.floating[Any]]:
        each = [model.logits(texts, task) for model in models]
        return np.asarray(np.mean(each, 0))

    return logits


def student(name: str, artefact: Artefact) -> Rival:
    """Return the artefact as what its rivals are compared with."""
    bert = EiBert(artefact, budget_bytes=artefact.total_bytes)

    def answer(texts: Sequence[str], task: str) -> NDArray[np.int64]:
        return np.asarray(bert.logits(texts, task).argmax(1), np.int64)

    return Rival(name, artefact.total_bytes, 0.0, answer)


def parts_alone(model: EiBert) -> list[Rival]:
    """Return the deep and the wide part of `model`, each by itself; none if it has no wide part."""
    if not model.artefact.wide:
        return []
    deep = student(DEEP, deep_alone(model.artefact))

    def answer(texts: Sequence[str], task: str) -> NDArray[np.int64]:
        wide = model.wide(task)
        found = np.zeros((len(texts), 1)) if wide is None else wide.logits(texts)
        return np.asarray(found.argmax(1), np.int64)

    return [deep, Rival(WIDE, sum(map(len, model.artefact.wide.values())), 0.0, answer)]


def compare_rivals(
    mine: Rival,
    teacher: Teacher,
    tasks: Sequence[Task],
    taught: tuple[str, Mapping[str, Lesson]],
    seed: int = 0,
    parts: Sequence[Rival] = (),
) -> Rivals:
    """Return `mine` and three rivals of at most its bytes, trained here, on the test texts of `tasks`.

    `taught` is who teaches, and the lessons by task. `teacher` is whose token vectors the static rival begins
    with. A rival that has no room in the student's bytes is left out. `parts` are what else stands beside
    the student.
    """
    who, given = taught
    size = mine.total_bytes
    makers: tuple[Callable[[], Rival], ...] = (
        lambda: linear_rival(LINEAR, tasks, None, size, seed),
        lambda: linear_rival(TAUGHT, tasks, given, size, seed),
        lambda: static_rival(STATIC, teacher, tasks, given, size, seed),
    )
    rivals = [one for make in makers if (one := _with_room(make)) is not None]
    every = [text for task in tasks for text in task.train.texts]
    known = {task.name: np.array(seen(every, task.test.texts), bool) for task in tasks}
    rows, first = [], dict[str, NDArray[np.bool_]]()
    for one in (mine, *rivals, *parts):
        right, seconds = _right(one, tasks)
        row = _row(one, right, known, seconds)
        if one is mine:
            first = right
        else:
            row["ahead"] = {name: margin(first[name], right[name]) for name in right}
            if one.seconds:
                row["seconds"] = round(one.seconds, 1)
            row["note"] = one.note
        rows.append(row)
    made = sum(len(texts) for texts, _ in given.values()) - len(every)
    count = 1 + len(rivals)
    found: Rivals = {"taught_by": who, "made_texts": made, "rows": rows[:count]}
    if parts:
        found["parts"] = rows[count:]
    return found


def _with_room(make: Callable[[], Rival]) -> Rival | None:
    # A compression took hours until here: a rival for which its classes are too many must not end it.
    try:
        return make()
    except FedbertError:
        return None


def _right(one: Rival, tasks: Sequence[Task]) -> tuple[dict[str, NDArray[np.bool_]], float]:
    """Return which test texts `one` has right, by task, and the least wall-clock seconds for all."""
    right, took = {}, []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        right = {task.name: one.answer(task.test.texts, task.name) == task.test.labels for task in tasks}
        took.append(time.perf_counter() - begun)
    return right, min(took)


def _row(
    one: Rival, right: Mapping[str, NDArray[np.bool_]], known: Mapping[str, NDArray[np.bool_]], seconds: float
) -> RivalRow:
    shares = {name: wilson(float(each.sum()), len(each)) for name, each in right.items()}
    unseen = {name: each[~known[name]] for name, each in right.items()}
    return {
        "rival": one.name,
        "bytes": one.total_bytes,
        "texts_per_s": round(sum(map(len, right.values())) / seconds),
        "accuracy": {name: share.value for name, share in shares.items()},
        "low": {name: float(share.low or 0.0) for name, share in shares.items()},
        "high": {name: float(share.high or 0.0) for name, share in shares.items()},
        "accuracy_unseen": {name: float(each.mean()) if len(each) else None for name, each in unseen.items()},
    }


def margin(mine: NDArray[np.bool_], other: NDArray[np.bool_]) -> MarginRow:
    """Return the difference of two accuracies on the same texts `[text]`, with its paired 95 % interval."""
    found = t_interval(mine.astype(np.float64) - other.astype(np.float64))
    low, high = (found.value if bound is None else bound for bound in (found.low, found.high))
    return {"mean": found.value, "low": float(low), "high": float(high)}
