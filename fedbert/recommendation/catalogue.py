"""What a server may hold before the first round: the catalogue and public texts. No user, no private text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.paths import data_folder

NEIGHBOURS = 20
"""Neighbours by name that are kept of an item."""


# A table of 32 kB stays in a core's cache; more entries than items leave few steps to go from one.
_GUIDES = 2**13


def guide(cumulative: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the place where each 2^-13 begins in a running sum `cumulative` [n] that ends in 1.0.

    From there few steps are left to a number's place (Chen and Asau 1974, "On generating random variates
    from an empirical distribution").
    """
    return np.searchsorted(cumulative, np.arange(_GUIDES) / _GUIDES).astype(np.int32)


class PopularityLaw(NamedTuple):
    """How items are drawn by popularity: its running sum `[item]`, which ends in 1.0, the sum's `guide`, and
    the items `[item]`, most popular first."""

    cumulative: NDArray[np.float64]
    begins: NDArray[np.int32]
    top: NDArray[np.int32]


@dataclass(frozen=True)
class Catalogue:
    """The items every phone and the server know.

    texts: the written name of each item. popularity: float64 [item], sums to 1. neighbours: int32
    [item, NEIGHBOURS], the items with the nearest names, without the item itself. default_rank: int32 [item],
    0 is the most popular; it is the server's default order and breaks ties.
    """

    texts: tuple[str, ...]
    popularity: NDArray[np.float64]
    neighbours: NDArray[np.int32]
    default_rank: NDArray[np.int32]

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.texts)

    @cached_property
    def law(self) -> PopularityLaw:
        """How items are drawn by popularity."""
        cumulative = np.cumsum(self.popularity)
        cumulative /= cumulative[-1]
        return PopularityLaw(cumulative, guide(cumulative), np.argsort(self.default_rank).astype(np.int32))

    @property
    def has_popularity(self) -> bool:
        """Whether some items are more popular than others, so that an order by popularity says something."""
        return bool(self.popularity.max() > self.popularity.min())


@dataclass(frozen=True)
class PublicData:
    """A world's public part. `item` is int32 [text], -1 for general text; `split` names each text's use:
    'general', 'train' or 'validation'."""

    name: str
    catalogue: Catalogue
    texts: tuple[str, ...]
    item: NDArray[np.int32]
    split: tuple[str, ...]
    manifest: dict[str, Any]


def make_catalogue(
    texts: Sequence[str], popularity: NDArray[np.float64], neighbours: NDArray[np.int32]
) -> Catalogue:
    """Return a catalogue with its default order: most popular first, equal ones in the order of the items."""
    default_rank = np.empty(len(texts), np.int32)
    default_rank[np.argsort(-popularity, kind="stable")] = np.arange(len(texts), dtype=np.int32)
    return Catalogue(tuple(texts), popularity, neighbours, default_rank)


def read_shipped_public(name: str) -> PublicData:
    """Return the public part of a shipped world; opens items, public and manifest only."""
    folder = data_folder() / name
    items = read_shipped(folder / "items.parquet")
    public = read_shipped(folder / "public.parquet")
    neighbours = np.asarray(items["neighbours"].combine_chunks().flatten(), np.int32)
    catalogue = make_catalogue(
        items["text"].to_pylist(),
        np.asarray(items["popularity"], np.float64),
        neighbours.reshape(items.num_rows, -1),
    )
    return PublicData(
        name,
        catalogue,
        tuple(public["text"].to_pylist()),
        np.asarray(public["item"], np.int32),
        tuple(public["split"].to_pylist()),
        json.loads((folder / "manifest.json").read_text(encoding="utf-8")),
    )


def read_shipped(path: Path) -> Any:
    """Return one of the package's own tables.

    Raises `FedbertError` if the installation lacks it.
    """
    try:
        return pq.read_table(path)
    except FileNotFoundError:
        raise FedbertError(
            f"{path.parent.name}/{path.name} is missing from the installed package; install fedbert again"
        ) from None
