"""What servers store: the releases that are kept, the reports of unfinished rounds, the records of rounds.

Each is what the plan says is kept, as large as in the run.
"""

import numpy as np

from fedbert.intervals import Array, from_draws
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.load import Load

DAYS_PER_YEAR = 365.0


def storage(load: Load) -> list[Forecast]:
    """Return bytes stored, by what, and all of them."""
    base, plan = load.base, load.plan
    rows = len(load.draws.cost)
    if plan.releases_kept is None:
        releases, said = load.releases_per_day * DAYS_PER_YEAR, "every release of a year is kept"
    else:
        releases = np.full(rows, float(plan.releases_kept))
        said = f"the newest {plan.releases_kept:,} are kept"
    records = plan.rounds_per_day * plan.records_days * base.record_bytes_per_round
    found = {
        "releases": (releases * load.stored_bytes, f"{said}, as downloaded"),
        "reports of unfinished rounds": (
            load.held_reports * base.report_bytes,
            "each is stored once until its round is opened; those of the largest round",
        ),
        "records of rounds": (
            np.full(rows, records),
            f"a round's figures as in run.json, kept for {plan.records_days:g} days",
        ),
    }
    total = np.sum([kept for kept, _ in found.values()], axis=0)
    return [
        *(_row(f"storage, {name}", kept, assumption) for name, (kept, assumption) in found.items()),
        _row("storage, all", total, "the sum of releases, reports of unfinished rounds and records"),
    ]


def _row(name: str, draws: Array, assumption: str) -> Forecast:
    return Forecast(name, "bytes", from_draws(np.asarray(draws, np.float64)), "modelled", assumption)
