"""WordPiece with a pruned vocabulary: texts to rows of token ids, special tokens included.

The post-processor of a published tokenizer file hard-codes the ids of the full vocabulary and its padding, so
both are rebuilt here: specials are looked up by name, and nothing is padded.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from fedbert.errors import FedbertError

Role = Literal["text", "item"]

PAD, UNKNOWN, TEXT, SEPARATOR, ITEM = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[ITEM]"
SPECIALS = (PAD, UNKNOWN, TEXT, SEPARATOR, ITEM)
MAX_TOKENS = 64


class Tokens:
    """Turns texts into token ids. The first id of a row says the role: `[CLS]` a text, `[ITEM]` an item's
    name.

    A vocabulary without `[ITEM]` (the teacher's) marks both roles with `[CLS]`.
    """

    def __init__(
        self, vocabulary: Sequence[str], max_tokens: int = MAX_TOKENS, lowercase: bool = True
    ) -> None:
        ids = {token: index for index, token in enumerate(vocabulary)}
        missing = [token for token in SPECIALS[:4] if token not in ids]
        if missing:
            raise FedbertError(
                f"vocabulary must hold the token {missing[0]}; use a BERT WordPiece vocabulary"
            )
        if ids[PAD] != 0:
            raise FedbertError("vocabulary must begin with [PAD]; rebuild it with simulations/compress.py")
        self.max_tokens = max_tokens
        self.unknown = ids[UNKNOWN]
        self.separator = ids[SEPARATOR]
        self.first = {"text": ids[TEXT], "item": ids.get(ITEM, ids[TEXT])}
        self._tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
        self._tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
        self._tokenizer.pre_tokenizer = BertPreTokenizer()

    def rows(self, texts: Sequence[str], role: Role = "text") -> list[list[int]]:
        """Return the token ids of each text, specials included, at most `max_tokens` long, unpadded."""
        first, last, room = self.first[role], self.separator, self.max_tokens - 2
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[first, *row.ids[:room], last] for row in encoded]


def by_length(
    rows: Sequence[Sequence[int]], batch_tokens: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int32]]]:
    """Yield (row indices, ids `[row, length]`) of rows of one length, at most `batch_tokens` tokens at a
    time.
    """
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    order = np.argsort(lengths, kind="stable")
    ends = np.flatnonzero(np.diff(lengths[order], append=-1)) + 1
    start = 0
    for end in ends.tolist():
        batch = max(1, batch_tokens // int(lengths[order[start]]))
        for low in range(start, end, batch):
            chosen = order[low : min(low + batch, end)]
            yield chosen, np.array([rows[index] for index in chosen.tolist()], np.int32)
        start = end


def padded(rows: Sequence[Sequence[int]], length: int | None = None) -> NDArray[np.int32]:
    """Return `rows` as one array `[row, length]`, filled with `[PAD]` (0) to `length` or the longest."""
    width = length or max(len(row) for row in rows)
    out = np.zeros((len(rows), width), np.int32)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out
