"""Heads that label pairs of texts: the features, the fit, the file, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from small_artefacts import POOLED, make_artefact

from fedbert.ei_bert.artefact.any_heads import kind_of_head, read_any_head
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.card import model_card
from fedbert.ei_bert.artefact.heads import quantise_head
from fedbert.ei_bert.artefact.kind_files import head_file_bytes
from fedbert.ei_bert.artefact.pair_heads import PairHead, pair_features, pair_head_bytes
from fedbert.ei_bert.pretrained import EiBert
from fedbert.errors import FedbertError

BANK = ["block my card", "my bank card", "block the bank", "my bank"]
MUSIC = ["play a song", "play the music", "a song", "the music"]


@pytest.fixture(scope="module")
def pooled() -> Artefact:
    """An artefact whose vectors are hidden states."""
    return make_artefact(POOLED)


def test_the_features_are_the_formula() -> None:
    """[u, v, |u - v|, u * v] at unit length, by hand; a vector of zeros stays zeros."""
    found = pair_features(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[0.0, 2.0], [1.0, 0.0]]))
    assert np.allclose(found[0], [0.6, 0.8, 0.0, 1.0, 0.6, 0.2, 0.0, 0.8])
    assert found[1].tolist() == [0, 0, 1, 0, 1, 0, 0, 0]


def test_pairs_are_learnt_and_kept(pooled: Artefact, tmp_path: Path) -> None:
    """A head told by pairs of one topic labels them, alone too, after a save too; it takes a few kB."""
    model = EiBert(pooled)
    pairs = [(one, other) for one in (*BANK, *MUSIC) for other in (*BANK, *MUSIC)]
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    labels = ["same" if (one in BANK) == (other in BANK) else "different" for one, other in pairs]
    head = model.fit_pairs(first, second, labels, "topic")
    assert (model.kind("topic"), model.labels("topic")) == ("pairs", ("different", "same"))
    found = model.classify_pairs(first, second, "topic")
    assert np.mean([mine == theirs for mine, theirs in zip(found, labels, strict=True)]) > 0.9
    assert [model.classify_pairs([one], [other], "topic")[0] for one, other in pairs] == found
    assert 4 * 32 * 2 < len(pair_head_bytes(head)) < 1_000
    model.save(tmp_path / "m")
    again = EiBert.from_pretrained(tmp_path / "m")
    assert again.classify_pairs(first, second, "topic") == found
    assert again.artefact.manifest["files"]["heads/topic.safetensors"]["kind"] == "pairs"


def test_a_file_gives_the_head_back_and_damage_is_one_line() -> None:
    """Bytes and back is the same head; rows of no four blocks, or other labels, are told."""
    matrix = quantise_head(np.random.default_rng(0).normal(size=(8, 2)), [0, 1], ("no", "yes"), "same")
    content = pair_head_bytes(PairHead(matrix))
    again = read_any_head(content, "same")
    assert isinstance(again, PairHead)
    assert (kind_of_head(again), again.task, again.labels, again.dim) == ("pairs", "same", ("no", "yes"), 2)
    assert pair_head_bytes(again) == content
    vectors = np.random.default_rng(1).normal(size=(2, 5, 2))
    wanted = matrix.logits(pair_features(*vectors))
    assert np.array_equal(again.logits(*vectors), wanted)
    with pytest.raises(FedbertError, match=r"vectors\[5, 3\] must be \[pair, 2\]"):
        again.logits(np.ones((5, 3)), np.ones((5, 3)))
    notes = {"kind": "pairs", "task": "same", "labels": ["no", "yes"]}
    tensors = {"weight": matrix.weight, "scale": matrix.scale, "bias": matrix.bias}
    with pytest.raises(FedbertError, match="must be of 4 blocks of rows and 2 columns"):
        read_any_head(head_file_bytes(notes, {**tensors, "weight": matrix.weight[:7]}), "same")
    with pytest.raises(FedbertError, match="2 or more labels"):
        read_any_head(head_file_bytes({**notes, "labels": ["no", "no"]}, tensors), "same")


def test_what_cannot_be_paired_is_one_line(pooled: Artefact) -> None:
    """Lists of two lengths, a single label, a task of another kind."""
    model = EiBert(pooled)
    with pytest.raises(FedbertError, match="4 texts must pair with as many, not 3"):
        model.fit_pairs(BANK, MUSIC[:3], ["a"] * 4, "t")
    with pytest.raises(FedbertError, match="4 texts must have as many labels, not 3"):
        model.fit_pairs(BANK, MUSIC, ["a"] * 3, "t")
    with pytest.raises(FedbertError, match="at least 2 classes, found 1"):
        model.fit_pairs(BANK, MUSIC, ["a"] * 4, "t")
    model.fit_head([*BANK, *MUSIC], ["bank"] * 4 + ["music"] * 4, "topic", strength=0.1)
    with pytest.raises(FedbertError, match=r"task\(='topic'\) must .* it is of labels; use classify"):
        model.classify_pairs(BANK, MUSIC, "topic")


def test_a_card_says_of_which_kind_heads_are(pooled: Artefact) -> None:
    """Where all heads label texts a card says nothing of kinds; with a head of pairs it names each."""
    model = EiBert(pooled)
    model.add_head(quantise_head(np.ones((32, 3)), np.zeros(3), ("x", "y", "z"), "letters"))
    about = {
        "model": "a student",
        "parameters": 1,
        "teacher": {"name": "t", "sha256": "0"},
        "scores": {"set": "none"},
        "command": "c",
    }
    plain = Artefact(model.artefact.files, {**model.artefact.manifest, **about})
    assert "**Heads.**" not in model_card(plain, "m")
    model.add_head(PairHead(quantise_head(np.ones((128, 2)), np.zeros(2), ("no", "yes"), "same")))
    both = Artefact(model.artefact.files, {**model.artefact.manifest, **about})
    sizes = {name: f"{len(body):,}" for name, body in both.heads.items()}
    wanted = f"letters (3 labels, {sizes['letters']} bytes); same (2 labels of pairs, {sizes['same']} bytes)"
    assert f"**Heads.** {wanted}." in model_card(both, "m")
