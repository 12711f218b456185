"""The exported graph of every kind of student: near the float student, the same bits alone and in a batch."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fedbert.ei_bert.export import onnx_bytes
from fedbert.ei_bert.quantisation import calibrate
from fedbert.ei_bert.student import Student, StudentShape

UNIT = StudentShape(
    vocabulary=300, layers=2, width=32, heads=2, inner=64, adapter=16, dim=12, teacher_width=24
)
POOLED = replace(UNIT, pooled=True, adapter=0, dim=32)
KINDS = {
    "unit": UNIT,
    "unit, no adapter": replace(UNIT, adapter=0),
    "unit, factorised": replace(UNIT, embedding=8),
    "pooled": POOLED,
    "pooled, shared": replace(POOLED, shared=True, layers=3),
    "pooled, factorised": replace(POOLED, embedding=8),
    "pooled, factorised, shared": replace(POOLED, embedding=8, shared=True, layers=3),
}


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


def float_vectors(student: Student, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """What the float student says."""
    with torch.inference_mode():
        whole = torch.from_numpy(ids)
        out = student.pooled(whole) if student.shape.pooled else student(whole)[1]
    return np.asarray(out.numpy(), np.float32)


def export(student: Student) -> bytes:
    """The student's file, calibrated on forty rows."""
    return onnx_bytes(student, calibrate(student, [torch.from_numpy(rows(40, 12))]))


def run(model: bytes, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """What ONNX Runtime makes of the file."""
    return np.asarray(onnxruntime.InferenceSession(model).run(None, {"ids": ids})[0], np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_what_the_student_says(kind: str) -> None:
    """The int8 graph's vectors have a cosine of .995 with the float student's, and the same length."""
    student, ids = make(KINDS[kind]), rows(30, 12, seed=1)
    mine, theirs = run(export(student), ids), float_vectors(student, ids)
    lengths = np.linalg.norm(mine, axis=1), np.linalg.norm(theirs, axis=1)
    assert mine.shape == (30, student.shape.dim)
    assert ((mine * theirs).sum(1) / lengths[0] / lengths[1]).min() > 0.995
    assert np.abs(lengths[0] / lengths[1] - 1).max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_alone_and_among_256_the_bits_are_the_same(kind: str) -> None:
    """A row alone, the row in a batch of 256, and 256 rows in another order have the same bits."""
    session = onnxruntime.InferenceSession(export(make(KINDS[kind])))
    for length in (1, 7, 16):
        ids = rows(256, length, seed=length)
        whole = session.run(None, {"ids": ids})[0]
        alone = np.concatenate([session.run(None, {"ids": ids[row : row + 1]})[0] for row in range(256)])
        assert np.array_equal(whole, alone)
        assert np.array_equal(session.run(None, {"ids": ids[::-1].copy()})[0][::-1], whole)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_ranking(kind: str) -> None:
    """Rows padded to 64 tokens rank twenty others as the unpadded rows do."""
    model, ids = export(make(KINDS[kind])), rows(40, 9)
    wide = np.zeros((40, 64), np.int32)
    wide[:, :9] = ids
    short, long = run(model, ids), run(model, wide)
    assert np.abs(short - long).max() < 1e-4 * np.abs(short).max()
    items = short[:20]
    assert np.array_equal(np.argsort(-short @ items.T, 1, "stable"), np.argsort(-long @ items.T, 1, "stable"))


def test_a_shared_layer_is_stored_once() -> None:
    """Six passes through one layer of 24 kB cost less than 4 kB each more than two, and all their bytes of
    weights are in the file once.
    """
    shape = replace(POOLED, shared=True, width=64, dim=64, inner=128)
    two, six = (export(make(replace(shape, layers=layers))) for layers in (2, 6))
    assert len(six) - len(two) < 4 * 4_000
    matrices = [tuple(c.dims) for c in onnx.load_from_string(six).graph.initializer if len(c.dims) == 2]
    assert sorted(matrices) == sorted([(300, 64), (64, 64), (64, 192), (64, 128), (128, 64), (64, 64)])


def test_a_factorised_table_is_narrow() -> None:
    """With an embedding of 8 the file holds a table `[300, 8]` and a matrix `[8, 32]`, both of bytes."""
    constants = onnx.load_from_string(export(make(KINDS["pooled, factorised"]))).graph.initializer
    kinds = {tuple(c.dims): c.data_type for c in constants}
    assert kinds[(300, 8)] == onnx.TensorProto.UINT8
    assert kinds[(8, 32)] == onnx.TensorProto.INT8
    assert (300, 32) not in kinds
