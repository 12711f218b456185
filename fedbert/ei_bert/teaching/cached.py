"""Outputs of the layers that no longer learn, computed once a text: what makes a training step cheap."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedbert.ei_bert.model.bert import Body, device_of
from fedbert.ei_bert.teaching.teacher import sorted_batches

_READ_TOKENS = 2_048


class CachedLayers:
    """The hidden states of token `rows` after the first `layers` layers of `body`, kept as float16 when first
    asked for: two bytes a token and feature.

    The bits of a row depend on the rows that it is computed beside. With `together` these are always the same
    so many neighbours, whatever was asked for before; without it, the ones that are asked for first. So a
    training that goes on asks by `know` for what its earlier steps asked for.
    """

    def __init__(
        self, body: Body, rows: Sequence[Sequence[int]], layers: int, together: int | None = None
    ) -> None:
        self._body, self._rows, self._layers, self._together = body, rows, layers, together
        self.lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        self._first = np.cumsum(self.lengths) - self.lengths
        tokens = int(self.lengths.sum())
        # All rows after another; the last place is padding. Zeros of numpy take no memory till used.
        self._states = torch.from_numpy(np.zeros((tokens + 1, body.shape.width), np.float16))
        self._ids = torch.from_numpy(np.fromiter(chain(*rows, (0,)), np.int32, tokens + 1))
        self._known = np.zeros(len(rows), np.bool_)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, chosen: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """Return (hidden states `[row, token, width]`, ids `[row, token]`) of the `chosen` rows, padded."""
        self.know(chosen)
        lengths = self.lengths[chosen]
        step = np.arange(lengths.max(initial=0))
        places = np.where(step < lengths[:, None], self._first[chosen][:, None] + step, len(self._ids) - 1)
        at = torch.from_numpy(places)
        device = device_of(self._body)
        return self._states[at].float().to(device), self._ids[at].to(device)

    def know(self, chosen: NDArray[np.intp]) -> None:
        """Compute what is not known yet of the `chosen` rows."""
        missing = np.unique(chosen[~self._known[chosen]])
        if self._together is None:
            self._compute(missing.tolist())
        else:
            for chunk in np.unique(missing // self._together).tolist():
                first = chunk * self._together
                self._compute(list(range(first, min(first + self._together, len(self._rows)))))

    def _compute(self, missing: list[int]) -> None:
        rows = [self._rows[index] for index in missing]
        with torch.no_grad():
            for chosen, ids in sorted_batches(rows, _READ_TOKENS):
                there = ids.to(device_of(self._body))
                x = self._body.run(self._body.embed(there), there, 0, self._layers).half().cpu()
                for place, index in enumerate(chosen.tolist()):
                    first, length = int(self._first[missing[index]]), len(rows[index])
                    self._states[first : first + length] = x[place, :length]
        self._known[missing] = True
