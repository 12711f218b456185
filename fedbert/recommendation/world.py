"""Worlds: who the users are, what they say and want, and what the server may know of it.

A world is public data plus a law of sessions. `load_world` is for the simulator; a server process calls
`load_public`, which opens public files only.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.parts import WORLDS
from fedbert.plugins import Named, load_named
from fedbert.recommendation.catalogue import Catalogue, PublicData, read_shipped_public
from fedbert.recommendation.sessions import (
    Block,
    Kind,
    Requests,
    Sessions,
    WorldSettings,
    activity,
    activity_share,
)

__all__ = [
    "Block",
    "Catalogue",
    "Kind",
    "PublicData",
    "Requests",
    "Sessions",
    "World",
    "WorldSettings",
    "activity",
    "activity_share",
    "load_public",
    "load_world",
]

NEEDED = ("name", "public", "texts", "evaluation_text", "users", "reuse_note", "history", "sessions")
"""What a world has: the names of `World`."""

PAGE = "docs/how-to/world.md shows one"


class World(Protocol):
    """A world; `texts` are private (text id = index), `evaluation_text` those that evaluation sessions use.

    users: how many distinct users there are, None if each device has its own. reuse_note: what to tell the
    reader when devices outnumber them.
    """

    @property
    def name(self) -> str:
        """The world's name."""

    @property
    def public(self) -> PublicData:
        """What the server may hold."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts that are on phones only."""

    @property
    def evaluation_text(self) -> NDArray[np.bool_]:
        """Whether evaluation sessions use a text, [text]."""

    @property
    def users(self) -> int | None:
        """Distinct users; None: as many as devices."""

    @property
    def reuse_note(self) -> str | None:
        """What reusing users means for privacy."""

    def history(self, block: Block) -> Requests:
        """Return the sessions before the clock, newest last."""

    def sessions(self, block: Block, round_: int, kind: Kind) -> Sessions:
        """Return a block's sessions in a round; round 0 is the window before the clock."""


def load_world(
    name: str,
    items: Path | None = None,
    interactions: Path | None = None,
    split: str = "date",
    min_rating: float | None = None,
) -> World:
    """Return a world with its private part: one of `WORLDS`, or what ``my.py:load`` returns.

    All but `name` are for the world 'interactions'. Raises `FedbertError` for an unknown name or a file that
    is wrong.
    """
    load = load_named(name, WORLDS, "world", "world")
    if name == "interactions":
        files: World = load(items, interactions, split, min_rating)
        return files
    _no_files(name, items, interactions)
    world: World = load() if name in WORLDS else Named("world", name, PAGE).made(load, NEEDED)
    return world


def load_public(name: str, items: Path | None = None, interactions: Path | None = None) -> PublicData:
    """Return a world's public part and open no private file: `interactions` is taken and never opened.

    The world of a user's own file is loaded whole, as fedbert cannot tell its parts apart. Raises
    `FedbertError` as `load_world` does.
    """
    if name == "interactions":
        from fedbert.recommendation.tables import read_public

        return read_public(items)
    if name not in WORLDS:
        return load_world(name, items, interactions).public
    _no_files(name, items, interactions)
    return read_shipped_public(name)


def _no_files(name: str, items: Path | None, interactions: Path | None) -> None:
    if items is not None or interactions is not None:
        raise FedbertError(
            f"items and interactions belong to world 'interactions', not {name!r}; add --world interactions"
        )
