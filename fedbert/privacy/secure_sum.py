"""Sums of vectors that nobody sees: masks that cancel, and their recovery when parties drop out.

After Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning": each party
adds to its vector, mod 2^32, a mask of its own and one for each neighbour, which the neighbour subtracts. In
the sum of all who answer the pairwise masks cancel; the survivors help to take off their own masks and the
pairwise masks that lost their other half. Neighbours form a ring of constant degree in a random order, as in
Bell et al. 2020, "Secure single-server aggregation with (poly)logarithmic overhead".

Run here: the masks, the sums and the recovery, to the bit. Not run: the key agreement and the secret shares
by which a deployed system fixes the keys; here one secret of the aggregator deals them, and a party is given
its own alone.
"""

import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from fedbert.errors import FedbertError, invalid

KEY_BYTES = 32

# Far more than there are phones, and far within the 64 bits that `_derived` packs.
_PARTY_BITS = 48


@dataclass(frozen=True)
class MaskKeys:
    """What one party masks with in one round: a key of its own, and one shared with each neighbour."""

    own: bytes
    pairs: Mapping[int, bytes]


def _derived(secret: bytes, purpose: bytes, *numbers: int) -> bytes:
    """Return a key that only who knows `secret` can compute (HMAC-SHA-256 as a pseudo-random function)."""
    return hmac.digest(secret, purpose + struct.pack(f"<{len(numbers)}q", *numbers), "sha256")


def neighbour_graph(
    secret: bytes, round_number: int, parties: Sequence[int], degree: int | None = None
) -> dict[int, tuple[int, ...]]:
    """Return each party's neighbours on a ring whose order `secret` fixes: the `degree` nearest.

    `parties` are distinct numbers >= 0 and < 2^48. The default degree is twice the binary logarithm of their
    number; from `len(parties) - 1` on the graph is complete.
    """
    if len(set(parties)) != len(parties):
        raise FedbertError(f"parties(={len(parties)} numbers) must be distinct; each masks once per round")
    if any(not 0 <= party < 1 << _PARTY_BITS for party in parties):
        raise FedbertError("parties must be numbers >= 0 and < 2^48; use device or shard numbers")
    size = len(parties)
    # A logarithmic degree keeps the survivors connected with high probability (Bell et al.).
    wanted = 2 * max(1, (size - 1).bit_length()) if degree is None else degree
    if wanted < 1:
        raise invalid("degree", degree, "be >= 1")
    if wanted >= size - 1:
        return {party: tuple(other for other in parties if other != party) for party in parties}
    ring = sorted(parties, key=lambda party: _derived(secret, b"ring", round_number, party))
    offsets = [step for half in range(1, -(-wanted // 2) + 1) for step in (-half, half)]
    return {ring[place]: tuple(ring[(place + step) % size] for step in offsets) for place in range(size)}


def deal_keys(secret: bytes, round_number: int, graph: Mapping[int, tuple[int, ...]]) -> dict[int, MaskKeys]:
    """Return each party's keys of a round; the two ends of a pair get the same one."""
    return {
        party: MaskKeys(
            _derived(secret, b"own", round_number, party),
            {
                other: _derived(secret, b"pair", round_number, min(party, other), max(party, other))
                for other in others
            },
        )
        for party, others in graph.items()
    }


def masked_vector(values: NDArray[np.uint32], party: int, keys: MaskKeys) -> NDArray[np.uint32]:
    """Return what `party` sends: `values` `[size]` plus its own mask and its half of each pair's."""
    total = values + _mask(keys.own, len(values))
    for other, key in keys.pairs.items():
        _add_pair(total, party, other, key)
    return total


def unmask(
    masked_sum: NDArray[np.uint32],
    survivors: Sequence[int],
    graph: Mapping[int, tuple[int, ...]],
    keys: Mapping[int, MaskKeys],
) -> NDArray[np.uint32]:
    """Return the plain sum `[size]` of the survivors' vectors from the sum of what they sent, mod 2^32.

    `graph` and `keys` hold all parties that agreed on masks, those who dropped out included. Raises
    FedbertError if a survivor is not in the graph, or if the survivors fall into groups without a common
    mask: their sums would then be seen apart.
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
        total -= _mask(keys[party].own, len(total))
        for other in graph[party]:
            if other not in alive:
                _add_pair(total, other, party, keys[party].pairs[other])
    return total


def connected(graph: Mapping[int, tuple[int, ...]], survivors: Sequence[int]) -> bool:
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


def _mask(key: bytes, size: int) -> NDArray[np.uint32]:
    """Return the key's stream as numbers `[size]`: AES-256 in counter mode; a key serves one mask only."""
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(4 * size))
    return np.frombuffer(stream, "<u4").astype(np.uint32, copy=False)


def _add_pair(total: NDArray[np.uint32], party: int, other: int, key: bytes) -> None:
    """Add `party`'s half of the mask shared with `other`: plus for the lower number, else minus."""
    mask = _mask(key, len(total))
    if party < other:
        total += mask
    else:
        total -= mask
