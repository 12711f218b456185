"""WordPiece with a pruned vocabulary: texts to rows of token ids, special tokens included.

The post-processor of a published tokenizer file hard-codes the ids of the full vocabulary and its padding, so
both are rebuilt here: specials are looked up by name, and nothing is padded.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from fedbert.errors import FedbertError
from fedbert.files import write_bytes

Role = Literal["text", "item"]

PAD, UNKNOWN, TEXT, SEPARATOR, ITEM = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[ITEM]"
SPECIALS = (PAD, UNKNOWN, TEXT, SEPARATOR, ITEM)
MAX_TOKENS = 64
"""Longest row: requests are a sentence or so, and a phone's memory for activations grows with the square."""
# Longer words become [UNK] whole, as in BERT's own tokenizer.
_LONGEST_WORD = 100


@dataclass(frozen=True)
class TextRules:
    """How texts are read before they are split, as BERT's own tokenizer names it.

    `strip_accents` None means: if `lowercase`. With `chinese_characters` each ideograph is a word of its own.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    chinese_characters: bool = True

    def normaliser(self) -> BertNormalizer:
        """Return what turns a text into the characters that are split; control characters go."""
        return BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.chinese_characters,
            strip_accents=self.strip_accents,
            lowercase=self.lowercase,
        )

    def words(self, text: str) -> list[str]:
        """Return the words of `text`, before they are split into tokens."""
        parts = BertPreTokenizer().pre_tokenize_str(self.normaliser().normalize_str(text))
        return [word for word, _ in parts]


UNCASED = TextRules()


class Tokens:
    """Turns texts into token ids. The first id of a row says the role: `[CLS]` a text, `[ITEM]` an item's
    name.

    A vocabulary without `[ITEM]` (the teacher's) marks both roles with `[CLS]`.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        max_tokens: int = MAX_TOKENS,
        rules: TextRules = UNCASED,
    ) -> None:
        """Read texts by `rules`.

        Raises FedbertError if a special token is missing or `[PAD]` is not the first.
        """
        ids = _ids(vocabulary)
        self.max_tokens = max_tokens
        self.unknown = ids[UNKNOWN]
        self.separator = ids[SEPARATOR]
        self.first = {"text": ids[TEXT], "item": ids.get(ITEM, ids[TEXT])}
        self._tokenizer = _wordpiece(ids, rules)

    def rows(self, texts: Sequence[str], role: Role = "text") -> list[list[int]]:
        """Return the token ids of each text, specials included, at most `max_tokens` long, unpadded."""
        first, last, room = self.first[role], self.separator, self.max_tokens - 2
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[first, *row.ids[:room], last] for row in encoded]

    def word_rows(self, sentences: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Return the rows of texts given as words, and the place of each word's first token in its row.

        The rows are those of the words with blanks between them. The place is -1 for a word of which no token
        is read.
        """
        room = self.max_tokens - 2
        encoded = self._tokenizer.encode_batch(
            [list(words) for words in sentences], is_pretokenized=True, add_special_tokens=False
        )
        rows, places = [], []
        for row, words in zip(encoded, sentences, strict=True):
            rows.append([self.first["text"], *row.ids[:room], self.separator])
            found = [-1] * len(words)
            for place, word in reversed(list(enumerate(row.word_ids[:room], 1))):
                if word is not None:
                    found[word] = place
            places.append(found)
        return rows, places


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


def _ids(vocabulary: Sequence[str]) -> dict[str, int]:
    ids = {token: index for index, token in enumerate(vocabulary)}
    missing = [token for token in SPECIALS[:4] if token not in ids]
    if missing:
        raise FedbertError(f"vocabulary must hold the token {missing[0]}; use a BERT WordPiece vocabulary")
    if ids[PAD] != 0:
        raise FedbertError("vocabulary must begin with [PAD]; rebuild it with simulations/compress.py")
    return ids


def _wordpiece(ids: dict[str, int], rules: TextRules) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=_LONGEST_WORD))
    tokenizer.normalizer = rules.normaliser()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def tokenizer_json(
    vocabulary: Sequence[str],
    max_tokens: int = MAX_TOKENS,
    rules: TextRules = UNCASED,
) -> bytes:
    """Return a file of the `tokenizers` library that gives the ids of `Tokens.rows`, role `text`.

    It cuts at `max_tokens` and pads nothing. The specials are no "added tokens": a text that says "[SEP]" is
    spelt, not obeyed. Raises FedbertError as `Tokens` does.
    """
    ids = _ids(vocabulary)
    tokenizer = _wordpiece(ids, rules)
    tokenizer.decoder = WordPieceDecoder(prefix="##")
    tokenizer.post_processor = TemplateProcessing(
        single=f"{TEXT} $A {SEPARATOR}",
        pair=f"{TEXT} $A {SEPARATOR} $B:1 {SEPARATOR}:1",
        special_tokens=[(token, ids[token]) for token in (TEXT, SEPARATOR)],
    )
    tokenizer.enable_truncation(max_tokens)
    return tokenizer.to_str().encode()


def write_tokenizer(
    folder: Path,
    vocabulary: Sequence[str],
    max_tokens: int = MAX_TOKENS,
    rules: TextRules = UNCASED,
) -> None:
    """Write the four files from which `transformers.AutoTokenizer` makes the tokenizer of `Tokens`.

    `folder` is made if it is missing. Raises FedbertError if a file cannot be written.
    """
    specials = {"pad_token": PAD, "unk_token": UNKNOWN, "cls_token": TEXT, "sep_token": SEPARATOR}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_tokens,
        "do_lower_case": rules.lowercase,
        "strip_accents": rules.strip_accents,
        "tokenize_chinese_chars": rules.chinese_characters,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **specials,
    }
    write_bytes(folder / "tokenizer.json", tokenizer_json(vocabulary, max_tokens=max_tokens, rules=rules))
    write_bytes(folder / "vocab.txt", ("\n".join(vocabulary) + "\n").encode())
    for name, value in (("special_tokens_map.json", specials), ("tokenizer_config.json", config)):
        write_bytes(folder / name, (json.dumps(value, indent=1) + "\n").encode())
