"""A teacher that is known by its vectors alone: `--teacher-vectors FILE.parquet`, column `text` and column
`vector` (a list of float32 of one width), made by any encoder in any language.

Nothing of the encoder itself is needed. What a published teacher brings beside its vectors comes from
elsewhere: the vocabulary from a WordPiece file, the student's first word embeddings from the texts' vectors.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from fedbert.ei_bert.model.tokenizer import TextRules, Tokens
from fedbert.errors import FedbertError, invalid
from fedbert.files import UnreadableFile, read_text, sha256_of

VECTORS, VOCABULARY = "teacher_vectors", "vocabulary"
_TEXT, _VECTOR = "text", "vector"
_SHOWN_LETTERS = 40
_NEXT = "encode the texts again"


@dataclass(frozen=True)
class OutsideTeacher:
    """Texts and a teacher's vectors of them, `[text, width]` float32, and the vocabulary that splits texts.

    Vectors are of unit length, since a student is taught directions.

    `name` is the vectors' file's; `sha256` is over both files.
    """

    known: tuple[str, ...]
    vectors: NDArray[np.float32]
    vocabulary: tuple[str, ...]
    name: str
    sha256: str
    rules: TextRules

    @property
    def width(self) -> int:
        """Features of a vector."""
        return int(self.vectors.shape[1])

    @cached_property
    def tokens(self) -> Tokens:
        """The tokenizer of the whole vocabulary."""
        return self.tokens_of(self.vocabulary)

    def tokens_of(self, vocabulary: Sequence[str]) -> Tokens:
        """Return the tokenizer of a student with this `vocabulary`."""
        return Tokens(vocabulary, rules=self.rules)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.known)}

    def check(self, texts: Sequence[str]) -> None:
        """Raise FedbertError if one of `texts` has no vector."""
        missing = [text for text in texts if text not in self._place]
        if missing:
            raise invalid(
                VECTORS,
                self.name,
                f"hold a vector of each text ({len(missing):,} of {len(texts):,} have none, the first "
                f"{missing[0][:_SHOWN_LETTERS]!r})",
                "encode these too, or leave them out",
            )

    def vectors_of(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of `texts`, float16 `[text, width]`; raises FedbertError as `check` does."""
        self.check(texts)
        return torch.from_numpy(self.vectors[[self._place[text] for text in texts]]).half()

    @cached_property
    def _words(self) -> Tensor:
        rows = self.tokens.rows(self.known)
        columns = np.concatenate([np.array(row, np.int64) for row in rows])
        places = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        shape = (len(self.vocabulary), len(rows))
        counts = sparse.csr_matrix((np.ones(len(columns), np.float32), (columns, places)), shape)
        unit = self.vectors - self.vectors.mean(0)
        total = np.asarray(counts.sum(1), np.float32)
        # A token that no text has says nothing: it starts in the middle.
        return torch.from_numpy(np.asarray(counts @ unit, np.float32) / np.maximum(total, 1))

    def word_vectors(self) -> Tensor:
        """Return a start for word embeddings, `[token, width]`: the mean unit vector of the texts that have
        the token, over the mean of all.
        """
        return self._words


def load_outside_teacher(vectors: Path, vocabulary: Path) -> OutsideTeacher:
    """Read the vectors of texts and the WordPiece `vocabulary`, one token a line, specials among them.

    Texts are put into lower case unless a word of the vocabulary has a capital. Raises FedbertError, in one
    line, for a file, column, text or vector that cannot be used.
    """
    known, found = _read_vectors(vectors)
    tokens = _read_vocabulary(vocabulary)
    # Of words alone: marks such as <S> stand in vocabularies of small letters, too.
    cased = any(token != token.lower() for token in tokens if token.removeprefix("##").isalpha())
    rules = TextRules(lowercase=not cased)
    try:
        Tokens(tokens, rules=rules)
    except FedbertError as error:
        raise FedbertError(f"{VOCABULARY} {vocabulary.name}: {error}") from None
    both = hashlib.sha256(f"{sha256_of(vectors)} {sha256_of(vocabulary)}".encode()).hexdigest()
    return OutsideTeacher(known, found, tokens, vectors.name, both, rules)


def _read_vocabulary(path: Path) -> tuple[str, ...]:
    try:
        lines = read_text(path).split("\n")
    except UnreadableFile as error:
        raise error.of(VOCABULARY, str(path)) from None
    tokens = [line.removesuffix("\r") for line in lines]
    tokens = tokens[:-1] if tokens[-1] == "" else tokens
    if len(set(tokens)) < len(tokens):
        again = next(token for row, token in enumerate(tokens) if token in tokens[:row])
        raise invalid(
            VOCABULARY, str(path), f"hold each token once ({again!r} stands twice)", "mend the file"
        )
    return tuple(tokens)


def _read_vectors(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    def refused(rule: str, next_step: str = _NEXT) -> FedbertError:
        return invalid(VECTORS, str(path), rule, next_step)

    # Asked first: a pipe would be waited for.
    if not path.is_file():
        raise refused("be a file", "check the path")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise refused(f"be a Parquet file ({type(error).__name__})", "save it as Parquet") from None
    for column in (_TEXT, _VECTOR):
        if table.column_names.count(column) != 1:
            there = ", ".join(table.column_names)
            raise refused(f"have one column {column!r} (has {there})", "name the columns text and vector")
    if table.num_rows == 0:
        raise refused("have at least one row", "fill it")
    text, vector = (table.column(column).combine_chunks() for column in (_TEXT, _VECTOR))
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        raise refused(f"have text in column {_TEXT!r} (has {text.type})", "save it as text")
    texts = text.to_pylist()
    for row, each in enumerate(texts):
        if each is None or not each.strip():
            raise refused(f"have a text in each row (row {row + 1} has none)", "drop the row")
    if len(set(texts)) < len(texts):
        raise refused(f"have each text once ({len(texts) - len(set(texts)):,} rows repeat one)", "drop these")
    return tuple(texts), _matrix(vector, refused)


def _matrix(vector: pa.Array, refused: Callable[[str], FedbertError]) -> NDArray[np.float32]:
    """Return a column of lists as unit vectors `[row, width]`; `refused` makes the error of a rule."""
    kind = vector.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        raise refused(f"have lists of float32 in column {_VECTOR!r} (has {kind})")
    if vector.null_count:
        row = vector.is_null().index(True).as_py()
        raise refused(f"have a vector in each row (row {row + 1} has none)")
    widths = pc.list_value_length(vector).to_numpy(zero_copy_only=False)
    uneven = np.flatnonzero(widths != widths[0])
    if len(uneven):
        row = int(uneven[0])
        raise refused(f"have vectors of one width (row 1 has {widths[0]}, row {row + 1} has {widths[row]})")
    if widths[0] < 2:
        raise refused(f"have vectors of 2 features or more (has {widths[0]})")
    flat = vector.flatten().cast(pa.float32(), safe=False)
    # A missing number becomes NaN, which is refused below.
    matrix = np.array(flat.to_numpy(zero_copy_only=False), np.float32).reshape(len(vector), int(widths[0]))
    bad = np.flatnonzero(~np.isfinite(matrix).all(1))
    if len(bad):
        raise refused(f"have finite numbers (row {int(bad[0]) + 1} has another; {len(bad):,} rows in all)")
    empty = np.flatnonzero(~matrix.any(1))
    if len(empty):
        raise refused(f"have vectors with a direction (row {int(empty[0]) + 1} is all zeros)")
    # By the largest first: a square of a large or a tiny float32 is none any more.
    matrix /= np.abs(matrix).max(1, keepdims=True)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix
