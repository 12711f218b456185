"""What a target of reports costs: half of the noise's worth, or a refusal by the mechanism's type."""

from dataclasses import replace
from typing import Any

import pytest
from mechanism_suite import SETTINGS

from fedbert.errors import FedbertError
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.correlated import Correlated
from fedbert.privacy.displacement import REACH, check_displacement
from fedbert.privacy.mechanism import SEES_PARTICIPATION, PrivacySettings
from fedbert.privacy.once_a_day import Allocated, Daily
from fedbert.privacy.poisson import Poisson
from fedbert.privacy.tree import Tree

OUT = replace(SETTINGS, reach=REACH)


@pytest.mark.parametrize("kind", [Daily, Correlated, Tree])
def test_the_noise_is_twice_as_wide(kind: Any) -> None:
    """At one epsilon a report that may push out another needs twice the noise; the event says the same, and
    the one bound is that against who sees who took part.
    """
    plain, out = kind.make(SETTINGS), kind.make(OUT)
    assert out.noise_multiplier == pytest.approx(2 * plain.noise_multiplier, rel=2e-3)
    for rounds in (1, 13, 18):
        (bound,) = out.spent(rounds)
        assert bound.adversary == SEES_PARTICIPATION
        assert bound.epsilon == pytest.approx(epsilon_of(out.event(rounds), SETTINGS.delta), rel=0.01)
        halved = kind(SETTINGS, out.noise_multiplier / 2)
        assert bound.epsilon == halved.spent(rounds)[0].epsilon
    assert "push" in bound.sentence


@pytest.mark.parametrize("kind", [Poisson, Allocated])
def test_bounds_that_hide_who_joined_have_no_account(kind: Any) -> None:
    """Refused by type; not without privacy, where there is nothing to hold, nor without a target."""
    with pytest.raises(FedbertError, match=rf"target_reports\(=50\) has no account .* {kind.__name__}: "):
        check_displacement("one", kind, 2.0, 50)
    check_displacement("one", kind, 2.0, None)
    check_displacement("one", kind, None, 50)
    check_displacement("daily", Daily, 2.0, 50)


def test_a_mechanism_that_says_nothing_is_refused() -> None:
    """One of a user's own that does not claim to account for it: its bound may rest on one clip norm."""

    class Own:
        @staticmethod
        def make(settings: PrivacySettings) -> Any:
            return settings

    with pytest.raises(FedbertError, match=r"mechanism 'my\.py:Own', Own"):
        check_displacement("my.py:Own", Own, 2.0, 50)
