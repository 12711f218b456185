"""Linear probes: how much of the teacher's knowledge of texts is left in a student that stays frozen.

A logistic regression is fitted on the student's vectors of a task's training texts and on the teacher's, each
with standardised features and a penalty chosen from the same grid by cross-validation on the training texts
alone. *Retention* is the student's accuracy on the test texts over the teacher's. Intervals are bootstraps
over the test texts (Efron 1979), paired: the same texts for both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.heads import choose_strength, fit_linear
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.splits import leaked
from fedbert.ei_bert.teaching.tasks import Part, Task
from fedbert.ei_bert.teaching.teacher import Teacher, sentence_vectors
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose, generator

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors `[text, dim]`."""

# Resampled sets: the ends of a 95 % interval then rest on 100 draws each.
_DRAWS = 4_000
_TAILS = (2.5, 97.5)
# Inverse penalties of the classifier of words, and its folds: their best lay inside on every set at hand.
_WORD_STRENGTHS, _FOLDS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), 3
# Single letters too: in some languages they are words.
_WORD = r"(?u)\b\w+\b"


@dataclass(frozen=True)
class ProbeResult:
    """What a linear probe finds in vectors, in shares of 1; `low` .. `high` is the accuracy's 95 % interval.

    `correct` `[text]` says which test texts were classified rightly; `strength` is the chosen inverse
    penalty, `dim` the width of the vectors.
    """

    accuracy: float
    macro_f1: float
    low: float
    high: float
    strength: float
    dim: int
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """A student's and its teacher's probes on one task; `retention`'s 95 % interval is `low` .. `high`.

    `test_in_train` counts the test texts that were trained on (`splits.leaked`). `words` is what the words
    alone reach, if that was asked for (`words_probe`).
    """

    task: str
    classes: int
    train_texts: int
    test_texts: int
    student: ProbeResult
    teacher: ProbeResult
    retention: float
    low: float
    high: float
    test_in_train: int = 0
    words: ProbeResult | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the figures by name, rounded to 4 digits, as they are written to a file."""
        words = {} if self.words is None else {"words": _figures(self.words)}
        return {
            "task": self.task,
            "classes": self.classes,
            "train_texts": self.train_texts,
            "test_texts": self.test_texts,
            "test_in_train": self.test_in_train,
            "student": _figures(self.student),
            "teacher": _figures(self.teacher),
            **words,
            "retention": round(self.retention, 4),
            "retention_interval": [round(self.low, 4), round(self.high, 4)],
        }


def _figures(result: ProbeResult) -> dict[str, object]:
    return {
        "accuracy": round(result.accuracy, 4),
        "accuracy_interval": [round(result.low, 4), round(result.high, 4)],
        "macro_f1": round(result.macro_f1, 4),
        "strength": result.strength,
        "dim": result.dim,
    }


def probe(
    encode: Encode,
    texts_train: Sequence[str],
    labels_train: NDArray[np.int64],
    texts_test: Sequence[str],
    labels_test: NDArray[np.int64],
    seed: int,
) -> ProbeResult:
    """Fit a logistic regression on the vectors of `texts_train` and score it on `texts_test`.

    Labels `[text]` are 0 .. classes - 1, each in the training texts. `seed` draws the texts that choose the
    penalty, and the bootstrap. Raises FedbertError for vectors that are not finite.
    """
    train, test = encode(texts_train), encode(texts_test)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise FedbertError("probe: the encoder's vectors must be finite; check the model")
    strength = choose_strength(train, labels_train, seed)
    classes = int(labels_train.max()) + 1
    weight, bias = fit_linear(train, labels_train, classes, strength)
    guessed = (test @ weight + bias).argmax(1)
    return _scored(labels_test, guessed, classes, (strength, train.shape[1]), seed)


def _scored(
    wanted: NDArray[np.int64],
    guessed: NDArray[np.int64],
    classes: int,
    made_with: tuple[float, int],
    seed: int,
) -> ProbeResult:
    """Return the result of a probe `made_with` an inverse penalty and so many features."""
    correct = guessed == wanted
    draw = generator(seed, Purpose.RESAMPLING, streams.PROBE_HITS)
    hits = draw.binomial(len(correct), correct.mean(), _DRAWS) / len(correct)
    low, high = np.percentile(hits, _TAILS)
    return ProbeResult(
        accuracy=float(correct.mean()),
        macro_f1=macro_f1(wanted, guessed, classes),
        low=float(low),
        high=float(high),
        strength=made_with[0],
        dim=made_with[1],
        correct=correct,
    )


def words_probe(task: Task, seed: int) -> ProbeResult:
    """Return what a linear classifier reaches on the words alone: the least that an encoder has to beat.

    Weights of words and of pairs of neighbours (TF-IDF, log counts, unit length), and a support vector
    machine with a squared hinge loss, its penalty chosen by three folds of the training texts as for a
    probe of vectors. `dim` is the number of words and pairs.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import LinearSVC

    y = task.train.labels
    reader = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=_WORD)
    x = reader.fit_transform(task.train.texts)

    def fitted(rows: NDArray[np.intp], strength: float) -> LinearSVC:
        return LinearSVC(C=strength, random_state=0).fit(x[rows], y[rows])

    folds = min(_FOLDS, int(np.bincount(y).min()))
    hits = np.zeros(len(_WORD_STRENGTHS), np.int64)
    for train, test in (
        StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y) if folds > 1 else ()
    ):
        for place, strength in enumerate(_WORD_STRENGTHS):
            hits[place] += (fitted(train, strength).predict(x[test]) == y[test]).sum()
    best = _WORD_STRENGTHS[int(hits.argmax())] if folds > 1 else _WORD_STRENGTHS[-1]
    guessed = fitted(np.arange(len(y)), best).predict(reader.transform(task.test.texts))
    return _scored(task.test.labels, guessed, len(task.labels), (best, x.shape[1]), seed)


def macro_f1(wanted: NDArray[np.int64], guessed: NDArray[np.int64], classes: int) -> float:
    """Return the mean over classes of 2 hits / (texts of the class + guesses of it); 0 / 0 counts as 0."""
    hits = np.bincount(wanted[wanted == guessed], minlength=classes)
    both = np.bincount(wanted, minlength=classes) + np.bincount(guessed, minlength=classes)
    return float((2 * hits / np.maximum(both, 1)).mean())


def retention(
    student: NDArray[np.bool_], teacher: NDArray[np.bool_], seed: int
) -> tuple[float, float, float]:
    """Return (ratio of the accuracies, and its paired 95 % interval) of two models' rightly classified texts.

    Resampling n texts with their two outcomes is drawing n times from the four kinds of text there are, which
    is one multinomial draw. Raises FedbertError if the teacher has none right.
    """
    if not teacher.any():
        raise FedbertError("probe: the teacher must classify at least one test text rightly; give more texts")
    count = len(teacher)
    kinds = np.bincount(2 * student.astype(np.int64) + teacher, minlength=4)
    draws = generator(seed, Purpose.RESAMPLING, streams.PROBE_RETENTION).multinomial(
        count, kinds / count, _DRAWS
    )
    mine, theirs = draws[:, 2] + draws[:, 3], draws[:, 1] + draws[:, 3]
    low, high = np.percentile(mine[theirs > 0] / theirs[theirs > 0], _TAILS)
    return float(student.sum() / teacher.sum()), float(low), float(high)


def compare(student: Encode, teacher: Encode, task: Task, seed: int = 0, words: bool = False) -> Comparison:
    """Probe `student` and `teacher` on the training and test texts of `task`; validation texts stay unread.

    `seed` draws the texts that choose the penalties, and the bootstraps. `words` adds a classifier of words.
    """
    if not len(task.test):
        raise FedbertError(f"task {task.name}: must have test texts; add some or leave out column split")
    parts = (task.train.texts, task.train.labels, task.test.texts, task.test.labels)
    mine, theirs = probe(student, *parts, seed), probe(teacher, *parts, seed)
    ratio, low, high = retention(mine.correct, theirs.correct, seed)
    seen = leaked(task.train.texts, task.test.texts)
    return Comparison(
        task=task.name,
        classes=len(task.labels),
        train_texts=len(task.train),
        test_texts=len(task.test),
        student=mine,
        teacher=theirs,
        retention=ratio,
        low=low,
        high=high,
        test_in_train=seen,
        words=words_probe(task, seed) if words else None,
    )


def few_texts(task: Task, per_label: int, seed: int) -> Task:
    """Return `task` with `per_label` training texts of each label, drawn by `seed`; all if it has fewer."""
    draw = generator(seed, Purpose.SAMPLE, streams.FEW_TEXTS)
    order = draw.permutation(len(task.train))
    labels = task.train.labels[order]
    kept = [order[labels == label][:per_label] for label in range(len(task.labels))]
    rows = np.sort(np.concatenate(kept))
    some = Part(tuple(task.train.texts[row] for row in rows.tolist()), task.train.labels[rows])
    return replace(task, train=some)


def student_encoder(model: Path | str, budget_bytes: int, threads: int = 1) -> Encode:
    """Return the encoder of an artefact's folder, or of the shipped model of that name."""
    return EiBert.from_pretrained(model, threads, budget_bytes).encode


def teacher_encoder(teacher: Teacher) -> Encode:
    """Return the teacher's own sentence vectors: mean-pooled, of unit length."""
    return lambda texts: np.asarray(sentence_vectors(teacher, texts).numpy(), np.float32)
