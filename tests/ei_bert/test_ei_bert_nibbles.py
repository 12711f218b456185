"""Four bits a value: each fast path against plain loops, and the straight-through gradient."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from fedbert.ei_bert.model.nibbles import embedding_nibbles, fake_quantised, matrix_nibbles, packed
from fedbert.ei_bert.model.quantisation import Quantisation, quantise_weight
from fedbert.errors import FedbertError


def table(rows: int, columns: int) -> torch.Tensor:
    """Random values whose columns differ in size."""
    draw = torch.Generator().manual_seed(rows * 100 + columns)
    return torch.randn(rows, columns, generator=draw) * torch.linspace(0.5, 2.0, columns)


@pytest.mark.parametrize("width", [16, 40])
def test_a_table_agrees_with_loops(width: int) -> None:
    """Each block takes, of four scales, the one of least squared error; a short last block too."""
    whole, block = table(5, width), 16
    made = embedding_nibbles(whole, block)
    columns = np.sqrt(np.mean(np.square(whole.numpy()), axis=0))
    np.testing.assert_allclose(made.columns, columns, rtol=1e-3)
    for row in range(5):
        for number, low in enumerate(range(0, width, block)):
            values = whole.numpy()[row, low : low + block] / made.columns[low : low + block]
            extreme = values[np.abs(values).argmax()]
            tries = [np.float16(extreme * factor / -8) for factor in (1.0, 0.93, 0.86, 0.79)]
            errors = [
                sum((np.clip(np.rint(v / np.float32(scale)), -8, 7) * scale - v) ** 2 for v in values)
                for scale in tries
            ]
            assert made.scales[row, number] == pytest.approx(tries[int(np.argmin(errors))], rel=2e-3)
            step = np.float32(made.scales[row, number])
            expected = np.clip(np.rint(values / step), -8, 7)
            assert made.codes[row, low : low + block].tolist() == expected.tolist()
            assert made.normal[row, low] == np.float16(expected[0] * step)
    assert made.scales.shape == (5, -(-width // block))


def test_a_table_is_within_a_tenth() -> None:
    """In blocks of 32 a table of normal values is off by less than a tenth of its size (root mean square)."""
    whole = table(300, 64)
    error = (fake_quantised(whole, 4, 32) - whole).square().mean().sqrt() / whole.square().mean().sqrt()
    assert 0.05 < float(error) < 0.1


def test_training_rounds_as_the_file_does() -> None:
    """What training sees is what the exported table says, to 1e-6, at 8 and at 4 bits."""
    whole = table(30, 40)
    made = embedding_nibbles(whole, 16)
    assert np.allclose(fake_quantised(whole, 4, 16).numpy(), made.normal * made.columns, rtol=0, atol=1e-6)
    stored = quantise_weight(whole, 127)
    assert np.allclose(fake_quantised(whole, 8, 16).numpy(), stored.values * stored.scales, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
def test_gradients_pass_straight_through(bits: int) -> None:
    """Rounding has the gradient of doing nothing."""
    whole = table(6, 16).requires_grad_()
    (fake_quantised(whole, bits, 16) * torch.arange(16.0)).sum().backward()
    assert torch.equal(whole.grad, torch.arange(16.0).expand(6, 16))


def test_a_matrix_agrees_with_loops() -> None:
    """Each block takes the whole multiple of least squared error; the int8 values stay within 7 bits."""
    matrix = table(64, 6).numpy()
    made = matrix_nibbles(matrix, 32)
    assert (made.codes.shape, made.multiples.shape, made.scales.shape) == ((64, 6), (2, 6), (6,))
    assert np.abs(made.values.astype(int)).max() <= 63
    for column in range(6):
        top = np.abs(matrix[:, column]).max() / 56
        assert min(abs(made.scales[column] / top - factor) for factor in (1, 0.9, 0.8)) < 1e-3
        for number in range(2):
            values = matrix[32 * number : 32 * number + 32, column]

            def error(multiple: int, values: np.ndarray = values, column: int = column) -> float:
                step = made.scales[column] * np.float32(multiple)
                return sum((np.clip(np.rint(v / step), -8, 7) * step - v) ** 2 for v in values)

            multiple = int(made.multiples[number, column])
            assert error(multiple) <= min(error(m) for m in range(-7, 8) if m) * 1.0001
            codes = np.clip(np.rint(values / (made.scales[column] * multiple)), -8, 7)
            assert made.codes[32 * number : 32 * number + 32, column].tolist() == codes.tolist()


def test_a_matrix_of_another_height_takes_smaller_blocks() -> None:
    """78 rows in blocks of 32 at most make three blocks of 26."""
    assert matrix_nibbles(table(78, 4), 32).multiples.shape == (3, 4)


def test_zeros_stay_zero() -> None:
    """A table or matrix of zeros is one, without a division by zero."""
    assert not embedding_nibbles(torch.zeros(3, 16), 16).normal.any()
    assert not matrix_nibbles(torch.zeros(32, 3), 16).values.any()


@pytest.mark.parametrize("count", [6, 7])
def test_packing_is_that_of_onnx(count: int) -> None:
    """Two codes a byte, the first in the low half, read back by onnx itself."""
    codes = np.array([-8, 7, 0, -1, 3, -4, 5], np.int8)[:count]
    assert packed(codes)[:2] == bytes([0x78, 0xF0])
    tensor = helper.make_tensor("t", onnx.TensorProto.INT4, (count,), packed(codes), raw=True)
    assert numpy_helper.to_array(tensor).astype(np.int8).tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("name", "value"), [("embedding_bits", 5), ("weight_bits", 2), ("block", 24), ("block", 8)]
)
def test_other_numbers_of_bits_are_refused(name: str, value: int) -> None:
    """8 or 4 bits, blocks of powers of two from 16."""
    with pytest.raises(FedbertError, match=rf"{name}\(={value}\)"):
        Quantisation(**{name: value})


def test_the_manifest_keeps_a_quantisation() -> None:
    """What stands in a manifest reads back."""
    chosen = Quantisation(embedding_bits=4, block=64)
    assert Quantisation(**chosen.as_dict()) == chosen
