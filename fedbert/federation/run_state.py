"""Everything that a run is between two rounds, as one value. Nothing else survives a round.

`step` (`session.py`) takes a state to the next. The phones' memory belongs to it too; it is as large as the
fleet and lies with the shards, which write their own parts of a checkpoint (`checkpoint.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.aggregator import AggregatorState
from fedbert.federation.exchange import Event
from fedbert.federation.protocol import Arrays
from fedbert.federation.server import Release, ServerState
from fedbert.results import EventRow, RoundRow
from fedbert.signals.gate import RankEvidence


class PlainRelease(TypedDict):
    """One release in `PlainState`; its artefact is named by its SHA-256."""

    number: int
    sha256: str
    ndcg: float


class PlainPending(TypedDict):
    """What an `AggregatorState` has beside its arrays."""

    rounds: int
    reports: int
    filled: NotRequired[int]
    steps: NotRequired[int]


class PlainState(TypedDict):
    """What of a `RunState` is neither an array nor an artefact, fit for JSON."""

    round: int
    releases: list[PlainRelease]
    current: str  # SHA-256 of the student as it is now
    rank_variances: dict[str, float]  # by release
    pending: PlainPending
    rows: list[RoundRow]
    masks_equal: bool | None
    masks_checked: int
    events: list[EventRow]
    missing_device_rounds: int


@dataclass(frozen=True)
class RunState:
    """A run after `round`."""

    round: int
    """The last finished round; -1 before the window before the clock."""
    server: ServerState
    totals: Arrays
    """The observer's sums over rounds 1 .. `round` (`report.empty_truth`)."""
    rows: tuple[RoundRow, ...] = ()
    aggregator: AggregatorState = field(default_factory=AggregatorState)
    """What the aggregator keeps; in a deployment it keeps it itself."""
    masks_equal: bool | None = None
    """Whether phones' masks, really run, gave the plain sum in every shard; None if none could."""
    masks_checked: int = 0
    """Phones whose masks were really run."""
    events: tuple[Event, ...] = ()
    """What went wrong with shards."""
    missing_device_rounds: int = 0
    asking: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[k] what a selection that learns announces with the next order."""

    def arrays(self) -> Arrays:
        """Return all arrays by name: what `from_parts` takes beside `plain()` and the releases."""
        server = self.server
        named: dict[str, Mapping[str, NDArray[Any]]] = {
            "memory": server.memory,
            "models": server.models,
            "totals": self.totals,
            "ranks": {str(number): ranks.clicks for number, ranks in server.ranks.items()},
        }
        kept = {
            "aggregator/opened": np.array(self.aggregator.opened, np.int64).reshape(-1, 3),
            "aggregator/pending": self.aggregator.pending,
        }
        return {"installed": server.installed, "asking": self.asking, **kept} | {
            f"{group}/{name}": np.asarray(array)
            for group, part in named.items()
            for name, array in part.items()
        }

    def artefacts(self) -> dict[str, Artefact]:
        """Return every artefact of the state by its SHA-256."""
        found = [release.artefact for release in self.server.releases] + [self.server.current]
        return {artefact.sha256: artefact for artefact in found}

    def plain(self) -> PlainState:
        """Return the rest as plain values, fit for JSON."""
        server = self.server
        return {
            "round": self.round,
            "releases": [
                {"number": release.number, "sha256": release.artefact.sha256, "ndcg": release.validation_ndcg}
                for release in server.releases
            ],
            "current": server.current.sha256,
            "rank_variances": {str(number): ranks.variance for number, ranks in server.ranks.items()},
            "pending": {
                "rounds": self.aggregator.rounds,
                "reports": self.aggregator.reports,
                "filled": self.aggregator.filled,
                "steps": self.aggregator.steps,
            },
            "rows": list(self.rows),
            "masks_equal": self.masks_equal,
            "masks_checked": self.masks_checked,
            "events": [event.row() for event in self.events],
            "missing_device_rounds": self.missing_device_rounds,
        }

    @classmethod
    def from_parts(cls, plain: PlainState, arrays: Arrays, artefacts: Mapping[str, Artefact]) -> "RunState":
        """Return the state that `plain()`, `arrays()` and `artefacts()` describe."""

        def group(name: str) -> Arrays:
            return {
                key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{name}/")
            }

        variances = plain["rank_variances"]
        return cls(
            round=plain["round"],
            server=ServerState(
                releases=tuple(
                    Release(each["number"], artefacts[each["sha256"]], each["ndcg"])
                    for each in plain["releases"]
                ),
                current=artefacts[plain["current"]],
                installed=arrays["installed"],
                memory=group("memory"),
                ranks={
                    int(number): RankEvidence(clicks, variances[number])
                    for number, clicks in group("ranks").items()
                },
                models=group("models"),
            ),
            totals=group("totals"),
            aggregator=AggregatorState(
                opened=tuple((int(a), int(b), int(c)) for a, b, c in arrays["aggregator/opened"]),
                pending=arrays["aggregator/pending"],
                **plain["pending"],
            ),
            rows=tuple(plain["rows"]),
            masks_equal=plain["masks_equal"],
            masks_checked=plain["masks_checked"],
            events=tuple(Event(**event) for event in plain["events"]),
            missing_device_rounds=plain["missing_device_rounds"],
            asking=arrays.get("asking", np.zeros(0)),
        )
