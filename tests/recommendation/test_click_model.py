"""What users click: the cascade's law, its plain reference, and the clicked history before the clock."""

from collections.abc import Callable

import numpy as np
import pytest

from fedbert.randomness import Purpose, uniforms
from fedbert.recommendation import clicks as module
from fedbert.recommendation.clicks import ClickModel, clicked_history, clicks, clicks_from_draws
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.recommendation.services import ServicesWorld
from fedbert.recommendation.sessions import Block, Kind

MakeBlock = Callable[..., Block]

MODEL = ClickModel(continue_=0.8, attract_target=0.7, attract_other=0.1)


def geometric(number: float, success: float, most: int) -> int:
    """Return the first success of trials by inversion, most + 1 if there is none."""
    return next((k for k in range(1, most + 1) if number <= 1 - (1 - success) ** k), most + 1)


def plain_click(draw: np.ndarray, shown: list[int], item: int, model: ClickModel) -> tuple[int, int]:
    """Return (item, rank) that one user clicks, looking down the list."""
    looked = geometric(draw[0], 1 - model.continue_, len(shown))
    others = geometric(draw[1], model.attract_other, len(shown))
    for rank, candidate in enumerate(shown, start=1):
        if rank > looked:
            break
        if candidate == item:
            if draw[2] < model.attract_target:
                return candidate, rank
        else:
            others -= 1
            if others == 0:
                return candidate, rank
    return -1, 0


def test_clicks_agree_with_one_user_alone() -> None:
    """The vectorised cascade equals a user who looks down the list place by place."""
    random = np.random.default_rng(0)
    shown = np.stack([random.permutation(40)[:12] for _ in range(3000)]).astype(np.int32)
    item = shown[np.arange(3000), random.integers(0, 12, 3000)]
    item[:50] = 99
    draw = uniforms(0, Purpose.CLICK, 0, 0, 3000, 3)
    clicked, rank = clicks_from_draws(draw, shown, item, MODEL)
    expected = [plain_click(draw[row], shown[row].tolist(), int(item[row]), MODEL) for row in range(3000)]
    assert list(zip(clicked.tolist(), rank.tolist(), strict=True)) == expected
    assert (clicked == -1).any()
    assert ((clicked >= 0) & (clicked != item)).any()


@pytest.mark.parametrize("place", [1, 3, 10])
def test_the_chance_of_a_right_click_is_the_cascades(place: int) -> None:
    """P(click the target item at rank r) = (continue (1 - attract_other))^(r - 1) attract_target."""
    shown = np.tile(np.arange(20, dtype=np.int32), (60000, 1))
    item = np.full(60000, place - 1, np.int32)
    draw = uniforms(7, Purpose.CLICK, place, 0, 60000, 3)
    clicked, rank = clicks_from_draws(draw, shown, item, MODEL)
    expected = (0.8 * 0.9) ** (place - 1) * 0.7
    assert (clicked == item).mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / 60000))
    assert np.all(rank[clicked == item] == place)
    # The first place is always looked at, so an other item there is clicked with its own chance.
    if place > 1:
        assert (rank == 1).mean() == pytest.approx(0.1, abs=0.01)


def test_clicks_depend_on_device_round_and_slot_alone(services: ServicesWorld, make_block: MakeBlock) -> None:
    """A part of the fleet clicks what it clicks in the whole."""
    whole, part = make_block(0, 300), make_block(120, 90)
    results = []
    for block in (whole, part):
        found = services.sessions(block, 10, Kind.LEARNING)
        clicked, rank = clicks(block, 10, found.device, found.slot, found.candidates, found.item, MODEL)
        device = found.device + block.devices.first
        kept = (device >= 120) & (device < 210)
        results.append(np.stack([device[kept], clicked[kept], rank[kept]]))
    assert results[0].shape[1] > 10
    assert np.array_equal(*results)


def test_history_holds_clicks_not_truths(services: ServicesWorld, make_block: MakeBlock) -> None:
    """Before the clock lists stood in the default order: users missed some and clicked some others."""
    block = make_block(count=2000)
    wanted, found = services.history(block), clicked_history(services, block, ClickModel())
    known = found.item >= 0
    assert np.array_equal(known, found.text >= 0)
    assert np.all(known[:, 1:] >= known[:, :-1])
    assert 0.4 < known.mean() < 0.9
    assert all(
        set(found.text[row][known[row]].tolist()) <= set(wanted.text[row].tolist())
        for row in range(block.devices.count)
    )
    owner = np.full(len(services.texts), -1)
    owner[services.learning.text] = np.repeat(np.arange(278), services.learning.count)
    mistaken = (owner[found.text] != found.item)[known].mean()
    assert 0.01 < mistaken < 0.2


def test_clicked_history_keeps_the_order_of_time(services: ServicesWorld, make_block: MakeBlock) -> None:
    """The remembered texts stand in the order in which they were said, newest last."""
    block = make_block(count=200)
    wanted, found = services.history(block), clicked_history(services, block, ClickModel())
    for row in range(200):
        said = wanted.text[row].tolist()
        kept = [text for text in found.text[row].tolist() if text >= 0]
        places = [said.index(text) for text in kept]
        assert places == sorted(places) or len(set(said)) < len(said)


@pytest.mark.parametrize("name", ["services", "films"])
def test_clicked_history_does_not_depend_on_the_split(
    name: str, request: pytest.FixtureRequest, make_block: MakeBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 1 and 99 devices in small chunks equal one block of 100."""
    world: ServicesWorld | SequenceWorld = request.getfixturevalue(name)
    whole = clicked_history(world, make_block(30, 100), ClickModel())
    monkeypatch.setattr(module, "_DEVICES_PER_CHUNK", 17)
    parts = [clicked_history(world, make_block(*place), ClickModel()) for place in ((30, 1), (31, 99))]
    assert np.array_equal(np.concatenate([part.item for part in parts]), whole.item)
    assert np.array_equal(np.concatenate([part.text for part in parts]), whole.text)
