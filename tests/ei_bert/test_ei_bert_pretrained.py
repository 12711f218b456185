"""`EiBert`: vectors and labels without torch, heads added and saved, and what it refuses."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_artefacts import POOLED, SHAPE, WORDS, make_artefact

from fedbert.ei_bert.artefact.artefact import (
    Artefact,
    build_artefact,
    load_artefact,
    save_artefact,
    with_heads,
)
from fedbert.ei_bert.artefact.heads import Head, head_bytes, quantise_head, softmax
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.artefact.tag_fit import blank_tag_head
from fedbert.ei_bert.artefact.tag_heads import tag_head_bytes
from fedbert.ei_bert.pretrained import EiBert, model_folder
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

TEXTS = ["block my card", "play a song", "my bank card", "play the music", "block the bank", "a song"] * 4
LABELS = ["bank", "music"] * 12


@pytest.fixture(scope="module")
def pooled() -> Artefact:
    """An artefact whose vectors are hidden states."""
    return make_artefact(POOLED)


def test_vectors_are_the_runtimes(pooled: Artefact) -> None:
    """`encode` gives what the int8 encoder gives, alone and together: hidden states or unit vectors."""
    model = EiBert(pooled)
    whole = model.encode(TEXTS)
    assert whole.dtype == np.float32
    assert whole.shape == (24, 32)
    assert np.array_equal(whole, Int8Encoder(pooled).vectors(TEXTS))
    assert np.array_equal(whole, np.concatenate([model.encode([text]) for text in TEXTS]))
    unit = EiBert(make_artefact(SHAPE)).encode(TEXTS)
    assert np.abs(np.linalg.norm(unit, axis=1) - 1).max() < 1e-4


def test_labels_are_those_of_the_largest_logit(pooled: Artefact) -> None:
    """Classes and probabilities follow from the head's formula on the vectors."""
    head = quantise_head(np.random.default_rng(0).normal(size=(32, 3)), [0, 0, 1], ("x", "y", "z"), "t")
    model = EiBert(pooled)
    model.add_head(head)
    logits = model.encode(TEXTS) @ (head.weight * head.scale) + head.bias
    assert model.classify(TEXTS, "t") == [("x", "y", "z")[index] for index in logits.argmax(1)]
    assert np.abs(model.probabilities(TEXTS, "t") - softmax(logits)).max() < 1e-5
    assert model.classify([], "t") == []


def test_a_fitted_task_is_saved_and_loaded(pooled: Artefact, tmp_path: Path) -> None:
    """A head fitted on texts is a file that the manifest vouches for; the encoder is unchanged."""
    model = EiBert(pooled)
    model.fit_head(TEXTS, LABELS, "topic")
    assert model.classify(TEXTS, "topic") == LABELS
    model.save(tmp_path)
    again = EiBert.from_pretrained(tmp_path)
    assert (again.tasks, again.labels("topic")) == (("topic",), ("bank", "music"))
    assert again.classify(TEXTS, "topic") == LABELS
    body = (tmp_path / "heads" / "topic.safetensors").read_bytes()
    assert again.artefact.manifest["files"]["heads/topic.safetensors"]["bytes"] == len(body)
    assert again.artefact.files["model.onnx"] == pooled.files["model.onnx"]
    assert {**again.artefact.manifest, "files": 0} == {**pooled.manifest, "files": 0}
    again.remove_head("topic")
    assert again.artefact == pooled
    again.save(tmp_path)
    assert load_artefact(tmp_path) == pooled


def test_the_same_texts_and_seed_give_the_same_file(pooled: Artefact) -> None:
    """Two fits are equal to the last byte."""
    heads = [EiBert(pooled).fit_head(TEXTS, LABELS, "topic", seed=3) for _ in range(2)]
    assert head_bytes(heads[0]) == head_bytes(heads[1])


def test_a_head_over_the_budget_is_not_added(pooled: Artefact) -> None:
    """One byte too many is refused, and the model stays as it was."""
    head = quantise_head(np.ones((32, 2)), [0, 0], ("x", "y"), "t")
    roomy = EiBert(pooled)
    roomy.add_head(head)
    size = roomy.artefact.total_bytes
    EiBert(pooled, budget_bytes=size).add_head(head)
    tight = EiBert(pooled, budget_bytes=size - 1)
    with pytest.raises(FedbertError, match=rf"{size} bytes .* must be at most {size - 1}"):
        tight.add_head(head)
    assert (tight.tasks, tight.artefact) == ((), pooled)


def test_what_does_not_fit_is_refused(pooled: Artefact) -> None:
    """A head of another width, a task without head, a task that is no file name, a text without a list."""
    model = EiBert(pooled)
    wide = quantise_head(np.ones((33, 2)), [0, 0], ("x", "y"), "wide")
    with pytest.raises(FedbertError, match="head wide: reads vectors of 33, the encoder makes 32"):
        model.add_head(wide)
    with pytest.raises(FedbertError, match="reads vectors of 33"):
        EiBert(build_artefact(pooled.files["model.onnx"], WORDS, pooled.manifest, {"wide": head_bytes(wide)}))
    with pytest.raises(FedbertError, match=r"task\(='news'\) must have a head"):
        model.classify(TEXTS, "news")
    model.add_head(quantise_head(np.ones((32, 2)), [0, 0], ("x", "y"), "mood"))
    with pytest.raises(FedbertError, match=r"task\(='news'\) must be one of mood"):
        model.labels("news")
    with pytest.raises(FedbertError, match=r"task\(='\.\./up'\)"):
        model.fit_head(TEXTS, LABELS, "../up")
    with pytest.raises(FedbertError, match="24 texts must have as many labels, not 23"):
        model.fit_head(TEXTS, LABELS[1:], "t")
    with pytest.raises(FedbertError, match="must be a list of texts"):
        model.encode("block my card")
    assert model.tasks == ("mood",)


def test_a_broken_head_in_a_folder_is_named(pooled: Artefact) -> None:
    """A head that the manifest vouches for but that is no head is one line with its task."""
    with pytest.raises(FedbertError, match="head mood: not a safetensors file"):
        EiBert(build_artefact(pooled.files["model.onnx"], WORDS, pooled.manifest, {"mood": b"?"}))


def test_a_model_is_a_folder_or_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`default` is the shipped one, `./default` a folder; anything else names what there is."""
    monkeypatch.chdir(tmp_path)
    assert model_folder("default") == models_folder() / "default"
    assert EiBert.from_pretrained("default").encode(["set an alarm"]).shape == (1, 96)
    (tmp_path / "default").mkdir()
    assert model_folder("default") == models_folder() / "default"
    assert model_folder(tmp_path / "default") == tmp_path / "default"
    for wrong in ("nowhere", "../models/default", "nowhere/default"):
        with pytest.raises(FedbertError, match=r"must be a folder or one of .*default"):
            model_folder(wrong)


def test_torch_is_not_imported(pooled: Artefact, tmp_path: Path) -> None:
    """Loading, encoding, fitting, classifying, tagging and saving import neither torch nor transformers."""
    tagger = blank_tag_head("slots", ("B-a", "O"), Int8Encoder(pooled).word_dim)
    save_artefact(with_heads(pooled, {"slots": tag_head_bytes(tagger)}), tmp_path / "model")
    script = """
import sys
from fedbert.ei_bert.pretrained import EiBert
model = EiBert.from_pretrained(sys.argv[1])
model.fit_head(["a song", "my card"] * 4, ["music", "bank"] * 4, "topic")
model.fit_pairs(["a song", "my card"] * 4, ["a song"] * 8, ["same", "other"] * 4, "pairs")
model.classify_pairs(["a song"], ["my card"], "pairs")
model.tag(["a song"], "slots")
model.save(sys.argv[1])
print(EiBert.from_pretrained(sys.argv[1]).classify(["a song", "my card"], "topic"))
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model")], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "['music', 'bank']\n[]\n"


def test_a_save_that_fails_leaves_the_old_folder_loadable(pooled: Artefact, tmp_path: Path) -> None:
    """Where the heads' folder cannot be made, the message says so and the old artefact still loads."""
    save_artefact(pooled, tmp_path)
    (tmp_path / "heads").write_text("in the way")
    model = EiBert(pooled)
    model.fit_head(TEXTS, LABELS, "topic")
    with pytest.raises(FedbertError, match="could not be written"):
        model.save(tmp_path)
    assert load_artefact(tmp_path) == pooled
    shutil.rmtree(tmp_path)


def test_heads_keep_their_names() -> None:
    """The head class is what the fit returns, so that a program may store it elsewhere."""
    head = EiBert(make_artefact(POOLED)).fit_head(TEXTS, LABELS, "topic", strength=0.1)
    assert isinstance(head, Head)
    assert head.labels == ("bank", "music")


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["a song", None], r"texts\[1\] \(a NoneType\) must be a text"),
        (["a song", float("nan")], r"texts\[1\] \(a float\) must be a text"),
        ([b"a song"], r"texts\[0\] \(a bytes\) must be a text"),
        (["a", ["song"]], r"texts\[1\] \(a list\) must be a text"),
        (["a", "\ud800"], r"texts\[1\] must be Unicode"),
        (b"a song", r"texts \(a bytes\) must be a list of texts"),
        ({"a": 1}, r"texts \(a dict\) must be a list of texts"),
        (None, r"texts \(a NoneType\) must be a list of texts"),
        (7, r"texts \(a int\) must be a list of texts"),
    ],
)
def test_what_is_no_text_is_refused_by_place(pooled: Artefact, texts: Any, line: str) -> None:
    """Every way in names the first that is no text, its place and its type; labels have the same rule."""
    model = EiBert(pooled)
    model.add_head(quantise_head(np.ones((32, 2)), [0, 0], ("x", "y"), "t"))
    for call in (model.encode, lambda t: model.classify(t, "t"), lambda t: model.probabilities(t, "t")):
        with pytest.raises(FedbertError, match=line):
            call(texts)
    with pytest.raises(FedbertError, match=line):
        model.fit_head(texts, LABELS, "u")
    with pytest.raises(FedbertError, match=line.replace("text", "label")):
        model.fit_head(TEXTS, texts, "u")


def test_any_sequence_of_texts_will_do(pooled: Artefact) -> None:
    """A tuple, an array and a column of a table give the vectors of a list."""
    model = EiBert(pooled)
    wanted = model.encode(TEXTS)
    for texts in (tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS, index=range(100, 124))):
        assert np.array_equal(model.encode(texts), wanted)
