"""A privacy plan in words: its figures, and the sentences that answer."""

from fedbert.planning.budget.plan import HORIZON_DAYS, BudgetPlan, FreeFleet, Question, Reading, Row
from fedbert.planning.tradeoff.epsilons import MAX_EPSILON, epsilon_text
from fedbert.privacy.accounting import rounds_of_day
from fedbert.reporting.parts import text
from fedbert.scenario import DEFAULTS

NOT_MEASURED, NOT_KNOWN = "not measured", "not known"
LEAST_COHORT = 2_000
"""Phones of a cell of a grid; no smaller fleet's noise can be shown by it."""

HOW_TO_MEASURE = (
    "To read what this costs in nDCG@10, measure a frontier and name its folder with --frontier: fedbert "
    "tradeoff --mechanisms {mechanism} --epsilons {epsilons} none --noise-cohort {devices}{more} "
    "--output FOLDER. "
    "Its runs are of a day, so its epsilons are those of a day."
)
LEAST_EPSILON = 1e-6
"""Smaller ones cannot be accounted for."""
EPSILON_STEPS = (0.5, 1, 4, 16, 64)
"""Epsilons to measure at, over that of a planned day: one below it, and up to where nothing is lost."""

NOISE_NOTE = (
    "Noise of the mean: standard deviation per coordinate over the reports expected in it, in clip norms. "
    "Expected reports: devices x rate x the share that reports before its sum is opened."
)

ASSUMPTIONS = (
    ("epsilons", "proved", "one device with all it reports; rounds go on at the same noise"),
    (
        "participation not seen",
        "proved",
        "only the device knows whether it joined; who watches the traffic is bounded by the other row",
    ),
    (
        "reports expected",
        "modelled",
        "the fleet's habits hold; the mean over a day: by night three times as many report as by day",
    ),
    (
        "difference in nDCG@10",
        "measured",
        "quality follows the noise of the mean over as many rounds as the frontier's runs had, and the "
        "phones that were run stand for the fleet: what more of them would teach is not in it",
    ),
    (
        "fleet that loses nothing",
        "measured",
        "the noise at which the interval holds zero, turned into devices of this plan, and at least as many "
        "as were run. No seed count proves a loss of zero: the interval says how much may be hidden. Where "
        "every arm's interval holds zero, fewer phones may do",
    ),
)
"""Figure, kind, and what it assumes."""


def noise(value: float | None) -> str:
    """Return a noise of the mean with three digits; a dash where nothing is opened."""
    return text.NONE if value is None else f"{value:.3g}"


def count(value: float) -> str:
    """Return an expected number of reports."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def difference(reading: Reading | FreeFleet) -> str:
    """Return a difference with its interval, or that it was not measured."""
    if reading.value is None:
        return NOT_MEASURED
    if reading.low is None or reading.high is None:
        return f"{reading.value:+.3f} (one seed)"
    return f"{reading.value:+.3f} ({reading.low:+.3f} to {reading.high:+.3f})"


def fleet(free: FreeFleet) -> str:
    """Return the fleet from which nothing is lost, rounded up to two digits."""
    return NOT_KNOWN if free.devices is None else f"{_rounded_up(free.devices):,}"


def _rounded_up(devices: int) -> int:
    step = int(10 ** max(0, len(str(devices)) - 2))
    return -(-devices // step) * step


def span(question: Question) -> str:
    """Return the budget: "epsilon 2 over 365 days"."""
    days = "a day" if question.days == 1 else f"{question.days} days"
    return f"epsilon {question.epsilon:g} over {days}"


def answer(plan: BudgetPlan) -> str:
    """Return the mechanism that is named, why, and what it costs as far as that was measured."""
    row, question = plan.chosen, plan.question
    if row is None:
        return f"At {span(question)} no mechanism's bound survives seen participation: none is named."
    accounted = row.accounted
    said = [
        f"At {span(question)}, participation seen, {accounted.mechanism} leaves the least noise in the mean "
        f"of the first day: {noise(accounted.day_noise)} clip norms a coordinate for {question.devices:,} "
        f"phones, at noise multiplier {accounted.noise_multiplier:.4g}."
    ]
    last = plan.chosen_at_the_end
    if last is not None and last.accounted.mechanism != accounted.mechanism:
        said.append(
            f"Over all {question.rounds:,} rounds {last.accounted.mechanism} leaves less: "
            f"{noise(last.accounted.horizon_noise)} against {noise(accounted.horizon_noise)}."
        )
    if plan.measured_rounds is None:
        return " ".join(said)
    return " ".join([*said, _cost(row), _free(row)])


def _cost(row: Row) -> str:
    if row.loss.value is None:
        return f"Its loss in nDCG@10 is not measured: {row.loss.why}."
    gained = "" if row.gain.value is None else f", and {difference(row.gain)} against no signal"
    return f"At that noise nDCG@10 differs by {difference(row.loss)} from no privacy{gained}."


def _free(row: Row) -> str:
    free = row.free
    if free.devices is None:
        return f"The fleet from which it costs nothing is not known: {free.why}."
    return (
        f"From {fleet(free)} phones on it costs nothing that {free.seeds} seeds resolve ({difference(free)})."
    )


def how_to_measure(plan: BudgetPlan) -> str:
    """Return the command that would measure a frontier for this plan."""
    accounted = (plan.chosen or plan.rows[0]).accounted
    day = accounted.horizons[HORIZON_DAYS.index(1)]
    return HOW_TO_MEASURE.format(
        mechanism=accounted.mechanism,
        epsilons=" ".join(dict.fromkeys(_asked(step * day) for step in EPSILON_STEPS)),
        devices=max(LEAST_COHORT, plan.question.devices),
        more=_scenario_flags(plan.question),
    )


def _scenario_flags(question: Question) -> str:
    """Return the flags that make the runs of a grid a day of the plan's rounds; none for the defaults."""
    flags = {
        "round-hours": (question.round_hours, DEFAULTS.round_hours),
        "rounds": (rounds_of_day(question.rounds_per_day), DEFAULTS.rounds),
        "sampling-probability": (question.sampling_probability, DEFAULTS.sampling_probability),
        "release-every": (question.release_every, DEFAULTS.release_every),
        "availability": (question.availability, DEFAULTS.availability),
    }
    return "".join(f" --{name} {value}" for name, (value, usual) in flags.items() if value != usual)


def _asked(epsilon: float) -> str:
    """Return an epsilon with two digits, as it is typed, within what a grid takes."""
    return epsilon_text(float(f"{min(max(epsilon, LEAST_EPSILON), MAX_EPSILON):.2g}"))


def reasons(plan: BudgetPlan) -> list[str]:
    """Return why figures of rows are missing, each reason once with the rows that it is of."""
    found: dict[str, dict[str, None]] = {}
    for row in plan.rows:
        name = f"{row.accounted.mechanism} ({row.accounted.participation})"
        difference_why = row.loss.why or row.gain.why
        for what, why in ((NOT_MEASURED, difference_why), (NOT_KNOWN, row.free.why)):
            if why and not (what == NOT_KNOWN and why == difference_why):
                found.setdefault(f"{what}: {why}", {})[name] = None
    return [f"{', '.join(names)} {reason}" for reason, names in found.items()]
