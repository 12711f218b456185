"""The export for `transformers`: Auto classes give what the float student gives, unpadded and padded."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import fedbert.ei_bert.hf
from fedbert.ei_bert.artefact.heads import Head, quantise_head
from fedbert.ei_bert.hf import EiBertConfig, EiBertForSequenceClassification, EiBertModel, save_transformers
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.model.tokenizer import SPECIALS, TextRules, Tokens, padded
from fedbert.errors import FedbertError

LETTERS = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz£我" for mark in ("", "##")]
WORDS = tuple(dict.fromkeys([*SPECIALS, *LETTERS, "bank", "card", "song", "play", "my", "block", "?"]))
TEXTS = ["Block my card?", "a song", "£ 我我 naïve", "", "play " * 90]
UNIT = StudentShape(
    vocabulary=len(WORDS), layers=2, width=32, heads=2, inner=64, adapter=16, dim=12, teacher_width=24
)
POOLED = replace(UNIT, pooled=True, adapter=0, dim=32)
KINDS = {
    "unit": UNIT,
    "pooled": POOLED,
    "pooled, shared": replace(POOLED, shared=True, layers=3),
    "pooled, factorised": replace(POOLED, embedding=8),
    "pooled, factorised, shared": replace(POOLED, embedding=8, shared=True, layers=3),
}


def make(shape: StudentShape) -> Student:
    """A random student."""
    draw = torch.Generator().manual_seed(0)
    student = Student(shape, nn.Parameter(torch.randn(shape.teacher_width, shape.dim, generator=draw)))
    with torch.no_grad():
        for value in student.parameters():
            value.copy_(torch.randn(value.shape, generator=draw) * 0.3)
    return student.eval()


def make_heads(dim: int) -> dict[str, Head]:
    """Two tasks, of three and two labels, whose names are no names of parameters."""
    draw = np.random.default_rng(0)
    return {
        "topic.v2": quantise_head(
            draw.normal(size=(dim, 3)), [0, 1, 2], ("bank", "music", "else"), "topic.v2"
        ),
        "mood": quantise_head(draw.normal(size=(dim, 2)), [0.5, 0], ("sad", "glad"), "mood"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_auto_model_is_the_student(kind: str, tmp_path: Path) -> None:
    """Hidden states and their mean equal the student's to 1e-6, without padding and with."""
    student = make(KINDS[kind])
    save_transformers(student, WORDS, {}, tmp_path)
    model = AutoModel.from_pretrained(tmp_path)
    assert isinstance(model, EiBertModel)
    assert not model.training
    rows = Tokens(WORDS).rows(TEXTS)
    with torch.inference_mode():
        for row in rows:
            ids = torch.tensor([row])
            out = model(input_ids=ids)
            assert (out.last_hidden_state - student.body(ids)).abs().max() <= 1e-6
            assert (out.pooler_output - student.pooled(ids)).abs().max() <= 1e-6
        ids = torch.from_numpy(padded(rows)).long()
        mask = (ids != 0).long()
        out = model(input_ids=ids, attention_mask=mask)
        alone = torch.cat([student.pooled(torch.tensor([row])) for row in rows])
        assert (out.pooler_output - alone).abs().max() <= 1e-6
        for index, row in enumerate(rows):
            mine = out.last_hidden_state[index, : len(row)]
            assert (mine - student.body(torch.tensor([row]))[0]).abs().max() <= 2e-6


def test_what_is_masked_does_not_count(tmp_path: Path) -> None:
    """With a mask the ids under it say nothing; without one `[PAD]` is what is left out."""
    save_transformers(make(POOLED), WORDS, {}, tmp_path)
    model = AutoModel.from_pretrained(tmp_path)
    ids = torch.tensor([[2, 9, 10, 3, 0, 0]])
    filled = torch.tensor([[2, 9, 10, 3, 11, 12]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.inference_mode():
        plain, masked = model(ids).pooler_output, model(filled, attention_mask=mask).pooler_output
        assert torch.equal(plain, masked)
        assert (model(filled).pooler_output - plain).abs().max() > 1e-3


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_tokenizer_gives_the_same_ids(lowercase: bool, tmp_path: Path) -> None:
    """AutoTokenizer makes the rows of `Tokens`, adds no token of its own, and pads and truncates."""
    save_transformers(make(POOLED), WORDS, {}, tmp_path, rules=TextRules(lowercase))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rows = Tokens(WORDS, rules=TextRules(lowercase)).rows(TEXTS)
    assert len(tokenizer) == len(WORDS)
    assert tokenizer(TEXTS, truncation=True).input_ids == rows
    batch = tokenizer(TEXTS, truncation=True, padding=True, return_tensors="pt")
    assert np.array_equal(batch.input_ids.numpy(), padded(rows))
    with torch.inference_mode():
        out = AutoModel.from_pretrained(tmp_path)(**batch)
        alone = torch.cat([make(POOLED).pooled(torch.tensor([row])) for row in rows])
    assert (out.pooler_output - alone).abs().max() <= 1e-6
    assert (tmp_path / "vocab.txt").read_text("utf-8").splitlines() == list(WORDS)


@pytest.mark.parametrize("kind", ["unit", "pooled, shared"])
def test_a_classifier_has_the_heads_logits(kind: str, tmp_path: Path) -> None:
    """Logits equal the plug-in head's on the student's vectors; a task is chosen by name."""
    student = make(KINDS[kind])
    heads = make_heads(student.shape.dim)
    save_transformers(student, WORDS, heads, tmp_path)
    ids = torch.from_numpy(padded(Tokens(WORDS).rows(TEXTS))).long()
    with torch.inference_mode():
        vectors = student(ids)[1].numpy()
        for task, head in heads.items():
            model = AutoModelForSequenceClassification.from_pretrained(tmp_path, task=task)
            out = model(input_ids=ids, attention_mask=ids != 0, labels=torch.zeros(5, dtype=torch.long))
            assert np.abs(out.logits.numpy() - head.logits(vectors)).max() < 1e-4
            assert model.config.id2label == dict(enumerate(head.labels))
            wanted = -np.log(np.exp(out.logits.numpy())[:, 0] / np.exp(out.logits.numpy()).sum(1)).mean()
            assert abs(float(out.loss) - wanted) < 1e-5
        default = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert default.config.task == "mood"
        encoder = AutoModel.from_pretrained(tmp_path)
        assert (encoder(ids).pooler_output - student.pooled(ids)).abs().max() <= 1e-6
    with pytest.raises(FedbertError, match=r"task\(='news'\) must be one of mood, topic\.v2"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, task="news")


def test_a_new_classifier_can_be_trained_and_saved(tmp_path: Path) -> None:
    """An encoder without tasks takes a new head of `num_labels`, learns and survives `save_pretrained`."""
    save_transformers(make(POOLED), WORDS, {}, tmp_path / "encoder")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "encoder", num_labels=2)
    assert isinstance(model, EiBertForSequenceClassification)
    ids = torch.from_numpy(padded(Tokens(WORDS).rows(["block my card", "play a song"]))).long()
    labels = torch.tensor([0, 1])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = float(model(ids, labels=labels).loss.detach())
    for _ in range(20):
        optimiser.zero_grad()
        model(ids, labels=labels).loss.backward()
        optimiser.step()
    assert float(model(ids, labels=labels).loss.detach()) < first / 2
    model.save_pretrained(tmp_path / "tuned")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "tuned")
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, model.eval()(ids).logits)


def test_the_configuration_survives(tmp_path: Path) -> None:
    """The sizes in config.json are the student's, and the classes' names stand in it."""
    save_transformers(make(KINDS["pooled, factorised, shared"]), WORDS, make_heads(32), tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, EiBertConfig)
    assert (config.embedding_size, config.shared_layers, config.num_hidden_layers) == (8, True, 3)
    assert config.tasks == {"mood": ["sad", "glad"], "topic.v2": ["bank", "music", "else"]}
    raw = json.loads((tmp_path / "config.json").read_text())
    assert (raw["model_type"], raw["architectures"]) == ("ei_bert", ["EiBertForSequenceClassification"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_registering_twice_is_harmless() -> None:
    """A program may import and reload the module."""
    fedbert.ei_bert.hf.register()
    assert AutoConfig.for_model("ei_bert", hidden_size=8).hidden_size == 8


def test_outputs_can_be_tuples(tmp_path: Path) -> None:
    """`return_dict=False` gives the same tensors in a tuple, as every model of the library does."""
    save_transformers(make(POOLED), WORDS, {}, tmp_path)
    model = AutoModel.from_pretrained(tmp_path)
    ids = torch.tensor([[2, 9, 3]])
    with torch.inference_mode():
        states, pooled = model(ids, return_dict=False)
        assert torch.equal(pooled, model(ids).pooler_output)
        assert torch.equal(states, model(ids)[0])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Another vocabulary, a head of another width, rows that are too long, a folder that cannot be."""
    student = make(POOLED)
    with pytest.raises(FedbertError, match="must have the student's"):
        save_transformers(student, WORDS[:-1], {}, tmp_path / "a")
    with pytest.raises(FedbertError, match="head mood: reads vectors of 12, the student makes 32"):
        save_transformers(student, WORDS, {"mood": make_heads(12)["mood"]}, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FedbertError, match="must be a folder, not a file"):
        save_transformers(student, WORDS, {}, tmp_path / "file")
    save_transformers(student, WORDS, {}, tmp_path / "a")
    with pytest.raises(FedbertError, match=r"input_ids\[1, 65\]: must be at most 64 tokens"):
        AutoModel.from_pretrained(tmp_path / "a")(torch.ones(1, 65, dtype=torch.long))
