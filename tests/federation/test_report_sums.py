"""Sums of reports: exact, of equal shapes only, and the same whether zeros are carried or not."""

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.recommendation.clusters import Places


def test_sparse_arrays_add_up_to_the_plain_sum() -> None:
    """Adding what is not zero gives, name by name, the sum of the whole arrays."""
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(3):
        part = r.empty_truth(Places(7, 5))
        for array in part.values():
            places = rng.integers(0, array.size, 5)
            array.reshape(-1)[places] = rng.integers(1, 9, 5)
        parts.append(part)
    before = r.add_all(parts)
    total = r.empty_truth(Places(7, 5))
    for part in parts:
        r.add_sparse(total, r.sparse(part))
    assert total.keys() == before.keys()
    for name, array in before.items():
        assert total[name].dtype == array.dtype
        assert np.array_equal(total[name], array), name


def test_sparse_arrays_hold_only_what_is_not_zero() -> None:
    """Of a hundred numbers with three that are not zero, three are kept."""
    array = np.zeros((10, 10), np.int64)
    array[3, 4], array[0, 0], array[9, 9] = 5, 1, 2
    places, values = r.sparse({"a": array}).parts["a"]
    assert places.tolist() == [0, 34, 99]
    assert values.tolist() == [1, 5, 2]


def test_other_shapes_are_not_broadcast() -> None:
    """One number, a shorter vector, another type or another name is refused, and nothing is added."""
    total = {"signal": np.full(8, 3, np.uint32)}
    for wrong in (
        {"signal": np.array([1], np.uint32)},
        {"signal": np.ones(7, np.uint32)},
        {"signal": np.ones(8, np.float64)},
        {"sum": np.ones(8, np.uint32)},
    ):
        with pytest.raises(FedbertError):
            r.add(total, wrong)
    assert total["signal"].tolist() == [3] * 8
