"""What every shard of a run has in common: the world, the profiles, the cost model, the layout of a signal.

All of it follows from the scenario and release 0 alone and none of it changes, so one copy serves all shards
of a process.
"""

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.availability_trace import Trace, load_trace
from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.fleet_shares import load_fleet
from fedbert.devices.links import LinkTable, load_links
from fedbert.devices.profiles import DeviceProfile
from fedbert.ei_bert.artefact import Artefact, unpack
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.protocol import layout_of
from fedbert.recommendation.world import World, WorldSettings, load_world
from fedbert.scenario import Scenario
from fedbert.signals.prototypes import SignalLayout


def world_settings(scenario: Scenario) -> WorldSettings:
    """Return the part of the scenario that the world needs."""
    return WorldSettings(
        history_length=scenario.history_length,
        non_iid=scenario.non_iid,
        tier_correlation=scenario.tier_correlation,
        learning_per_device_day=scenario.learning_per_day,
        evaluation_per_device_day=scenario.evaluation_per_day,
        round_hours=scenario.round_hours,
    )


def cost_model(scenario: Scenario, profiles: tuple[DeviceProfile, ...], release_0: Artefact) -> CostModel:
    """Return the cost of release 0 on the phones of `profiles`."""
    return CostModel(
        profiles,
        count_operations(release_0.files["model.onnx"]),
        artefact_bytes=release_0.total_bytes,
        memory_budget_bytes=scenario.memory_budget_bytes,
        deadline_ms=scenario.deadline_ms,
        threads=scenario.threads,
    )


@dataclass
class Environment:
    """The unchanging surroundings of the shards in one process."""

    scenario: Scenario
    world: World
    profiles: tuple[DeviceProfile, ...]
    links: LinkTable
    release_0: Artefact
    cost: CostModel
    settings: WorldSettings
    trace: Trace | None = None

    @classmethod
    def create(cls, scenario: Scenario, release_0: Artefact) -> "Environment":
        """Load what `scenario` names; raises FedbertError if a file is wrong."""
        profiles = load_fleet(scenario.profiles, scenario.fleet)
        cost = cost_model(scenario, profiles, release_0)
        world = load_world(scenario.world, scenario.items, scenario.interactions)
        trace = load_trace(scenario.availability_trace)
        links = load_links(scenario.profiles)
        return cls(scenario, world, profiles, links, release_0, cost, world_settings(scenario), trace)

    @cached_property
    def encoded_0(self) -> EncodedRelease:
        """Release 0 with the texts it has encoded so far."""
        return self.encoded(self.release_0)

    @cached_property
    def text_tokens(self) -> NDArray[np.int64]:
        """Tokens of each private text, `[text]`; all releases share one vocabulary."""
        return self.encoded_0.encoder.token_counts(self.world.texts).astype(np.int64)

    @cached_property
    def catalogue_tokens(self) -> int:
        """Tokens of the whole catalogue, which a phone encodes when it installs a release."""
        counts = self.encoded_0.encoder.token_counts(self.world.public.catalogue.texts, "item")
        return int(counts.astype(np.int64).sum())

    @cached_property
    def evaluation_index(self) -> NDArray[np.int64]:
        """Position of each private text among the evaluation texts, `[text]`, -1 for the others."""
        index = np.full(len(self.world.texts), -1, np.int64)
        index[self.world.evaluation_text] = np.arange(int(self.world.evaluation_text.sum()))
        return index

    @cached_property
    def layout(self) -> SignalLayout:
        """The layout of one device's signal."""
        return layout_of(self.scenario, len(self.world.public.catalogue.texts), self.release_0.dim)

    def encoded(self, artefact: Artefact) -> EncodedRelease:
        """Return a release that encodes each text once in this process."""
        key = artefact.sha256
        with _LOCK:
            if key not in _RELEASES:
                _RELEASES[key] = EncodedRelease(artefact, self.world.texts, self.world.public.catalogue.texts)
            return _RELEASES[key]


_LOCK = threading.RLock()
_ENVIRONMENTS: dict[str, Environment] = {}
_RELEASES: dict[str, EncodedRelease] = {}


def shared_environment(scenario: Scenario, release_0_blob: bytes) -> Environment:
    """Return the process's one Environment of a scenario; the last one is kept, earlier ones are dropped."""
    artefact = unpack(release_0_blob)
    key = scenario.model_dump_json() + artefact.sha256
    with _LOCK:
        if key not in _ENVIRONMENTS:
            forget()
            created = Environment.create(scenario, artefact)
            # Made while the lock is held: shards start together and would each make their own.
            _ = created.text_tokens, created.catalogue_tokens, created.layout, created.evaluation_index
            _ENVIRONMENTS[key] = created
        return _ENVIRONMENTS[key]


def keep_releases(kept: set[str]) -> None:
    """Drop the encoded releases of this process but those with a SHA-256 in `kept`."""
    with _LOCK:
        for key in set(_RELEASES) - kept:
            del _RELEASES[key]


def forget() -> None:
    """Drop what this process keeps of earlier runs."""
    with _LOCK:
        _ENVIRONMENTS.clear()
        _RELEASES.clear()
