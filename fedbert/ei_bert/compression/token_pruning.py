"""Hard token pruning: keep the tokens of the vocabulary that the teacher pays attention to.

A token's importance is the attention it receives, summed over layers, heads and sentences (EI-BERT, stage 2);
how often it occurs, and attention per occurrence, are the alternatives. `[CLS]` and `[SEP]` draw most of the
attention, so specials stay and are not ranked; single characters and their `##` forms stay so that every word
can still be spelt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.compression.plan import RANKINGS, Ranking
from fedbert.ei_bert.model.bert import Layer, attention_bias
from fedbert.ei_bert.model.tokenizer import ITEM, SPECIALS, UNCASED, Role, TextRules, Tokens
from fedbert.ei_bert.teaching.outside_vectors import OutsideTeacher
from fedbert.ei_bert.teaching.teacher import Teacher, sorted_batches
from fedbert.errors import FedbertError, invalid

# Attention of nothing at all: a share of it is 0.
_LEAST = 1e-300
_READ_TOKENS = 2_048


@dataclass(frozen=True)
class Spelling:
    """What pruning does to how texts are written; shares are 0 .. 1, specials count as tokens.

    `kept_attention_share` is the attention, of all that ranked tokens receive, that the kept ones receive.
    """

    unknown_share: float
    tokens_per_text_before: float
    tokens_per_text: float
    kept_attention_share: float


def importance(
    method: Ranking,
    teacher: Teacher | OutsideTeacher,
    texts: Sequence[str],
    weights: Sequence[float] | None = None,
    batch_tokens: int = _READ_TOKENS,
) -> NDArray[np.float64]:
    """Return how much each of the teacher's tokens matters to `texts`, `[teacher vocabulary]`, specials 0.

    `attention` is the attention received, `frequency` the occurrences, both a sum over texts, each times its
    weight in `weights` `[text]` (1 by default); `attention_per_occurrence` is the first over the second.
    Raises FedbertError for another method, for attention of a teacher that has none, and if there are not as
    many weights as texts.
    """
    if method not in RANKINGS:
        raise invalid("method", method, f"be one of {', '.join(RANKINGS)}")
    if method != "frequency" and not isinstance(teacher, Teacher):
        raise invalid("pruning", method, "be frequency for a teacher of vectors alone", "it has no attention")
    whole = np.ones(len(texts)) if weights is None else np.asarray(weights, np.float64)
    if whole.shape != (len(texts),):
        raise FedbertError(f"weights must be one a text: {len(texts)} texts, {whole.size} weights")
    found = np.ones(len(teacher.vocabulary))
    if isinstance(teacher, Teacher) and method != "frequency":
        found = _attention(teacher, texts, whole, batch_tokens)
    if method != "attention":
        occurrences = _occurrences(teacher, texts, whole)
        found = found * occurrences if method == "frequency" else _ratio(found, occurrences)
    found[[_is_special(token) for token in teacher.vocabulary]] = 0.0
    return found


def rescored(
    found: NDArray[np.float64],
    method: Ranking,
    teacher: Teacher,
    texts: Sequence[str],
    size: int,
    weights: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    """Return the importance for keeping `size` tokens, in a second round, `[teacher vocabulary]`.

    Words whose tokens go are split into others, which then matter more than `found`, the first importance,
    says. So the tokens that occur are first pruned half of the way, in ratio, to `size`; the teacher then
    reads `texts` in what is left, and only that is ranked again. Arguments and errors as in `importance`.

    Worth its time for small sizes: see `benchmarks/pruning.py`.
    """
    used = int((found > 0).sum())
    least = smallest_size(teacher.vocabulary, texts, teacher.rules)
    middle = max(int(np.sqrt(used * size)), least)
    if size >= used:
        return found
    kept = pruned_vocabulary(teacher.vocabulary, found, texts, middle, teacher.rules)
    tokens = _Translated(kept, teacher)
    return importance(method, replace(teacher, tokens=tokens), texts, weights)


class _Translated(Tokens):
    """Splits texts with a pruned vocabulary and gives the teacher's own ids."""

    def __init__(self, kept: Sequence[str], teacher: Teacher) -> None:
        super().__init__(kept, teacher.tokens.max_tokens, rules=teacher.rules)
        self._theirs = teacher_rows(teacher.vocabulary, kept)

    def rows(self, texts: Sequence[str], role: Role = "text") -> list[list[int]]:
        """Return the teacher's ids of each text."""
        return [self._theirs[row].tolist() for row in super().rows(texts, role)]


def attention_received(
    teacher: Teacher, texts: Sequence[str], batch_tokens: int = _READ_TOKENS
) -> NDArray[np.float64]:
    """Return the attention each token receives over `texts`, specials too, `[teacher vocabulary]`."""
    return _attention(teacher, texts, np.ones(len(texts)), batch_tokens)


def _attention(
    teacher: Teacher, texts: Sequence[str], weights: NDArray[np.float64], batch_tokens: int
) -> NDArray[np.float64]:
    device = teacher.body.words.weight.device
    total = torch.zeros(len(teacher.vocabulary), dtype=torch.float64)
    with torch.inference_mode():
        for chosen, rows in sorted_batches(teacher.tokens.rows(texts), batch_tokens):
            ids = rows.to(device)
            bias, x = attention_bias(ids), teacher.body.embed(ids)
            received = torch.zeros(ids.shape, device=device)
            for layer in teacher.body.layers:
                _, attention = cast(Layer, layer).attend(x, bias)
                received += (attention * (ids != 0)[:, None, :, None]).sum((1, 2))
                x = layer(x, bias)
            weighted = received.cpu().double() * torch.from_numpy(weights[chosen])[:, None]
            total.index_add_(0, rows.flatten().long(), weighted.flatten())
    return total.numpy()


def _occurrences(
    teacher: Teacher | OutsideTeacher, texts: Sequence[str], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    rows = teacher.tokens.rows(texts)
    if not rows:
        return np.zeros(len(teacher.vocabulary))
    each = np.repeat(weights, [len(row) for row in rows])
    return np.asarray(np.bincount(np.concatenate(rows), each, len(teacher.vocabulary)), np.float64)


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def agreement(a: NDArray[np.float64], b: NDArray[np.float64], size: int) -> float:
    """Return the share, 0 .. 1, of the `size` most important tokens by `a` that are so by `b` too.

    `a` and `b` `[vocabulary]` are importances. Tokens of importance 0 are ranked by neither: if fewer than
    `size` matter, it is the share of those.
    """
    first, second = (set(np.argsort(-part, kind="stable")[:size].tolist()) for part in (a, b))
    first, second = ({i for i in kept if part[i] > 0} for kept, part in ((first, a), (second, b)))
    return len(first & second) / max(len(first), len(second), 1)


def pruned_vocabulary(
    vocabulary: Sequence[str],
    importance: NDArray[np.float64],
    texts: Sequence[str],
    size: int,
    rules: TextRules = UNCASED,
) -> tuple[str, ...]:
    """Return `size` tokens: specials, all characters that can spell ASCII or occur in `texts`, then by
    importance.

    Kept tokens stand in the teacher's order after the specials. Texts are read by `rules`, the teacher's.
    Raises FedbertError, with the smallest possible size, if `size` has no room for the characters.
    """
    kept = _spellers(vocabulary, texts, rules)
    room = size - len(SPECIALS) - len(kept)
    if room < 0:
        raise invalid(
            "vocabulary size",
            size,
            f"be at least {len(SPECIALS) + len(kept)}, its specials and characters",
            "raise the byte budget or make the layers smaller",
        )
    skip = kept | {i for i, token in enumerate(vocabulary) if _is_special(token) or not _is_line(token)}
    ranked = [index for index in np.argsort(-importance, kind="stable").tolist() if index not in skip]
    return (*SPECIALS, *(vocabulary[index] for index in sorted(kept | set(ranked[:room]))))


def smallest_size(vocabulary: Sequence[str], texts: Sequence[str], rules: TextRules = UNCASED) -> int:
    """Return the size of the smallest vocabulary that can spell `texts`: specials and characters alone."""
    return len(SPECIALS) + len(_spellers(vocabulary, texts, rules))


def _is_special(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def _is_line(token: str) -> bool:
    return token.splitlines() == [token]


def _spellers(vocabulary: Sequence[str], texts: Sequence[str], rules: TextRules) -> set[int]:
    """Return the indices of the single characters of ASCII and of `texts`, alone and as `##` forms.

    Forms that no text can reach are left out: the `##` form of punctuation and of ideographs, which are words
    of their own, and characters that the rules turn into others.
    """
    written = "".join(sorted(set().union(*texts))) if texts else ""
    seen = set(rules.normaliser().normalize_str(written))
    out = set()
    for index, token in enumerate(vocabulary):
        inside = token.startswith("##") and len(token) == 3
        character = token[-1:] if inside else token
        if len(character) != 1 or not (character.isascii() or character in seen) or not _is_line(token):
            continue
        word = f"a{character}" if inside else character
        if rules.words(word) == [word]:
            out.add(index)
    return out


def teacher_rows(vocabulary: Sequence[str], kept: Sequence[str]) -> NDArray[np.int64]:
    """Return each kept token's index in the teacher's vocabulary; `[ITEM]` takes `[CLS]`'s."""
    ids = {token: index for index, token in enumerate(vocabulary)}
    return np.array([ids["[CLS]" if token == ITEM else token] for token in kept], np.int64)


def spelling(kept: Sequence[str], texts: Sequence[str], rules: TextRules = UNCASED) -> tuple[float, float]:
    """Return (share of tokens that are `[UNK]`, mean tokens a text with specials) over `texts`."""
    tokens = Tokens(kept, rules=rules)
    rows = tokens.rows(texts)
    total = sum(len(row) for row in rows)
    unknown = sum(row.count(tokens.unknown) for row in rows)
    return unknown / max(total, 1), total / max(len(rows), 1)


def spelling_report(
    teacher: Teacher, kept: Sequence[str], texts: Sequence[str], attention: NDArray[np.float64]
) -> Spelling:
    """Return how `kept` writes `texts` beside the teacher's own vocabulary.

    `attention` `[teacher vocabulary]` is `importance("attention", ...)`.
    """
    unknown, after = spelling(kept, texts, teacher.rules)
    _, before = spelling(teacher.vocabulary, texts, teacher.rules)
    ranked = np.where([_is_special(token) for token in teacher.vocabulary], 0.0, attention)
    share = ranked[np.unique(teacher_rows(teacher.vocabulary, kept))].sum() / max(ranked.sum(), _LEAST)
    return Spelling(unknown, before, after, float(share))
