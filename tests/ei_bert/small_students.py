"""Random students of every kind there is, small, and their exported graphs."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import INT8, Quantisation, calibrate
from fedbert.ei_bert.model.student import Student, StudentShape

UNIT = StudentShape(
    vocabulary=300, layers=2, width=32, heads=2, inner=64, adapter=16, dim=12, teacher_width=24
)
POOLED = replace(UNIT, pooled=True, adapter=0, dim=32)
KINDS = {
    "unit": UNIT,
    "unit, no adapter": replace(UNIT, adapter=0),
    "unit, factorised": replace(UNIT, embedding=16),
    "pooled": POOLED,
    "pooled, shared": replace(POOLED, shared=True, layers=3),
    "pooled, factorised": replace(POOLED, embedding=16),
    "pooled, factorised, shared": replace(POOLED, embedding=16, shared=True, layers=3),
}


NIBBLES = Quantisation(embedding_bits=4, weight_bits=4, block=16)


def rows(count: int, length: int, seed: int = 0) -> NDArray[np.int32]:
    """Rows of random tokens; every third begins as an item does."""
    ids = np.random.default_rng(seed).integers(5, 300, (count, length)).astype(np.int32)
    ids[:, 0] = 2
    ids[::3, 0] = UNIT.item_token
    return ids


def make(shape: StudentShape, seed: int = 0) -> Student:
    """A random student whose biases and adapter are not zero."""
    draw = torch.Generator().manual_seed(seed)
    head = nn.Parameter(torch.randn(shape.teacher_width, shape.dim, generator=draw))
    student = Student(shape, head)
    with torch.no_grad():
        for name, value in student.named_parameters():
            if "norm" not in name and name != "head":
                value.copy_(torch.randn(value.shape, generator=draw) * 0.2)
    return student.eval()


def export(student: Student, quantisation: Quantisation = INT8) -> bytes:
    """The student's file, calibrated on forty rows."""
    return onnx_bytes(student, calibrate(student, [torch.from_numpy(rows(40, 12))]), quantisation)
