"""A shard: a contiguous range of devices, its start, and one round of its work.

Everything here runs where the phones' data are. A shard works through its devices in blocks of fixed size, so
that memory does not grow with the fleet; every random number depends on the device and the round alone, and
what leaves the shard are integer sums, so any split of the fleet gives the same figures (`report.py`). No
array of a single phone leaves it, but for when its first reports would come (`arrivals`).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.federation import phone_files
from fedbert.federation import shard_report as r
from fedbert.federation.asking import Asking, first_sums, memory_columns
from fedbert.federation.block_round import BlockRound
from fedbert.federation.buffer_round import tasks_of
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment
from fedbert.federation.phone_state import NO_RELEASE, PhoneState
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import Arrays, RoundOrder
from fedbert.federation.round_clock import Course, course_of, deadline_us, first_arrivals
from fedbert.federation.sizes import by_size
from fedbert.federation.sums_apart import SumsApart
from fedbert.privacy.secure_sum import (
    KEY_BYTES,
    deal_keys,
    masked_vector,
    modular_sum,
    neighbour_graph,
    unmask,
)
from fedbert.recommendation.sessions import Kind

BLOCK = 16_384
"""Devices worked on at a time: enough for numpy's overhead not to show, and the same for any fleet."""

PRE_CLOCK_ROUNDS = 12
"""Windows before the clock in which release 0 is rolled out: a day of rounds of two hours."""

PRE_CLOCK_TIME = 1_000_000
"""Time index of the first window before the clock, out of the way of any round's."""

MASK_CHECK_ROUND = 1
"""The round in which phones' masks are really run."""


@dataclass(frozen=True)
class MaskCheck:
    """What really running the pairwise masks on a few phones of a shard showed: counts and a yes or no."""

    devices: int
    dropped: int
    equal: bool | None
    """None where fewer than two phones reported."""


class Shard:
    """The devices `first` .. `first + count - 1` of the fleet."""

    def __init__(self, environment: Environment, first: int, count: int) -> None:
        self.environment, self.scenario = environment, environment.scenario
        self.devices = DeviceRange(self.scenario.seed, first, count)

    def blocks(self) -> Iterator[tuple[slice, Phones]]:
        """Yield the rows of the shard and their phones, a block at a time."""
        for rows in self.devices.blocks(BLOCK):
            yield rows, Phones(self.environment, self.devices.part(rows))

    def start(self, files: Path | None = None) -> PhoneState:
        """Return the state before the first round: histories, and release 0 where it could be fetched.

        With `files` its columns are files of that new folder; raises FedbertError if they cannot be written.
        """
        environment = self.environment
        items = len(environment.world.public.catalogue.texts)
        columns = memory_columns(environment.selection)
        shape = (self.devices.count, self.scenario.history_length, items, environment.release_0.dim, columns)
        state = PhoneState.empty(*shape) if files is None else phone_files.new_state(files, *shape)
        for rows, phones in self.blocks():
            remembered = phones.remembered_before()
            state.text[rows], state.item[rows] = remembered.text, remembered.item
            for window in range(PRE_CLOCK_ROUNDS):
                missing = state.installed[rows] == NO_RELEASE
                trying, got = phones.downloads(PRE_CLOCK_TIME + window, missing)
                state.installed[rows][trying[got.succeeded]] = 0
            if not self.scenario.timing_only:
                kept = state.item[rows] >= 0
                text, item = state.text[rows][kept], state.item[rows][kept]
                size = phones.size[np.nonzero(kept)[0]]
                first = environment.encoded_0
                for place, at in by_size(size, len(first.sizes)):
                    first.sizes[place].ensure(text[at])
                    state.pool(first.sizes[place].vectors, text[at], item[at])
            phone_files.let_go(state)
        return state

    def arrivals(
        self,
        waiting: NDArray[np.bool_],
        installed: NDArray[np.int16],
        order_: RoundOrder,
        most: int,
        memory: NDArray[np.int32] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (microseconds, number of the device) of the first `most` reports that would come in a round.

        `waiting` and `installed` [device] are the memory of the shard's phones, and `memory` what they keep
        for the selection.
        """
        times, who = np.zeros(0, np.int64), np.zeros(0, np.int64)
        until_us = deadline_us(self.environment)
        for phones, course in self._courses(waiting, installed, order_, memory):
            here = phones.devices.first + np.arange(phones.devices.count)
            times, who = first_arrivals(
                np.concatenate([times, course.arrival_us]), np.concatenate([who, here]), most, until_us
            )
        return times, who

    def tasks(
        self,
        waiting: NDArray[np.bool_],
        installed: NDArray[np.int16],
        order_: RoundOrder,
        memory: NDArray[np.int32] | None = None,
    ) -> Arrays:
        """Return the `Tasks` of the phones that a round with buffers may ask, as arrays; see `arrivals`."""
        courses = self._courses(waiting, installed, order_, memory)
        parts = [vars(tasks_of(phones, course, order_.round)) for phones, course in courses]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _courses(
        self,
        waiting: NDArray[np.bool_],
        installed: NDArray[np.int16],
        order_: RoundOrder,
        memory: NDArray[np.int32] | None,
    ) -> Iterator[tuple[Phones, Course]]:
        """Yield each block's phones, and their course through a round; nothing of it is kept."""
        for rows, phones in self.blocks():
            if memory is not None:
                phones = replace(phones, asking=Asking(order_, installed[rows], memory[rows]))
            yield phones, course_of(phones, waiting[rows], installed[rows], order_)

    def run_round(
        self, state: PhoneState, order_: RoundOrder, releases: Mapping[int, EncodedRelease]
    ) -> tuple[r.ShardReport, MaskCheck | None]:
        """Advance `state` by one round; return the report, and in one round the check of phones' masks.

        `releases` maps the number of each release that may be installed to its encoder. Round 0 is the window
        before the clock: its evaluation sessions are scored, and nothing is learnt, sent or fetched.
        """
        truth = r.empty_truth(self.environment.places)
        signal = np.zeros(order_.sums * self.environment.layout.size, np.int64)
        reported, completed = np.zeros(order_.sums, np.int64), 0
        check_due = order_.round == MASK_CHECK_ROUND and not self.scenario.timing_only
        wanted = self.scenario.verify_masks if check_due else 0
        sampled: list[NDArray[np.int64]] = []
        lying = self.environment.poisoning is not None and order_.round > 0
        apart = SumsApart.empty(len(signal)) if lying else None
        seen = first_sums(self.environment.selection)
        for rows, phones in self.blocks():
            part = BlockRound(phones, rows, state, order_, releases, truth)
            part.sessions(Kind.EVALUATION)
            if order_.round == 0:
                if seen is not None:
                    seen += part.learnt(None)
                part.finish()
                phone_files.let_go(state)
                continue
            part.sessions(Kind.LEARNING)
            # By the clock a phone fetches what it lacks before it reports, else when it has.
            course = part.course()
            if course is not None:
                part.fetch(course)
            part_signal, part_completed, part_reported = part.contribute(course)
            if seen is not None:
                seen += part.learnt(course)
            if apart is not None and part.apart is not None:
                apart.add(part.apart)
            signal += part_signal
            completed += part_completed
            reported += part_reported
            missing = wanted - sum(len(vectors) for vectors in sampled)
            if missing > 0:
                sampled.append(part.dense_sample(missing))
            if course is None:
                part.fetch()
            part.finish()
            phone_files.let_go(state)
        server: Arrays = {
            "signal": signal.astype(np.uint32),
            "reported": reported,
            "completed": np.array([completed], np.int64),
            "installed": state.installed_counts(order_.newest_release),
        }
        check = check_masks(np.concatenate(sampled)) if sampled else None
        return r.ShardReport(server, truth, apart, seen), check


def check_masks(dense: NDArray[np.int64]) -> MaskCheck:
    """Run the masks of a few phones `[device, size]`, one in eight dropping out, against the plain sum."""
    parties = range(len(dense))
    # One in eight drops out, about what rounds lose, so that the recovery is run and not the sum alone.
    survivors = [party for party in parties if party % 8 != 7]
    if len(survivors) < 2:
        return MaskCheck(len(dense), 0, None)
    secret = os.urandom(KEY_BYTES)
    graph = neighbour_graph(secret, MASK_CHECK_ROUND, parties)
    keys = deal_keys(secret, MASK_CHECK_ROUND, graph)
    vectors = dense.astype(np.uint32)
    masked = [masked_vector(vectors[party], party, keys[party]) for party in survivors]
    total = unmask(modular_sum(masked), survivors, graph, keys)
    plain = modular_sum([vectors[party] for party in survivors])
    return MaskCheck(len(dense), len(dense) - len(survivors), bool(np.array_equal(total, plain)))
