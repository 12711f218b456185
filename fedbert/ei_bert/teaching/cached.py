"""Outputs of the layers that no longer learn, computed once a text: what makes a training step cheap."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedbert.ei_bert.model.bert import Body, device_of
from fedbert.ei_bert.teaching.teacher import sorted_batches

_READ_TOKENS = 2_048


class CachedLayers:
    """The hidden states of token `rows` after the first `layers` layers of `body`, kept as float16 when first
    asked for.

    The bits of a row depend on the rows that it is computed beside. With `together` these are always the same
    so many neighbours, whatever was asked for before; without it, the ones that are asked for first.
    """

    def __init__(
        self, body: Body, rows: Sequence[Sequence[int]], layers: int, together: int | None = None
    ) -> None:
        self._body, self._rows, self._layers, self._together = body, rows, layers, together
        self._kept: dict[int, Tensor] = {}
        self.lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, chosen: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """Return (hidden states `[row, token, width]`, ids `[row, token]`) of the `chosen` rows, padded."""
        wanted = chosen.tolist()
        missing = sorted({index for index in wanted if index not in self._kept})
        if self._together is None:
            self._compute(missing)
        else:
            for chunk in sorted({index // self._together for index in missing}):
                first = chunk * self._together
                self._compute(list(range(first, min(first + self._together, len(self._rows)))))
        pad = torch.nn.utils.rnn.pad_sequence
        states = pad([self._kept[index] for index in wanted], batch_first=True)
        ids = pad([torch.tensor(self._rows[index], dtype=torch.int32) for index in wanted], batch_first=True)
        device = device_of(self._body)
        return states.float().to(device), ids.to(device)

    def _compute(self, missing: list[int]) -> None:
        rows = [self._rows[index] for index in missing]
        with torch.no_grad():
            for chosen, ids in sorted_batches(rows, _READ_TOKENS):
                there = ids.to(device_of(self._body))
                x = self._body.run(self._body.embed(there), there, 0, self._layers).half().cpu()
                for place, index in enumerate(chosen.tolist()):
                    self._kept[missing[index]] = x[place, : len(rows[index])].clone()
