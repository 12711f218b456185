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
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedbert.paths import data_folder
from fedbert.randomness import ONCE, Purpose, keys
from fedbert.recommendation.catalogue import PublicData, guide, read_shipped, read_shipped_public
from fedbert.recommendation.sessions import (
    Block,
    Kind,
    Requests,
    Sessions,
    WorldSettings,
    draw_by_weight,
    session_candidates,
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
        purpose = Purpose.LEARNING_CANDIDATES if learning else Purpose.EVALUATION_CANDIDATES
        catalogue = self.public.catalogue
        candidates = session_candidates(block, catalogue, purpose, round_, (device, slot, item))
        return Sessions(device, slot, hour, text, item, candidates)

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
        from fedbert.kernels.urn import fill_urns

        settings = block.settings
        item = np.empty((len(rows), settings.history_length), np.int32)
        share = np.array([_fresh_share(settings, step) for step in range(settings.history_length)])
        key = keys(block.devices.seed, Purpose.TASTE, [ONCE])
        laws = self._laws(settings.tier_correlation)
        fill_urns(key[0], block.devices.first + rows, block.tier[rows], share, laws, item)
        return item

    def _popular(
        self, settings: WorldSettings, tier: NDArray[np.int8], draw: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Return services drawn by popularity as users of each `tier` [n] have it, by uniforms [n]."""
        cumulative, begins = self._laws(settings.tier_correlation)
        result = np.empty(len(draw), np.int32)
        for level in range(len(TIERS)):
            here = tier == level
            result[here] = draw_by_weight(cumulative[level], draw[here], begins[level])
        return result

    def _laws(self, tier_correlation: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Return the running sums of each tier's popularity `[tier, item]`, and their guides."""
        if tier_correlation not in self._by_correlation:
            cumulative = tier_popularity(self, tier_correlation).cumsum(axis=1)
            cumulative /= cumulative[:, -1:]
            self._by_correlation[tier_correlation] = cumulative, np.stack([guide(row) for row in cumulative])
        return self._by_correlation[tier_correlation]

    @cached_property
    def _by_correlation(self) -> dict[float, tuple[NDArray[np.float64], NDArray[np.int32]]]:
        return {}


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
