"""Heads that tag words: BIO, features of letters, states of words, the int8 formula, files, refusals."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import save
from small_artefacts import POOLED, SHAPE, WORDS, make_artefact

from fedbert.ei_bert.artefact.any_heads import kind_of_head, read_any_head
from fedbert.ei_bert.artefact.artefact import MODEL, Artefact
from fedbert.ei_bert.artefact.bio import (
    Entity,
    EntityScores,
    best_tags,
    compared,
    entities,
    misplaced,
    steps,
    summed,
)
from fedbert.ei_bert.artefact.kind_files import head_file_bytes
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.artefact.tag_fit import blank_tag_head, fit_tag_head
from fedbert.ei_bert.artefact.tag_heads import TagHead, quantised, read_tag_head, tag_head_bytes
from fedbert.ei_bert.artefact.word_features import FEATURES, shape_of, word_features
from fedbert.ei_bert.artefact.word_states import WordStates, token_graph
from fedbert.ei_bert.model.tokenizer import Tokens
from fedbert.ei_bert.pretrained import EiBert
from fedbert.errors import FedbertError

NAMES = ("B-a", "B-b", "I-a", "I-b", "O")
TEXTS = ["play the music", "block my card", "play a song", "my bank card", "the music", "block a song"]
TAGS = [
    "O O B-thing",
    "O O B-thing",
    "O B-thing I-thing",
    "O B-thing I-thing",
    "O B-thing",
    "O B-thing I-thing",
]


@pytest.fixture(scope="module")
def pooled() -> Artefact:
    """An artefact whose vectors are hidden states."""
    return make_artefact(POOLED)


def test_tags_that_do_not_fit_are_told() -> None:
    """The first tag that is no BIO tag, or an I behind no entity of its name, with its rule."""
    assert misplaced(["O", "B-a", "I-a", "B-a", "B-b", "O"]) is None
    assert misplaced([]) is None
    assert misplaced(["O", "a"]) == (1, "be O, B-NAME or I-NAME")
    assert misplaced(["B-"]) == (0, "be O, B-NAME or I-NAME")
    assert misplaced(["I-a"]) == (0, "come behind B-a or I-a")
    assert misplaced(["B-a", "I-b"]) == (1, "come behind B-b or I-b")
    assert misplaced(["B-a", "O", "I-a"]) == (2, "come behind B-a or I-a")


def test_f1_is_that_of_whole_entities() -> None:
    """An entity is right if name, first and last word are: of three said and two there one is, F1 = 2 / 5."""
    there = ["B-a", "I-a", "O", "B-b"]
    assert entities(there) == [Entity(0, 2, "a"), Entity(3, 4, "b")]
    assert entities(["B-a", "B-a"]) == [Entity(0, 1, "a"), Entity(1, 2, "a")]
    found = compared(["B-a", "O", "B-a", "B-b"], there)
    assert found == EntityScores(right=1, said=3, there=2)
    assert found.f1 == 2 / 5
    both = summed([found, compared(there, there)])
    assert (both, both.f1) == (EntityScores(3, 5, 4), 6 / 9)
    assert summed([]).f1 == 0.0


def test_the_best_tags_are_the_best_of_all_that_fit() -> None:
    """Viterbi finds what trying all 625 sequences of four words finds, ties included."""
    draw = np.random.default_rng(0)
    between = steps(NAMES)
    for _ in range(20):
        scores = draw.integers(0, 4, (4, len(NAMES))).astype(np.float32)
        fit = [
            one
            for one in itertools.product(range(len(NAMES)), repeat=4)
            if misplaced([NAMES[tag] for tag in one]) is None
        ]
        most = max(sum(scores[word, tag] for word, tag in enumerate(one)) for one in fit)
        found = best_tags(scores, between).tolist()
        assert misplaced([NAMES[tag] for tag in found]) is None
        assert sum(scores[word, tag] for word, tag in enumerate(found)) == most
    assert best_tags(np.zeros((0, len(NAMES)), np.float32), between).tolist() == []


def test_letters_say_what_a_word_is() -> None:
    """Shapes by hand; equal words have equal features but for their neighbours, and buckets bound them."""
    assert [shape_of(word) for word in ("McDonald", "2017", "T-Rex", "jazz", "")] == [
        "XxXxx",
        "00",
        "X-Xxx",
        "xx",
        "",
    ]
    found = word_features([["play", "jazz"], ["Jazz", "play"], []], 1_000)
    assert found.shape == (4, FEATURES)
    assert found.min() >= 0
    assert found.max() < 1_000
    whole, shape, before, behind = 0, 1, 5, 6
    assert found[1, whole] == found[2, whole]
    assert found[1, shape] != found[2, shape]
    assert found[0, before] == found[2, before]  # the beginning of a text
    assert found[1, before] != found[3, before]  # "play" before, "Jazz" before
    assert found[1, behind] == found[3, behind]  # the end of a text


def test_a_words_state_is_that_of_its_first_token(pooled: Artefact) -> None:
    """Words are found among pieces: those that are spelt, that are cut off, and that vanish."""
    tokens = Tokens(WORDS, max_tokens=8)
    words = ["play", "zq", "\u200b", "song", "card", "bank"]
    rows, places = tokens.word_rows([words, []])
    assert rows == tokens.rows([" ".join(words), ""])
    assert [WORDS[token] for token in rows[0]] == [
        "[CLS]",
        "play",
        "z",
        "##q",
        "song",
        "card",
        "bank",
        "[SEP]",
    ]
    assert places == [[1, 2, -1, 4, 5, 6], []]
    assert tokens.word_rows([["play"] * 7])[1] == [[1, 2, 3, 4, 5, 6, -1]]
    encoder = Int8Encoder(pooled)
    found = encoder.word_states([["play", "zq"], ["song"]])
    session = onnxruntime.InferenceSession(token_graph(pooled.files[MODEL]))
    plain = session.run(None, {"ids": np.array(encoder.rows(["play zq"]), np.int32)})[0][0]
    assert np.array_equal(found.states[:2], plain[[1, 2]])
    assert found.lengths.tolist() == [2, 1]
    assert found.read.tolist() == [True, True, True]


@pytest.mark.parametrize("shape", [POOLED, SHAPE, replace(POOLED, shared=True, layers=3)])
def test_the_states_are_those_that_the_vector_is_the_mean_of(shape: object) -> None:
    """The mean over tokens of the last states is the pooled vector; the vectors stay as they are."""
    encoder = Int8Encoder(make_artefact(shape))  # type: ignore[arg-type]
    before = encoder.vectors(TEXTS)
    session = onnxruntime.InferenceSession(token_graph(encoder._artefact.files[MODEL]))
    for text, vector in zip(TEXTS, before, strict=True):
        states = session.run(None, {"ids": np.array(encoder.rows([text]), np.int32)})[0][0]
        if encoder.pooled:
            assert np.abs(states.mean(0) - vector).max() < 1e-5
        assert states.shape[1] == encoder.word_dim
    encoder.word_states([text.split() for text in TEXTS])
    assert np.array_equal(encoder.vectors(TEXTS), before)


def some_head(dim: int = 3) -> TagHead:
    """A head of random weights."""
    draw = np.random.default_rng(1)
    blank = blank_tag_head("slots", NAMES, dim)
    return replace(
        blank,
        middle=draw.normal(size=dim).astype(np.float32),
        spread=draw.uniform(1, 2, dim).astype(np.float32),
        near=quantised(draw.normal(size=blank.near.values.shape)),
        words=quantised(draw.normal(size=blank.words.values.shape)),
        out=quantised(draw.normal(size=blank.out.values.shape)),
        bias=draw.normal(size=5).astype(np.float32),
    )


def test_the_scores_are_the_formula() -> None:
    """A word at a time in plain float gives what the head gives; neighbours end with the text."""
    head, words = some_head(), [["a", "bb"], ["c"]]
    states = np.random.default_rng(2).normal(size=(3, 3)).astype(np.float32)
    found = WordStates(states, np.array([True, False, True]), np.array([2, 1]))
    z = [(states[0] - head.middle) / head.spread, np.zeros(3), (states[2] - head.middle) / head.spread]
    none = np.zeros(3)
    near = [[z[0], none, z[1]], [z[1], z[0], none], [z[2], none, none]]
    table, scores = head.words.floats(), head.logits(found, words)
    for row, features in enumerate(word_features(words, len(table))):
        inner = np.concatenate(near[row]) @ head.near.floats() + table[features].sum(0) + head.inner_bias
        wanted = np.maximum(inner, 0) @ head.out.floats() + head.bias
        assert np.abs(scores[row] - wanted).max() < 1e-4
    assert head.tagged(found, words)[0][1] == "O"  # a word that is not read
    with pytest.raises(FedbertError, match="states of 2 must be of 3"):
        head.logits(replace(found, states=states[:, :2]), words)


def test_int8_is_near_float() -> None:
    """Each weight is off by half its column's scale at most."""
    weight = np.array([[1.0, 0.0, -3.0], [0.3, 0.0, 2.9]])
    found = quantised(weight)
    assert (np.abs(found.floats() - weight) <= found.scale / 2 + 1e-7).all()
    assert found.values[0].tolist() == [127, 0, -127]


def test_tags_are_learnt_kept_and_the_same_alone(pooled: Artefact, tmp_path: Path) -> None:
    """A fitted head tags its training texts, each alike alone and in a batch, after a save too; labels' heads
    and the vectors stay.
    """
    model = EiBert(pooled)
    model.fit_head(TEXTS, ["bank", "music"] * 3, "topic")
    labels, vectors = model.classify(TEXTS, "topic"), model.encode(TEXTS)
    tags = [each.split() for each in TAGS]
    model.fit_tags(TEXTS * 40, tags * 40, "things")
    assert model.tag(TEXTS, "things") == tags
    assert [model.tag([text], "things")[0] for text in TEXTS] == tags
    assert model.tag(["", "play " * 90], "things")[0] == []
    assert set(model.tag(["my card " * 45], "things")[0][62:]) == {"O"}
    assert (model.kind("things"), model.kind("topic")) == ("tags", "labels")
    assert model.labels("things") == ("B-thing", "I-thing", "O")
    model.save(tmp_path / "m")
    again = EiBert.from_pretrained(tmp_path / "m")
    assert again.tag(TEXTS, "things") == tags
    assert again.classify(TEXTS, "topic") == labels
    assert np.array_equal(again.encode(TEXTS), vectors)
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text("utf-8"))
    assert manifest["files"]["heads/things.safetensors"]["kind"] == "tags"
    assert "kind" not in manifest["files"]["heads/topic.safetensors"]


def test_one_seed_gives_one_head(pooled: Artefact) -> None:
    """The same seed gives the same bytes, another one others; a blank head is as long as a fitted one."""
    words, tags = [text.split() for text in TEXTS], [each.split() for each in TAGS]
    states = Int8Encoder(pooled).word_states(words)
    names = ("B-thing", "I-thing", "O")
    made = [tag_head_bytes(fit_tag_head(states, words, tags, names, "t", seed)) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]
    assert len(tag_head_bytes(blank_tag_head("t", names, states.states.shape[1]))) == len(made[0])


def test_what_cannot_be_fitted_or_tagged_is_one_line(pooled: Artefact) -> None:
    """Tags of another length, that do not fit, of no entity; a task of another kind."""
    model = EiBert(pooled)
    with pytest.raises(FedbertError, match=r"texts\[0\] of 3 words must have as many tags, not 1"):
        model.fit_tags(TEXTS[:1], [["O"]], "t")
    with pytest.raises(FedbertError, match=r"tags\[0\]\[1\]\(='I-a'\) must come behind B-a or I-a"):
        model.fit_tags(TEXTS[:1], [["O", "I-a", "O"]], "t")
    with pytest.raises(FedbertError, match="tags must name at least one entity"):
        model.fit_tags(TEXTS[:1], [["O", "O", "O"]], "t")
    with pytest.raises(FedbertError, match="6 texts must have as many tags, not 0"):
        model.fit_tags(TEXTS, [], "t")
    model.add_head(blank_tag_head("slots", NAMES, Int8Encoder(pooled).word_dim))
    with pytest.raises(FedbertError, match=r"task\(='slots'\) must .* it is of tags; use tag"):
        model.classify(TEXTS, "slots")
    with pytest.raises(FedbertError, match="reads states of words of 3, the encoder makes"):
        model.add_head(some_head())


def test_a_file_gives_the_head_back() -> None:
    """Bytes and back is the same head, by the reader of every kind too."""
    head = some_head()
    content = tag_head_bytes(head)
    again = read_any_head(content, "slots")
    assert isinstance(again, TagHead)
    assert kind_of_head(again) == "tags"
    assert (again.task, again.tags, again.dim, again.reach) == ("slots", NAMES, 3, 1)
    assert tag_head_bytes(again) == content


@pytest.mark.parametrize(
    ("notes", "tensors", "words"),
    [
        ({"kind": "verbs"}, {}, "its kind 'verbs' must be one of labels, tags, pairs"),
        ({"labels": ["O"]}, {}, "must name the task and 2 or more labels"),
        ({"labels": ["O", "B-a", "I-a", "B-b", "noun"]}, {}, "labels must be O, B-NAME and I-NAME"),
        ({"labels": ["O", "B-a"]}, {}, "of 2 tags"),
        ({}, {"spread": np.zeros(3, np.float32)}, "spread must be > 0"),
        ({}, {"middle": np.full(3, np.nan, np.float32)}, "tensor middle must be finite"),
        ({}, {"bias": np.zeros(5, np.float64)}, r"tensor bias must be float32 \[tag\], found float64\[5\]"),
        ({}, {"bias": np.zeros(4, np.float32)}, "axis tag of tensor bias must be 5, found 4"),
        ({}, {"near": np.zeros((6, 64), np.int8)}, "an odd number of states of 3"),
    ],
)
def test_a_damaged_file_is_one_line(
    notes: dict[str, object], tensors: dict[str, np.ndarray], words: str
) -> None:
    """Each fault of a file is named."""
    head = some_head()
    whole = {
        "middle": head.middle,
        "spread": head.spread,
        "near": head.near.values,
        "near_scale": head.near.scale,
        "words": head.words.values,
        "words_scale": head.words.scale,
        "inner_bias": head.inner_bias,
        "weight": head.out.values,
        "scale": head.out.scale,
        "bias": head.bias,
    }
    said = {"kind": "tags", "task": "slots", "labels": list(NAMES)}
    with pytest.raises(FedbertError, match=words):
        read_any_head(head_file_bytes({**said, **notes}, {**whole, **tensors}), "slots")
    with pytest.raises(FedbertError, match="must name the task"):
        read_tag_head(save(whole), "slots")
