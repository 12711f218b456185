"""A shard: a contiguous range of devices as arrays, its state between rounds, and one round of its work.

Everything here runs where the phones' data are. A shard works through its devices in blocks of fixed size, so
that memory does not grow with the fleet; every random number depends on the device and the round alone, and
what leaves the shard are integer sums, so any split of the fleet gives the same figures (`report.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.availability import Availability, availability
from fedbert.devices.fleet import FleetColumns, draw_fleet
from fedbert.devices.network import (
    NetworkColumns,
    Transfers,
    download,
    draw_network,
    may_download,
    transfer_uniforms,
)
from fedbert.federation import report as r
from fedbert.federation.block import BlockRound
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.wire import Arrays
from fedbert.randomness import Purpose, uniforms
from fedbert.recommendation.clicks import ClickModel, clicked_history
from fedbert.recommendation.sessions import Block, Kind, Requests
from fedbert.units import MS_PER_HOUR

BLOCK = 16_384
"""Devices worked on at a time."""

NO_RELEASE = -1
PRE_CLOCK_ROUNDS = 12
"""Windows before the clock in which release 0 is rolled out."""

PRE_CLOCK_TIME = 1_000_000
"""Time index of the first window before the clock, out of the way of any round's."""


@dataclass
class ShardState:
    """What the phones of a shard remember between rounds; arrays over its devices, newest click last."""

    installed: NDArray[np.int16]  # [device] release number, -1 none
    text: NDArray[np.int32]  # [device, history] text of a remembered click, -1 none
    item: NDArray[np.int32]  # [device, history] clicked item
    rank: NDArray[np.int8]  # [device, history] rank of the clicked item from 0, -1 where nothing was scored
    release: NDArray[np.int16]  # [device, history] release that had ranked it
    oracle: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))  # [item, dim]
    oracle_clicks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [item]

    def arrays(self) -> Arrays:
        """Return the state as named arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ShardState":
        """Return the state that `arrays()` gave."""
        return cls(**{name: array.copy() for name, array in arrays.items()})

    def remember(
        self,
        rows: NDArray[Any],
        text: NDArray[Any],
        item: NDArray[Any],
        rank: NDArray[Any],
        release: NDArray[Any],
    ) -> None:
        """Append one click to each device of `rows` (each at most once), dropping its oldest."""
        for column, values in (
            (self.text, text),
            (self.item, item),
            (self.rank, rank),
            (self.release, release),
        ):
            column[rows, :-1] = column[rows, 1:]
            column[rows, -1] = values


class Shard:
    """The devices `first` .. `first + count - 1` of the fleet."""

    def __init__(self, environment: Environment, first: int, count: int) -> None:
        self.environment = environment
        self.scenario = environment.scenario
        self.first, self.count = first, count

    def blocks(self) -> Iterator[slice]:
        """Yield the rows of the shard, a block at a time."""
        for start in range(0, self.count, BLOCK):
            yield slice(start, min(start + BLOCK, self.count))

    def fleet(self, rows: slice) -> FleetColumns:
        """Return the phones of some rows."""
        return draw_fleet(
            self.environment.profiles, self.scenario.seed, self.first + rows.start, rows.stop - rows.start
        )

    def world_block(self, rows: slice, fleet: FleetColumns) -> Block:
        """Return what the world needs to know of some rows."""
        return Block(
            seed=self.scenario.seed,
            first=self.first + rows.start,
            count=rows.stop - rows.start,
            tier=fleet.tier,
            settings=self.environment.settings,
            devices=self.scenario.devices,
            tier_of=self._tier_of,
        )

    def _tier_of(self, first: int, count: int) -> NDArray[np.int8]:
        """Return the tiers of any devices of the fleet, `[device]`."""
        return draw_fleet(self.environment.profiles, self.scenario.seed, first, count).tier

    def control(self, rows: slice) -> NDArray[np.bool_]:
        """Return which devices of some rows stay on release 0, `[device]`."""
        draws = uniforms(
            self.scenario.seed,
            Purpose.CONTROL_GROUP,
            0,
            self.first + rows.start,
            rows.stop - rows.start,
            1,
        )
        return draws[:, 0] < self.scenario.control_share

    def availability(self, rows: slice, round_: int) -> Availability:
        """Return who can take part in the window of `round_`."""
        return availability(
            self.scenario.seed,
            self.first + rows.start,
            rows.stop - rows.start,
            self.scenario.round_hours,
            round_,
            self.scenario.availability,
            self.environment.trace,
        )

    def network(self, rows: slice, fleet: FleetColumns) -> NetworkColumns:
        """Return the links of the phones of some rows."""
        return draw_network(
            self.environment.profiles,
            self.environment.links,
            fleet.profile,
            self.scenario.seed,
            self.first + rows.start,
            rows.stop - rows.start,
        )

    def downloads(
        self, rows: slice, network: NetworkColumns, round_: int, wanted: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Transfers]:
        """Return which of the `wanted` [device] try to fetch a release in `round_`'s window, and how it goes.

        The first are indices into the block's rows, `[transfer]`; the rows of the second are theirs.
        """
        state = self.availability(rows, round_)
        trying = np.flatnonzero(wanted & may_download(state, self.scenario.metered))
        uniform = transfer_uniforms(
            self.scenario.seed, Purpose.TRANSFER, round_, self.first + rows.start, rows.stop - rows.start
        )
        return trying, download(
            self.environment.links,
            network.take(trying),
            state.unmetered[trying],
            self.environment.release_0.total_bytes,
            uniform[trying],
            self.scenario.round_hours * MS_PER_HOUR,
        )

    # -- before the clock ---------------------------------------------------------------------------------

    def remembered_before(self, rows: slice, fleet: FleetColumns) -> Requests:
        """Return text and clicked item `[device, history]` from before the clock, newest last, -1 none."""
        return clicked_history(self.environment.world, self.world_block(rows, fleet), ClickModel())

    def start(self) -> ShardState:
        """Return the state before the first round: histories, and release 0 where it could be fetched."""
        history = self.scenario.history_length
        layout_items = len(self.environment.world.public.catalogue.texts)
        state = ShardState(
            installed=np.full(self.count, NO_RELEASE, np.int16),
            text=np.full((self.count, history), -1, np.int32),
            item=np.full((self.count, history), -1, np.int32),
            rank=np.full((self.count, history), -1, np.int8),
            release=np.full((self.count, history), NO_RELEASE, np.int16),
            oracle=np.zeros((layout_items, self.environment.release_0.dim), np.int64),
            oracle_clicks=np.zeros(layout_items, np.int64),
        )
        for rows in self.blocks():
            fleet = self.fleet(rows)
            network = self.network(rows, fleet)
            remembered = self.remembered_before(rows, fleet)
            state.text[rows], state.item[rows] = remembered.text, remembered.item
            for window in range(PRE_CLOCK_ROUNDS):
                missing = state.installed[rows] == NO_RELEASE
                trying, got = self.downloads(rows, network, PRE_CLOCK_TIME + window, missing)
                state.installed[rows][trying[got.succeeded]] = 0
            kept = state.item[rows] >= 0
            self.observe_clicks(state, state.text[rows][kept], state.item[rows][kept])
        return state

    def observe_clicks(self, state: ShardState, text: NDArray[Any], item: NDArray[Any]) -> None:
        """Add clicks to the pooled sums of the simulator's own observer, in the space of release 0."""
        encoded = self.environment.encoded_0
        encoded.ensure(text)
        np.add.at(state.oracle, item, encoded.vectors[text].astype(np.int64))
        np.add.at(state.oracle_clicks, item, 1)

    # -- one round ----------------------------------------------------------------------------------------

    def run_round(
        self, state: ShardState, order_: RoundOrder, releases: Mapping[int, EncodedRelease]
    ) -> tuple[r.ShardReport, Arrays]:
        """Advance `state` by one round; return the report, and sample contributions if they were asked for.

        `releases` maps the number of each release that may be installed to its encoder. Round 0 is the window
        before the clock: its evaluation sessions are scored, and nothing is learnt, sent or fetched.
        """
        truth = r.empty_truth(int(self.environment.world.evaluation_text.sum()))
        signal = np.zeros(self.environment.layout.size, np.int64)
        reported = completed = 0
        sampled: list[NDArray[np.int64]] = []
        missing = order_.sample_contributions
        for rows in self.blocks():
            part = BlockRound(self, rows, state, order_, releases, truth)
            part.sessions(Kind.EVALUATION)
            if order_.round == 0:
                part.finish()
                continue
            part.sessions(Kind.LEARNING)
            part_signal, part_completed, part_reported = part.contribute()
            signal += part_signal
            completed += part_completed
            reported += part_reported
            if missing > 0:
                sampled.append(part.dense_sample(missing))
                missing -= len(sampled[-1])
            part.fetch()
            part.finish()
        server: Arrays = {
            "signal": signal.astype(np.uint32),
            "reported": np.array([reported], np.int64),
            "completed": np.array([completed], np.int64),
            "installed": np.bincount(
                state.installed.astype(np.int64) + 1, minlength=order_.newest_release + 2
            ).astype(np.int64),
        }
        samples = {"dense": np.concatenate(sampled)} if sampled else {}
        return r.ShardReport(server, truth), samples
