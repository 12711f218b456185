"""What is computed once of layers that do not learn equals what the whole model says."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from small_students import KINDS, UNIT, make, rows
from torch import Tensor

from fedbert.ei_bert.model.quantisation import calibrate
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.calibrated import UpperCalibration


def _learn(student: Student) -> None:
    """Change all that an update changes: the top layer, projection and adapter."""
    with torch.no_grad():
        for name, value in student.named_parameters():
            if name.startswith((f"body.layers.{student.shape.layers - 1}.", "project", "adapter")):
                value.mul_(1.5)


@pytest.mark.parametrize("kind", ["unit", "unit, no adapter", "unit, factorised", "pooled"])
def test_the_upper_layers_alone_give_the_same_ranges(kind: str) -> None:
    """Before and after learning, ranges equal those of the whole student, number for number."""
    student = make(KINDS[kind])
    batches = [torch.from_numpy(rows(40, 12)), torch.from_numpy(rows(9, 5, seed=1))]
    calibration = UpperCalibration(student, batches, student.shape.layers - 1)
    before = calibration.ranges()
    assert before == calibrate(student, batches)
    _learn(student)
    after = calibration.ranges()
    assert after == calibrate(student, batches)
    assert after != before


def test_a_layer_that_is_passed_twice_is_calibrated_from_the_first_pass() -> None:
    """From layer 0 on all is calibrated anew: a shared layer's first pass learns as its last does."""
    student = make(KINDS["pooled, shared"])
    batches = [torch.from_numpy(rows(40, 12))]
    calibration = UpperCalibration(student, batches, 0)
    calibration.ranges()
    with torch.no_grad():
        for value in student.body.layers[0].parameters():
            value.mul_(1.5)
    assert calibration.ranges() == calibrate(student, batches)


def _one_by_one(student: Student, kept: Sequence[Sequence[int]]) -> list[Tensor]:
    """The states of each row after the first layer, as float16, all rows in one padded batch."""
    ids = torch.from_numpy(padded(kept))
    with torch.no_grad():
        states = student.body.run(student.body.embed(ids), ids, 0, 1).half().float()
    return [states[index, : len(row)] for index, row in enumerate(kept)]


@pytest.mark.parametrize("together", [2, None])
def test_cached_layers_give_states_and_ids_padded_with_zeros(together: int | None) -> None:
    """Rows of 3, 1 and 4 tokens come in the order that is asked for, also twice, with zeros behind."""
    student = make(UNIT)
    kept = [[2, 7, 9], [4], [2, 30, 31, 3]]
    cached = CachedLayers(student.body, kept, 1, together)
    plain = _one_by_one(student, kept)
    for chosen in ([1, 0], [2, 0, 2], [0]):
        states, ids = cached.get(np.array(chosen))
        longest = max(len(kept[index]) for index in chosen)
        assert states.shape == (len(chosen), longest, UNIT.width)
        for place, index in enumerate(chosen):
            length = len(kept[index])
            assert ids[place].tolist() == kept[index] + [0] * (longest - length)
            torch.testing.assert_close(states[place, :length], plain[index], atol=2e-3, rtol=0)
            assert not states[place, length:].any()
