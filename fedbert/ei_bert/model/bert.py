"""A small BERT in plain torch, used as teacher and as student (Devlin et al. 2019, post-norm, eager
attention).
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, autocast, nn
from torch.nn import functional

from fedbert.machine import precision_used

Observe = Callable[[str, Tensor], None]

# What padding's scores get: after the softmax nothing is left of it, in bfloat16 too.
_HIDDEN = -1e4


@dataclass(frozen=True)
class Shape:
    """The sizes of a BERT body; widths are numbers of features.

    `embedding` is the width of the word embeddings (0: that of the layers); a narrower one meets a matrix
    `[embedding, width]` first (the factorised embedding of ALBERT). `shared` passes through one layer's
    weights `layers` times.
    """

    vocabulary: int
    layers: int
    width: int
    heads: int
    inner: int
    positions: int
    activation: Literal["gelu", "relu"] = "relu"
    epsilon: float = 1e-12
    embedding: int = 0
    shared: bool = False


class Layer(nn.Module):
    """One transformer layer; queries, keys and values come from one packed matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.activation = functional.gelu if shape.activation == "gelu" else functional.relu
        self.packed = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width, eps=shape.epsilon)
        self.up = nn.Linear(width, shape.inner)
        self.down = nn.Linear(shape.inner, width)
        self.norm_feed = nn.LayerNorm(width, eps=shape.epsilon)

    def attend(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return (mixed values `[batch, token, width]`, attention `[batch, head, from, to]`)."""
        batch, length, width = x.shape
        packed = self.packed(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = packed[0], packed[1], packed[2]
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads) + bias
        attention = torch.softmax(scores, -1)
        return (attention @ value).transpose(1, 2).reshape(batch, length, width), attention

    def forward(self, x: Tensor, bias: Tensor, observe: Observe | None = None, name: str = "") -> Tensor:
        """Return the layer's output `[batch, token, width]`; `observe` sees each quantised activation."""
        mixed, _ = self.attend(x, bias)
        middle = self.norm_attention(x + self.out(mixed))
        inner = self.activation(self.up(middle))
        if observe is not None:
            observe(f"{name}.input", x)
            observe(f"{name}.mixed", mixed)
            observe(f"{name}.middle", middle)
            observe(f"{name}.inner", inner)
        normed: Tensor = self.norm_feed(middle + self.down(inner))
        return normed


class Body(nn.Module):
    """Embeddings and layers: ids `[batch, token]` to hidden states `[batch, token, width]`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        narrow = shape.embedding or shape.width
        self.words = nn.Embedding(shape.vocabulary, narrow)
        self.widen = nn.Linear(narrow, shape.width, bias=False) if narrow != shape.width else None
        self.places = nn.Embedding(shape.positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        first = Layer(shape)
        passes = range(1, shape.layers)
        # A module list may hold one layer many times: it then has one set of parameters and one gradient.
        self.layers = nn.ModuleList([first, *(first if shape.shared else Layer(shape) for _ in passes)])

    def embed(self, ids: Tensor, observe: Observe | None = None) -> Tensor:
        """Return the normalised embeddings of `ids`, `[batch, token, width]`."""
        words = self.words(ids)
        if self.widen is not None:
            if observe is not None:
                observe("words", words)
            words = self.widen(words)
        normed: Tensor = self.norm(words + self.places.weight[: ids.shape[1]])
        return normed

    def run(self, x: Tensor, ids: Tensor, first: int, last: int, observe: Observe | None = None) -> Tensor:
        """Pass `x` through the layers `first` .. `last - 1`."""
        bias = attention_bias(ids)
        for index in range(first, last):
            x = self.layers[index](x, bias, observe, f"layer{index}")
        return x

    def forward(self, ids: Tensor, observe: Observe | None = None) -> Tensor:
        """Return the last hidden states of `ids`."""
        return self.run(self.embed(ids, observe), ids, 0, len(self.layers), observe)


def attention_bias(ids: Tensor) -> Tensor:
    """Return 0 where a token may be looked at and -10,000 at padding, `[batch, 1, 1, token]`."""
    return (ids == 0).float()[:, None, None, :] * _HIDDEN


def mean_pool(x: Tensor, ids: Tensor) -> Tensor:
    """Return the mean of the hidden states of a text's tokens, padding left out, `[batch, width]` float32."""
    mask = (ids != 0).float().unsqueeze(-1)
    return (x.float() * mask).sum(1) / mask.sum(1)


def device_of(module: nn.Module) -> torch.device:
    """Return where the weights of `module` are."""
    return next(module.parameters()).device


def use_threads(count: int) -> None:
    """Let torch compute on `count` threads of this process."""
    torch.set_num_threads(count)


def best_device() -> torch.device:
    """Return the GPU that torch can use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_math(precision: str) -> AbstractContextManager[object]:
    """Return a context in which the CPU's matrix products are computed in `precision`.

    `precision` is one of `machine.PRECISIONS`. Bfloat16 works on every processor; one that does not multiply
    it is slower with it. What leaves the models of this package is float32 in either: see `mean_pool` and
    `Student.finish`. Raises FedbertError for an unknown precision.
    """
    if precision_used(precision) == "bfloat16":
        return autocast("cpu", torch.bfloat16)
    return nullcontext()
