"""Plug-in heads: the file's format, its errors, int8 against float, the fit against scikit-learn's own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fedbert.ei_bert.artefact.heads import (
    STRENGTHS,
    Head,
    choose_strength,
    fit_head,
    fit_linear,
    head_bytes,
    quantise_head,
    read_head,
    softmax,
)
from fedbert.errors import FedbertError

SMALL = Head(
    "mood",
    ("glad", "naïve", "sad"),
    np.array([[127, 0, -127], [-2, 64, 1]], np.int8),
    np.array([0.5, 0.25, 2.0], np.float32),
    np.array([1.0, 0.0, -1.0], np.float32),
)


def clouds(
    classes: int, each: int, dim: int = 6, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Texts' vectors in `classes` overlapping clouds, features of scales .3 to 3 and means 5 times that."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    centres = draw.normal(size=(classes, dim)) * 1.5
    scales = 10.0 ** draw.uniform(-0.5, 0.5, dim)
    vectors = (centres[labels] + draw.normal(size=(len(labels), dim))) * scales + 5.0 * scales
    return vectors.astype(np.float32), labels.astype(np.int64)


def test_logits_are_the_formula() -> None:
    """logits = vector @ (weight * scale) + bias, by hand."""
    logits = SMALL.logits(np.array([[1.0, 2.0]], np.float32))
    assert logits.dtype == np.float32
    assert logits.tolist() == [[(127 - 4) * 0.5 + 1, 128 * 0.25, (-127 + 2) * 2.0 - 1]]


def test_logits_alone_and_in_a_batch_are_the_same_bits() -> None:
    """A text alone has the logits it has among 256 others."""
    vectors, labels = clouds(7, 40, dim=96)
    head = fit_head(vectors, labels, list("abcdefg"), "t", 0, strength=0.1)
    alone = np.concatenate([head.logits(vectors[row : row + 1]) for row in range(len(vectors))])
    assert np.array_equal(head.logits(vectors), alone)


def test_a_file_gives_the_head_back_and_is_a_safetensors_file(tmp_path: Path) -> None:
    """Bytes and back is the same head; the library itself reads tensors and metadata of the file."""
    again = read_head(head_bytes(SMALL), "mood")
    assert (again.task, again.labels, again.dim) == (SMALL.task, SMALL.labels, 2)
    for name in ("weight", "scale", "bias"):
        assert np.array_equal(getattr(again, name), getattr(SMALL, name))
    path = tmp_path / "mood.safetensors"
    path.write_bytes(head_bytes(SMALL))
    with safe_open(path, "np") as file:
        assert file.metadata() == {"labels": '["glad", "naïve", "sad"]', "task": "mood"}
        assert np.array_equal(file.get_tensor("weight"), SMALL.weight)
    assert head_bytes(again) == head_bytes(SMALL)


def test_a_head_of_many_labels_is_a_few_kilobytes() -> None:
    """77 labels on 128 features: 9,856 bytes of weights, 616 of scales and biases, < 1 kB of header."""
    head = quantise_head(np.ones((128, 77)), np.zeros(77), [f"l{n}" for n in range(77)], "t")
    assert 9_856 + 616 < len(head_bytes(head)) < 9_856 + 616 + 1_000


def test_int8_is_within_half_a_step_of_float() -> None:
    """Each weight is off by half its column's scale at most, the largest not at all; zeros stay zeros."""
    weight = np.array([[1.0, 0.0, -3.0], [0.3, 0.0, 2.9]])
    head = quantise_head(weight, [0.0, 1.0, 2.0], ("a", "b", "c"), "t")
    back = head.weight * head.scale
    assert (np.abs(back - weight) <= head.scale / 2 + 1e-7).all()
    assert head.weight[0].tolist() == [127, 0, -127]
    assert (head.weight[:, 1] == 0).all()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_fit_is_scikit_learns_own_on_standardised_features(classes: int) -> None:
    """With standardisation folded in, probabilities equal those of scaler and regression in a pipeline."""
    vectors, labels = clouds(classes, 60)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500, tol=1e-8))
    plain.fit(vectors.astype(np.float64), labels)
    weight, bias = fit_linear(vectors, labels, classes, 0.1)
    assert weight.shape == (vectors.shape[1], classes)
    mine = softmax(vectors @ weight + bias)
    assert np.abs(mine - plain.predict_proba(vectors.astype(np.float64))).max() < 5e-3


def test_a_constant_feature_is_harmless() -> None:
    """A feature that never changes leaves the logits finite and the same predictions."""
    vectors, labels = clouds(3, 50)
    more = np.hstack([vectors, np.full((len(vectors), 1), 1e4, np.float32)])
    with_it = fit_head(more, labels, ("a", "b", "c"), "t", 0, strength=0.1).logits(more)
    without = fit_head(vectors, labels, ("a", "b", "c"), "t", 0, strength=0.1).logits(vectors)
    assert np.isfinite(with_it).all()
    assert (with_it.argmax(1) == without.argmax(1)).mean() > 0.99


def test_int8_keeps_the_predictions() -> None:
    """Of 350 texts in seven clouds at most 1 % change their class when the fitted head becomes int8; the mean
    text's logits do not change at all.
    """
    vectors, labels = clouds(7, 50, dim=32)
    weight, bias = fit_linear(vectors, labels, 7, 0.1)
    head = fit_head(vectors, labels, list("abcdefg"), "t", 0, strength=0.1)
    assert ((vectors @ weight + bias).argmax(1) == head.logits(vectors).argmax(1)).mean() >= 0.99
    middle = vectors.mean(0, keepdims=True, dtype=np.float64)
    assert np.abs(head.logits(middle) - (middle @ weight + bias)).max() < 1e-4


def test_the_strength_is_chosen_on_held_out_texts() -> None:
    """Where all are right the strongest penalty is chosen; where it would say the larger class of every text,
    a milder one; four texts decide nothing.
    """
    draw = np.random.default_rng(1)
    even = np.tile(np.arange(4), 40)
    assert choose_strength(np.eye(4)[even] * 6 + draw.normal(size=(160, 4)), even, 0) == STRENGTHS[0]
    rare = (np.arange(300) % 10 == 0).astype(np.int64)
    assert choose_strength(rare[:, None] * 3.0 + draw.normal(size=(300, 1)), rare, 0) > STRENGTHS[1]
    assert choose_strength(np.eye(4), np.arange(4), 0) == STRENGTHS[len(STRENGTHS) // 2]


def test_of_many_texts_each_class_gives_some() -> None:
    """Of 6,000 texts 3,000 are used; a class of five is among them whole, so that folds can be made."""
    labels = np.concatenate([np.zeros(5_995, np.int64), np.ones(5, np.int64)])
    vectors = np.random.default_rng(0).normal(size=(6_000, 2)) + labels[:, None] * 3
    assert choose_strength(vectors, labels, 0) in STRENGTHS


def test_softmax_of_large_logits() -> None:
    """Rows sum to 1 also where exp would overflow."""
    assert softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]])).tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_vectors_of_another_width_are_refused() -> None:
    """A head is told from the encoder it does not belong to."""
    with pytest.raises(FedbertError, match=r"head mood: vectors\[1, 3\] must be \[text, 2\]"):
        SMALL.logits(np.zeros((1, 3), np.float32))


def test_a_fit_names_what_is_missing() -> None:
    """A label without text, one class, labels out of range, a length that differs: one line each."""
    vectors, labels = clouds(3, 10)
    with pytest.raises(FedbertError, match="label 'd' has no text"):
        fit_head(vectors, labels, list("abcd"), "t", 0)
    with pytest.raises(FedbertError, match="at least 2 classes, found 1"):
        fit_head(vectors, labels * 0, ["a"], "t", 0)
    with pytest.raises(FedbertError, match=r"labels\(=2\) must be within 0\.\.1"):
        fit_head(vectors, labels, ["a", "b"], "t", 0)
    with pytest.raises(FedbertError, match="one text each"):
        fit_head(vectors[1:], labels, list("abc"), "t", 0)
    with pytest.raises(FedbertError, match=r"strength\(=0\.0\) must be > 0"):
        fit_head(vectors, labels, list("abc"), "t", 0, strength=0.0)
    with pytest.raises(FedbertError, match="vectors must be finite"):
        fit_head(vectors * np.nan, labels, list("abc"), "t", 0)


def test_a_float_head_that_does_not_fit_is_refused() -> None:
    """A column too few, or a weight that is not a number."""
    with pytest.raises(FedbertError, match=r"weight\[2, 3\] and bias\[3\] must be \[dim, 2\]"):
        quantise_head(np.ones((2, 3)), np.ones(3), ("a", "b"), "t")
    with pytest.raises(FedbertError, match="must be finite"):
        quantise_head(np.full((2, 2), np.inf), np.ones(2), ("a", "b"), "t")


def _file(metadata: dict[str, str], **tensors: NDArray[np.generic]) -> bytes:
    parts = {"weight": SMALL.weight, "scale": SMALL.scale, "bias": SMALL.bias, **tensors}
    return save({name: value for name, value in parts.items() if value.size}, metadata=metadata)


NOTES = {"labels": json.dumps(SMALL.labels), "task": "mood"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a safetensors file"),
        (b"nothing of the kind, but long enough", "not a safetensors file"),
        (head_bytes(SMALL)[:-1], "not a safetensors file"),
        (_file(NOTES, weight=SMALL.weight.astype(np.float32)), "tensor weight must be int8, found float32"),
        (_file(NOTES, bias=np.zeros(0, np.float32)), "tensor bias must be float32, found nothing"),
        (_file(NOTES, weight=SMALL.weight[:, :2].copy()), r"weight\[2, 2\]"),
        (_file(NOTES, weight=SMALL.weight.reshape(-1)), r"weight\[6\]"),
        (_file(NOTES, scale=-SMALL.scale), "scale must be > 0"),
        (_file({"task": "mood"}), "metadata must hold labels and task"),
        (_file({**NOTES, "labels": "[1, 2, 3]"}), "no list of names"),
        (_file({**NOTES, "labels": "["}), "metadata must hold labels and task"),
        (_file({**NOTES, "labels": '["a", "a", "b"]'}), "2 different names"),
    ],
)
def test_what_is_no_head_is_one_line(content: bytes, words: str) -> None:
    """Each way a file can be wrong is one line that begins with where it lies."""
    with pytest.raises(FedbertError, match=words) as caught:
        read_head(content, "heads/mood.safetensors")
    assert str(caught.value).startswith("head heads/mood.safetensors: ")
    assert "\n" not in str(caught.value)


def test_another_label_is_another_file() -> None:
    """Labels are part of the bytes."""
    assert head_bytes(replace(SMALL, labels=("x", "y", "z"))) != head_bytes(SMALL)
