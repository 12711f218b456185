"""The phones of a range of devices: everything that follows from the seed and their ids, as columns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import Availability, availability
from fedbert.devices.cost_model import InstallCosts, SessionCosts
from fedbert.devices.fleet import FleetColumns, draw_fleet
from fedbert.devices.network import (
    NetworkColumns,
    Transfers,
    download,
    draw_network,
    may_download,
    transfer_uniforms,
)
from fedbert.devices.report_time import report_ms
from fedbert.federation.asking import Asking, selected
from fedbert.federation.environment import Environment
from fedbert.federation.sizes import Size, by_size
from fedbert.randomness import ONCE, Purpose
from fedbert.recommendation.clicks import ClickModel, clicked_history
from fedbert.recommendation.clusters import users_on
from fedbert.recommendation.sessions import Block, Requests
from fedbert.results import CANDIDATES
from fedbert.scenario import Scenario
from fedbert.selection.selection import Known
from fedbert.units import MS_PER_HOUR


@dataclass(frozen=True)
class Phones:
    """The phones of `devices`; each column is drawn when it is first asked for."""

    environment: Environment
    devices: DeviceRange
    asking: Asking | None = None
    """What a selection that knows more than coins needs of the round."""
    only_size: int | None = None
    """The size that all of them have, if they do not choose."""

    @property
    def scenario(self) -> Scenario:
        """The scenario of the run."""
        return self.environment.scenario

    @cached_property
    def fleet(self) -> FleetColumns:
        """Profiles, tiers, memory and speed."""
        return draw_fleet(self.environment.profiles, self.devices)

    @cached_property
    def size(self) -> NDArray[np.int8]:
        """The size of the model that each has, an index into the environment's `sizes` `[device]`."""
        if self.only_size is not None:
            return np.full(self.devices.count, self.only_size, np.int8)
        return self.environment.size_of(self.fleet)

    def with_size(self, size: int) -> "Phones":
        """Return the same phones, all of them with one size."""
        made = replace(self, only_size=size)
        for name in ("fleet", "block"):  # drawn once: they are the same
            made.__dict__[name] = getattr(self, name)
        return made

    @cached_property
    def release_bytes(self) -> NDArray[np.int64]:
        """What each downloads with a release, `[device]`."""
        return np.array([size.artefact.total_bytes for size in self.environment.sizes])[self.size]

    def network(self, rows: NDArray[np.int64]) -> NetworkColumns:
        """Return the links of the devices at `rows` [n]."""
        environment, profile = self.environment, self.fleet.profile[rows]
        return draw_network(environment.profiles, environment.links, profile, self.devices.chosen(rows))

    @cached_property
    def block(self) -> Block:
        """What the world needs to know of them."""
        return Block(
            devices=self.devices,
            tier=self.fleet.tier,
            settings=self.environment.settings,
            fleet_devices=self.scenario.devices,
            tier_of=self._tier_of,
        )

    def _tier_of(self, devices: DeviceRange) -> NDArray[np.int8]:
        """Return the tiers of any devices of the fleet, `[device]`."""
        return draw_fleet(self.environment.profiles, devices).tier

    @cached_property
    def user(self) -> NDArray[np.int64] | None:
        """The real user on each of them, `[device]`; None where each has its own."""
        return users_on(self.environment.world, self.environment.places, self.block)

    @cached_property
    def control(self) -> NDArray[np.bool_]:
        """Which of them stay on release 0, `[device]`."""
        draws = self.devices.uniforms(Purpose.CONTROL_GROUP, ONCE, 1)
        return draws[:, 0] < self.scenario.control_share

    def availability(self, round_: int) -> Availability:
        """Return who can take part in the window of `round_`; that of the last one asked for is kept."""
        if round_ not in self._availability:
            self._availability.clear()
            self._availability[round_] = availability(
                self.devices,
                self.scenario.round_hours,
                round_,
                self.scenario.availability,
                self.environment.trace,
            )
        return self._availability[round_]

    @cached_property
    def _availability(self) -> dict[int, Availability]:
        return {}

    @property
    def known(self) -> Known:
        """What a selection may know of them when the round begins."""
        if self.asking is None:
            raise ValueError("a selection needs the order of the round")
        order, everyone = self.asking.order, np.arange(self.devices.count)
        installed = self.asking.installed.astype(np.int64)
        return Known(
            round=order.round,
            tier=self.fleet.tier,
            behind=self.wanted_release(order.newest_release) - installed,
            ready=installed == order.signal_release,
            timing=lambda: self.making_ms(everyone),
            announced=np.array(order.asking, np.float64),
            memory=self.asking.memory,
        )

    def joining(self, waiting: NDArray[np.bool_], round_: int) -> NDArray[np.bool_]:
        """Return who joins `round_` [device]: by mechanism and selection, or still `waiting` [device]."""
        mechanism = self.environment.mechanism
        joined = mechanism.joins(self.devices, round_)
        selection = self.environment.selection
        if selection.reveals != "nothing":
            joined = selected(selection, self.devices, joined, self.known)
        # Until its sum is opened, a device that could not report may still do so: it is in the sum once.
        if round_ > 1 and not mechanism.gathered(round_ - 1):
            joined |= waiting
        return joined

    def wanted_release(self, newest: int) -> NDArray[np.int64]:
        """Return the release that each should have, `[device]`; the control group stays on release 0."""
        return np.where(self.control, 0, newest)

    def downloads(self, round_: int, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Transfers]:
        """Return which of the `wanted` [device] try to fetch a release in `round_`'s window, and how it goes.

        The first are indices into the devices, `[transfer]`; the rows of the second are theirs.
        """
        state = self.availability(round_)
        trying = np.flatnonzero(wanted & may_download(state, self.scenario.metered))
        uniform = transfer_uniforms(self.devices.chosen(trying), Purpose.TRANSFER, round_)
        return trying, download(
            self.environment.links,
            self.network(trying),
            state.unmetered[trying],
            self.release_bytes[trying],
            uniform,
            self.scenario.round_hours * MS_PER_HOUR,
        )

    def making_ms(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the time in which the devices at `rows` [n] make a report with the masks of a round."""
        environment = self.environment
        expected = max(2, math.ceil(environment.mechanism.round_rate * self.scenario.devices))
        # One's own, and the neighbours' (`secure_sum.neighbour_graph`).
        masks = 1 + 2 * (expected - 1).bit_length()
        return report_ms(environment.profiles, self.fleet, rows, environment.layout.size, masks)

    def session_costs(
        self,
        device: NDArray[np.integer],
        text: NDArray[np.integer],
        draws: NDArray[np.float64],
        cold: NDArray[np.bool_],
    ) -> SessionCosts:
        """Return what sessions of `text` on the rows `device` cost, each with its phone's size, `[session]`.

        `draws` and `cold` as in `CostModel.session`.
        """
        rows, sizes = device.astype(np.int64), self.environment.sizes
        found = [
            (
                at,
                sizes[place].cost.session(
                    self.fleet,
                    rows[at],
                    sizes[place].text_tokens[text[at]],
                    CANDIDATES,
                    draws[at],
                    cold[at],
                ),
            )
            for place, at in by_size(self.size[rows], len(sizes))
        ]
        return SessionCosts(*_in_place(found, len(rows)))

    def install_costs(
        self, rows: NDArray[np.int64], tokens: Callable[[Size, NDArray[np.int64]], Any], texts: Any
    ) -> InstallCosts:
        """Return what installing a release costs the devices at `rows`, each in its size, `[row]`.

        `tokens(size, at)` are those of the history of the rows `at` of `rows`, beside the catalogue's;
        `texts` `[row]` counts the texts of a history.
        """
        sizes, items = self.environment.sizes, len(self.environment.world.public.catalogue.texts)
        counted = np.broadcast_to(np.asarray(texts), rows.shape) + items
        found = [
            (
                at,
                sizes[place].cost.install(
                    self.fleet,
                    rows[at],
                    np.broadcast_to(tokens(sizes[place], at) + sizes[place].catalogue_tokens, at.shape),
                    counted[at],
                ),
            )
            for place, at in by_size(self.size[rows], len(sizes))
        ]
        return InstallCosts(*_in_place(found, len(rows)))

    def remembered_before(self) -> Requests:
        """Return text and clicked item `[device, history]` from before the clock, newest last, -1 none."""
        return clicked_history(self.environment.world, self.block, ClickModel())


def _in_place(
    found: Sequence[tuple[NDArray[np.int64], tuple[NDArray[Any], ...]]], count: int
) -> list[NDArray[Any]]:
    """Return the columns of several parts as one, `[count]`: each part has the places of its rows."""
    if len(found) == 1:
        return list(found[0][1])
    columns = [np.zeros(count, column.dtype) for column in found[0][1]]
    for at, part in found:
        for whole, column in zip(columns, part, strict=True):
            whole[at] = column
    return columns
