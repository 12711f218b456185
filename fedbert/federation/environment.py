"""What does not change in a run: world, profiles, links, trace, cost model, signal, mechanism, layout.

All of it follows from the scenario and release 0 alone, and each file is opened here, once per process;
one copy serves all shards of a process, and the report.
"""

import copy
import math
import secrets
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.availability_trace import Trace, load_trace
from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.fleet import FleetColumns
from fedbert.devices.fleet_shares import read_fleet
from fedbert.devices.links import LinkTable, load_links
from fedbert.devices.profiles import DeviceProfile
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import members, unpack
from fedbert.ei_bert.artefact.known_texts import STATES_LIMIT_BYTES, KnownTexts
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.errors import invalid
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.sizes import Size, expected_shares, largest_that_fits
from fedbert.parts import MECHANISMS, SELECTIONS, SIGNALS, WORLDS
from fedbert.plugins import Named, load_named
from fedbert.privacy.buffers import check_buffers
from fedbert.privacy.displacement import REACH, check_displacement
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import Mechanism, PrivacySettings
from fedbert.privacy.mechanisms import NOISE_SPREADS, largest_cohort
from fedbert.privacy.scaled import scaled
from fedbert.recommendation.clusters import Places, places_of
from fedbert.recommendation.world import PAGE, World, WorldSettings, load_world
from fedbert.results import CANDIDATES, TIERS
from fedbert.scenario import Scenario
from fedbert.selection.selection import Selection, SelectionSettings, check_account, learns
from fedbert.selection.uniform import Uniform
from fedbert.signals.poisoning import DEFAULT_FACTOR, Poisoning
from fedbert.signals.report import ReportLayout, report_layout
from fedbert.signals.signal import Signal
from fedbert.tier_rates import parse_tier_rates


def world_settings(scenario: Scenario) -> WorldSettings:
    """Return the part of the scenario that the world needs."""
    return WorldSettings(
        history_length=scenario.history_length,
        # Where nothing is ranked, no list is drawn.
        candidates=0 if scenario.timing_only else CANDIDATES,
        non_iid=scenario.non_iid,
        tier_correlation=scenario.tier_correlation,
        learning_per_device_day=scenario.learning_per_day,
        evaluation_per_device_day=scenario.evaluation_per_day,
        round_hours=scenario.round_hours,
    )


def find_own_parts(scenario: Scenario) -> None:
    """Raise FedbertError unless a user's own parts are in the files that are named.

    For a command that starts many runs, as is whether how rounds close and who is asked has an account:
    only a user's own Python is opened. Names of fedbert's own parts the scenario has checked.
    """
    for kind in ("world", "signal", "mechanism"):
        if ":" in getattr(scenario, kind):
            load_named(getattr(scenario, kind), {}, kind, kind)
    selection_kind(scenario)
    mechanism = load_named(scenario.mechanism, MECHANISMS, "mechanism", "mechanism")
    check_displacement(scenario.mechanism, mechanism, scenario.epsilon, scenario.target_reports)
    check_buffers(scenario.mechanism, mechanism, scenario.epsilon, scenario.buffer_reports)


def load_signal(scenario: Scenario, items: int, dim: int) -> Signal:
    """Return the scenario's signal: one of fedbert's, or one of the user's own file that passes its trial.

    `items` and `dim` are those of the run.
    """
    kind = load_named(scenario.signal, SIGNALS, "signal", "signal")
    if scenario.signal in SIGNALS:
        known: Signal = kind()
        return known
    from fedbert.signals import trial

    named = Named("signal", scenario.signal, trial.PAGE)
    own: Signal = named.made(kind, trial.NEEDED)
    named.guard(lambda: trial.checked(own, named, items, dim))
    return own


def load_mechanism(scenario: Scenario, noise_multiplier: float | None = None) -> Mechanism:
    """Return the scenario's mechanism; `noise_multiplier` is what it was calibrated to, None to calibrate.

    With a `noise_cohort` its bounds are those of so many phones, and its noise is scaled to the run's.
    """
    made = _load_mechanism(scenario, noise_multiplier)
    return scaled(made, scenario.devices, scenario.noise_cohort)


def _load_mechanism(scenario: Scenario, noise_multiplier: float | None) -> Mechanism:
    kind = load_named(scenario.mechanism, MECHANISMS, "mechanism", "mechanism")
    check_displacement(scenario.mechanism, kind, scenario.epsilon, scenario.target_reports)
    check_buffers(scenario.mechanism, kind, scenario.epsilon, scenario.buffer_reports)
    settings = PrivacySettings(
        epsilon=scenario.epsilon,
        delta=scenario.effective_delta,
        sampling_probability=scenario.cohort_probability,
        clip_norm=scenario.clip_norm,
        rounds=scenario.rounds,
        rounds_per_day=scenario.rounds_per_day,
        devices=scenario.protected_devices,
        noise_multiplier=noise_multiplier,
        reach=1.0 if scenario.target_reports is None else REACH,
    )
    if scenario.mode == "local" and scenario.epsilon is not None:  # without an epsilon nobody adds noise
        return Local.make(kind, settings)
    if scenario.mechanism in MECHANISMS:
        known: Mechanism = kind.make(settings)
        return known
    from fedbert.privacy import trial

    named = Named("mechanism", scenario.mechanism, trial.PAGE)
    own: Mechanism = named.made(getattr(kind, "make", None), trial.NEEDED, settings)
    if noise_multiplier is None:  # else the server has tried it already
        again = replace(settings, noise_multiplier=own.noise_multiplier)
        remade: Mechanism = named.made(kind.make, trial.NEEDED, again)
        named.guard(lambda: trial.checked(own, remade, named))
    return own


def selection_kind(scenario: Scenario) -> Any:
    """Return the class of the scenario's selection; raises FedbertError if it has no account in the run."""
    kind = load_named(scenario.selection, SELECTIONS, "selection", "selection")
    check_account(scenario.selection, kind, scenario.epsilon)
    return kind


def load_selection(
    scenario: Scenario, profiles: tuple[DeviceProfile, ...], mechanism: Mechanism
) -> Selection:
    """Return the scenario's selection: one of fedbert's, or of the user's own file if it passes its trial."""
    kind = selection_kind(scenario)
    shares = np.bincount(
        [each.tier_index for each in profiles], [each.share for each in profiles], len(TIERS)
    )
    rates = scenario.tier_rates
    settings = SelectionSettings(
        devices=scenario.devices,
        round_rate=mechanism.round_rate,
        tier_shares=tuple(shares.tolist()),
        tier_rates=None if rates is None else parse_tier_rates(rates),
    )
    if scenario.selection in SELECTIONS:
        known: Selection = kind.make(settings)
        return known
    from fedbert.selection import trial

    named = Named("selection", scenario.selection, trial.PAGE)
    own: Selection = named.made(getattr(kind, "make", None), trial.NEEDED, settings)
    named.guard(lambda: trial.checked(own, named))
    # The class decided that it may run: what it makes must not say otherwise.
    if own.reveals != getattr(kind, "reveals", "private"):
        raise named.refused("say reveals as an attribute of the class, the same in what it makes")
    return own


def _check_bound(scenario: Scenario, mechanism: Mechanism) -> None:
    """Raise FedbertError for a bound on coordinates that the noise of devices would break."""
    if scenario.coordinate_bound is not None and mechanism.noise_on_device and mechanism.private:
        raise invalid(
            "coordinate_bound",
            scenario.coordinate_bound,
            f"be left out with {mechanism.name!r}, whose devices add noise that no bound holds",
            "take a mechanism with noise on the sum, or leave the bound out",
        )


def load_scenario_world(scenario: Scenario) -> World:
    """Return the scenario's world: one of fedbert's, or one of the user's own file that passes its trial."""
    world = load_world(
        scenario.world, scenario.items, scenario.interactions, scenario.split, scenario.min_rating
    )
    if scenario.world not in WORLDS:
        from fedbert.recommendation import trial

        named = Named("world", scenario.world, PAGE)
        named.guard(lambda: trial.checked(world, named))
    return world


def cost_model(scenario: Scenario, profiles: tuple[DeviceProfile, ...], release_0: Artefact) -> CostModel:
    """Return the cost of release 0, of its largest size, on the phones of `profiles`."""
    return CostModel(
        profiles,
        count_operations(release_0.files["model.onnx"]),
        artefact_bytes=release_0.total_bytes,
        memory_budget_bytes=scenario.memory_budget_bytes,
        deadline_ms=scenario.deadline_ms,
        threads=scenario.threads,
        history_vectors=scenario.history_length,
    )


GATHERED_RATE = 0.5
"""Share of a fleet that a round's sum is made for where several rounds are opened as one. By the default
model less than a third of the phones can report in any one round; a wider range would cost precision."""

SPECIALS = 2
"""Tokens of each text that are none of its words: one marks its role, one its end."""


TokenCounts = tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
"""Tokens and unknown tokens `[text]` of the private texts, and of the catalogue's."""


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
    signal: Signal
    mechanism: Mechanism
    trace: Trace | None = None
    profile_notes: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Uniform)

    @classmethod
    def create(
        cls, scenario: Scenario, release_0: Artefact, noise_multiplier: float | None = None
    ) -> "Environment":
        """Load what `scenario` names; raises FedbertError if a file is wrong.

        `noise_multiplier` is what the mechanism was calibrated to elsewhere; None calibrates it here.
        """
        selection_kind(scenario)  # before anything is loaded
        profiles, notes = read_fleet(scenario.profiles, scenario.fleet)
        cost = cost_model(scenario, profiles, release_0)
        world = load_scenario_world(scenario)
        trace = load_trace(scenario.availability_trace)
        links = load_links(scenario.profiles)
        signal = load_signal(scenario, len(world.public.catalogue.texts), release_0.dim)
        mechanism = load_mechanism(scenario, noise_multiplier)
        _check_bound(scenario, mechanism)
        return cls(
            scenario,
            world,
            profiles,
            links,
            release_0,
            cost,
            world_settings(scenario),
            signal,
            mechanism,
            trace,
            notes,
            load_selection(scenario, profiles, mechanism),
        )

    @cached_property
    def encoded_0(self) -> EncodedRelease:
        """Release 0 with the texts it has encoded so far."""
        return self.encoded(self.release_0)

    @cached_property
    def token_counts(self) -> TokenCounts:
        """Tokens and unknown tokens of the private texts and of the catalogue's; each is read once."""
        return self._counted(self.encoded_0.encoder)

    def _counted(self, encoder: Int8Encoder) -> TokenCounts:
        catalogue = self.world.public.catalogue.texts
        read = (encoder.counts(self.world.texts), encoder.counts(catalogue, "item"))
        return tuple((tokens.astype(np.int64), unknown.astype(np.int64)) for tokens, unknown in read)

    @cached_property
    def text_tokens(self) -> NDArray[np.int64]:
        """Tokens of each private text, `[text]`; all releases of a size share one vocabulary."""
        return self.token_counts[0][0]

    @cached_property
    def catalogue_tokens(self) -> int:
        """Tokens of the whole catalogue, which a phone encodes when it installs a release."""
        return int(self.token_counts[1][0].sum())

    @cached_property
    def smaller_counts(self) -> tuple[TokenCounts, ...]:
        """`token_counts` of the smaller sizes, from large to small: each has a vocabulary of its own."""
        return tuple(self._counted(each.encoder) for each in self.encoded_0.smaller)

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of release 0, the largest first."""
        smaller = members(self.release_0)[1:]
        counted = zip(smaller, self.smaller_counts, strict=True)
        return (
            Size(self.release_0, self.cost, self.text_tokens, self.catalogue_tokens),
            *(
                Size(
                    each,
                    cost_model(self.scenario, self.profiles, each),
                    texts[0],
                    int(catalogue[0].sum()),
                )
                for each, (texts, catalogue) in counted
            ),
        )

    def size_of(self, fleet: FleetColumns) -> NDArray[np.int8]:
        """Return the size that each phone of `fleet` takes, an index into `sizes` `[device]`."""
        limit = np.minimum(fleet.free_memory_bytes, self.scenario.memory_budget_bytes)
        return largest_that_fits([size.peak_bytes for size in self.sizes], limit)

    @cached_property
    def size_shares(self) -> tuple[float, ...]:
        """The share of the fleet that is expected to take each size: public, and known before the run."""
        peaks = [size.peak_bytes for size in self.sizes]
        return expected_shares(peaks, self.profiles, self.scenario.memory_budget_bytes)

    @property
    def release_bytes(self) -> int:
        """What a phone downloads with a release, on average over the sizes."""
        mean = sum(
            share * size.artefact.total_bytes
            for share, size in zip(self.size_shares, self.sizes, strict=True)
        )
        return round(mean)

    @cached_property
    def unknown_token_share(self) -> float:
        """Share of the words' tokens, of texts and catalogue, that release 0 does not know, 0..1."""
        tokens = sum(int(read.sum()) - SPECIALS * len(read) for read, _ in self.token_counts)
        return sum(int(unknown.sum()) for _, unknown in self.token_counts) / max(tokens, 1)

    @cached_property
    def evaluation_index(self) -> NDArray[np.int64]:
        """Position of each private text among the evaluation texts, `[text]`, -1 for the others."""
        index = np.full(len(self.world.texts), -1, np.int64)
        index[self.world.evaluation_text] = np.arange(int(self.world.evaluation_text.sum()))
        return index

    @cached_property
    def places(self) -> Places:
        """What evaluation sessions are counted by."""
        return places_of(self.world)

    @cached_property
    def largest_cohort(self) -> int:
        """Reports that the sum's range is made for; a round that exceeds it is held."""
        # A selection that learns may ask anyone, whatever the mechanism's coins say.
        rate = 1.0 if learns(self.selection) else self.mechanism.round_rate
        # Devices that could not report in their own round come to a later one of the same sum.
        if not self.mechanism.gathered(1):
            rate = max(rate, GATHERED_RATE)
        return largest_cohort(self.scenario.devices, rate)

    @cached_property
    def layout(self) -> ReportLayout:
        """The layout of one device's report, the same on phones and server."""
        items = len(self.world.public.catalogue.texts)
        return report_layout(
            self.signal.layout(items, self.release_0.dim),
            clip_norm=self.scenario.clip_norm,
            largest_cohort=self.largest_cohort,
            device_noise=self._device_noise(),
            coordinate_bound=self.scenario.coordinate_bound,
        )

    @cached_property
    def poisoning(self) -> Poisoning | None:
        """Which phones lie and what they send; None where none does."""
        scenario = self.scenario
        if not scenario.poisoned:
            return None
        factor = DEFAULT_FACTOR if scenario.attack_factor is None else scenario.attack_factor
        return Poisoning(scenario.poisoned, scenario.attack or "boost", factor)

    def _device_noise(self) -> float:
        """Return the most that devices' own noise adds to a coordinate of a sum, but once in 1e32."""
        mechanism = self.mechanism
        if not mechanism.noise_on_device:
            return 0.0
        expected = mechanism.round_rate * self.scenario.devices
        return NOISE_SPREADS * mechanism.sigma * math.sqrt(max(1.0, self.largest_cohort / expected))

    @property
    def device_noise_seed(self) -> int:
        """Seed of the noise that phones add to their own reports."""
        return self.scenario.effective_noise_seed if self.scenario.mode == "local" else self.scenario.seed

    def for_other_machines(self) -> "Environment":
        """Return it for shards elsewhere, which open no file and count no token again.

        What has been computed goes along; what only the aggregator needs does not.
        """
        made = copy.copy(self)
        made.scenario = self.scenario.for_shards()
        for name in ("encoded_0", "_later"):  # encoders, and what they keep, belong to their process
            made.__dict__.pop(name, None)
        return made

    def _known(self, limit_bytes: int = STATES_LIMIT_BYTES) -> tuple[KnownTexts, KnownTexts]:
        """Return the private texts and the catalogue's, to be encoded."""
        items = KnownTexts(self.world.public.catalogue.texts, "item", limit_bytes)
        return KnownTexts(self.world.texts, "text", limit_bytes), items

    @cached_property
    def _later(self) -> tuple[tuple[KnownTexts, KnownTexts], ...]:
        """The texts with what all releases but the first share, for each size."""
        return tuple(self._known() for _ in members(self.release_0))

    def encoded(self, artefact: Artefact) -> EncodedRelease:
        """Return a release that encodes each text once in this process, in each of its sizes."""
        key = artefact.sha256, id(self.world.texts)  # which the release holds, so that the id stays its own
        with _LOCK:
            if key not in _RELEASES:
                # Release 0 was calibrated elsewhere: its lower layers are those of no later release.
                first = artefact.sha256 == self.release_0.sha256
                made = [
                    EncodedRelease(each, *(self._known(0) if first else self._later[place]))
                    for place, each in enumerate(members(artefact))
                ]
                made[0].smaller = tuple(made[1:])
                _RELEASES[key] = made[0]
            return _RELEASES[key]


# What follows from a scenario takes seconds to make: all shards of a process share one copy.
_LOCK = threading.RLock()
_ENVIRONMENTS: dict[str, Environment] = {}
_RELEASES: dict[tuple[str, int], EncodedRelease] = {}


def share(environment: Environment, key: str | None = None) -> None:
    """Make `environment` the one that the shards of this process use; an earlier one is dropped.

    `key` is what shards ask for it by, by default what they are told of its scenario.
    """
    # Made while the lock is held: shards start together and would each make their own.
    with _LOCK:
        forget()
        _ = environment.text_tokens, environment.catalogue_tokens
        _ = environment.layout, environment.evaluation_index, environment.places, environment.sizes
        # What only the aggregator needs does not tell two environments apart.
        own_key = _key(environment.scenario.for_shards(), environment.release_0)
        _ENVIRONMENTS[key or own_key] = environment


def _key(scenario: Scenario, release_0: Artefact) -> str:
    return scenario.model_dump_json() + release_0.sha256


def shared_environment(
    scenario: Scenario, release_0_blob: bytes, noise_multiplier: float | None = None
) -> Environment:
    """Return the process's one Environment of a scenario; the last one is kept, earlier ones are dropped.

    `scenario` is what shards are told of it. Where phones add the noise and no seed of it came along, as in a
    deployment, this process draws one that nobody else knows.
    """
    artefact = unpack(release_0_blob)
    key = _key(scenario, artefact)
    with _LOCK:
        if key not in _ENVIRONMENTS:
            own = scenario
            if scenario.mode == "local" and scenario.noise_seed is None:
                own = scenario.model_copy(update={"noise_seed": secrets.randbits(63)})
            share(Environment.create(own, artefact, noise_multiplier), key)
        return _ENVIRONMENTS[key]


def keep_releases(kept: set[str]) -> None:
    """Drop the encoded releases of this process but those with a SHA-256 in `kept`."""
    with _LOCK:
        for key in [key for key in _RELEASES if key[0] not in kept]:
            del _RELEASES[key]


def forget() -> None:
    """Drop what this process keeps of earlier runs."""
    with _LOCK:
        _ENVIRONMENTS.clear()
        _RELEASES.clear()
