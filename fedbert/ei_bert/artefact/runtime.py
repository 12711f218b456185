"""Runs the int8 student in ONNX Runtime: texts to int8 unit vectors, or to a pooled student's hidden states.

Rows of one batch have one length, so nothing is padded, and all activation scales are constants of the model:
a text's vector is the same bits alone, in any batch and on any number of threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import MODEL, VOCABULARY, Artefact
from fedbert.ei_bert.model.tokenizer import Role, TextRules, Tokens, by_length
from fedbert.errors import FedbertError

# Bounds the memory of a batch's activations.
_BATCH_TOKENS = 1_536
# Texts whose token ids are held at once: memory must not grow with what is asked for.
_TEXTS_AT_ONCE = 65_536


class Int8Encoder:
    """The student as a phone runs it. `dim` is its vectors' width, `pooled` says they are hidden states."""

    def __init__(self, artefact: Artefact, threads: int = 1) -> None:
        if threads < 1:
            raise FedbertError(f"threads(={threads}) must be at least 1")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Several releases live at once in a server's process: none may keep a large arena.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                artefact.files[MODEL], options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise FedbertError(
                f"model.onnx cannot be run ({str(error).splitlines()[0][:120]}); rebuild it"
            ) from error
        rules = TextRules(**artefact.manifest.get("text_rules", {}))
        self._tokens = Tokens(tuple(artefact.files[VOCABULARY].decode().splitlines()), rules=rules)
        self._threads = threads
        self.dim = artefact.dim
        self.pooled = bool(artefact.manifest["shape"].get("pooled", False))

    def float_vectors(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the vectors `[row, dim]` of token ids `[row, token]`; 0 is padding."""
        return np.asarray(self._session.run(None, {"ids": ids})[0], np.float32)

    def encode(self, texts: Sequence[str], role: Role = "text") -> NDArray[np.int8]:
        """Return `round(127 v)` of each text's unit vector v, `[text, dim]`.

        Raises FedbertError for a pooled student, whose vectors have no unit length: use `vectors`.
        """
        if self.pooled:
            raise FedbertError(
                "encode must have an artefact of unit vectors, this one is pooled; use vectors"
            )
        out = np.empty((len(texts), self.dim), np.int8)

        def store(chosen: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
            out[chosen] = np.rint(vectors * np.float32(127.0)).astype(np.int8)

        self._run(texts, role, store)
        return out

    def vectors(self, texts: Sequence[str], role: Role = "text") -> NDArray[np.float32]:
        """Return each text's vector, `[text, dim]`: the mean hidden state of a pooled student, else of unit
        length.
        """
        out = np.empty((len(texts), self.dim), np.float32)
        self._run(texts, role, out.__setitem__)
        return out

    def _run(
        self,
        texts: Sequence[str],
        role: Role,
        store: Callable[[NDArray[np.intp], NDArray[np.float32]], None],
    ) -> None:
        """Give `store` the indices and the vectors of batches of one length, until all texts are done."""
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            rows = self._tokens.rows(texts[start : start + _TEXTS_AT_ONCE], role)
            if len(rows) == 1:  # as a phone asks, without the bookkeeping of batches
                store(np.array([start]), self.float_vectors(np.array(rows, np.int32)))
                continue
            pieces = list(by_length(rows, _BATCH_TOKENS))

            def run(piece: tuple[NDArray[np.intp], NDArray[np.int32]], start: int = start) -> None:
                store(piece[0] + start, self.float_vectors(piece[1]))

            if self._threads == 1 or len(pieces) == 1:
                for piece in pieces:
                    run(piece)
                continue
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(run, reversed(pieces)))

    def counts(
        self, texts: Sequence[str], role: Role = "text"
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Return how many tokens the model reads of each text, and how many of these are `[UNK]`, `[text]`.

        Specials are among the tokens, what is truncated is not.
        """
        rows, unknown = self._tokens.rows(texts, role), self._tokens.unknown
        found = np.array([(len(row), row.count(unknown)) for row in rows], np.int16).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def token_counts(self, texts: Sequence[str], role: Role = "text") -> NDArray[np.int16]:
        """Return how many tokens the model reads of each text, specials included and truncated, `[text]`."""
        return self.counts(texts, role)[0]

    def unknown_counts(self, texts: Sequence[str]) -> NDArray[np.int16]:
        """Return how many tokens of each text are `[UNK]`, `[text]`."""
        return self.counts(texts)[1]
