"""What was read of a user's own trace, for run.json and in words."""

from dataclasses import dataclass
from statistics import median
from typing import cast

from fedbert.results import TraceRow
from fedbert.units import HOURS_PER_DAY
from fedbert.user_tables import TableFacts, as_json


@dataclass(frozen=True)
class TraceFacts:
    """Coverage of a trace: `days_of_phone` are whole days from each phone's first to its last, least first.

    observed_hours are those inside a row of any state, all phones together.
    """

    table: TableFacts
    phones: int
    days: int
    days_of_phone: tuple[int, ...]
    observed_hours: float

    def row(self) -> TraceRow:
        """Return the facts as run.json has them."""
        return cast(TraceRow, as_json(self))

    def lines(self) -> tuple[str, ...]:
        """Return the facts as lines for people."""
        least, most, middle = self.days_of_phone[0], self.days_of_phone[-1], median(self.days_of_phone)
        short = sum(days < self.days for days in self.days_of_phone)
        share = self.observed_hours / (HOURS_PER_DAY * sum(self.days_of_phone))
        spans = f"{least} day{'s' * (least != 1)} each" if least == most else f"{least} to {most} days each"
        lines = [
            f"{self.table.line()}; {self.phones:,} phone{'s' * (self.phones != 1)} over {self.days} "
            f"day{'s' * (self.days != 1)}, observed for {spans} (median {middle:g}); "
            f"rows cover {share:.0%} of it"
        ]
        if short:
            lines.append(
                f"{short:,} of {self.phones:,} phones are observed for less than {self.days} days: "
                "each repeats its own days, and the time outside them is not taken as unavailable"
            )
        return tuple(lines)
