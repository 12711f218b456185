"""What the report says of a run's privacy."""

from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import DEVICE, Bound, Mechanism
from fedbert.privacy.scaled import Scaled
from fedbert.results import CycleRow, PrivacyRow, Projection
from fedbert.scenario import Scenario

DAYS = (1, 30, 365)


def privacy_row(mechanism: Mechanism, scenario: Scenario, rounds: int) -> PrivacyRow:
    """Return the privacy of the first `rounds` rounds: each bound with its adversary, unit and horizon."""
    settings, private = mechanism.settings, mechanism.private
    whole = mechanism.full if isinstance(mechanism, Scaled) else mechanism
    bounds = mechanism.spent(rounds) if private else ()
    horizons = {
        days: mechanism.spent(max(1, round(days * settings.rounds_per_day))) for days in DAYS if private
    }
    row: PrivacyRow = {
        "mode": ("local" if mechanism.noise_on_device else "central") if private else "none",
        "mechanism": mechanism.name,
        "statement": _statement(bounds, rounds, horizons),
        "sampling_probability": mechanism.round_rate,
        "noise_multiplier": mechanism.noise_multiplier if private else None,
        "clip_norm": settings.clip_norm,
        "delta": scenario.effective_delta,
        "epsilon": bounds[0].epsilon if bounds else None,
        "epsilon_unamplified": bounds[-1].epsilon if bounds else None,
        "bounds": [
            {"adversary": bound.adversary, "unit": bound.unit, "epsilon": bound.epsilon, "delta": bound.delta}
            for bound in bounds
        ],
        "assumptions": _assumptions(bounds),
        "projections": [_projection(days, spent) for days, spent in horizons.items()],
    }
    if private and isinstance(whole, Local):
        row["epsilon_per_report"] = whole.report_epsilon
        row["statement"] += f"; each report alone has epsilon {whole.report_epsilon:.3g}"
    if private and scenario.noise_cohort is not None:
        row["noise_cohort"] = scenario.noise_cohort
        row["statement"] += _scaled(scenario.devices, scenario.noise_cohort)
    if private:
        row["release_cycle"] = _cycle(mechanism, scenario)
    if scenario.budget is not None:
        row["budget"] = scenario.budget
    return row


def _projection(days: int, spent: tuple[Bound, ...]) -> Projection:
    return {"days": days, "epsilon": spent[0].epsilon, "epsilon_unamplified": spent[-1].epsilon}


def _cycle(mechanism: Mechanism, scenario: Scenario) -> CycleRow:
    """Return the cost of the rounds up to the first release that the settings allow."""
    # No release is made before anything is opened.
    rounds = scenario.release_every
    while rounds < scenario.rounds and not mechanism.gathered(rounds):
        rounds += 1
    spent = mechanism.spent(rounds)
    return {"rounds": rounds, "epsilon": spent[0].epsilon, "epsilon_unamplified": spent[-1].epsilon}


def _statement(bounds: tuple[Bound, ...], rounds: int, horizons: dict[int, tuple[Bound, ...]]) -> str:
    """Return the line for people: each epsilon with adversary and horizons, the strongest adversary first."""
    if not bounds:
        return "not private: no epsilon was set, so the sums carry no noise"
    units = dict.fromkeys(bound.unit for bound in bounds)
    unit = "each device" if set(units) == {DEVICE} else " and ".join(units)
    each = [
        f"epsilon {bounds[place].epsilon:.3g} in these {rounds} rounds ({_later(horizons, place)}) "
        f"against one who {bounds[place].adversary}"
        for place in reversed(range(len(bounds)))
    ]
    return f"for {unit}, at delta {bounds[0].delta:.0e}: {'; '.join(each)}"


def _scaled(devices: int, noise_cohort: int) -> str:
    """Return what is said where the noise is a larger fleet's."""
    return (
        f"; these are the bounds of a fleet of {noise_cohort:,} phones, whose noise is scaled to the "
        f"{devices:,} of this run: it shows what such a fleet would reach, and protects none of these"
    )


def _later(horizons: dict[int, tuple[Bound, ...]], place: int) -> str:
    return ", ".join(
        f"{spent[place].epsilon:.3g} in {'a day' if days == 1 else f'{days} days'}"
        for days, spent in horizons.items()
    )


def _assumptions(bounds: tuple[Bound, ...]) -> dict[str, str]:
    """Return the unit, and a sentence each for the keys `amplified` and `unamplified`."""
    if not bounds:
        text = "Not private: the sums carry no noise, so no epsilon holds."
        return {"amplified": text, "unamplified": text, "unit": DEVICE}
    return {"amplified": bounds[0].sentence, "unamplified": bounds[-1].sentence, "unit": bounds[0].unit}
