"""What holds for any shards' arrays: their sums do not depend on order or grouping, masked or not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedbert.federation import shard_report as r
from fedbert.privacy.mechanisms import decode, wrap
from fedbert.privacy.secure_sum import (
    connected,
    deal_keys,
    masked_vector,
    modular_sum,
    neighbour_graph,
    unmask,
)

COUNTS = arrays(np.int64, 5, elements=st.integers(0, 2**40))
SIGNALS = arrays(np.uint32, 4, elements=st.integers(0, 2**32 - 1))
PARTS = st.lists(st.fixed_dictionaries({"counts": COUNTS, "signal": SIGNALS}), min_size=1, max_size=6)


@given(parts=PARTS, data=st.data())
def test_reports_add_up_alike_in_any_order_and_grouping(parts: list[r.Arrays], data: st.DataObject) -> None:
    """Sums of some shards added to those of others are the sum of all; masked signals wrap mod 2^32."""
    total = r.add_all(parts)
    assert total["counts"].tolist() == [sum(int(part["counts"][i]) for part in parts) for i in range(5)]
    assert total["signal"].tolist() == [
        sum(int(part["signal"][i]) for part in parts) % 2**32 for i in range(4)
    ]
    order = data.draw(st.permutations(parts))
    cut = data.draw(st.integers(0, len(parts)))
    groups = [r.add_all(group) for group in (order[:cut], order[cut:]) if group]
    again = r.add_all(groups)
    sparse = {name: np.zeros_like(array) for name, array in total.items()}
    for part in order:
        r.add_sparse(sparse, r.sparse(part))
    for name, array in total.items():
        assert again[name].tolist() == sparse[name].tolist() == array.tolist()


@given(
    vectors=st.lists(arrays(np.int64, 3, elements=st.integers(-(2**20), 2**20)), min_size=2, max_size=9),
    secret=st.binary(min_size=32, max_size=32),
    data=st.data(),
)
def test_masks_cancel_whoever_drops_out(
    vectors: list[np.ndarray], secret: bytes, data: st.DataObject
) -> None:
    """What any survivors send, unmasked, is their plain sum, as long as masks join them."""
    parties = range(len(vectors))
    graph = neighbour_graph(secret, 1, parties)
    keys = deal_keys(secret, 1, graph)
    survivors = sorted(data.draw(st.sets(st.sampled_from(list(parties)), min_size=1)))
    sent = [masked_vector(wrap(vectors[party]), party, keys[party]) for party in survivors]
    if connected(graph, survivors):
        total = unmask(modular_sum(sent), survivors, graph, keys)
        assert decode(total, 1.0).tolist() == sum(vectors[party] for party in survivors).tolist()
