"""Runs the int8 student in ONNX Runtime: texts to int8 unit vectors, or to a pooled student's hidden states.

Rows of one batch have one length, so nothing is padded, and all activation scales are constants of the model:
a text's vector is the same bits alone, in any batch and on any number of threads.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import MODEL, VOCABULARY, Artefact
from fedbert.ei_bert.artefact.cut import Cut, cut
from fedbert.ei_bert.artefact.word_states import (
    Sentences,
    WordStates,
    gathered,
    token_graph,
)
from fedbert.ei_bert.model.tokenizer import Role, TextRules, Tokens, by_length
from fedbert.errors import FedbertError

# Bounds the memory of a batch's activations.
_BATCH_TOKENS = 1_536
# Texts whose token ids are held at once: memory must not grow with what is asked for.
_TEXTS_AT_ONCE = 65_536


def _session(model: bytes) -> onnxruntime.InferenceSession:
    """Return what runs the graph on one thread; raises FedbertError if it cannot be run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Several releases live at once in a server's process: none may keep a large arena.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FedbertError(
            f"model.onnx cannot be run ({str(error).splitlines()[0][:120]}); rebuild it"
        ) from error


class Int8Encoder:
    """The student as a phone runs it. `dim` is its vectors' width, `pooled` says they are hidden states."""

    def __init__(self, artefact: Artefact, threads: int = 1) -> None:
        if threads < 1:
            raise FedbertError(f"threads(={threads}) must be at least 1")
        self._artefact = artefact
        self._session = _session(artefact.files[MODEL])
        rules = TextRules(**artefact.manifest.get("text_rules", {}))
        self._tokens = Tokens(tuple(artefact.files[VOCABULARY].decode().splitlines()), rules=rules)
        self._threads = threads
        self.dim = artefact.dim
        self.pooled = bool(artefact.manifest["shape"].get("pooled", False))

    def float_vectors(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the vectors `[row, dim]` of token ids `[row, token]`; 0 is padding."""
        return np.asarray(self._session.run(None, {"ids": ids})[0], np.float32)

    @cached_property
    def _cut(self) -> Cut | None:
        return None if self.pooled else cut(self._artefact.files[MODEL])

    @cached_property
    def _halves(self) -> tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]:
        assert self._cut is not None
        return _session(self._cut.lower), _session(self._cut.upper)

    @cached_property
    def lower_digest(self) -> str | None:
        """What the states below the last layer follow from: graph, vocabulary and text rules; None if the
        graph cannot be cut there (`cut`).
        """
        if self._cut is None:
            return None
        read = [self._artefact.files[VOCABULARY], repr(self._artefact.manifest.get("text_rules")).encode()]
        return hashlib.sha256(b"\0".join([self._cut.digest.encode(), *read])).hexdigest()

    def lower_states(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the states that enter the last layer, `[row, token, width]`, of token ids `[row, token]`."""
        return np.asarray(self._halves[0].run(None, {"ids": ids})[0], np.float32)

    def upper_vectors(self, ids: NDArray[np.int32], states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors `[row, dim]` of token ids whose `states` are those of `lower_states`."""
        assert self._cut is not None
        return np.asarray(self._halves[1].run(None, {"ids": ids, self._cut.states: states})[0], np.float32)

    def rows(self, texts: Sequence[str], role: Role = "text") -> list[list[int]]:
        """Return the token ids that the model reads of each text."""
        return self._tokens.rows(texts, role)

    @staticmethod
    def to_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return unit vectors as phones keep them, `round(127 v)`."""
        return np.asarray(np.rint(vectors * np.float32(127.0)), np.int8)

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
            out[chosen] = self.to_int8(vectors)

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

            def run(chosen: NDArray[np.intp], ids: NDArray[np.int32], start: int = start) -> None:
                store(chosen + start, self.float_vectors(ids))

            self.each_length(rows, run)

    def each_length(
        self, rows: Sequence[Sequence[int]], run: Callable[[NDArray[np.intp], NDArray[np.int32]], None]
    ) -> None:
        """Call `run` with indices and ids of batches of `rows` of one length, on the encoder's threads."""
        pieces = list(by_length(rows, _BATCH_TOKENS))
        if self._threads == 1 or len(pieces) <= 1:
            for piece in pieces:
                run(*piece)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(lambda piece: run(*piece), reversed(pieces)))

    @cached_property
    def _by_token(self) -> onnxruntime.InferenceSession:
        return _session(token_graph(self._artefact.files[MODEL]))

    @property
    def word_dim(self) -> int:
        """Width of the states of words."""
        return int(self._artefact.manifest["shape"]["width"])

    def word_states(self, sentences: Sentences) -> WordStates:
        """Return the hidden states of the words of `sentences`: the same bits alone and in any batch."""
        rows, places = self._tokens.word_rows(sentences)
        session = self._by_token

        def run(store: Callable[[NDArray[np.intp], NDArray[np.float32]], None]) -> None:
            self.each_length(rows, lambda chosen, ids: store(chosen, session.run(None, {"ids": ids})[0]))

        return gathered(places, self.word_dim, run)

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
