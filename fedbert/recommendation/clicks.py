"""What a user clicks in a ranked list: a cascade with position bias and mistakes.

The cascade model of Craswell et al. 2008 with a chance to give up at each place: a user looks at the list
from the top, goes on to the next place with a fixed probability, and clicks the first item looked at that
attracts. The target item attracts almost always, another item seldom. The numbers are modelled.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedbert.randomness import Purpose
from fedbert.recommendation.scorer import default_scores
from fedbert.recommendation.scorer import order as best_first
from fedbert.recommendation.sessions import (
    Block,
    Requests,
    candidate_draws,
    draw_candidates,
    session_uniforms,
)
from fedbert.recommendation.world import World

DRAWS = 3
_DEVICES_PER_CHUNK = 16384


@dataclass(frozen=True)
class ClickModel:
    """Modelled chances, all in (0, 1).

    continue_: to look at the next place. attract_target, attract_other: that an item looked at attracts,
    for the target item and for any other.
    """

    continue_: float = 0.95
    attract_target: float = 0.9
    attract_other: float = 0.005


def clicks(
    block: Block,
    round_: int,
    device: NDArray[np.int32],
    slot: NDArray[np.int8],
    order: NDArray[np.int32],
    item: NDArray[np.int32],
    model: ClickModel,
    purpose: Purpose = Purpose.CLICK,
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return (clicked item [s], -1 for none; its rank [s] from 1, 0 for none) in lists `order` [s, C].

    `device` and `slot` are those of `Sessions`: three draws per session, by device, round and slot.
    """
    draw = session_uniforms(block, purpose, round_, device, slot, DRAWS)
    return clicks_from_draws(draw, order, item, model)


def clicks_from_draws(
    draw: NDArray[np.float64], order: NDArray[np.int32], item: NDArray[np.int32], model: ClickModel
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return the clicks that uniforms `draw` `[s, 3]` lead to; see `clicks`.

    The places looked at and the first other item that attracts are geometric, each by inversion of one
    uniform; the third decides whether the target item attracts.
    """
    size = order.shape[1]
    looked = _geometric(draw[:, 0], 1.0 - model.continue_, size)
    other = _geometric(draw[:, 1], model.attract_other, size)
    target = np.where(
        (order == item[:, None]).any(axis=1), np.argmax(order == item[:, None], axis=1) + 1, size + 1
    )
    # `other` counts places among the other items: those below the target item stand one lower.
    other = other + (other >= target)
    attracted = np.where(draw[:, 2] < model.attract_target, target, size + 1)
    rank = np.minimum(other, attracted)
    rank = np.where((rank <= looked) & (rank <= size), rank, 0)
    clicked = np.take_along_axis(order, np.maximum(rank - 1, 0)[:, None], axis=1)[:, 0]
    return np.where(rank > 0, clicked, -1).astype(np.int32), rank.astype(np.int8)


def _geometric(draw: NDArray[np.float64], success: float, most: int) -> NDArray[np.int64]:
    """Return the first success in independent trials, from 1, at most `most` + 1."""
    ends = 1.0 - (1.0 - success) ** np.arange(1, most + 1)
    return np.searchsorted(ends, draw) + 1


def clicked_history(world: World, block: Block, model: ClickModel) -> Requests:
    """Return what the phones remember when the clock starts: of `world.history`, what was clicked.

    Before the clock the lists stood in the server's default order. Sessions without a click are forgotten;
    what is left moves to the end of its row.
    """
    parts = []
    for rows in block.devices.blocks(_DEVICES_PER_CHUNK):
        part = replace(block, devices=block.devices.part(rows), tier=block.tier[rows])
        parts.append(_clicked_history(world, part, model))
    return Requests(
        np.concatenate([part.text for part in parts]), np.concatenate([part.item for part in parts])
    )


def _clicked_history(world: World, block: Block, model: ClickModel) -> Requests:
    wanted = world.history(block)
    length, size = wanted.text.shape[1], block.settings.candidates
    catalogue = world.public.catalogue
    clicked = np.full(wanted.item.shape, -1, np.int32)
    for step in range(length):
        row = np.flatnonzero(wanted.item[:, step] >= 0)
        item = wanted.item[row, step]
        draw = block.devices.uniforms(Purpose.HISTORY_CANDIDATES, step, candidate_draws(size))[row]
        candidates = draw_candidates(catalogue, item, draw, size)
        shown = best_first(default_scores(catalogue, candidates), candidates, catalogue.default_rank)
        draw = block.devices.uniforms(Purpose.HISTORY_CLICK, step, DRAWS)[row]
        clicked[row, step] = clicks_from_draws(draw, shown, item, model)[0]
    place = np.argsort(clicked >= 0, axis=1, kind="stable")
    clicked = np.take_along_axis(clicked, place, axis=1)
    text = np.take_along_axis(wanted.text, place, axis=1)
    return Requests(np.where(clicked >= 0, text, -1).astype(np.int32), clicked)
