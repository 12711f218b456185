"""Hard token pruning: keep the tokens of the vocabulary that the teacher pays attention to.

A token's importance is the attention it receives, summed over layers, heads and sentences (EI-BERT, stage 2).
`[CLS]` and `[SEP]` draw most of it, so specials stay and are not ranked; single characters and their `##`
forms stay so that every word can still be spelt.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.bert import Layer, attention_bias
from fedbert.ei_bert.teacher import Teacher, sorted_batches
from fedbert.ei_bert.tokenizer import ITEM, SPECIALS, Tokens
from fedbert.errors import FedbertError


def attention_received(
    teacher: Teacher, texts: Sequence[str], batch_tokens: int = 2048
) -> NDArray[np.float64]:
    """Return the attention each token of the vocabulary receives over `texts`, `[teacher vocabulary]`."""
    total = torch.zeros(len(teacher.vocabulary), dtype=torch.float64)
    with torch.inference_mode():
        for _, ids in sorted_batches(teacher.tokens.rows(texts), batch_tokens):
            bias, x = attention_bias(ids), teacher.body.embed(ids)
            received = torch.zeros(ids.shape)
            for layer in teacher.body.layers:
                _, attention = cast(Layer, layer).attend(x, bias)
                received += (attention * (ids != 0)[:, None, :, None]).sum((1, 2))
                x = layer(x, bias)
            total.index_add_(0, ids.flatten().long(), received.flatten().double())
    return total.numpy()


def pruned_vocabulary(
    vocabulary: Sequence[str], importance: NDArray[np.float64], texts: Sequence[str], size: int
) -> tuple[str, ...]:
    """Return `size` tokens: specials, all characters that can spell ASCII or occur in `texts`, then by
    importance.

    Kept tokens stand in the teacher's order after the specials. Raises FedbertError if `size` has no room.
    """
    seen = set("".join(texts).lower())
    kept = {index for index, token in enumerate(vocabulary) if _spells(token, seen)}
    room = size - len(SPECIALS) - len(kept)
    if room <= 0:
        raise FedbertError(
            f"vocabulary size(={size}) must be over {len(SPECIALS) + len(kept)}, its specials and characters"
        )
    ranked = np.argsort(-importance, kind="stable").tolist()
    skip = kept | {
        index for index, token in enumerate(vocabulary) if token.startswith("[") and len(token) > 1
    }
    kept |= set([index for index in ranked if index not in skip][:room])
    return (*SPECIALS, *(vocabulary[index] for index in sorted(kept)))


def _spells(token: str, seen: set[str]) -> bool:
    character = token.removeprefix("##") if len(token) > 2 else token
    return len(character) == 1 and (character.isascii() or character in seen)


def teacher_rows(vocabulary: Sequence[str], kept: Sequence[str]) -> NDArray[np.int64]:
    """Return each kept token's index in the teacher's vocabulary; `[ITEM]` takes `[CLS]`'s."""
    ids = {token: index for index, token in enumerate(vocabulary)}
    return np.array([ids["[CLS]" if token == ITEM else token] for token in kept], np.int64)


def spelling(kept: Sequence[str], texts: Sequence[str]) -> tuple[float, float]:
    """Return (share of tokens that are `[UNK]`, mean tokens a text with specials) over `texts`."""
    tokens = Tokens(kept)
    rows = tokens.rows(texts)
    total = sum(len(row) for row in rows)
    unknown = sum(row.count(tokens.unknown) for row in rows)
    return unknown / max(total, 1), total / max(len(rows), 1)
