"""The privacy accountant against published and recomputed figures."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from fedbert.errors import FedbertError
from fedbert.privacy import curves
from fedbert.privacy.accounting import check
from fedbert.privacy.curves import gaussian_delta, gaussian_epsilon, log_moment, renyi_epsilon
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.once_a_day import Allocated, Daily
from fedbert.privacy.poisson import Poisson


def settings(q: float, rounds: int, delta: float, **changes: float | None) -> PrivacySettings:
    """Return settings with clip norm 1, 12 rounds a day and one device, so that any delta is allowed."""
    made = PrivacySettings(1.0, delta, q, 1.0, rounds, 12.0, 1)
    return replace(made, **changes)  # type: ignore[arg-type]


def plan(z: float, q: float, rounds: int, delta: float) -> Poisson:
    """Return the sampled Gaussian of multiplier z."""
    return Poisson(settings(q, rounds, delta), z)


def epsilon(mechanism: Poisson | Daily, rounds: int) -> float:
    """Return the bound against the weakest adversary."""
    return mechanism.spent(rounds)[0].epsilon


def epsilon_unamplified(mechanism: Poisson | Daily, rounds: int) -> float:
    """Return the bound against the strongest adversary."""
    return mechanism.spent(rounds)[-1].epsilon


def calibrate(target: float, delta: float, q: float, rounds: int, **changes: float) -> Poisson:
    """Return the sampled Gaussian with the least noise for a budget."""
    return Poisson.make(settings(q, rounds, delta, epsilon=target, **changes))


@pytest.mark.parametrize(
    ("z", "q", "rounds", "delta", "expected", "tolerance"),
    [
        (1.0, 0.01, 1000, 1e-5, 1.828, 2e-3),
        (1.1, 256 / 60000, 14063, 1e-5, 2.38, 5e-3),
        (0.8, 0.005, 1000, 1e-6, 2.004, 2e-3),
        (1.0, 1000 / 8.4e6, 1000, 1e-8, 0.0295, 5e-4),
        (1.0, 0.1, 12, 1e-6, 3.65, 5e-3),
        (2.0, 0.1, 12, 1e-6, 1.03, 5e-3),
        (4.0, 0.1, 12, 1e-6, 0.40, 5e-3),
    ],
)
def test_amplified_epsilon_is_the_known_one(
    z: float, q: float, rounds: int, delta: float, expected: float, tolerance: float
) -> None:
    """PLD of the Poisson-subsampled Gaussian gives the figures that two accountants agree on."""
    assert epsilon(plan(z, q, rounds, delta), rounds) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(("z", "expected"), [(1.0, 21.8), (2.0, 9.25), (4.0, 4.15)])
def test_unamplified_epsilon_composes_the_plain_gaussian(z: float, expected: float) -> None:
    """Without the claim on sampling, twelve rounds are twelve plain Gaussian mechanisms."""
    assert epsilon_unamplified(plan(z, 0.1, 12, 1e-6), 12) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("z", "expected"), [(1.0, 4.377), (2.0, 1.993), (5.0, 0.7255), (3.7306, 1.0)])
def test_one_gaussian(z: float, expected: float) -> None:
    """One Gaussian mechanism at delta 1e-5 has the published epsilon, and its delta there is 1e-5."""
    found = gaussian_epsilon(z, 1e-5)
    assert found == pytest.approx(expected, abs=5e-4)
    assert gaussian_delta(z, found) == pytest.approx(1e-5, rel=1e-6)


def test_the_closed_form_agrees_with_the_loss_distribution() -> None:
    """The analytic Gaussian curve and dp-accounting's PLD at sampling rate one are the same mechanism."""
    from dp_accounting.pld import privacy_loss_distribution

    one = privacy_loss_distribution.from_gaussian_mechanism(1.5, value_discretization_interval=1e-4)
    by_pld = one.self_compose(7).get_epsilon_for_delta(1e-6)
    assert epsilon(plan(1.5, 1.0, 7, 1e-6), 7) == pytest.approx(by_pld, rel=1e-4)


def test_once_a_day_counts_days() -> None:
    """A device that joins at most one round a day meets one Gaussian a day; a day begun counts whole."""
    daily = Daily(settings(0.1, 24, 1e-6), 2.0)
    assert epsilon(daily, 1) == epsilon(daily, 12) == gaussian_epsilon(2.0, 1e-6)
    assert epsilon(daily, 13) == gaussian_epsilon(2.0 / math.sqrt(2), 1e-6)
    assert epsilon(daily, 24) == epsilon_unamplified(daily, 24) == epsilon(daily, 13)
    assert daily.round_rate == pytest.approx(1 / 12)


def test_epsilon_grows_with_rounds_and_starts_at_zero() -> None:
    """Nothing is spent before the first round, and every round costs something."""
    spent = [epsilon(plan(1.36, 0.1, 12, 1e-6), rounds) for rounds in range(13)]
    assert spent[0] == 0
    assert all(before < after for before, after in pairwise(spent))
    assert epsilon_unamplified(plan(1.36, 0.1, 12, 1e-6), 0) == 0


@pytest.mark.parametrize("target", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("kind", [Poisson, Allocated, Daily])
def test_calibration_is_tight_and_never_short(target: float, kind: type[Poisson | Daily]) -> None:
    """The noise keeps the run within its budget, and a thousandth less noise would not."""
    found = kind.make(settings(0.1, 12, 1e-6, epsilon=target, clip_norm=2.0, devices=10_000))
    assert found.budgeted(12) <= target
    less = replace(found, noise_multiplier=found.noise_multiplier / 1.001)
    assert less.budgeted(12) > target
    assert found.sigma == found.noise_multiplier * 2.0


def test_same_noise_for_a_month_and_a_year() -> None:
    """The noise for epsilon 2 in a day of twelve rounds comes to about 9 in a month and 41 in a year."""
    found = calibrate(2.0, 1e-6, 0.1, 12)
    assert [round(epsilon(found, 12 * days)) for days in (1, 30, 365)] == [2, 9, 41]
    assert epsilon_unamplified(found, 12) > epsilon(found, 12)


def test_a_run_is_accounted_with_little_work() -> None:
    """Calibration, every round's epsilons and the projections of a run need at most 32 privacy losses."""
    curves._one_round.cache_clear()
    curves._composed_epsilon.cache_clear()
    found = calibrate(2.0, 1e-6, 0.11, 12)
    for rounds in range(13):
        epsilon(found, rounds)
        epsilon_unamplified(found, rounds)
    for days in (1, 30, 365):
        epsilon(found, 12 * days)
    assert curves._one_round.cache_info().misses <= 32
    assert curves._composed_epsilon.cache_info().misses <= 32 + 13 + 3


def test_without_noise_nothing_is_promised() -> None:
    """Mode none has an infinite epsilon once a round has run, and says so."""
    bare = Poisson.make(settings(0.1, 12, 1e-6, epsilon=None))
    assert epsilon(bare, 1) == epsilon_unamplified(bare, 1) == math.inf
    assert bare.sigma == 0


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_a_target_must_be_a_positive_number(target: float) -> None:
    """Epsilon 0, below 0, not a number or infinite is refused in one line."""
    with pytest.raises(FedbertError, match=r"^epsilon\(=.*must be > 0 and finite; leave it out"):
        calibrate(target, 1e-6, 0.1, 12)


def test_delta_must_stay_below_one_over_the_fleet() -> None:
    """A delta that would allow publishing one device's data is refused with the limit in the message."""
    with pytest.raises(FedbertError, match=r"delta\(=0.0001\) must be < 1/devices \(= 0.0001\)"):
        calibrate(2.0, 1e-4, 0.1, 12, devices=10_000)


def test_a_target_out_of_reach_is_refused() -> None:
    """A budget that no noise can meet ends with one line, not with a loop."""
    with pytest.raises(FedbertError, match="out of reach"):
        calibrate(1e-12, 1e-30, 1.0, 100)


@pytest.mark.parametrize(
    ("target", "delta", "q", "rounds", "low", "high"),
    [
        (2.0, 1e-15, 0.1, 12, 2.2, 2.4),  # Renyi orders up to 63 alone: 2.32
        (2.0, 1e-30, 0.1, 12, 3.1, 3.4),
        (0.001, 1e-6, 0.1, 12, 800.0, 900.0),  # without sampling 9,100
        (0.001, 1e-15, 0.1, 12, 2_000.0, 2_400.0),
        (2.0, 1e-12, 0.1, 12, 1.95, 2.02),
        (300.0, 1e-6, 0.5, 1, 0.03, 0.06),
    ],
)
def test_a_budget_at_the_edge_is_spent_and_not_wasted(
    target: float, delta: float, q: float, rounds: int, low: float, high: float
) -> None:
    """Noise is in proportion at tiny deltas, small and large epsilons: at least .999 of each is spent."""
    found = calibrate(target, delta, q, rounds)
    assert low < found.noise_multiplier < high
    assert 0.999 * target <= epsilon(found, rounds) <= target


@pytest.mark.parametrize(
    ("target", "delta", "q", "message"),
    [
        (1e-4, 1e-15, 0.1, r"out of reach: .* it must be from 0\.0005\d+ to .*; choose one within"),
        (1e-7, 1e-6, 0.1, r"out of reach: .* it must be from 1e-06 to "),
        (2.0, 0.01, 0.001, r"delta alone covers every round and no epsilon is spent; choose a smaller delta"),
        (2.0, 1e-101, 0.1, r"delta\(=1e-101\) must be >= 1e-100"),
    ],
)
def test_what_cannot_be_accounted_for_is_refused_with_what_can(
    target: float, delta: float, q: float, message: str
) -> None:
    """Where no bound comes close to the asked epsilon the call is refused, with the range that works."""
    with pytest.raises(FedbertError, match=message):
        calibrate(target, delta, q, 1)


@pytest.mark.parametrize(
    ("z", "q", "rounds", "delta"), [(2.32, 0.1, 12, 1e-15), (1.0, 0.01, 1000, 1e-13), (24.0, 0.01, 12, 1e-14)]
)
def test_renyi_agrees_with_the_library(z: float, q: float, rounds: int, delta: float) -> None:
    """The best whole order gives the epsilon of dp-accounting's Renyi accountant over the same orders."""
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    orders = [*range(2, 65), *(round(64 * 1.02**k) for k in range(1, 250))]
    library = RdpAccountant(orders)
    sampled = dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(z))
    library.compose(dp_accounting.SelfComposedDpEvent(sampled, rounds))
    assert renyi_epsilon(z, q, rounds, delta) == pytest.approx(library.get_epsilon(delta), rel=1e-3)


def test_a_moment_is_that_of_the_likelihood_ratio() -> None:
    """The third moment of one round is the integral of the ratio's cube under the noise alone."""
    from scipy.integrate import quad
    from scipy.stats import norm

    z, q = 1.5, 0.2
    cube = quad(
        lambda x: norm.pdf(x, 0, z) * (1 - q + q * math.exp((2 * x - 1) / (2 * z * z))) ** 3, -20, 25
    )[0]
    assert math.exp(log_moment(z, q, 3)) == pytest.approx(cube, rel=1e-9)


@pytest.mark.parametrize(("z", "q", "rounds", "delta"), [(844.0, 0.1, 12, 1e-6), (0.2, 0.001, 1, 1e-6)])
def test_the_grid_is_fine_enough_for_the_budget(z: float, q: float, rounds: int, delta: float) -> None:
    """Epsilon is within .1 % of that on a grid eight times as fine, at small and at large losses."""
    step = curves.loss_interval(rounds, z, q)
    found = curves.loss_epsilon(z, q, rounds, delta, step)
    assert found == pytest.approx(curves.loss_epsilon(z, q, rounds, delta, step / 8), rel=1e-3)


def test_one_sampled_round_has_its_closed_form() -> None:
    """One sampled round's epsilon is log(1 + q (e^e - 1)) of the plain one's e at delta / q (removal)."""
    z, q, delta = 0.2, 0.001, 1e-6
    plain = gaussian_epsilon(z, delta / q)
    expected = math.log1p(q * math.expm1(plain))
    assert epsilon(plan(z, q, 1, delta), 1) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epsilon", 0.0),
        ("sampling_probability", 0.0),
        ("sampling_probability", 1.5),
        ("noise_multiplier", -1.0),
        ("noise_multiplier", math.nan),
        ("clip_norm", 0.0),
        ("clip_norm", math.inf),
        ("delta", 1.0),
        ("rounds", 0),
        ("rounds_per_day", 0.0),
        ("devices", 0),
    ],
)
def test_each_setting_is_checked(field: str, value: float) -> None:
    """What cannot be accounted for is refused by the name of its setting."""
    good = settings(0.1, 12, 1e-6)
    assert check(good) is good
    with pytest.raises(FedbertError, match=field):
        Daily.make(replace(good, **{field: value}))  # type: ignore[arg-type]
