"""Privacy of the plan: the run's noise at the plan's cohort, accounted as in `fedbert.privacy`; quality.

Epsilons are proved. Quality is measured, and said only of a fleet that the run covers.
"""

from dataclasses import replace

from fedbert.budget import parse_budget
from fedbert.errors import FedbertError
from fedbert.intervals import Estimate
from fedbert.planning.budget.account import kind_of
from fedbert.planning.budget.plan import HORIZON_DAYS
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import Guarantee, Plan, PrivacyPlan
from fedbert.planning.capacity.run_privacy import RunPrivacy
from fedbert.planning.capacity.world import PLAIN
from fedbert.privacy.accounting import check
from fedbert.privacy.mechanism import Mechanism, PrivacySettings

MOST_ROUNDS = 120_000
"""Rounds up to which an account is made: a correlated mechanism's cost is a sum over days and rounds."""

SLACK = 1e-3
"""What is asked for and what is spent may differ by so much (`fedbert.privacy.accounting`)."""


def mechanism_at(run: RunPrivacy, plan: Plan, probability: float) -> Mechanism:
    """Return the run's mechanism, with its noise, for the plan's fleet and cohort; raises FedbertError."""
    settings = PrivacySettings(
        epsilon=run.epsilon,
        delta=run.delta_of(plan.devices),
        sampling_probability=probability,
        clip_norm=1.0,
        rounds=rounds_in(plan, max(HORIZON_DAYS)),
        rounds_per_day=plan.rounds_per_day,
        devices=plan.devices,
        noise_multiplier=run.noise_multiplier or 0.0,
    )
    made: Mechanism = kind_of(run.mechanism).make(check(settings))
    return made


def largest_probability(base: BaseRun, plan: Plan) -> float:
    """Return the highest chance to join a round that the run's mechanism has: below 1 if once a day."""
    try:
        # A delta that is too large for the fleet leaves no bound; how often a device joins stays the same.
        return mechanism_at(replace(base.privacy, delta=None), plan, 1.0).round_rate
    except FedbertError:  # a mechanism of the user's own that is not there: `privacy_of` says so
        return 1.0


def rounds_in(plan: Plan, days: float) -> int:
    """Return the rounds of some days, one at least."""
    return max(1, round(days * plan.rounds_per_day))


def privacy_of(base: BaseRun, plan: Plan, probability: float) -> PrivacyPlan:
    """Return what the plan reveals if devices join a round with `probability`, and what quality is known."""
    run = base.privacy
    why, guarantees, budget = unknown(run, plan), tuple[Guarantee, ...](), _budget(base)
    if not why:
        try:
            guarantees = _guarantees(mechanism_at(run, plan, probability), plan, budget)
        except FedbertError as error:
            why = str(error)
    quality, quality_why = _quality(base, plan, probability)
    place = 0 if run.budget is None and run.of_hidden else len(guarantees) - 1
    return PrivacyPlan(
        mechanism=run.mechanism,
        noise_multiplier=run.noise_multiplier,
        delta=run.delta_of(plan.devices),
        guarantees=guarantees,
        why=why,
        budget_epsilon=budget[0] if guarantees and budget else None,
        budget_days=budget[1] if guarantees and budget else None,
        spent_epsilon=guarantees[place].budget_epsilon if guarantees else None,
        quality=quality,
        quality_why=quality_why,
    )


def unknown(run: RunPrivacy, plan: Plan) -> str:
    """Return why no epsilon of the plan is known, empty if one is."""
    if run.noise_multiplier is None:
        return "the run is not private: it had no epsilon"
    if run.on_devices:
        return "phones add the noise, and how much depends on who reports"
    if (rounds := rounds_in(plan, max(HORIZON_DAYS))) > MOST_ROUNDS:
        return f"a year has {rounds:,} rounds; at most {MOST_ROUNDS:,} are accounted for"
    return ""


def _budget(base: BaseRun) -> tuple[float, float] | None:
    """Return epsilon and days: the run's budget, or without one its epsilon over its own days."""
    run = base.privacy
    if run.budget is not None:
        return parse_budget(run.budget)
    return None if run.epsilon is None else (run.epsilon, base.days)


def _guarantees(
    mechanism: Mechanism, plan: Plan, budget: tuple[float, float] | None
) -> tuple[Guarantee, ...]:
    horizons = [mechanism.spent(rounds_in(plan, days)) for days in HORIZON_DAYS]
    by_budget = mechanism.spent(rounds_in(plan, budget[1])) if budget else None
    return tuple(
        Guarantee(
            adversary=bound.adversary,
            epsilons=tuple(spent[place].epsilon for spent in horizons),
            budget_epsilon=by_budget[place].epsilon if by_budget else None,
        )
        for place, bound in enumerate(horizons[0])
    )


def _quality(base: BaseRun, plan: Plan, probability: float) -> tuple[Estimate | None, str]:
    """Return the run's quality where the plan's fleet is the run's, and else why there is none."""
    run = base.privacy
    if run.quality is None:
        return None, "the run ranked nothing"
    ways = (
        ("phones", plan.devices, run.devices, "--devices or --noise-cohort"),
        ("chance to join a round", probability, base.sampling_probability, "--sampling-probability"),
        ("rounds a day", plan.rounds_per_day, base.rounds_per_day, "--round-hours"),
        ("releases a day", plan.releases_per_day, base.releases_per_day, "--release-every"),
    )
    for what, planned, measured, flag in ways:
        if abs(planned - measured) > 0.02 * measured:
            return None, (
                f"the run is of other {what} ({measured:,.4g}, planned {planned:,.4g}); measure it with "
                f"fedbert run and {flag}"
            )
    if plan.world != PLAIN:
        return None, "the run is of equal days in one time zone, where all are offered one release at once"
    return run.quality, ""
