"""Texts that a student cannot place: the threshold is of public requests, the share is of sessions."""

import numpy as np
import pytest

from fedbert.simulation.unplaced import nearest, threshold, unplaced_share


def test_nearest_is_the_largest_cosine() -> None:
    """Lengths do not matter: a text's nearest name is the one of the largest cosine."""
    texts = np.array([[3.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    names = np.array([[2.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(nearest(texts, names), [1.0, np.sqrt(0.5), 0.0])


def test_threshold_keeps_ninety_five_per_cent() -> None:
    """Of twenty requests the threshold keeps nineteen: it is the second lowest cosine."""
    assert threshold(np.arange(20) / 20) == 0.05


def test_share_is_of_sessions() -> None:
    """A text counts as often as it was asked; one at the threshold is placed."""
    cosines, sessions = np.array([0.2, 0.5, 0.9]), np.array([3, 1, 6])
    assert unplaced_share(cosines, sessions, 0.5) == pytest.approx(0.3)
