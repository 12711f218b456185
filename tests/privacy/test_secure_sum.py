"""Masks cancel, survive drop-outs, and hide what they cover."""

from itertools import combinations
from time import process_time

import numpy as np
import pytest
from scipy.stats import chi2

from fedbert.errors import FedbertError
from fedbert.privacy.secure_sum import (
    SHARD_PARTY,
    connected,
    masked_vector,
    modular_sum,
    neighbour_graph,
    unmask,
)


def _values(parties: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, (parties, size), dtype=np.uint32)


def test_every_survivor_set_of_a_tiny_cohort() -> None:
    """Whoever of five devices answers, the unmasked sum is the plain sum of those who did, mod 2^32."""
    ids = [3, 17, 40, 41, 900]
    values = _values(5, 6)
    graph = neighbour_graph(1, 2, ids)
    sent = [masked_vector(values[place], ids[place], graph[ids[place]], 1, 2) for place in range(5)]
    for size in range(1, 6):
        for alive in combinations(range(5), size):
            total = unmask(modular_sum([sent[i] for i in alive]), [ids[i] for i in alive], graph, 1, 2)
            assert total.tolist() == values[list(alive)].sum(0, dtype=np.uint32).tolist()


def test_sixty_four_devices_of_real_size_with_a_third_dropping_out() -> None:
    """64 vectors of 40,000 numbers are masked, summed and unmasked exactly, in under a CPU second."""
    ids = [7 * number for number in range(64)]
    values = _values(64, 40_000)
    start = process_time()
    graph = neighbour_graph(5, 1, ids)
    sent = [masked_vector(values[place], ids[place], graph[ids[place]], 5, 1) for place in range(64)]
    alive = [place for place in range(64) if place % 3]
    total = unmask(modular_sum([sent[i] for i in alive]), [ids[i] for i in alive], graph, 5, 1)
    elapsed_s = process_time() - start
    assert np.array_equal(total, values[alive].sum(0, dtype=np.uint32))
    assert elapsed_s < 1.0


def test_sums_wrap_around() -> None:
    """Values next to 2^32 come back as their sum mod 2^32, negative numbers included."""
    values = np.array([[2**32 - 1, 2**31], [2, 2**31], [2**32 - 5, 1]], np.uint32)
    ids = [SHARD_PARTY, SHARD_PARTY + 1, SHARD_PARTY + 2]
    graph = neighbour_graph(0, 1, ids)
    sent = [masked_vector(values[place], ids[place], graph[ids[place]], 0, 1) for place in range(3)]
    total = unmask(modular_sum(sent), ids, graph, 0, 1)
    assert total.view(np.int32).tolist() == [-4, 1]


def test_one_masked_vector_looks_uniform() -> None:
    """A masked vector of zeros has evenly spread bytes (chi-square), alone and beside its neighbour's."""
    graph = neighbour_graph(9, 3, [1, 2, 3])
    zeros = np.zeros(50_000, np.uint32)
    first, second = (masked_vector(zeros, party, graph[party], 9, 3) for party in (1, 2))
    for seen in (first, second, first + second, first - second):
        counts = np.bincount(seen.view(np.uint8), minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert chi2.sf(statistic, 255) > 1e-3


def test_masks_change_with_round_and_seed() -> None:
    """No mask is used twice."""
    zeros = np.zeros(8, np.uint32)
    seen = {
        masked_vector(zeros, 1, (2,), seed, round_number).tobytes()
        for seed in (0, 1)
        for round_number in (1, 2)
    }
    assert len(seen) == 4


def test_the_graph_is_mutual_and_regular() -> None:
    """Neighbours know each other, have the wanted number of neighbours, and all are joined."""
    ids = list(range(100, 140))
    graph = neighbour_graph(2, 2, ids, degree=6)
    assert all(len(set(others)) == 6 and party not in others for party, others in graph.items())
    assert all(party in graph[other] for party, others in graph.items() for other in others)
    assert connected(graph, ids)
    assert neighbour_graph(2, 2, [5]) == {5: ()}
    assert all(len(others) == 4 for others in neighbour_graph(2, 2, [1, 2, 3, 4, 5]).values())


def test_survivors_without_a_common_mask_are_refused() -> None:
    """If the survivors fall into groups, each group's sum would show: the round is to be held."""
    graph = {0: (1,), 1: (0, 2), 2: (1, 3), 3: (2,)}
    assert not connected(graph, [0, 3])
    with pytest.raises(FedbertError, match="fall into groups"):
        unmask(np.zeros(2, np.uint32), [0, 3], graph, 0, 1)
    assert connected(graph, [])


def test_mistakes_are_refused() -> None:
    """Double numbers, numbers out of range, a degree of zero and strangers get one line each."""
    with pytest.raises(FedbertError, match="distinct"):
        neighbour_graph(0, 1, [1, 1])
    with pytest.raises(FedbertError, match=r"2\^48"):
        neighbour_graph(0, 1, [-1])
    with pytest.raises(FedbertError, match="degree"):
        neighbour_graph(0, 1, [1, 2], degree=0)
    with pytest.raises(FedbertError, match="not in the round's graph"):
        unmask(np.zeros(2, np.uint32), [9], {1: ()}, 0, 1)
