"""Sums of vectors that nobody sees: masks that cancel, and their recovery when devices drop out.

After Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning": each party
adds to its vector, mod 2^32, a mask of its own and one for each neighbour, which the neighbour subtracts. In
the sum of all who answer the pairwise masks cancel; the survivors help to take off their own masks and the
pairwise masks that lost their other half. Neighbours form a ring of constant degree in a random order, as in
Bell et al. 2020, "Secure single-server aggregation with (poly)logarithmic overhead".

Simulated here: the masks, the sums and the recovery, to the bit. Not simulated: the key agreement and the
secret shares by which a deployed system fixes the seeds; here they follow from the run's seed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError, invalid
from fedbert.randomness import Purpose, generator, words

SHARD_PARTY = 1 << 40
"""Party number of shard 0; shards mask their sums among each other as devices do."""

_PARTY_BITS = 48


def neighbour_graph(
    seed: int, round_number: int, parties: Sequence[int], degree: int | None = None
) -> dict[int, tuple[int, ...]]:
    """Return each party's neighbours: a ring in random order, each joined to the `degree` nearest.

    `parties` are distinct numbers >= 0 and < 2^48. The default degree is twice the binary logarithm of their
    number; from `len(parties) - 1` on the graph is complete.
    """
    if len(set(parties)) != len(parties):
        raise FedbertError(f"parties(={len(parties)} numbers) must be distinct; a device masks once a round")
    if any(not 0 <= party < 1 << _PARTY_BITS for party in parties):
        raise FedbertError(
            "parties must be numbers >= 0 and < 2^48; use device numbers or SHARD_PARTY + shard"
        )
    size = len(parties)
    wanted = 2 * max(1, (size - 1).bit_length()) if degree is None else degree
    if wanted < 1:
        raise invalid("degree", degree, "be >= 1")
    if wanted >= size - 1:
        return {party: tuple(other for other in parties if other != party) for party in parties}
    ring = generator(seed, Purpose.MASK, 2 * round_number + 1).permutation(size)
    offsets = [step for half in range(1, -(-wanted // 2) + 1) for step in (-half, half)]
    return {
        parties[ring[place]]: tuple(parties[ring[(place + step) % size]] for step in offsets)
        for place in range(size)
    }


def masked_vector(
    values: NDArray[np.uint32], party: int, neighbours: Sequence[int], seed: int, round_number: int
) -> NDArray[np.uint32]:
    """Return what `party` sends: `values` `[size]` plus its own mask and its half of each pair's."""
    size = len(values)
    total = values + _mask(seed, round_number, party, party, size)
    for other in neighbours:
        _add_pair(total, party, other, seed, round_number)
    return total


def unmask(
    masked_sum: NDArray[np.uint32],
    survivors: Sequence[int],
    graph: dict[int, tuple[int, ...]],
    seed: int,
    round_number: int,
) -> NDArray[np.uint32]:
    """Return the plain sum `[size]` of the survivors' vectors from the sum of what they sent, mod 2^32.

    `graph` holds all parties that agreed on masks, those who dropped out included. Raises FedbertError if a
    survivor is not in it, or if the survivors fall into groups without a common mask: their sums would then
    be seen apart.
    """
    unknown = [party for party in survivors if party not in graph]
    if unknown:
        raise FedbertError(f"survivor {unknown[0]} is not in the round's graph; mask with the same graph")
    if not connected(graph, survivors):
        raise FedbertError(
            f"the {len(survivors)} survivors of {len(graph)} fall into groups; hold the round or raise degree"
        )
    alive = set(survivors)
    total = masked_sum.copy()
    for party in survivors:
        total -= _mask(seed, round_number, party, party, len(total))
        for other in graph[party]:
            if other not in alive:
                _add_pair(total, other, party, seed, round_number)
    return total


def connected(graph: dict[int, tuple[int, ...]], survivors: Sequence[int]) -> bool:
    """Return whether the survivors are joined by masks among themselves, so only their whole sum shows."""
    left = set(survivors)
    if not left:
        return True
    waiting = [left.pop()]
    while waiting:
        reached = left.intersection(graph[waiting.pop()])
        left -= reached
        waiting.extend(reached)
    return not left


def modular_sum(vectors: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Return the sum of vectors `[size]` mod 2^32."""
    total = vectors[0].copy()
    for vector in vectors[1:]:
        total += vector
    return total


def _mask(seed: int, round_number: int, low: int, high: int, size: int) -> NDArray[np.uint32]:
    pair = (low << _PARTY_BITS) | high
    drawn = words(seed, Purpose.MASK, 2 * round_number, pair, 1, -(-size // 2))
    return np.ascontiguousarray(drawn[0]).view(np.uint32)[:size]


def _add_pair(total: NDArray[np.uint32], party: int, other: int, seed: int, round_number: int) -> None:
    """Add `party`'s half of the mask shared with `other`: plus for the lower number, else minus."""
    mask = _mask(seed, round_number, min(party, other), max(party, other), len(total))
    if party < other:
        total += mask
    else:
        total -= mask
