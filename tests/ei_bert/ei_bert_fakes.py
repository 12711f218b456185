"""A small random teacher, and a reporter that remembers, for tests of compressions."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from fedbert import machine
from fedbert.ei_bert.compression.token_pruning import teacher_rows
from fedbert.ei_bert.model import bert
from fedbert.ei_bert.model.student import Student, StudentShape, start_student
from fedbert.ei_bert.model.tokenizer import SPECIALS, Tokens
from fedbert.ei_bert.teaching.tasks import Part, Task
from fedbert.ei_bert.teaching.teacher import Teacher

TEXTS = ("set an alarm", "freeze my account", "play a song", "wake me at six", "block my bank account")
LABELS = np.array([0, 1, 0, 0, 1])


def small_task(name: str = "one") -> Task:
    """Return a task of five texts, which are its test texts too, without validation texts."""
    part = Part(TEXTS, LABELS)
    return Task(name, ("no", "yes"), part, Part((), LABELS[:0]), part, "0" * 64)


def reading_student(
    guide: Teacher, pooled: bool = True, layers: int = 2
) -> tuple[Student, Tokens, NDArray[np.int64]]:
    """Return an untrained student with the whole vocabulary of the small teacher `guide`, its tokens, and the
    teacher's token of each.
    """
    kept = (*SPECIALS, *(token for token in guide.vocabulary if token not in SPECIALS))
    rows = teacher_rows(guide.vocabulary, kept)
    adapter, dim = (0, 32) if pooled else (16, 8)
    shape = StudentShape(
        len(kept), layers, 32, 4, 48, adapter=adapter, dim=dim, teacher_width=128, pooled=pooled
    )
    head = nn.Parameter(torch.zeros(128, 0) if pooled else torch.eye(128, 8))
    words = guide.body.words.weight[torch.from_numpy(rows)]
    return start_student(shape, words, head, 0), Tokens(kept), rows


_WORDS = "set alarm freeze an account play a song wake me at six block my bank for music about the and"


def only_in(precision: str, patch: pytest.MonkeyPatch) -> None:
    """Make the processor one whose `auto` is the other precision, and any training in the other an error."""

    def refuse(*_: object) -> None:
        raise AssertionError(f"something was not computed in {precision}")

    named = precision == "bfloat16"
    patch.setattr(machine, "instruction_sets", lambda: [] if named else ["avx512_bf16"])
    patch.setattr(bert, "nullcontext" if named else "autocast", refuse)


class Silent:
    """Shows nothing, remembers stages and steps."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps = 0

    def stage(self, name: str) -> None:
        """Remember the stage."""
        self.stages.append(name)

    def progress(self, done: int, total: int, loss: float, accuracy: float | None = None) -> None:
        """Remember the step."""
        self.steps = done

    def result(self, name: str, text: str) -> None:
        """Show nothing."""


def write_teacher(folder: Path) -> str:
    """Write a BERT of two layers, 128 wide, with random weights."""
    letters = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789:?" for mark in ("", "##")]
    vocabulary = [*SPECIALS[:4], "[MASK]", *letters, *_WORDS.split()]
    vocabulary = list(dict.fromkeys(vocabulary))
    config = {
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "num_hidden_layers": 2,
        "hidden_size": 128,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 64,
    }
    sizes = {"words": len(vocabulary), "position": 64, "token_type": 2}
    torch.manual_seed(0)
    state = {
        f"embeddings.{name.replace('words', 'word')}_embeddings.weight": torch.randn(n, 128)
        for name, n in sizes.items()
    }
    shapes = {
        "attention.self.query": (128, 128),
        "attention.self.key": (128, 128),
        "attention.self.value": (128, 128),
        "attention.output.dense": (128, 128),
        "intermediate.dense": (256, 128),
        "output.dense": (128, 256),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(2):
        for name, shape in shapes.items():
            state[f"encoder.layer.{layer}.{name}.weight"] = torch.randn(shape) * 0.05
            state[f"encoder.layer.{layer}.{name}.bias"] = torch.zeros(shape[0])
        norms += [f"encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]
    for name in norms:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.ones(128), torch.zeros(128)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return str(folder)
