"""The law of tastes in `services`: an urn, its posterior predictive, tiers, and texts of the right split."""

from collections.abc import Callable

import numpy as np
import pytest

from fedbert.randomness import Purpose, uniforms
from fedbert.recommendation.services import ServicesWorld, tier_popularity
from fedbert.recommendation.sessions import Block, Kind

MakeBlock = Callable[..., Block]


def plain_history(world: ServicesWorld, block: Block, row: int) -> list[int]:
    """Return one device's history of services, drawn step by step."""
    length, non_iid = block.settings.history_length, block.settings.non_iid
    draw = block.devices.part(slice(row, row + 1)).uniforms(Purpose.TASTE, 0, 2 * length)[0]
    bounds = np.cumsum(tier_popularity(world, block.settings.tier_correlation)[block.tier[row]])
    history: list[int] = []
    for step in range(length):
        coin, number = draw[2 * step], draw[2 * step + 1]
        if coin < length / (length + non_iid * step) or not history:
            history.append(int(np.searchsorted(bounds / bounds[-1], number)))
        else:
            history.append(history[int(number * step)])
    return history


@pytest.mark.parametrize("non_iid", [0.0, 1.0, 20.0])
def test_histories_agree_with_one_device_alone(
    services: ServicesWorld, make_block: MakeBlock, non_iid: float
) -> None:
    """The urn over all devices at once equals the urn of each device by itself."""
    block = make_block(17, 40, non_iid=non_iid)
    found = services.history(block).item
    assert found.tolist() == [plain_history(services, block, row) for row in range(40)]


def test_two_visits_match_as_often_as_a_dirichlet_says(
    services: ServicesWorld, make_block: MakeBlock
) -> None:
    """Two draws of one device agree with probability (1 + a s) / (1 + a), s = sum of popularity squared.

    That is the Dirichlet-multinomial law with concentration a = H / non_iid, in the history, and between the
    history and later sessions.
    """
    block = make_block(count=20000, non_iid=2.0, tier_correlation=0.0, evaluation_per_device_day=24.0)
    squares = float((services.public.catalogue.popularity**2).sum())
    concentration = 8 / 2.0
    expected = (1 + concentration * squares) / (1 + concentration)
    item = services.history(block).item
    assert (item[:, 1] == item[:, 6]).mean() == pytest.approx(expected, abs=0.015)
    later = services.sessions(block, 10, Kind.EVALUATION)
    first = later.slot == 0
    matches = item[later.device[first]] == later.item[first][:, None]
    assert matches.mean() == pytest.approx(expected, abs=0.015)


def test_non_iid_zero_means_everyone_follows_popularity(
    services: ServicesWorld, make_block: MakeBlock
) -> None:
    """Without non-IID tastes a history repeats no more than popularity makes it."""
    block = make_block(count=20000, non_iid=0.0, tier_correlation=0.0)
    item = services.history(block).item
    popularity = services.public.catalogue.popularity
    assert (item[:, 0] == item[:, 7]).mean() == pytest.approx(float((popularity**2).sum()), abs=0.003)
    share = np.bincount(item.ravel(), minlength=278) / item.size
    assert np.abs(share - popularity).max() < 0.002


def test_tiers_lean_to_their_areas(services: ServicesWorld, make_block: MakeBlock) -> None:
    """Flagship users ask more for services tilted up, entry users less; without correlation all are alike."""
    up = services.tier_tilt > 0
    shares = {}
    for correlation in (0.0, 0.5):
        block = make_block(count=15000, tier_correlation=correlation)
        tilted = up[services.history(block).item]
        shares[correlation] = [tilted[block.tier == tier].mean() for tier in range(3)]
        expected = tier_popularity(services, correlation)[:, up].sum(axis=1)
        assert shares[correlation] == pytest.approx(expected, abs=0.015)
    assert np.ptp(shares[0.0]) < 0.02
    assert shares[0.5][0] < shares[0.5][1] < shares[0.5][2]
    assert set(services.tier_tilt) == {-1.0, 1.0}


def test_texts_are_of_their_service_and_their_split(services: ServicesWorld, make_block: MakeBlock) -> None:
    """Only evaluation uses evaluation texts, and each text belongs to its session's item."""
    owner = np.full(len(services.texts), -1)
    for group in (services.learning, services.evaluation):
        owner[group.text] = np.repeat(np.arange(278), group.count)
    block = make_block(count=4000)
    history = services.history(block)
    assert not services.evaluation_text[history.text].any()
    assert np.array_equal(owner[history.text], history.item)
    for kind in Kind:
        sessions = services.sessions(block, 6, kind)
        assert np.all(services.evaluation_text[sessions.text] == (kind is Kind.EVALUATION))
        assert np.array_equal(owner[sessions.text], sessions.item)


def test_every_text_of_a_service_is_as_likely_as_another(services: ServicesWorld) -> None:
    """A text is drawn uniformly among its item's."""
    item = np.zeros(50000, np.int32)
    draw = uniforms(3, Purpose.SAMPLE, 0, 0, 50000, 1)[:, 0]
    count = np.bincount(services.evaluation.pick(item, draw))
    count = count[count > 0]
    assert len(count) == services.evaluation.count[0]
    assert count.min() > 0.85 * 50000 / len(count)
    assert count.max() < 1.15 * 50000 / len(count)
