"""The socket of selections: frozen data that says which phones a round asks, and what that reveals.

The privacy mechanism says by coins of its own which devices may join a round. A selection that knows no more
of a phone than what is public keeps each of them with a chance of its own: a device that it leaves out is as
one that is not available, a vector of zeros, which the account of every mechanism covers. A selection that
knows what phones did on their screens draws in the place of those coins; who takes part then tells of it, no
bound holds, and it is refused wherever there is an epsilon (`check_account`).

Each phone draws for itself, so who is asked depends on no shard or block. What only the whole fleet knows, a
threshold say, is computed between two rounds from integer sums (`LearntSelection`) and announced with the
order of the round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.parts import no_account

Reveals = Literal["nothing", "public", "private"]
"""What who is asked depends on: on coins alone, on public attributes of a phone, or on its private data."""

MOST_OF_A_DEVICE = 10_000_000
"""Most that one device may add to an entry of a selection's sums."""


@dataclass(frozen=True)
class SelectionSettings:
    """What a selection is made for, with public numbers only."""

    devices: int
    round_rate: float
    """Chance that a device of the fleet joins a round by the mechanism, in (0, 1]."""
    tier_shares: tuple[float, ...]
    """Share of the fleet that each of `results.TIERS` has."""
    tier_rates: tuple[float, ...] | None = None
    """Rate of each tier, where the user set them."""


def _untimed() -> NDArray[np.float64]:
    raise ValueError("these phones have no clock")


def _columns() -> NDArray[np.int32]:
    return np.zeros((0, 0), np.int32)


@dataclass(frozen=True)
class Known:
    """What a selection may know of some phones before a round; arrays are `[device]`.

    All but `memory` is public: it follows from what a phone is, and from what its traffic shows.
    """

    round: int
    tier: NDArray[np.int8]
    """Index into `results.TIERS`."""
    behind: NDArray[np.int64]
    """Releases between the one that the phone has and the one it should have; one more if it has none."""
    ready: NDArray[np.bool_]
    """Whether the phone has the release whose signals the round sums."""
    timing: Callable[[], NDArray[np.float64]] = _untimed
    announced: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[k] numbers that go with the order of the round; empty but for a `LearntSelection`."""
    memory: NDArray[np.int32] = field(default_factory=_columns)
    """[device, column] what a phone keeps for a `LearntSelection`; no column for any other."""

    @property
    def report_ms(self) -> NDArray[np.float64]:
        """Time in which each phone makes a report on its little core."""
        return self.timing()


@dataclass(frozen=True)
class Done:
    """What phones did in a round: what a `LearntSelection` learns from. Arrays are `[device]` in front."""

    round: int
    reported: NDArray[np.bool_]
    ranks: NDArray[np.int8]
    """[device, click] rank, from 0, at which each click of a report stood; -1 where none is known."""
    spent_ms: NDArray[np.float64]
    """Time from being asked to the arrival of the report, as far as the round has one."""


class Selection(Protocol):
    """One way to choose whom a round asks. Frozen, and without any random number of its own."""

    @property
    def name(self) -> str:
        """Its name in reports."""
        ...

    @property
    def reveals(self) -> Reveals:
        """What who is asked depends on; also an attribute of the class, which is checked before a run."""
        ...

    @property
    def looks_at(self) -> str:
        """What of a phone decides, as words for reports: "its tier"."""
        ...

    def chances(self, known: Known) -> NDArray[np.float64]:
        """Return each device's chance in 0..1 `[device]`, a function of its own row alone.

        Of being kept, once the mechanism's coins let it join; where `reveals` is private, of being asked.
        """
        ...


class LearntSelection(Selection, Protocol):
    """A selection that learns from what phones did: it `reveals` private data."""

    @property
    def columns(self) -> int:
        """Numbers that each phone keeps for it, from zeros."""
        ...

    @property
    def entries(self) -> int:
        """Length of its sums."""
        ...

    def start(self) -> NDArray[np.float64]:
        """Return what would be announced before anything is known, `[k]`."""
        ...

    def remember(self, known: Known, done: Done) -> NDArray[np.int32]:
        """Return the phones' memory `[device, column]` after a round; that in `known` stays as it is."""
        ...

    def sums(self, known: Known, reported: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return integer sums `[entries]` over phones after a round; `known` has their new memory.

        A device adds 0 to `MOST_OF_A_DEVICE` to an entry, whichever others are summed with it.
        """
        ...

    def announce(
        self, announced: NDArray[np.float64], sums: NDArray[np.int64], round_: int
    ) -> NDArray[np.float64]:
        """Return what goes with the order of `round_` `[k]`, finite numbers.

        From what went with the one before, and the `sums` over the whole fleet at its end.
        """
        ...


class SelectionKind(Protocol):
    """A selection's class, as a registry or a user's file names it."""

    reveals: Reveals

    def make(self, settings: SelectionSettings) -> Selection:
        """Return the selection; raises FedbertError."""
        ...


def learns(selection: Selection) -> bool:
    """Return whether a selection is a `LearntSelection`."""
    return selection.reveals == "private"


def check_account(name: str, kind: Any, epsilon: float | None) -> None:
    """Raise FedbertError if a selection of the class `kind` has no account in a private run.

    One that does not say what it reveals is taken to reveal everything.
    """
    if epsilon is None or getattr(kind, "reveals", "private") in ("nothing", "public"):
        return
    raise no_account(name)


def privacy_sentence(selection: Selection) -> str:
    """Return what a selection costs in privacy, as a sentence for reports."""
    if selection.reveals == "nothing":
        return "Who is asked is settled by the mechanism's own coins, which its bounds are of."
    if selection.reveals == "public":
        return (
            f"Who is asked depends on {selection.looks_at}, never on what a phone did. A phone that is left "
            "out is accounted for as one that is not available, so every bound of the run holds as it is."
        )
    return (
        f"Who is asked depends on {selection.looks_at}: taking part tells of it, and no account covers that. "
        "The run is not private."
    )
