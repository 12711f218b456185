"""The privacy budget of a run: the plan that drives noise and accounting, and what the report says of it."""

from fedbert.privacy import accounting
from fedbert.results import PrivacyRow
from fedbert.scenario import Scenario

PRIVACY_UNIT = "one device: whether it is in the fleet at all, with everything it ever reports"


def privacy_plan(scenario: Scenario) -> accounting.PrivacyPlan:
    """Return how the scenario samples, clips and noises; the noise is calibrated for its rounds."""
    if scenario.epsilon is None:
        return accounting.not_private(
            scenario.sampler,
            scenario.cohort_probability,
            scenario.clip_norm,
            scenario.rounds,
            scenario.rounds_per_day,
        )
    return accounting.calibrate(
        scenario.epsilon,
        scenario.effective_delta,
        sampling_probability=scenario.cohort_probability,
        rounds=scenario.rounds,
        clip_norm=scenario.clip_norm,
        sampler=scenario.sampler,
        rounds_per_day=scenario.rounds_per_day,
        devices=scenario.devices,
    )


def privacy_row(plan: accounting.PrivacyPlan, delta: float, rounds: int) -> PrivacyRow:
    """Return the privacy of the first `rounds` rounds; `delta` is what the scenario asks for."""
    private = plan.mode != "none"
    reach = accounting.epsilon(plan, rounds) if private else None
    full = accounting.epsilon_unamplified(plan, rounds) if private else None
    return {
        "mode": plan.mode,
        "statement": (
            f"({reach:.3g}, {plan.delta:.0e})-differentially private for each device over {rounds} rounds"
            if reach is not None
            else "not private: no epsilon was set, so the sums carry no noise"
        ),
        "sampler": plan.sampler,
        "sampling_probability": plan.sampling_probability,
        "noise_multiplier": plan.noise_multiplier if private else None,
        "clip_norm": plan.clip_norm,
        "delta": delta,
        "epsilon": reach,
        "epsilon_unamplified": full,
        "assumptions": accounting.assumptions(plan) | {"unit": PRIVACY_UNIT},
        "projections": [
            {"days": days, "epsilon": amplified, "epsilon_unamplified": unamplified}
            for days, amplified, unamplified in (accounting.projection(plan) if private else [])
        ],
    }
