"""The wide part of chosen n-grams: its formula, its file, and how a head that comes later gets one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from small_artefacts import POOLED, make_artefact

from fedbert.ei_bert.artefact.any_wide import any_wide_bytes, read_any_wide, wide_memory
from fedbert.ei_bert.artefact.artefact import memory_bytes, with_heads
from fedbert.ei_bert.artefact.chosen_grams import (
    ChosenGrams,
    counted,
    gram_bytes,
    grams_bytes,
    quantise_grams,
    valued,
)
from fedbert.ei_bert.artefact.heads import fit_head, head_bytes
from fedbert.ei_bert.artefact.n_grams import gram_counts
from fedbert.ei_bert.artefact.wide import Wide, quantise_wide
from fedbert.ei_bert.artefact.wide_fit import best_of, fit_head_and_wide
from fedbert.ei_bert.pretrained import EiBert
from fedbert.errors import FedbertError

TEXTS = ["save money", "sing loud loud loud", "", "?", "Ünï çødé £5 我我", "play " * 90, "walk far"]
SPACE = 4_096
NAMES = ("bank", "music")


def _places(texts: list[str]) -> np.ndarray:
    return np.flatnonzero(np.asarray(counted(texts, SPACE).sum(0)).ravel())


def _wide(classes: int = 3, texts: list[str] = TEXTS) -> ChosenGrams:
    draw, places = np.random.default_rng(0), _places(texts)[::2]
    weight = draw.normal(size=(len(places), 1 if classes == 2 else classes))
    return quantise_grams(places, weight, draw.normal(size=classes), "mood", SPACE)


def test_logits_by_hand() -> None:
    """One word and one pair of words are chosen: 'loud' stands three times, 'sing loud' once, so the row is
    [1 + log 3, 1] at unit length; a text of neither has the bias alone.
    """
    loud, sing = (gram_counts(text, SPACE)[0][0] for text in ("loud", "sing"))
    (pair,) = set(gram_counts("sing loud", SPACE)[0][0].tolist()) - {int(loud[0]), int(sing[0])}
    order = np.argsort([loud[0], pair])
    weight = np.array([[7.0, 0, 1.4], [-2.8, 7, -7]])[order]
    wide = quantise_grams(np.sort([loud[0], pair]), weight, [0.5, 0, 0], "mood", SPACE)
    row = np.array([1 + np.log(3), 1]) / np.hypot(1 + np.log(3), 1)
    by_hand = row[order] @ (wide.codes * wide.scale) + [0.5, 0, 0]
    np.testing.assert_allclose(wide.logits(["sing loud loud loud"])[0], by_hand, rtol=1e-5)
    assert np.abs(wide.codes * wide.scale - weight).max() <= wide.scale.max() / 2
    assert np.array_equal(wide.logits(["walk"]), wide.bias[None])


@pytest.mark.parametrize("classes", [2, 3])
def test_one_text_is_as_all_together(classes: int) -> None:
    """The same bits alone and together, and within rounding those of the matrix that it was fitted on; of two
    classes the logits less the bias are opposite.
    """
    wide = _wide(classes)
    alone = np.concatenate([wide.logits([text]) for text in TEXTS])
    assert np.array_equal(alone, wide.logits(TEXTS))
    assert np.abs(alone - wide.bias).max() > 0.1
    counts = counted(TEXTS, SPACE)[:, wide.places]
    values = valued(counts, int(np.searchsorted(wide.places, SPACE)))
    np.testing.assert_allclose(wide.logits_of(values), alone, atol=1e-5)
    if classes == 2:
        np.testing.assert_allclose((alone - wide.bias).sum(1), 0, atol=1e-6)
    assert wide.logits([]).shape == (0, classes)


def test_a_file_is_read_as_it_was_written() -> None:
    """Equal parts give equal bytes; places far apart, and the first one of all, survive; a file says by
    itself of which form it is.
    """
    far = np.array([0, 254, 255, 510, 1_021, 4_095])
    wide = quantise_grams(far, np.arange(18.0).reshape(6, 3), [1, 2, 3], "a-task", SPACE)
    for each in (_wide(2), _wide(3), wide):
        body = grams_bytes(each)
        again = read_any_wide(body, "here")
        assert isinstance(again, ChosenGrams)
        assert (again.task, again.space, again.classes) == (each.task, each.space, each.classes)
        assert np.array_equal(again.places, each.places)
        assert np.array_equal(again.codes, each.codes)
        assert np.array_equal(again.scale, each.scale)
        assert np.array_equal(again.bias, each.bias)
        assert any_wide_bytes(again) == body
        assert len(body) == gram_bytes(each.places, each.classes, each.task, each.space)
        assert wide_memory(body, "here") >= 4 * len(each.places) + each.codes.size
    assert wide.places.tolist() == far.tolist()
    hashed = quantise_wide([[1.0, 2.0]], [0.0, 0.0], "mood")
    assert isinstance(read_any_wide(any_wide_bytes(hashed), "here"), Wide)


def _file(space: str = "8", **tensors: np.ndarray) -> bytes:
    whole = {
        "codes": np.zeros(3, np.uint8),
        "gaps": np.array([1, 4], np.uint8),
        "scale": np.ones(3, np.float32),
        "bias": np.zeros(3, np.float32),
        **tensors,
    }
    return save(whole, {"task": "mood", "space": space})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (grams_bytes(_wide())[:-1], "not a safetensors file of one"),
        (_file("many"), "not a safetensors file of one"),
        (_file(gaps=np.array([1, 4], np.int8)), "gaps must be a row of uint8"),
        (_file(gaps=np.array([1, 0], np.uint8)), "rising"),
        (_file(gaps=np.array([1, 15], np.uint8)), "in 8 places"),
        (_file(gaps=np.array([255], np.uint8)), "of 0 n-grams"),
        (_file(codes=np.zeros(4, np.uint8)), "4 bytes of codes"),
        (_file(bias=np.zeros(4, np.float32)), "for 4 classes"),
        (_file(scale=np.zeros(3, np.float32)), "scale must be > 0"),
        (_file(bias=np.full(3, np.nan, np.float32)), "finite"),
    ],
)
def test_a_damaged_file_is_one_line(body: bytes, message: str) -> None:
    """The line names the task and what is wrong; the file that the cases change is whole."""
    assert read_any_wide(_file(), "mood").classes == 3
    with pytest.raises(FedbertError, match=message) as raised:
        read_any_wide(body, "mood")
    assert str(raised.value).startswith("wide part of mood:")
    assert "\n" not in str(raised.value)


def test_what_cannot_be_a_layer_is_refused() -> None:
    """Weights of other n-grams or classes, and numbers that are not finite."""
    with pytest.raises(FedbertError, match=r"weight\[2, 2\] must be of 2 n-grams for 2 classes"):
        quantise_grams(np.array([1, 2]), np.ones((2, 2)), np.ones(2), "mood", 8)
    with pytest.raises(FedbertError, match="must be finite"):
        quantise_grams(np.array([1]), np.full((1, 1), np.inf), np.ones(2), "mood", 8)


def _moods() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Vectors that say nothing, texts that say all, and their labels."""
    labels = np.arange(60) % 2
    texts = [f"{('save money', 'sing loud')[label]} {place}" for place, label in enumerate(labels)]
    return np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), texts, labels


def test_a_later_head_gets_a_wide_part_that_helps() -> None:
    """Vectors that say nothing and words that say all: the wide part tells the texts; with vectors that say
    all, none is added and the head is that without one. The same seed gives the same bytes.
    """
    nothing, texts, labels = _moods()
    head, wide = fit_head_and_wide(nothing, texts, labels, ("mood", NAMES), 2_000, 0, 0.1)
    assert wide is not None
    assert np.array_equal((head.logits(nothing) + wide.logits(texts)).argmax(1), labels)
    assert (head.logits(nothing).argmax(1) == labels).mean() < 0.8
    _, again = fit_head_and_wide(nothing, texts, labels, ("mood", NAMES), 2_000, 0, 0.1)
    assert again is not None
    assert grams_bytes(again) == grams_bytes(wide)
    everything = nothing + 10 * labels[:, None].astype(np.float32)
    told, none = fit_head_and_wide(everything, texts, labels, ("mood", NAMES), 2_000, 0, 0.1)
    assert none is None
    assert head_bytes(told) == head_bytes(fit_head(everything, labels, NAMES, "mood", 0, 0.1))


def test_a_gain_is_more_than_its_error() -> None:
    """Of 16 texts the weights 0, 1, 2, 3 tell 6, 11, 12, 13 by the second penalty: with its one neighbour the
    last counts 12.5, against 7 texts that differ. By a gain of 2 of 4 that differ there is no wide part.
    """

    def right(*counts: int) -> np.ndarray:
        return np.array([np.arange(16) < count for count in counts])

    weights = (0, 1, 2, 3)
    assert best_of({0.1: right(6, 6, 6, 6), 1.0: right(6, 11, 12, 13)}, weights) == (1.0, 3)
    other = np.array([right(6)[0], np.roll(right(8)[0], 1)])
    assert (other[1] != other[0]).sum() == 4
    assert best_of({0.1: other[[0, 1, 1, 1]]}, weights) == (0.1, 0)
    assert best_of({}, weights)[1] > 0


def test_the_bytes_hold_what_counts() -> None:
    """With room for few n-grams the file is within it and still tells the texts, since those of a label alone
    are taken and numbers are left; without room for one there is a line.
    """
    nothing, texts, labels = _moods()
    _, wide = fit_head_and_wide(nothing, texts, labels, ("mood", NAMES), 360, 0, 0.1)
    assert wide is not None
    assert len(grams_bytes(wide)) <= 360
    assert 10 < len(wide.places) < 120
    assert np.array_equal(wide.logits(texts).argmax(1), labels)
    with pytest.raises(FedbertError, match=r"wide_bytes\(=100\) must have room for n-grams"):
        fit_head_and_wide(nothing, texts, labels, ("mood", NAMES), 100, 0, 0.1)


def test_a_single_text_of_a_label_is_never_held_out() -> None:
    """A label of one text beside two of many: it is fitted, and the others still choose."""
    nothing, texts, labels = _moods()
    vectors = np.vstack([nothing, nothing[:1]])
    names = (*NAMES, "sport")
    head, wide = fit_head_and_wide(
        vectors, [*texts, "walk far"], np.append(labels, 2), ("mood", names), 3_000, 0, 0.1
    )
    assert wide is not None
    assert wide.classes == len(head.labels) == 3
    assert (wide.logits(texts).argmax(1) == labels).mean() > 0.9


def test_a_fitted_head_keeps_its_wide_part(tmp_path: Path) -> None:
    """`fit_head` with bytes adds both, within them; they count in memory; saved and loaded the logits are the
    same bits; without bytes it is the head of before. (The encoder knows none of these signs.)
    """
    texts = [f"{word} {place}" for place in range(20) for word in ("我我", "你你", "他他")]
    labels = ["bank", "music", "sport"] * 20
    shape = replace(POOLED, embedding=16)
    model = EiBert(make_artefact(shape), budget_bytes=10**7)
    model.fit_head(texts, labels, "mood", strength=0.001, wide_bytes=3_000)
    plain = EiBert(make_artefact(shape))
    plain.fit_head(texts, labels, "mood", strength=0.001)
    assert head_bytes(plain.head("mood")) == head_bytes(model.head("mood"))
    assert plain.artefact.wide == {}
    (body,) = model.artefact.wide.values()
    assert len(body) <= 3_000
    bare = with_heads(model.artefact, model.artefact.heads)
    assert memory_bytes(model.artefact) - memory_bytes(bare) == wide_memory(body, "mood")
    model.save(tmp_path)
    again = EiBert.from_pretrained(tmp_path)
    assert np.array_equal(again.logits(texts, "mood"), model.logits(texts, "mood"))
