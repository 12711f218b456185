"""The public text that may train the shipped student: training requests, general sentences, written names.

Read from the data's own files (`public.parquet`, `items.parquet`); nothing here knows of any private text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedbert.ei_bert.model import streams
from fedbert.errors import FedbertError, invalid
from fedbert.files import UnreadableFile, read_text, sha256_of
from fedbert.randomness import Purpose, generator

GENERAL_LIMIT_BYTES = 1_000_000_000
"""Largest file of further sentences."""
# What varied texts are made of: shares of words that are exchanged, and for words of names; longest pieces in
# words. Requests are short, so the pieces are.
_EXCHANGED, _NAMED = 0.35, 0.17
_HALF_WORDS, _LEAD_WORDS, _TAIL_WORDS, _TAIL_OFTEN, _PART_WORDS = 12, 7, 4, 0.5, 8


@dataclass(frozen=True)
class PublicText:
    """Public texts. `requests` and `checks` have the item they ask for; `names` is the whole catalogue."""

    requests: tuple[str, ...]
    request_items: NDArray[np.int64]
    checks: tuple[str, ...]
    check_items: NDArray[np.int64]
    sentences: tuple[str, ...]
    names: tuple[str, ...]
    public_items: NDArray[np.int64]
    titles: tuple[str, ...]
    sources: dict[str, str]


def _columns(path: Path, names: Sequence[str]) -> list[list[object]]:
    try:
        # Asked first: a pipe would be waited for.
        if not path.is_file():
            raise FileNotFoundError(path)
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise FedbertError(
            f"{path} cannot be read as Parquet ({type(error).__name__}); give --data FOLDER"
        ) from error
    for name in names:
        if name not in table.column_names:
            raise FedbertError(f"{path}: column {name} is missing; expected columns {', '.join(names)}")
    return [table.column(name).to_pylist() for name in names]


def load_public_text(data: Path, general_text: Path | None = None) -> PublicText:
    """Read the public part of `data` (folders `services` and, if there, `movietweetings`).

    `general_text` adds a file with one sentence a line. Raises FedbertError for a missing file or column.
    """
    sources: dict[str, str] = {}

    def read(name: str, columns: Sequence[str]) -> list[list[object]]:
        sources[name] = sha256_of(data / name) if (data / name).is_file() else ""
        return _columns(data / name, columns)

    texts, items, splits = read("services/public.parquet", ("text", "item", "split"))
    names, public = read("services/items.parquet", ("text", "public"))
    titles: list[object] = []
    if (data / "movietweetings" / "items.parquet").is_file():
        (titles,) = read("movietweetings/items.parquet", ("text",))
    part = {
        key: [index for index, split in enumerate(splits) if split == key]
        for key in ("train", "validation", "general")
    }
    for key, chosen in part.items():
        if not chosen:
            raise FedbertError(
                f"{data / 'services/public.parquet'}: no row has split {key!r}; rebuild the world"
            )
    sentences = [str(texts[index]) for index in part["general"]]
    sentences += sentence_lines(general_text, sources)

    def item_of(chosen: list[int]) -> NDArray[np.int64]:
        return np.array([items[index] for index in chosen], np.int64)

    return PublicText(
        requests=tuple(str(texts[index]) for index in part["train"]),
        request_items=item_of(part["train"]),
        checks=tuple(str(texts[index]) for index in part["validation"]),
        check_items=item_of(part["validation"]),
        sentences=tuple(sentences),
        names=tuple(str(name) for name in names),
        public_items=np.flatnonzero(np.array(public, bool)),
        titles=tuple(str(title) for title in titles),
        sources=sources,
    )


def general_sentences(data: Path, general_text: Path | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the general sentences of `data` and of `general_text`, and the hashes of their files."""
    file = data / "services" / "public.parquet"
    texts, splits = _columns(file, ("text", "split"))
    sources = {"services/public.parquet": sha256_of(file)}
    sentences = [str(text) for text, split in zip(texts, splits, strict=True) if split == "general"]
    return (*sentences, *sentence_lines(general_text, sources)), sources


def sentence_lines(general_text: Path | None, sources: dict[str, str]) -> list[str]:
    """Return the lines of `general_text` that are not empty, and add its hash to `sources`."""
    if general_text is None:
        return []
    try:
        lines = read_text(general_text, GENERAL_LIMIT_BYTES).splitlines()
    except UnreadableFile as error:
        raise error.of("general_text", str(general_text)) from None
    sources[general_text.name] = sha256_of(general_text)
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise invalid("general_text", str(general_text), "hold a sentence", "fill it or leave it out")
    return found


def varied(
    texts: Sequence[str], names: Sequence[str], words: Sequence[str], count: int, seed: int
) -> list[str]:
    """Return `count` new texts made from public ones, for the teacher to label: no text of a user is needed.

    A quarter each are a text with a third of its words exchanged for others, half of them out of `names`,
    half out of all `words` (so that the student meets the whole vocabulary); the beginning of one text and
    the end of another; the beginning of a text and a name's description; a part of one text.
    """
    draw = generator(seed, Purpose.SAMPLE, streams.VARIED_TEXTS)
    phrases = [name.split(": ", 1)[-1].split() for name in names]
    name_words = sorted({word for name in names for word in name.lower().replace(":", "").split()})
    kind, named = draw.integers(0, 4, count), draw.integers(0, len(names), count)
    one, two = draw.integers(0, len(texts), (2, count))
    cut = draw.random((count, 2))
    out = []
    for index in range(count):
        first, second = texts[one[index]].split(), texts[two[index]].split()
        if kind[index] == 0:
            change = draw.random(len(first))
            source = [name_words if place < _NAMED else words for place in change.tolist()]
            fresh = draw.random(len(first))
            made = [
                some[int(new * len(some))] if place < _EXCHANGED else old
                for old, some, place, new in zip(first, source, change.tolist(), fresh.tolist(), strict=True)
            ]
        elif kind[index] == 1:
            made = (
                first[: 1 + int(cut[index, 0] * len(first))][:_HALF_WORDS]
                + second[int(cut[index, 1] * len(second)) :][:_HALF_WORDS]
            )
        elif kind[index] == 2:
            made = first[: int(cut[index, 0] * _LEAD_WORDS)] + phrases[named[index]]
            made += (
                second[len(second) - int(cut[index, 1] * _TAIL_WORDS) :]
                if cut[index, 1] > _TAIL_OFTEN
                else []
            )
        else:
            begin = int(cut[index, 0] * max(len(first) - 3, 1))
            made = first[begin : begin + 2 + int(cut[index, 1] * _PART_WORDS)]
        out.append(" ".join(made))
    return out
