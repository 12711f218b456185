"""Buffers have no account: what is refused, by the mechanism's type, and with which reason."""

from typing import Any

import pytest

from fedbert.errors import FedbertError
from fedbert.privacy.buffers import check_buffers
from fedbert.privacy.correlated import Correlated
from fedbert.privacy.once_a_day import Allocated, Daily
from fedbert.privacy.poisson import Poisson
from fedbert.privacy.tree import Tree


class _Own:
    """A mechanism of a user's own."""

    make = Poisson.make


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Daily, "opens one sum a day"),
        (Poisson, "hides which devices joined"),
        (Allocated, "hides which devices joined"),
        (Correlated, "rests on joins a fixed number of sums apart"),
        (Tree, "rests on joins a fixed number of sums apart"),
        (_Own, "one device more shifts every later buffer"),
    ],
)
def test_every_private_mechanism_is_refused(kind: Any, why: str) -> None:
    """By its type, a user's own too, with a reason and the way out; nothing is without the flag."""
    with pytest.raises(
        FedbertError, match=rf"buffer_reports\(=50\) .* {kind.__name__}: it .*{why}.*epsilon none"
    ):
        check_buffers("one", kind, 2.0, 50)
    check_buffers("one", kind, 2.0, None)


def test_without_privacy_only_a_day_as_one_sum_is_refused() -> None:
    """There is nothing to account for; but a sum a day has no buffer."""
    for kind in (Poisson, Allocated, Correlated, Tree, _Own):
        check_buffers("one", kind, None, 50)
    with pytest.raises(FedbertError, match="one sum a day, and so has no buffer"):
        check_buffers("daily", Daily, None, 50)
