"""What the report says of a run's privacy."""

from fedbert.privacy.mechanism import DEVICE, Bound, Mechanism
from fedbert.results import PrivacyRow
from fedbert.scenario import Scenario

DAYS = (1, 30, 365)


def privacy_row(mechanism: Mechanism, scenario: Scenario, rounds: int) -> PrivacyRow:
    """Return the privacy of the first `rounds` rounds: each bound with its adversary, unit and horizon."""
    settings, private = mechanism.settings, mechanism.private
    bounds = mechanism.spent(rounds) if private else ()
    reach = bounds[0].epsilon if bounds else None
    return {
        "mode": ("local" if mechanism.noise_on_device else "central") if private else "none",
        "mechanism": mechanism.name,
        "statement": _statement(bounds, rounds),
        "sampler": settings.sampler,
        "sampling_probability": settings.sampling_probability,
        "noise_multiplier": mechanism.noise_multiplier if private else None,
        "clip_norm": settings.clip_norm,
        "delta": scenario.effective_delta,
        "epsilon": reach,
        "epsilon_unamplified": bounds[-1].epsilon if bounds else None,
        "bounds": [
            {"adversary": bound.adversary, "unit": bound.unit, "epsilon": bound.epsilon, "delta": bound.delta}
            for bound in bounds
        ],
        "assumptions": _assumptions(bounds),
        "projections": [
            {
                "days": days,
                "epsilon": spent[0].epsilon,
                "epsilon_unamplified": spent[-1].epsilon,
            }
            for days in DAYS
            if private
            for spent in [mechanism.spent(max(1, round(days * settings.rounds_per_day)))]
        ],
    }


def _statement(bounds: tuple[Bound, ...], rounds: int) -> str:
    """Return the line for people: each epsilon with its adversary, the strongest adversary first."""
    if not bounds:
        return "not private: no epsilon was set, so the sums carry no noise"
    each = "; ".join(
        f"epsilon {bound.epsilon:.3g} against one who {bound.adversary}" for bound in reversed(bounds)
    )
    units = dict.fromkeys(bound.unit for bound in bounds)
    unit = "each device" if set(units) == {DEVICE} else " and ".join(units)
    return f"over {rounds} rounds, for {unit}, at delta {bounds[0].delta:.0e}: {each}"


def _assumptions(bounds: tuple[Bound, ...]) -> dict[str, str]:
    """Return the unit, and a sentence each for the keys `amplified` and `unamplified`."""
    if not bounds:
        text = "Not private: the sums carry no noise, so no epsilon holds."
        return {"amplified": text, "unamplified": text, "unit": DEVICE}
    return {"amplified": bounds[0].sentence, "unamplified": bounds[-1].sentence, "unit": bounds[0].unit}
