"""Masks cancel, survive drop-outs, and hide what they cover."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2

from fedbert.errors import FedbertError
from fedbert.privacy.secure_sum import (
    KEY_BYTES,
    MaskKeys,
    connected,
    deal_keys,
    masked_vector,
    modular_sum,
    neighbour_graph,
    unmask,
)

SECRET = bytes(range(KEY_BYTES))


def _dealt(
    ids: Sequence[int], round_number: int = 2, secret: bytes = SECRET
) -> tuple[dict[int, tuple[int, ...]], dict[int, MaskKeys]]:
    """Return the graph and the keys of a round."""
    graph = neighbour_graph(secret, round_number, ids)
    return graph, deal_keys(secret, round_number, graph)


def _values(parties: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, (parties, size), dtype=np.uint32)


def test_every_survivor_set_of_a_tiny_cohort() -> None:
    """Whoever of five devices answers, the unmasked sum is the plain sum of those who did, mod 2^32."""
    ids = [3, 17, 40, 41, 900]
    values = _values(5, 6)
    graph, keys = _dealt(ids)
    sent = [masked_vector(values[place], ids[place], keys[ids[place]]) for place in range(5)]
    for size in range(1, 6):
        for alive in combinations(range(5), size):
            total = unmask(modular_sum([sent[i] for i in alive]), [ids[i] for i in alive], graph, keys)
            assert total.tolist() == values[list(alive)].sum(0, dtype=np.uint32).tolist()


def test_sixty_four_devices_of_real_size_with_a_third_dropping_out() -> None:
    """64 vectors of 40,000 numbers are masked, summed and unmasked exactly."""
    ids = [7 * number for number in range(64)]
    values = _values(64, 40_000)
    graph, keys = _dealt(ids)
    sent = [masked_vector(values[place], ids[place], keys[ids[place]]) for place in range(64)]
    alive = [place for place in range(64) if place % 3]
    total = unmask(modular_sum([sent[i] for i in alive]), [ids[i] for i in alive], graph, keys)
    assert np.array_equal(total, values[alive].sum(0, dtype=np.uint32))


def test_sums_wrap_around() -> None:
    """Values next to 2^32 come back as their sum mod 2^32, negative numbers included."""
    values = np.array([[2**32 - 1, 2**31], [2, 2**31], [2**32 - 5, 1]], np.uint32)
    ids = [2**48 - 3, 2**48 - 2, 2**48 - 1]
    graph, keys = _dealt(ids)
    sent = [masked_vector(values[place], ids[place], keys[ids[place]]) for place in range(3)]
    total = unmask(modular_sum(sent), ids, graph, keys)
    assert total.view(np.int32).tolist() == [-4, 1]


def test_one_masked_vector_looks_uniform() -> None:
    """A masked vector of zeros has evenly spread bytes (chi-square), alone and beside its neighbour's."""
    _, keys = _dealt([1, 2, 3])
    zeros = np.zeros(50_000, np.uint32)
    first, second = (masked_vector(zeros, party, keys[party]) for party in (1, 2))
    for seen in (first, second, first + second, first - second):
        counts = np.bincount(seen.view(np.uint8), minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert chi2.sf(statistic, 255) > 1e-3


def test_masks_change_with_round_and_secret() -> None:
    """No mask is used twice: each key of each party, round and secret is another."""
    zeros = np.zeros(8, np.uint32)
    dealt = [
        _dealt([1, 2, 3], round_number, secret)[1]
        for secret in (SECRET, bytes(KEY_BYTES))
        for round_number in (1, 2)
    ]
    assert len({masked_vector(zeros, 1, keys[1]).tobytes() for keys in dealt}) == 4
    distinct = {
        key for keys in dealt for party in keys for key in (keys[party].own, *keys[party].pairs.values())
    }
    assert len(distinct) == 4 * (3 + 3)


def test_the_two_ends_of_a_pair_get_one_key_and_nobody_another_s() -> None:
    """A party holds its own key and one for each neighbour, which only that neighbour holds too."""
    graph, keys = _dealt(range(40))
    holders: dict[bytes, set[int]] = {}
    for party, dealt in keys.items():
        assert set(dealt.pairs) == set(graph[party])
        for key in (dealt.own, *dealt.pairs.values()):
            assert len(key) == KEY_BYTES
            holders.setdefault(key, set()).add(party)
    for party, dealt in keys.items():
        assert holders[dealt.own] == {party}
        assert all(holders[key] == {party, other} for other, key in dealt.pairs.items())


def test_the_graph_is_mutual_and_regular() -> None:
    """Neighbours know each other, have the wanted number of neighbours, and all are joined."""
    ids = list(range(100, 140))
    graph = neighbour_graph(SECRET, 2, ids, degree=6)
    assert all(len(set(others)) == 6 and party not in others for party, others in graph.items())
    assert all(party in graph[other] for party, others in graph.items() for other in others)
    assert connected(graph, ids)
    assert neighbour_graph(SECRET, 2, [5]) == {5: ()}
    assert all(len(others) == 4 for others in neighbour_graph(SECRET, 2, [1, 2, 3, 4, 5]).values())


def test_survivors_without_a_common_mask_are_refused() -> None:
    """If the survivors fall into groups, each group's sum would show: the round is to be held."""
    graph = {0: (1,), 1: (0, 2), 2: (1, 3), 3: (2,)}
    assert not connected(graph, [0, 3])
    with pytest.raises(FedbertError, match="fall into groups"):
        unmask(np.zeros(2, np.uint32), [0, 3], graph, deal_keys(SECRET, 1, graph))
    assert connected(graph, [])


def test_mistakes_are_refused() -> None:
    """Double numbers, numbers out of range, a degree of zero and strangers get one line each."""
    with pytest.raises(FedbertError, match="distinct"):
        neighbour_graph(SECRET, 1, [1, 1])
    with pytest.raises(FedbertError, match=r"2\^48"):
        neighbour_graph(SECRET, 1, [-1])
    with pytest.raises(FedbertError, match="degree"):
        neighbour_graph(SECRET, 1, [1, 2], degree=0)
    with pytest.raises(FedbertError, match="not in the round's graph"):
        unmask(np.zeros(2, np.uint32), [9], {1: ()}, {})
