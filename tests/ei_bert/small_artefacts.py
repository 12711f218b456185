"""Small random students as artefacts with a vocabulary of letters and ten words."""

from dataclasses import replace

import torch
from torch import nn

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import calibrate
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.model.tokenizer import SPECIALS

LETTERS = tuple(mark + letter for letter in "abcdefghijklmnopqrstuvwxyz" for mark in ("", "##"))
WORDS = (*SPECIALS, *LETTERS, "bank", "card", "song", "play", "my", "a", "the", "block", "music")
WORDS = tuple(dict.fromkeys(WORDS))
SHAPE = StudentShape(
    vocabulary=len(WORDS), layers=2, width=32, heads=2, inner=64, adapter=16, dim=12, teacher_width=24
)
POOLED = replace(SHAPE, pooled=True, adapter=0, dim=32)


def make_artefact(shape: StudentShape) -> Artefact:
    """A random student of that shape as an artefact, calibrated on twenty rows of random tokens."""
    draw = torch.Generator().manual_seed(0)
    student = Student(shape, nn.Parameter(torch.randn(shape.teacher_width, shape.dim, generator=draw))).eval()
    with torch.no_grad():
        for name, value in student.named_parameters():
            if "norm" not in name:
                value.copy_(torch.randn(value.shape, generator=draw) * 0.3)
    ids = torch.randint(5, len(WORDS), (20, 9), generator=draw, dtype=torch.int32)
    model = onnx_bytes(student, calibrate(student, [ids]))
    return build_artefact(model, WORDS, {"shape": shape.as_dict(), "seed": 0})
