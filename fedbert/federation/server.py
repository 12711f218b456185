"""The product's server: what a deployed server would hold and decide.

It sees public texts, noisy sums and the downloads it served. It loads no private text, holds no mask, no seed
and no sum before its noise, and nothing of the simulator's truth is ever passed to it. What changes from
round to round is a value, `ServerState`: one goes in, the next comes out.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact, download_bytes, load_artefact
from fedbert.ei_bert.artefact.family import check_one_space, joined, members
from fedbert.ei_bert.artefact.known_texts import STATES_LIMIT_BYTES, KnownTexts
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.pretrained import model_folder
from fedbert.errors import invalid
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.sized_models import sized
from fedbert.machine import cores
from fedbert.parts import AUTO, AUTO_SIZES
from fedbert.privacy.mechanism import Mechanism
from fedbert.randomness import Draws
from fedbert.recommendation.catalogue import PublicData
from fedbert.recommendation.metrics import metric_by_rank
from fedbert.results import ModelFacts
from fedbert.scenario import Scenario
from fedbert.signals.gate import RankEvidence, add_ranks, gate, no_ranks, public_change
from fedbert.signals.report import ReportLayout
from fedbert.signals.signal import INT8_UNIT_LENGTH, Memory, NoisySum, Signal

if TYPE_CHECKING:
    from fedbert.ei_bert.teaching.model_state import ModelState
    from fedbert.federation.sized_models import SizedModels

TRAINING_THREADS = 2
"""torch threads of the server on every backend: the bits of a sum depend on them, so it is not the machine's
number of cores. Two are what the smallest machines have."""

ALIGNMENT_TEXTS = 4_000
"""Most public texts by which two releases' spaces are aligned where none has an item: a rotation in some
hundred dimensions needs no more, and each release must encode them."""

NOT_FULL = "gathered: no buffer was full"
"""What a window is called in which the server took no step."""

_ENCODERS_KEPT = 4
"""Releases whose encoders stay loaded: the first, the round's, the newest and a candidate."""


@dataclass(frozen=True)
class ServerSettings:
    """The public settings that the server works by; without any seed."""

    model: str
    teacher: str | None
    release_every: int
    update_steps: int
    student_learning_rate: float
    teacher_learning_rate: float
    precision: str
    clocked: bool
    size_shares: tuple[float, ...] = (1.0,)
    """The shares of the fleet that are expected to have each size of the model, the largest first."""


def server_settings(scenario: Scenario) -> ServerSettings:
    """Return what the server may know of a scenario."""
    names = ServerSettings.__dataclass_fields__.keys() - {"size_shares"}
    return ServerSettings(**{name: getattr(scenario, name) for name in sorted(names)})


@dataclass(frozen=True)
class Release:
    """One release of the student, or a candidate: its file, and its nDCG@10 on public validation texts."""

    number: int
    artefact: Artefact
    validation_ndcg: float


@dataclass(frozen=True)
class ServerState:
    """All that the server is between two rounds."""

    releases: tuple[Release, ...]
    """All so far; a release's number is its place."""
    current: Artefact
    """The student as it is now, released or not."""
    installed: NDArray[np.int64]
    """[1 + release] devices without a release, and on each, by the downloads that were served."""
    memory: Memory
    """The signal's."""
    ranks: Mapping[int, RankEvidence]
    """The noisy histograms of clicked ranks, by release."""
    models: "ModelState"

    @property
    def newest(self) -> Release:
        """The last release."""
        return self.releases[-1]


@dataclass(frozen=True)
class RoundUpdate:
    """What the server did after a round."""

    round: int
    signal_release: int
    status: str
    released: int | None
    gate: str
    server_ndcg: float | None
    loss: float | None
    epsilon: float | None
    epsilon_unamplified: float | None


def server_folder(model: str) -> Path:
    """Return where the server's part of a model lies: beside the artefact, ``-server`` behind its name."""
    folder = model_folder(model)
    return folder.with_name(folder.name + "-server")


def size_names(model: str) -> tuple[str, ...]:
    """Return the models that a run with `model` has, the largest first: several for `auto` alone."""
    return AUTO_SIZES if model == AUTO else (model,)


def starting_artefact(model: str) -> Artefact:
    """Return what a run may start from, in each of its sizes; raises FedbertError for anything else."""
    names = size_names(model)
    found = [_startable(name) for name in names]
    check_one_space(names, found)
    return joined(found)


def _startable(model: str) -> Artefact:
    artefact = load_artefact(model_folder(model))
    # A pooled output is that of students of labelled texts, which are texts that `services` keeps private.
    if artefact.manifest["shape"].get("pooled"):
        raise invalid(
            "model",
            model,
            "be one that a run may start from",
            "this one has seen texts that a run keeps private: take default, small or tiny",
        )
    return artefact


@dataclass(frozen=True)
class _Known:
    """The public texts that every release encodes."""

    catalogue: KnownTexts
    aligned: KnownTexts
    judged: KnownTexts


class _Encoded:
    """An artefact with what the server computes from it once."""

    def __init__(self, artefact: Artefact, known: _Known) -> None:
        self._known = known
        self.smaller: tuple[_Encoded, ...] = ()
        """The same release in its other sizes, where it has several: this is the largest then."""
        self._encoder = Int8Encoder(artefact, threads=cores())
        self.items = _unit(known.catalogue.encode(self._encoder))

    @property
    def sizes(self) -> "tuple[_Encoded, ...]":
        return (self, *self.smaller)

    @cached_property
    def judged(self) -> NDArray[np.float32]:
        return _unit(self._known.judged.encode(self._encoder))

    @cached_property
    def aligned(self) -> NDArray[np.int8]:
        return self._known.aligned.encode(self._encoder)

    @cached_property
    def public(self) -> NDArray[np.float32]:
        return _unit(self.aligned)


class Server:
    """Teacher, student, releases and public data of one run: what does not change from round to round."""

    def __init__(
        self,
        settings: ServerSettings,
        public: PublicData,
        artefact: Artefact,
        mechanism: Mechanism,
        signal: Signal,
        layout: ReportLayout,
        training: Draws,
    ) -> None:
        """Load the models that belong to `artefact`; `training` is all that they draw from."""
        # Here, since it imports torch, which --help and the shards do without.
        from fedbert.ei_bert.teaching.model_state import LearningRates
        from fedbert.ei_bert.teaching.server_models import ServerModels, ServerTexts

        self.settings, self.public = settings, public
        self.mechanism, self.signal, self.layout = mechanism, signal, layout
        self.models_by_size = tuple(
            ServerModels.load(
                each,
                server_folder(name),
                settings.teacher,
                ServerTexts(public.catalogue.texts, public.texts, public.item),
                training,
                threads=TRAINING_THREADS,
                precision=settings.precision,
                rates=LearningRates(settings.student_learning_rate, settings.teacher_learning_rate),
            )
            for name, each in zip(size_names(settings.model), members(artefact), strict=True)
        )
        self.models: ServerModels | SizedModels = sized(self.models_by_size, settings.size_shares)
        self._choose_public_texts()
        self._encoded: OrderedDict[str, _Encoded] = OrderedDict()
        # Made once: a run that is resumed, and the pooled-data bound, start from the same release 0.
        self.first = self._release(0, artefact)

    def start(self) -> ServerState:
        """Return the state before the first round."""
        first = self.first
        return ServerState(
            releases=(first,),
            current=first.artefact,
            installed=np.zeros(1, np.int64),
            memory=self.signal.start(self.layout.signal, self.view((first,))),
            ranks={},
            models=self.models.start,
        )

    # -- releases -----------------------------------------------------------------------------------------

    def _choose_public_texts(self) -> None:
        """Choose the public texts that versions are judged and aligned on: labelled ones if there are any."""
        split = np.asarray(self.public.split)
        chosen = np.flatnonzero(self.public.item >= 0)
        # Without labels nothing can be judged, but releases can still be aligned.
        if not len(chosen):
            chosen = np.arange(min(len(split), ALIGNMENT_TEXTS))
        learnt, judged = (chosen[(split[chosen] == "validation") == held_out] for held_out in (False, True))
        self.aligned_texts = tuple(self.public.texts[i] for i in learnt.tolist())
        self.public_items = np.asarray(self.public.item)[learnt]
        self._judged_texts = tuple(self.public.texts[i] for i in judged.tolist())
        self._judged_items = np.asarray(self.public.item)[judged]

    @property
    def judged_requests(self) -> int:
        """Public validation requests, each of which asks for a known item."""
        return int((self._judged_items >= 0).sum())

    def _known(self, limit_bytes: int = STATES_LIMIT_BYTES) -> _Known:
        return _Known(
            KnownTexts(self.public.catalogue.texts, "item", limit_bytes),
            KnownTexts(self.aligned_texts, "text", limit_bytes),
            KnownTexts(self._judged_texts, "text", limit_bytes),
        )

    @cached_property
    def _later(self) -> tuple[_Known, ...]:
        """The public texts with what all releases but the first share, for each size."""
        return tuple(self._known() for _ in self.settings.size_shares)

    def encoded(self, artefact: Artefact) -> _Encoded:
        """Return an artefact with its encoder, in each of its sizes; the last few stay loaded."""
        key = artefact.sha256
        # Public vectors are large, and only few releases are asked for again: the least lately used ones go.
        if key not in self._encoded:
            # Release 0 was calibrated elsewhere: its lower layers are those of no later release.
            first = not self._encoded
            made = [
                _Encoded(each, self._known(0) if first else self._later[place])
                for place, each in enumerate(members(artefact))
            ]
            made[0].smaller = tuple(made[1:])
            self._encoded[key] = made[0]
            while len(self._encoded) > _ENCODERS_KEPT:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def view(self, releases: tuple[Release, ...]) -> "_View":
        """Return what a signal may know of the public data, in the space of any of `releases`."""
        return _View(self, releases)

    def _release(self, number: int, artefact: Artefact) -> Release:
        scores = self._public_scores(artefact)
        means = [float(each.mean()) if len(each) else 0.0 for each in scores]
        mean = sum(share * own for share, own in zip(self.settings.size_shares, means, strict=True))
        return Release(number, artefact, mean)

    def _public_scores(self, artefact: Artefact) -> list[NDArray[np.float64]]:
        """Return nDCG@10 [text] of the public validation texts by each size of a release."""
        return [
            public_scores(encoded.judged, self._judged_items, encoded.items)
            for encoded in self.encoded(artefact).sizes
        ]

    def mixed(
        self, artefact: Artefact, part: Callable[[_Encoded], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return what `part` gives of a release, on average over the sizes that phones have.

        Of vectors that is what a phone has in expectation; sizes differ, so these means are a little shorter
        than unit vectors. One size alone stays as it is.
        """
        total: NDArray[np.float32] | None = None
        for share, encoded in zip(self.settings.size_shares, self.encoded(artefact).sizes, strict=True):
            own = np.float32(share) * part(encoded)
            total = own if total is None else total + own
        assert total is not None
        return total

    def _judged(self, release: Release) -> float | None:
        """Return a release's nDCG@10 on public validation texts, None where there are none."""
        return release.validation_ndcg if self._judged_texts else None

    def order(self, state: ServerState, round_: int) -> RoundOrder:
        """Return the order of a round to the shards.

        A round sums the signals of one release: the one most phones have, by the downloads that were served;
        of equals the newer. Where several rounds are opened as one sum it is the newest, which stays the same
        until they are; in rounds that close by the clock it is the newest, too.
        """
        # By the clock phones fetch what they lack before they report: the newest, then.
        if round_ and (self.settings.clocked or self.mechanism.gathered(round_) != 1):
            return RoundOrder(round_, state.newest.number, state.newest.number)
        # The first count is of devices without a release, which have nothing to send. A sum over two releases
        # would mix two spaces, so phones ahead of the others wait.
        counts = state.installed[1:]
        signal_release = int(len(counts) - 1 - np.argmax(counts[::-1])) if len(counts) else 0
        return RoundOrder(round_, signal_release, state.newest.number)

    # -- learning -----------------------------------------------------------------------------------------

    def finish(
        self,
        state: ServerState,
        order: RoundOrder,
        installed: NDArray[np.int64],
        sums: tuple[NoisySum, NoisySum] | None,
        held: str = "",
    ) -> tuple[ServerState, RoundUpdate]:
        """Return the state after a round: learn, requantise, release or hold.

        `sums` are the noisy sums of the signal and of the ranks, None if nothing was opened. `held` says why,
        or beside sums why the last of their rounds is not in them; `installed` counts the downloads served.
        """
        state = replace(state, installed=installed)
        if order.round == 0:
            return state, self._update(state, order, "evaluation before the first round", None, "", None)
        if sums is None:
            # The budget stays debited: epsilon counts every round, opened or not.
            verdict = f"{held.partition(':')[0]}: no update"
            return state, self._update(state, order, held, None, verdict, None)
        # As many steps as if each of the rounds had been opened by itself.
        steps = self._opened(order.round)
        state, loss = self._learn(state, *sums, order, steps)
        status = f"updated without the round's own reports; {held}" if held else "updated"
        return self._exported(state, order, status, loss, self._due(steps))

    def _opened(self, round_: int) -> range:
        """Return the rounds that `round_` opens: those since the last that did, or none."""
        return range(round_ - self.mechanism.gathered(round_) + 1, round_ + 1)

    def _due(self, steps: range) -> bool:
        """Return whether a release is due at one of `steps`, rounds or buffers; never at none."""
        every = self.settings.release_every
        return (steps.stop - 1) // every != (steps.start - 1) // every

    def _exported(
        self, state: ServerState, order: RoundOrder, status: str, loss: float, due: bool
    ) -> tuple[ServerState, RoundUpdate]:
        """Return the state with the student that was learnt, released or held if a release is `due`."""
        state = replace(state, current=self.models.export(state.models))
        # Judged every round, due or not: the row of the round shows how the student goes on.
        candidate = self._release(state.newest.number + 1, state.current)
        if not due:
            return state, self._update(state, order, status, None, "not due", loss, candidate)
        return self._gate(state, order, status, loss, candidate)

    def finish_buffers(
        self,
        state: ServerState,
        order: RoundOrder,
        installed: NDArray[np.int64],
        opened: Sequence[tuple[NoisySum, NoisySum] | None],
        held: Sequence[str],
        steps: range,
    ) -> tuple[ServerState, RoundUpdate]:
        """Return the state after a window that filled buffers: a step with each, then release or hold.

        `opened` are the sums of each of them, None where it was held; `held` says why, or what is not in the
        sums. `steps` are their numbers, from 1 over the run. Releases are due by steps, and go out between
        two windows.
        """
        state = replace(state, installed=installed)
        if not steps:
            return state, self._update(state, order, NOT_FULL, None, "no buffer was full: no update", None)
        loss, why = None, [each for each in held if each]
        for number, sums in zip(steps, opened, strict=True):
            if sums is not None:
                state, loss = self._learn(state, *sums, order, range(number, number + 1))
        if loss is None:
            return state, self._update(state, order, why[0], None, "held: no update", None)
        status = f"updated; of {len(steps)} buffers {len(why)} {why[0]}" if why else "updated"
        return self._exported(state, order, status, loss, self._due(steps))

    def _learn(
        self, state: ServerState, signal: NoisySum, ranks: NoisySum, order: RoundOrder, steps: range
    ) -> tuple[ServerState, float]:
        """Take in one opening's sums and do as many cross-distillation updates as there are `steps`.

        Also return the student's loss; the student is not yet exported.
        """
        # Ranks are kept by release: clicks follow the order that was shown, so only like can be compared.
        number, settings = order.signal_release, self.settings
        memory, targets = self.signal.learn(
            self.layout.signal, state.memory, signal, self.view(state.releases)
        )
        seen = add_ranks(state.ranks.get(number, no_ranks()), ranks, self.layout.gamma)
        models = state.models
        for step in steps:
            models, loss = self.models.update(
                models,
                step,
                targets.vectors,
                targets.weights,
                settings.update_steps,
            )
        return replace(state, memory=memory, ranks={**state.ranks, number: seen}, models=models), loss

    def _gate(
        self, state: ServerState, order: RoundOrder, status: str, loss: float, candidate: Release
    ) -> tuple[ServerState, RoundUpdate]:
        """Release the candidate, hold it, or roll back, by public texts and privatised clicked ranks."""
        out = state.newest
        # A release goes out in all its sizes or not at all: the first that is worse holds it.
        ranks = state.ranks.get(out.number, no_ranks()), state.ranks.get(0, no_ranks())
        public = zip(self._public_scores(candidate.artefact), self._public_scores(out.artefact), strict=True)
        decisions = [gate(public_change(*both, self._judged_items), *ranks) for both in public]
        decision = next((each for each in decisions if not each.released), decisions[0])
        # Rolling back is a release, too: it takes the next number, so that phones fetch it as any other. The
        # signal keeps its memory; the models that it taught begin again.
        if decision.roll_back:
            first = state.releases[0]
            state = replace(state, models=self.models.start, current=first.artefact)
            candidate = replace(first, number=candidate.number)
        elif not decision.released:
            return state, self._update(state, order, status, None, decision.verdict, loss, candidate)
        state = replace(state, releases=(*state.releases, candidate))
        update = self._update(state, order, status, candidate.number, decision.verdict, loss, candidate)
        return state, update

    def _update(
        self,
        state: ServerState,
        order: RoundOrder,
        status: str,
        released: int | None,
        gate: str,
        loss: float | None,
        candidate: Release | None = None,
    ) -> RoundUpdate:
        # What the round cost is known before it is opened, and is the same if it never is.
        bounds = self.mechanism.spent(order.round) if self.mechanism.private else ()
        return RoundUpdate(
            round=order.round,
            signal_release=order.signal_release,
            status=status,
            released=released,
            gate=gate,
            server_ndcg=self._judged(candidate or state.newest),
            loss=loss,
            epsilon=bounds[0].epsilon if bounds else None,
            epsilon_unamplified=bounds[-1].epsilon if bounds else None,
        )

    # -- facts for the report -----------------------------------------------------------------------------

    def model_facts(self, state: ServerState) -> ModelFacts:
        """Return what the report says of the model; the final one is the last that was released."""
        first = state.releases[0]
        manifest = first.artefact.manifest
        return {
            "name": self.settings.model,
            "bytes": first.artefact.total_bytes,
            "coded_bytes": download_bytes(first.artefact),
            "final_coded_bytes": download_bytes(state.newest.artefact),
            "sha256": first.artefact.sha256,
            "final_sha256": state.newest.artefact.sha256,
            "unreleased_sha256": state.current.sha256,
            "dim": first.artefact.dim,
            "parameters": manifest.get("parameters"),
            "teacher": manifest.get("teacher"),
            "public_validation_ndcg@10": self._judged(first),
        }


@dataclass(frozen=True)
class _View:
    """A `PublicView` over some releases; see there."""

    server: Server
    releases: tuple[Release, ...]

    @property
    def names(self) -> NDArray[np.float32]:
        return self.server.mixed(self.releases[0].artefact, lambda encoded: encoded.items)

    def items(self, release: int) -> NDArray[np.float32]:
        return self.server.mixed(self.releases[release].artefact, lambda encoded: encoded.items)

    @property
    def text_items(self) -> NDArray[np.int64]:
        return np.asarray(self.server.public_items, np.int64)

    def texts(self, release: int) -> NDArray[np.float32]:
        return self.server.mixed(self.releases[release].artefact, lambda encoded: encoded.public)


def _unit(vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return int8 vectors as the unit vectors they stand for."""
    return np.asarray(vectors, np.float32) / np.float32(INT8_UNIT_LENGTH)


def public_scores(
    texts: NDArray[np.float32], items: NDArray[np.integer], item_vectors: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return nDCG@10 [text] of public validation texts against the whole catalogue.

    `texts` `[text, dim]` and `item_vectors` `[item, dim]` are unit vectors, `items` [text] the target items.
    """
    scores = texts @ item_vectors.T
    own = scores[np.arange(len(items)), items]
    # Equal scores count for the target item: with unit vectors they are the same name twice.
    rank = (scores > own[:, None]).sum(axis=1)
    worth: NDArray[np.float64] = metric_by_rank("ndcg@10", len(item_vectors))[rank]
    return worth
