"""Texts that many releases encode: their tokens, and their states below the layer that learns, are kept."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.model.tokenizer import Role

STATES_LIMIT_BYTES = 256_000_000
"""Most memory of kept states of one list of texts. At the default width a token takes 512 bytes, so these are
some 45,000 texts of 11 tokens; the lower layers of texts beyond them are run for each release."""


class KnownTexts:
    """Fixed `texts`, read in one role by release after release.

    Kept are the states of the first graph that is asked for; a release that differs from it below its last
    layer is run whole, and so is every one with `limit_bytes` 0. Vectors are the bits of the whole graph
    either way. Threads may share it.
    """

    def __init__(
        self, texts: Sequence[str], role: Role = "text", limit_bytes: int = STATES_LIMIT_BYTES
    ) -> None:
        self._texts, self._role, self._limit_bytes = texts, role, limit_bytes
        self._graph: str | None = None
        self._rows: dict[int, list[int]] = {}
        self._states: dict[int, NDArray[np.float32]] = {}
        self.kept_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._texts)

    def encode(self, encoder: Int8Encoder, chosen: NDArray[np.integer] | None = None) -> NDArray[np.int8]:
        """Return `round(127 v)` of the unit vectors v of the `chosen` texts, or of all, `[text, dim]`."""
        wanted = range(len(self._texts)) if chosen is None else chosen.tolist()
        with self._lock:
            self._graph = self._graph or (encoder.lower_digest if self._limit_bytes else None)
        if self._graph is None or encoder.lower_digest != self._graph:
            return encoder.encode([self._texts[index] for index in wanted], self._role)
        new = [index for index in wanted if index not in self._rows]
        rows = encoder.rows([self._texts[index] for index in new], self._role)
        self._rows.update(zip(new, rows, strict=True))
        out = np.empty((len(wanted), encoder.dim), np.int8)

        def run(places: NDArray[np.intp], ids: NDArray[np.int32]) -> None:
            texts = [wanted[place] for place in places.tolist()]
            out[places] = encoder.to_int8(encoder.upper_vectors(ids, self._of(encoder, texts, ids)))

        encoder.each_length([self._rows[index] for index in wanted], run)
        return out

    def _of(self, encoder: Int8Encoder, texts: list[int], ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the states of `texts` `[text, token, width]`; those that are not kept are made, and kept."""
        kept = [self._states.get(index) for index in texts]
        missing = [place for place, states in enumerate(kept) if states is None]
        if missing:
            made = encoder.lower_states(ids[missing])
            for place, states in zip(missing, made, strict=True):
                kept[place] = states
            with self._lock:
                if self.kept_bytes + made.nbytes <= self._limit_bytes:
                    self.kept_bytes += made.nbytes
                    self._states.update((texts[place], made[at]) for at, place in enumerate(missing))
        return np.stack([states for states in kept if states is not None])
