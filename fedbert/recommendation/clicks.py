"""What a user clicks in a ranked list: a cascade with position bias and mistakes.

The cascade model of Craswell et al. 2008 with a chance to give up at each place: a user looks at the list
from the top, goes on to the next place with a fixed probability, and clicks the first item looked at that
attracts. The target item attracts almost always, another item seldom. The numbers are modelled.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedbert.randomness import Purpose, keys
from fedbert.recommendation.sessions import (
    Block,
    Requests,
    candidates_at,
    session_uniforms,
)
from fedbert.recommendation.world import World
from fedbert.results import CANDIDATES

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
    from fedbert.kernels.clicks import fill_clicks

    size = order.shape[1]
    ends = _ends(1.0 - model.continue_, size), _ends(model.attract_other, size)
    clicked = np.empty(len(item), np.int32), np.empty(len(item), np.int8)
    fill_clicks(draw, order, item, ends, model.attract_target, clicked)
    return clicked


def _ends(success: float, most: int) -> NDArray[np.float64]:
    """Return the chance that the first success in independent trials comes by trial 1, 2, ... `most`."""
    return np.asarray(1.0 - (1.0 - success) ** np.arange(1, most + 1))


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
    # Lists before the clock decide what a phone remembers, in a run that ranks nothing too.
    length, size = wanted.text.shape[1], block.settings.candidates or CANDIDATES
    catalogue = world.public.catalogue
    clicked = np.full(wanted.item.shape, -1, np.int32)
    for step in range(length):
        row = np.flatnonzero(wanted.item[:, step] >= 0)
        item = wanted.item[row, step]
        drawn = keys(block.devices.seed, Purpose.HISTORY_CANDIDATES, [step]), np.zeros(len(row), np.int8)
        candidates = candidates_at(catalogue, (*drawn, block.devices.first + row), item, size)
        # By default the most popular come first.
        shown = catalogue.law.top[np.sort(catalogue.default_rank[candidates], axis=1)]
        draw = block.devices.chosen(row).uniforms(Purpose.HISTORY_CLICK, step, DRAWS)
        clicked[row, step] = clicks_from_draws(draw, shown, item, model)[0]
    place = np.argsort(clicked >= 0, axis=1, kind="stable")
    clicked = np.take_along_axis(clicked, place, axis=1)
    text = np.take_along_axis(wanted.text, place, axis=1)
    return Requests(np.where(clicked >= 0, text, -1).astype(np.int32), clicked)
