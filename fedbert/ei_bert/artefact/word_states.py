"""States of words: the graph that gives a state for each token, and which token stands for which word.

The shipped graph gives one vector for a text. The states of its tokens are in it: made an output, they are
what a tagging head reads. No weight changes, and the graph that gives vectors is another one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from fedbert.errors import FedbertError

Sentences = Sequence[Sequence[str]]
"""Texts as lists of words; no word has a blank."""


@dataclass(frozen=True)
class WordStates:
    """States of all words of some texts, one text behind the other.

    `states` float32 `[word, dim]`: the last hidden state of a word's first token, zeros where no token of
    it is read. `read` `[word]` says which are: words beyond the encoder's longest text are not, nor are words
    of nothing but control characters. `lengths` `[text]` are the words of each text.
    """

    states: NDArray[np.float32]
    read: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Hold that there is a state for each word."""
        assert len(self.states) == len(self.read) == self.lengths.sum()

    def texts(self) -> Iterator[slice]:
        """Yield where each text's words are."""
        ends = np.cumsum(self.lengths).tolist()
        yield from map(slice, [0, *ends], ends)


def token_graph(model: bytes) -> bytes:
    """Return an exported student's graph whose one output is `states`, float32 `[row, token, width]`.

    They are the states after the last layer, whose mean is a pooled student's vector. Raises FedbertError for
    a graph without layers.
    """
    whole = onnx.load_model_from_string(model)
    norms = [node for node in whole.graph.node if node.op_type == "LayerNormalization"]
    if not norms:
        raise FedbertError("model.onnx must be a student with layers; rebuild it")
    norms[-1].output[0] = "states"
    wanted, kept = {"states"}, []
    for node in reversed(whole.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    constants = [tensor for tensor in whole.graph.initializer if tensor.name in wanted]
    output = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["row", "token", "width"])
    graph = helper.make_graph(kept[::-1], "words", [whole.graph.input[0]], [output], constants)
    made = helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    return bytes(made.SerializeToString(deterministic=True))


def gathered(
    places: Sequence[Sequence[int]],
    dim: int,
    run: Callable[[Callable[[NDArray[np.intp], NDArray[np.float32]], None]], None],
) -> WordStates:
    """Return the states of words whose first tokens are at `places`, `[text][word]`, -1 for none.

    `run` calls what it is given with row indices and their tokens' states `[row, token, dim]`, for all rows.
    """
    lengths = np.array([len(row) for row in places], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.array([place for row in places for place in row], np.int64)
    out = np.zeros((len(flat), dim), np.float32)

    def store(rows: NDArray[np.intp], states: NDArray[np.float32]) -> None:
        for row, own in zip(rows.tolist(), states, strict=True):
            here = slice(starts[row], starts[row + 1])
            out[here] = np.where((flat[here] >= 0)[:, None], own[np.maximum(flat[here], 0)], 0)

    run(store)
    return WordStates(out, flat >= 0, lengths)
