"""Rules of what a comparison calls an effect, and what chance."""

import numpy as np
import pytest

from fedbert.evidence import Known, Sample
from fedbert.planning.comparing.verdicts import (
    exact,
    holm,
    judged_together,
    of_one,
    paired,
    unpaired,
)

NOBODY = Sample(0, None, None)


def test_pairs_have_students_interval() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(0.975, 2) = 4.3027 by the table."""
    found = paired(np.array([1.0, 2.0, 3.0]))
    assert (found.value, found.seeds, found.method) == (2.0, 3, "paired")
    assert found.low == pytest.approx(2 - 4.3027 / np.sqrt(3), abs=1e-4)
    assert found.high == pytest.approx(2 + 4.3027 / np.sqrt(3), abs=1e-4)
    assert found.verdict == "chance"


def test_the_interval_and_the_p_value_say_the_same() -> None:
    """The interval leaves out 0 exactly where the p-value is below 5 %."""
    rng = np.random.default_rng(0)
    verdicts = set()
    for count in (2, 3, 5, 9):
        for shift in (0.0, 1.0, 2.5):
            for found in (
                paired(rng.normal(shift, 1, count)),
                unpaired(rng.normal(shift, 1, count), rng.normal(0, 2, count + 1)),
            ):
                assert found.low is not None and found.high is not None and found.p_value is not None
                assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)
                assert found.verdict == ("unsure" if found.p_value < 0.05 else "chance")
                verdicts.add(found.verdict)
    assert verdicts == {"unsure", "chance"}


def test_seeds_that_differ_by_the_same_have_a_sign_test() -> None:
    """No spread, no interval: five seeds have p = 2^-4, six 2^-5; no difference at all is equal."""
    five, six = paired(np.full(5, 0.5)), paired(np.full(6, 0.5))
    assert (five.p_value, five.low, five.verdict) == (1 / 16, None, "chance")
    assert (six.p_value, six.low, six.verdict) == (1 / 32, None, "unsure")
    assert paired(np.zeros(3)).verdict == "equal"


def test_one_against_one_joins_both_intervals() -> None:
    """0.5 (0.4 to 0.7) minus 0.3 (0.2 to 0.5): below by hypot(0.1, 0.2), above by hypot(0.2, 0.1)."""
    other, reference = Known(0.5, 0.4, 0.7, NOBODY), Known(0.3, 0.2, 0.5, NOBODY)
    found = of_one(other, reference, "one run each", "one seed")
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - np.hypot(0.1, 0.2))
    assert found.high == pytest.approx(0.2 + np.hypot(0.2, 0.1))
    assert found.verdict == "chance"


def test_one_against_one_is_never_an_effect() -> None:
    """However far apart: one seed each. Without intervals of their own nothing is said at all."""
    far = of_one(Known(9.0, 8.9, 9.1, NOBODY), Known(1.0, 0.9, 1.1, NOBODY), "one run each", "one seed")
    bare = of_one(Known(9.0, None, None, NOBODY), Known(1.0, 0.9, 1.1, NOBODY), "one run each", "one seed")
    same = of_one(Known(1.0, 0.9, 1.1, NOBODY), Known(1.0, 0.9, 1.1, NOBODY), "one run each", "one seed")
    assert (far.verdict, bare.verdict, same.verdict) == ("one seed", "no interval", "equal")
    assert judged_together([far, bare])[0].verdict == "one seed"


def test_what_follows_without_chance_is_exact() -> None:
    """Pairs that agree are exact; pairs that do not are no such figure."""
    found = exact(np.array([8.0, 8.0]))
    assert found is not None and (found.value, found.verdict) == (8.0, "exact")
    same = exact(np.zeros(2))
    assert same is not None and same.verdict == "equal"
    assert exact(np.array([8.0, 9.0])) is None


def test_holm_stops_at_the_first_that_fails() -> None:
    """Of three: 0.01 < 5 % / 3 holds, 0.04 > 5 % / 2 does not, and so 0.045 does not either."""
    assert holm([0.04, 0.01, 0.045]) == [False, True, False]
    assert holm([0.01, 0.02, 0.04]) == [True, True, True]
    assert holm([]) == []


def test_figures_that_do_not_differ_seldom_have_an_effect() -> None:
    """Of 2,000 families of 20 uniform p-values 5 % have an effect; uncorrected it were 1 - 0.95^20 = 64 %."""
    families = np.random.default_rng(3).random((2_000, 20))
    effects = sum(any(holm(list(family))) for family in families)
    assert 0.035 <= effects / 2_000 <= 0.065
    assert 0.6 <= np.mean(families.min(axis=1) < 0.05) <= 0.68


def test_a_difference_of_all_seeds_is_an_effect() -> None:
    """Five seeds that differ by about 10 +- 1 are an effect among twenty figures."""
    rng = np.random.default_rng(1)
    figures = [paired(10 + rng.normal(size=5)), *(paired(rng.normal(size=5)) for _ in range(19))]
    assert judged_together(figures)[0].verdict == "effect"
