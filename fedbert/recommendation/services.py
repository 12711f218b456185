"""The world `services`: real requests to assistants and a bank, modelled tastes.

A device's taste is a draw from Dirichlet(a * popularity), a = history_length / non_iid, never written down:
its history is a Pólya urn (Blackwell and MacQueen 1973), which has exactly the law of draws from such a
taste, and a later session's service follows the posterior predictive given the history: a fresh draw from
popularity with probability a / (a + H), else one of the H services of the history. Sessions of a device are
independent given its history.

Modelled too: popularity is multiplied by exp(tier_correlation * tier_tilt * (tier - 1)), with a tilt of +1 or
-1 for each area of services.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.paths import data_folder
from fedbert.randomness import ONCE, Purpose
from fedbert.recommendation.catalogue import PublicData, read_shipped, read_shipped_public
from fedbert.recommendation.sessions import (
    Block,
    Kind,
    Requests,
    Sessions,
    WorldSettings,
    candidate_draws,
    draw_by_weight,
    draw_candidates,
    session_hours,
    session_places,
    session_uniforms,
)
from fedbert.results import TIERS


@dataclass(frozen=True)
class TextsByItem:
    """Texts grouped by item: those of item i are `text[start[i] : start[i] + count[i]]`."""

    text: NDArray[np.int32]
    start: NDArray[np.int64]
    count: NDArray[np.int64]

    def pick(self, item: NDArray[np.int32], draw: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return one text of each item, uniformly, by uniforms of the same shape."""
        return self.text[self.start[item] + (draw * self.count[item]).astype(np.int64)]


def group_by_item(text: NDArray[np.int64], item: NDArray[np.int32], items: int) -> TextsByItem:
    """Group texts (ids `text`, with `item[text]`) by item."""
    owner = item[text]
    count = np.bincount(owner, minlength=items)
    ordered = text[np.argsort(owner, kind="stable")].astype(np.int32)
    return TextsByItem(ordered, np.cumsum(count) - count, count)


@dataclass(frozen=True)
class ServicesWorld:
    """Users who ask for services in their own words; see the module's text."""

    name: str
    public: PublicData
    texts: tuple[str, ...]
    evaluation_text: NDArray[np.bool_]
    users: int | None
    reuse_note: str | None
    tier_tilt: NDArray[np.float64]
    learning: TextsByItem
    evaluation: TextsByItem

    def history(self, block: Block) -> Requests:
        """Return the sessions before the clock, newest last: services by the urn, learning texts."""
        length = block.settings.history_length
        item = self._urn(block, np.arange(block.devices.count))
        text_draw = block.devices.uniforms(Purpose.HISTORY, ONCE, length)
        return Requests(self.learning.pick(item, text_draw), item)

    def sessions(self, block: Block, round_: int, kind: Kind) -> Sessions:
        """Return the sessions of round `round_` (0: the window before the clock) of one kind."""
        learning = kind is Kind.LEARNING
        device, slot = session_places(block, round_, kind)
        purpose = Purpose.LEARNING_SESSION if learning else Purpose.EVALUATION_SESSION
        draw = session_uniforms(block, purpose, round_, device, slot, 4)
        item = self._service(block, device, draw[:, 0], draw[:, 1])
        text = (self.learning if learning else self.evaluation).pick(item, draw[:, 2])
        hour = session_hours(block.settings, round_, draw[:, 3])
        size = block.settings.candidates
        purpose = Purpose.LEARNING_CANDIDATES if learning else Purpose.EVALUATION_CANDIDATES
        draw = session_uniforms(block, purpose, round_, device, slot, candidate_draws(size))
        return Sessions(
            device, slot, hour, text, item, draw_candidates(self.public.catalogue, item, draw, size)
        )

    def _service(
        self, block: Block, device: NDArray[np.int32], coin: NDArray[np.float64], draw: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        length = block.settings.history_length
        fresh = self._popular(block.settings, block.tier[device], draw)
        users, row = np.unique(device.astype(np.int64), return_inverse=True)
        habit = self._urn(block, users)[row, (draw * length).astype(np.int64)]
        return np.where(coin < _fresh_share(block.settings, length), fresh, habit).astype(np.int32)

    def _urn(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the history's services of the devices in `rows` of the block, `[rows, H]`."""
        length = block.settings.history_length
        draw = block.devices.uniforms(Purpose.TASTE, ONCE, 2 * length)[rows]
        tier = block.tier[rows]
        item = np.empty((len(rows), length), np.int32)
        everyone = np.arange(len(rows))
        for step in range(length):
            fresh = self._popular(block.settings, tier, draw[:, 2 * step + 1])
            seen = item[everyone, (draw[:, 2 * step + 1] * step).astype(np.int64)] if step else fresh
            item[:, step] = np.where(draw[:, 2 * step] < _fresh_share(block.settings, step), fresh, seen)
        return item

    def _popular(
        self, settings: WorldSettings, tier: NDArray[np.int8], draw: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Return services drawn by popularity as users of each `tier` [n] have it, by uniforms [n]."""
        cumulative = tier_popularity(self, settings.tier_correlation).cumsum(axis=1)
        cumulative /= cumulative[:, -1:]
        result = np.empty(len(draw), np.int32)
        for level in range(len(TIERS)):
            here = tier == level
            result[here] = draw_by_weight(cumulative[level], draw[here])
        return result


def _fresh_share(settings: WorldSettings, seen: int) -> float:
    """Return a / (a + seen) for a = history_length / non_iid."""
    return settings.history_length / (settings.history_length + settings.non_iid * seen)


def tier_popularity(world: ServicesWorld, tier_correlation: float) -> NDArray[np.float64]:
    """Return the popularity of each service among users of each tier, `[tier, item]`; rows sum to 1."""
    lean = np.arange(len(TIERS))[:, None] - 1.0
    weight = world.public.catalogue.popularity * np.exp(tier_correlation * lean * world.tier_tilt)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def load_services() -> ServicesWorld:
    """Return the shipped world `services`, private texts included."""
    public = read_shipped_public("services")
    folder = data_folder() / "services"
    private = read_shipped(folder / "private.parquet")
    item = np.asarray(private["item"], np.int32)
    evaluation = np.array(private["split"].to_pylist()) == "evaluation"
    items = public.catalogue.items
    return ServicesWorld(
        "services",
        public,
        tuple(private["text"].to_pylist()),
        evaluation,
        None,
        None,
        np.asarray(read_shipped(folder / "items.parquet")["tier_tilt"], np.float64),
        group_by_item(np.flatnonzero(~evaluation), item, items),
        group_by_item(np.flatnonzero(evaluation), item, items),
    )
