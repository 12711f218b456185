"""Calibrates a student whose lower layers no longer learn: these are read once, the upper ones each time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fedbert.ei_bert.model.bert import mean_pool
from fedbert.ei_bert.model.quantisation import Calibration, Range
from fedbert.ei_bert.model.student import Student


class UpperCalibration:
    """The activation ranges of `student` over `batches` of token ids, the same as `quantisation.calibrate`'s.

    Layers below `first` must never change again. Their ranges, and their outputs on the batches (512 bytes a
    token at the default width), are made at the first call and kept.
    """

    def __init__(self, student: Student, batches: Sequence[Tensor], first: int) -> None:
        self._student, self._batches, self._first = student, batches, first
        self._lower: dict[str, Range] | None = None
        self._states: list[Tensor] = []

    def ranges(self) -> dict[str, Range]:
        """Return the range of each activation of the student as it is now, by name."""
        body, upper = self._student.body, Calibration()
        with torch.inference_mode():
            if self._lower is None:
                self._lower = self._read()
            for ids, x in zip(self._batches, self._states, strict=True):
                states = body.run(x, ids, self._first, len(body.layers), upper.observe)
                is_item = ids[:, 0] == self._student.shape.item_token
                self._student.finish(mean_pool(states, ids), is_item, upper.observe)
        return self._lower | upper.ranges()

    def _read(self) -> dict[str, Range]:
        """Return the ranges of the lower layers, and keep their outputs."""
        body, lower = self._student.body, Calibration()
        for ids in self._batches:
            x = body.embed(ids, lower.observe)
            self._states.append(body.run(x, ids, 0, self._first, lower.observe))
        return lower.ranges()
