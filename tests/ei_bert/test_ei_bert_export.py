"""The exported graph of every kind of student: near the float student, the same bits alone and in a batch."""

from dataclasses import replace
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from small_students import KINDS, NIBBLES, POOLED, export, make, rows

from fedbert.devices.operations import count_operations
from fedbert.ei_bert.artefact.artefact import build_artefact, parts
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.model.nibbles import embedding_nibbles, matrix_nibbles
from fedbert.ei_bert.model.quantisation import INT8, Quantisation
from fedbert.ei_bert.model.student import Student
from fedbert.errors import FedbertError


def float_vectors(student: Student, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """What the float student says."""
    with torch.inference_mode():
        whole = torch.from_numpy(ids)
        out = student.pooled(whole) if student.shape.pooled else student(whole)[1]
    return np.asarray(out.numpy(), np.float32)


def run(model: bytes, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """What ONNX Runtime makes of the file."""
    return np.asarray(onnxruntime.InferenceSession(model).run(None, {"ids": ids})[0], np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_what_the_student_says(kind: str) -> None:
    """The int8 graph's vectors have a cosine of .995 with the float student's, and the same length."""
    student, ids = make(KINDS[kind]), rows(30, 12, seed=1)
    cosines, lengths = compare(run(export(student), ids), float_vectors(student, ids))
    assert cosines.shape == (30,)
    assert cosines.min() > 0.995
    assert np.abs(lengths - 1).max() < 0.05


def compare(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The cosines of rows, and the ratio of their lengths."""
    one, other = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / one / other, one / other


@pytest.mark.parametrize("kind", KINDS)
def test_four_bits_in_the_graph_are_the_references(kind: str) -> None:
    """The 4-bit graph says what the float student says whose table and matrices are rounded alike."""
    student, ids = make(KINDS[kind]), rows(30, 12, seed=1)
    model = export(student, NIBBLES)
    with torch.no_grad():
        table = embedding_nibbles(student.body.words.weight, 16)
        student.body.words.weight.copy_(torch.from_numpy(table.normal * table.columns))
        for layer in set(student.body.layers):
            for key in ("packed", "out", "up", "down"):
                weight = getattr(layer, key).weight
                made = matrix_nibbles(weight.T, 16)
                weight.copy_(torch.from_numpy(made.values * made.scales).T)
    cosines, lengths = compare(run(model, ids), float_vectors(student, ids))
    assert cosines.min() > 0.995
    assert np.abs(lengths - 1).max() < 0.05


@pytest.mark.parametrize("quantisation", [INT8, NIBBLES], ids=["int8", "4 bits"])
@pytest.mark.parametrize("kind", KINDS)
def test_alone_and_among_256_the_bits_are_the_same(kind: str, quantisation: Quantisation) -> None:
    """A row alone, the row in a batch of 256, and 256 rows in another order have the same bits."""
    session = onnxruntime.InferenceSession(export(make(KINDS[kind]), quantisation))
    for length in (1, 7, 16):
        ids = rows(256, length, seed=length)
        whole = session.run(None, {"ids": ids})[0]
        alone = np.concatenate([session.run(None, {"ids": ids[row : row + 1]})[0] for row in range(256)])
        assert np.array_equal(whole, alone)
        assert np.array_equal(session.run(None, {"ids": ids[::-1].copy()})[0][::-1], whole)


@pytest.mark.parametrize("quantisation", [INT8, NIBBLES], ids=["int8", "4 bits"])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_ranking(kind: str, quantisation: Quantisation) -> None:
    """Rows padded to 64 tokens rank twenty others as the unpadded rows do."""
    model, ids = export(make(KINDS[kind]), quantisation), rows(40, 9)
    wide = np.zeros((40, 64), np.int32)
    wide[:, :9] = ids
    short, long = run(model, ids), run(model, wide)
    assert np.abs(short - long).max() < 1e-4 * np.abs(short).max()
    items = short[:20]
    assert np.array_equal(np.argsort(-short @ items.T, 1, "stable"), np.argsort(-long @ items.T, 1, "stable"))


@pytest.mark.parametrize("kind", ["unit", "pooled", "pooled, factorised, shared"])
def test_texts_have_the_same_vectors_alone_and_together(kind: str) -> None:
    """Through the encoder with one and two threads; a pooled student has no unit vectors to round."""
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[ITEM]", *(f"w{number}" for number in range(295)))
    shape = KINDS[kind]
    manifest = {"shape": {"dim": shape.dim, "pooled": shape.pooled}}
    artefact = build_artefact(export(make(shape)), words, manifest)
    one, two = Int8Encoder(artefact), Int8Encoder(artefact, threads=2)
    texts = [" ".join(f"w{n % 295}" for n in range(start, start + 1 + start % 9)) for start in range(256)]
    together = one.vectors(texts)
    assert np.array_equal(together, np.concatenate([one.vectors([text]) for text in texts]))
    assert np.array_equal(together, two.vectors(texts))
    if shape.pooled:
        with pytest.raises(FedbertError, match="use vectors"):
            one.encode(texts)
    else:
        assert np.array_equal(one.encode(texts), np.rint(together * 127).astype(np.int8))


def test_a_shared_layer_is_stored_once() -> None:
    """Six passes through one layer of 24 kB cost less than 4 kB each more than two, and all their bytes of
    weights are in the file once.
    """
    shape = replace(POOLED, shared=True, width=64, dim=64, inner=128)
    two, six = (export(make(replace(shape, layers=layers))) for layers in (2, 6))
    assert len(six) - len(two) < 4 * 4_000
    matrices = [tuple(c.dims) for c in onnx.load_from_string(six).graph.initializer if len(c.dims) == 2]
    assert sorted(matrices) == sorted([(300, 64), (64, 64), (64, 192), (64, 128), (128, 64), (64, 64)])


def test_four_bits_take_half_the_bytes() -> None:
    """4-bit embeddings take 9/16 of int8's bytes with blocks of 32; matrices 17/32, stored once if shared."""
    shape = replace(POOLED, vocabulary=3_000, width=64, dim=64, inner=256, heads=2, layers=4, shared=True)
    student = make(shape)
    whole, words = len(export(student)), len(export(student, Quantisation(embedding_bits=4)))
    both = len(export(student, Quantisation(embedding_bits=4, weight_bits=4)))
    assert whole - words == pytest.approx(3_000 * 64 * 7 / 16, abs=500)
    assert words - both == pytest.approx(12 * 64 * 64 * 15 / 32, abs=2_500)


@pytest.mark.parametrize("quantisation", [INT8, NIBBLES], ids=["int8", "4 bits"])
@pytest.mark.parametrize("kind", KINDS)
def test_parts_add_up_for_every_kind(kind: str, quantisation: Quantisation) -> None:
    """Tables, matrices and heads have the bytes of their shapes; all parts add up to all files."""
    shape = KINDS[kind]
    student = make(shape)
    heads = {"news": b"head"} if shape.pooled else {}
    artefact = build_artefact(export(student, quantisation), ("[PAD]",), {"shape": {"dim": 1}}, heads)
    listed, narrow, width = parts(artefact), shape.embedding or shape.width, shape.width
    words, matrices = shape.vocabulary * narrow, 4 * width * width + 2 * width * shape.inner
    if quantisation == NIBBLES:  # half a byte a value, and 2 bytes or half a byte for each 16 values
        words, matrices = words // 2 + words // 8, matrices // 2 + matrices // 32
    layers = 1 if shape.shared else shape.layers
    widen = narrow * width if shape.embedding else 0
    assert sum(listed.values()) == artefact.total_bytes
    assert listed["word embeddings"] == words
    assert listed["layers' weights"] == layers * matrices + widen
    adapter = shape.adapter * (width + shape.dim)
    assert listed["heads"] == (4 if shape.pooled else width * shape.dim + adapter)


def test_scales_and_biases_are_kept_in_float16() -> None:
    """Rows of 32 floats and more are float16 in the file, but for scales too small, which stay exact."""
    student = make(KINDS["pooled"])
    assert kept(export(student)) == {onnx.TensorProto.FLOAT16}
    with torch.no_grad():
        student.body.layers[0].up.weight.mul_(1e-5)
    assert kept(export(student)) == {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT}


def kept(model: bytes) -> set[int]:
    """The types of the file's rows of 32 floats and more."""
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    constants = onnx.load_from_string(model).graph.initializer
    return {c.data_type for c in constants if c.data_type in floats and np.prod(c.dims) >= 32}


def test_the_graph_is_folded_when_it_is_loaded() -> None:
    """With 4-bit matrices ONNX Runtime runs the operators that it runs with int8 ones, and no others."""
    student = make(KINDS["pooled"])
    ran = [operators(export(student, Quantisation(weight_bits=bits))) for bits in (8, 4)]
    assert ran[0] == ran[1]


def operators(model: bytes) -> list[str]:
    """The operators that are left once ONNX Runtime has loaded a file."""
    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = f"{folder}/loaded.onnx"
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model, options)
        return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


@pytest.mark.parametrize("kind", ["unit", "unit, factorised", "pooled, shared"])
def test_devices_count_what_four_bits_cost(kind: str) -> None:
    """A device multiplies as often with a 4-bit table as with an int8 one, and keeps less of it."""
    student = make(KINDS[kind])
    whole, half = (
        count_operations(export(student, Quantisation(embedding_bits=bits, block=16))) for bits in (8, 4)
    )
    assert half.integer_macs == whole.integer_macs
    narrow = student.shape.embedding or student.shape.width
    assert whole.weight_bytes - half.weight_bytes == pytest.approx(300 * narrow * 3 / 8, abs=50)
    assert half.output_width == student.shape.dim


def test_a_factorised_table_is_narrow() -> None:
    """With an embedding of 16 the file holds a table `[300, 16]` and a matrix `[16, 32]`, both of bytes."""
    constants = onnx.load_from_string(export(make(KINDS["pooled, factorised"]))).graph.initializer
    kinds = {tuple(c.dims): c.data_type for c in constants}
    assert kinds[(300, 16)] == onnx.TensorProto.UINT8
    assert kinds[(16, 32)] == onnx.TensorProto.INT8
    assert (300, 32) not in kinds
