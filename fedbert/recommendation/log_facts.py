"""What was read of a user's own catalogue and log, for run.json and in words."""

from dataclasses import dataclass
from typing import cast

from fedbert.recommendation.shown import ShownFacts
from fedbert.results import LogRow
from fedbert.user_tables import TableFacts, as_json

RATING = "rating"
"""Column of a log that `min_rating` goes by."""


@dataclass(frozen=True)
class CatalogueFacts:
    """Rows of a catalogue, and whether it says which items are popular."""

    items: TableFacts
    has_popularity: bool

    def line(self) -> str:
        """Return the facts as a line for people."""
        popularity = (
            ""
            if self.has_popularity
            else "; no popularity given: candidates are drawn evenly, and nothing is ranked by popularity"
        )
        return f"{self.items.line()}{popularity}"


@dataclass(frozen=True)
class LogFacts:
    """Rows, users and times of a log, and of its catalogue; dates are in UTC.

    rows_dropped and ids_mended count rows by reason. cut is None where each user's own rows are cut. shown is
    None where no column says what users chose from.
    """

    items: TableFacts
    interactions: TableFacts
    has_popularity: bool
    rows_used: int
    rows_dropped: dict[str, int]
    ids_mended: dict[str, int]
    users: int
    users_dropped: int
    users_evaluated: int
    first: str
    last: str
    time_unit: str
    split: str
    cut: str | None
    learning_share: float
    min_rating: float | None
    shown: ShownFacts | None = None

    def row(self) -> LogRow:
        """Return the facts as run.json has them."""
        return cast(LogRow, as_json(self))

    def lines(self) -> tuple[str, ...]:
        """Return the facts as lines for people, each complete in itself."""
        lines = [
            CatalogueFacts(self.items, self.has_popularity).line(),
            f"{self.interactions.line()}; from {self.first} to {self.last} ({self.time_unit})",
        ]
        if self.min_rating is None and RATING in self.interactions.ignored_columns:
            lines.append(
                f"column {RATING} is not used: every row counts as a click; "
                "--min-rating X leaves out the rows below X"
            )
        if self.shown is not None:
            lines.append(self.shown.line())
        if mended := _counted(self.ids_mended):
            lines.append(f"ids taken as the same: {mended}")
        where = f"cut at {self.cut}" if self.cut else "each user's own rows are cut"
        users = self.users + self.users_dropped
        lines.append(
            f"{where}, {self.learning_share:.0%} to learn from: {self.users:,} of {users:,} users kept, "
            f"{self.users_evaluated:,} of {users:,} users evaluated"
        )
        if self.users_dropped:
            lines[-1] += f"; {self.users_dropped:,} have no two different items before the cut"
        if dropped := _counted(self.rows_dropped):
            lines.append(f"{self.rows_used:,} of {self.interactions.rows:,} rows used; left out: {dropped}")
        if self.cut and 2 * self.users_evaluated < users:
            lines.append("most users are not evaluated; --split own-time cuts each user's own rows instead")
        return tuple(lines)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
