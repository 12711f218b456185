"""The product's server: what a deployed server would hold and decide.

It sees public texts, masked sums of signals and the downloads it served. It loads no private text, and
nothing of the simulator's truth is ever passed to it: a test scrambles that truth and finds the same
releases.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fedbert.ei_bert.artefact import Artefact, load_artefact, pack
from fedbert.ei_bert.pretrained import model_folder
from fedbert.ei_bert.runtime import Int8Encoder
from fedbert.errors import invalid
from fedbert.federation.budget import privacy_plan
from fedbert.federation.protocol import MASK_DEGREE, RoundOrder, layout_of
from fedbert.federation.wire import Arrays
from fedbert.machine import cores
from fedbert.privacy import accounting
from fedbert.privacy.mechanisms import decode, gaussian_noise
from fedbert.privacy.secure_sum import neighbour_graph, unmask
from fedbert.recommendation.catalogue import PublicData
from fedbert.recommendation.metrics import metric_by_rank
from fedbert.scenario import Scenario
from fedbert.signals.evidence import Evidence, add_round, no_evidence, rotated, rotation
from fedbert.signals.gate import RankEvidence, add_ranks, gate, no_ranks
from fedbert.signals.learner import PublicKnowledge, Targets, learn

if TYPE_CHECKING:
    from fedbert.ei_bert.server_models import ServerModels

TRAINING_THREADS = 2
"""torch threads of the server on every backend: the bits of a sum depend on them."""


ALIGNMENT_TEXTS = 4_000
"""Most public texts by which two releases' spaces are aligned where none has an item."""


@dataclass(frozen=True)
class Release:
    """One release of the student, or a candidate, with what the server computes from it once."""

    number: int
    artefact: Artefact
    encoder: Int8Encoder
    item_vectors: NDArray[np.float32]  # [item, dim]
    public_texts: tuple[str, ...]
    validation_ndcg: float

    @cached_property
    def public_vectors(self) -> NDArray[np.float32]:
        """Vectors of the public texts that releases are aligned on, `[public text, dim]`."""
        return _unit(self.encoder.encode(self.public_texts))


@dataclass(frozen=True)
class RoundUpdate:
    """What the server did after a round."""

    round: int
    signal_release: int
    status: str
    released: int | None
    gate: str
    server_ndcg: float
    loss: float | None
    epsilon: float | None
    epsilon_unamplified: float | None


def model_folders(model: str) -> tuple[Path, Path]:
    """Return (artefact folder, server folder) of a shipped model's name or a folder.

    The server folder lies beside the artefact with ``-server`` behind its name.
    """
    folder = model_folder(model)
    return folder, folder.with_name(folder.name + "-server")


class Server:
    """Teacher, student, releases and the privacy budget of one run."""

    def __init__(self, scenario: Scenario, public: PublicData) -> None:
        """Load the model that `scenario` starts from, and calibrate its noise; raises FedbertError."""
        from fedbert.ei_bert.server_models import ServerModels

        self.scenario, self.public = scenario, public
        folder, server_folder = model_folders(scenario.model)
        artefact = load_artefact(folder)
        if artefact.manifest["shape"].get("pooled"):
            raise invalid(
                "model",
                scenario.model,
                "be one that a run may start from",
                "this one has seen texts that a run keeps private: take default, small or tiny",
            )
        self.plan = privacy_plan(scenario)
        self.models = ServerModels.load(
            folder,
            server_folder,
            scenario.teacher,
            public.catalogue.texts,
            public.texts,
            public.item,
            scenario.seed,
            threads=TRAINING_THREADS,
            precision=scenario.precision,
        )
        self._start = self.models.clone()
        self._choose_public_texts()
        self.layout = layout_of(scenario, len(public.catalogue.texts), artefact.dim)
        self.current = artefact
        self.releases = [self._release(0, artefact)]
        self.installed: NDArray[np.int64] = np.zeros(1, np.int64)
        self._pending: bytes | None = None
        self._evidence = no_evidence(self.layout)
        self._names: NDArray[np.floating] = self.releases[0].item_vectors
        self._space = 0
        self._ranks: dict[int, RankEvidence] = {}

    # -- releases -----------------------------------------------------------------------------------------

    def _choose_public_texts(self) -> None:
        """Choose the public texts that versions are judged and aligned on: labelled ones if there are any."""
        split = np.asarray(self.public.split)
        chosen = np.flatnonzero(self.public.item >= 0)
        if not len(chosen):
            chosen = np.arange(min(len(split), ALIGNMENT_TEXTS))
        learnt, judged = (chosen[(split[chosen] == "validation") == held_out] for held_out in (False, True))
        self._public_texts = tuple(self.public.texts[i] for i in learnt.tolist())
        self._public_items = np.asarray(self.public.item)[learnt]
        self._judged_texts = tuple(self.public.texts[i] for i in judged.tolist())
        self._judged_items = np.asarray(self.public.item)[judged]

    def _release(self, number: int, artefact: Artefact) -> Release:
        encoder = Int8Encoder(artefact, threads=cores())
        items = _unit(encoder.encode(self.public.catalogue.texts, "item"))
        score = validation_ndcg(_unit(encoder.encode(self._judged_texts)), self._judged_items, items)
        return Release(number, artefact, encoder, items, self._public_texts, score)

    def order(self, round_: int) -> tuple[RoundOrder, bytes | None]:
        """Return what the shards are told, and the release made since the last round, if any.

        A round sums the signals of one release: the one most phones have, by the downloads that were served;
        of equals the newer.
        """
        counts = self.installed[1:]
        signal_release = int(len(counts) - 1 - np.argmax(counts[::-1])) if len(counts) else 0
        blob, self._pending = self._pending, None
        return RoundOrder(round_, signal_release, self.releases[-1].number), blob

    # -- learning -----------------------------------------------------------------------------------------

    def finish(self, order: RoundOrder, part: Arrays, shards: int) -> RoundUpdate:
        """Take a round's masked sums: remove masks, add noise, debit, learn, requantise, release or hold."""
        round_ = order.round
        self.installed = part["installed"]
        if round_ == 0:
            return self._update(order, "evaluation before the first round", None, "", None)
        graph = neighbour_graph(self.scenario.seed, round_, range(shards), MASK_DEGREE)
        total = unmask(part["signal"], range(shards), graph, self.scenario.seed, round_)
        sigma = self.plan.noise_multiplier * self.plan.clip_norm
        noisy = decode(total, self.layout.scale)
        if sigma > 0:
            noisy = noisy + gaussian_noise(self.scenario.seed, round_, self.layout.size, sigma)
        completed = int(part["completed"][0])
        if completed < self.scenario.min_reports:
            # The sums were seen, so the budget stays debited: epsilon counts every round.
            status = f"held: {completed} reports, fewer than min_reports {self.scenario.min_reports}"
            return self._update(order, status, None, "held: no update", None)
        loss = self._learn(noisy, sigma, order)
        self.current = self.models.export()
        candidate = self._release(self.releases[-1].number + 1, self.current)
        if round_ % self.scenario.release_every:
            return self._update(order, "updated", None, "not due", loss, candidate)
        return self._gate(order, loss, candidate)

    def targets(self, evidence: Evidence, names: NDArray[np.floating], release: Release) -> Targets:
        """Return what `evidence`, in the space of `release`, teaches about the items."""
        texts = release.public_vectors.astype(np.float64)
        known = PublicKnowledge(names.astype(np.float64), texts, self._public_items)
        with threadpool_limits(1, "blas"):
            return learn(evidence, known)

    def models_at_start(self) -> "ServerModels":
        """Return an independent copy of teacher and student as they were before the first round."""
        return self._start.clone()

    def _learn(self, noisy: NDArray[np.float64], sigma: float, order: RoundOrder) -> float:
        """Take in one round's sum and do the cross-distillation update; return the student's loss."""
        number = order.signal_release
        if number != self._space:
            old, new = self.releases[self._space], self.releases[number]
            with threadpool_limits(1, "blas"):
                turn = rotation(old.public_vectors, new.public_vectors)
            self._evidence, self._names = rotated(self._evidence, turn), self._names @ turn
            self._space = number
        # The expected reports, never the actual ones: how many took part is private too.
        expected = self.plan.round_rate * self.scenario.devices
        self._evidence = add_round(self._evidence, self.layout, noisy, sigma, expected)
        self._ranks[number] = add_ranks(self._ranks.get(number, no_ranks()), self.layout, noisy, sigma)
        targets = self.targets(self._evidence, self._names, self.releases[number])
        report = self.models.update(
            order.round,
            targets.vectors,
            targets.weights,
            self.scenario.update_steps,
            self.scenario.student_learning_rate,
            self.scenario.teacher_learning_rate,
        )
        return report.student_loss

    def _gate(self, order: RoundOrder, loss: float, candidate: Release) -> RoundUpdate:
        """Release the candidate, hold it, or roll back, by public texts and privatised clicked ranks."""
        out = self.releases[-1]
        decision = gate(
            candidate.validation_ndcg,
            out.validation_ndcg,
            self._ranks.get(out.number, no_ranks()),
            self._ranks.get(0, no_ranks()),
        )
        if decision.roll_back:
            self.models = self.models_at_start()
            self.current = self.releases[0].artefact
            candidate = replace(self.releases[0], number=candidate.number)
        elif not decision.released:
            return self._update(order, "updated", None, decision.verdict, loss, candidate)
        self.releases.append(candidate)
        self._pending = pack(candidate.artefact)
        return self._update(order, "updated", candidate.number, decision.verdict, loss, candidate)

    def _update(
        self,
        order: RoundOrder,
        status: str,
        released: int | None,
        gate: str,
        loss: float | None,
        candidate: Release | None = None,
    ) -> RoundUpdate:
        private = self.plan.mode != "none"
        return RoundUpdate(
            round=order.round,
            signal_release=order.signal_release,
            status=status,
            released=released,
            gate=gate,
            server_ndcg=(candidate or self.releases[-1]).validation_ndcg,
            loss=loss,
            epsilon=accounting.epsilon(self.plan, order.round) if private else None,
            epsilon_unamplified=accounting.epsilon_unamplified(self.plan, order.round) if private else None,
        )

    # -- facts for the report -----------------------------------------------------------------------------

    def model_facts(self) -> dict[str, Any]:
        """Return what the report says of the model."""
        manifest = self.releases[0].artefact.manifest
        return {
            "name": self.scenario.model,
            "bytes": self.releases[0].artefact.total_bytes,
            "sha256": self.releases[0].artefact.sha256,
            "final_sha256": self.current.sha256,
            "dim": self.releases[0].artefact.dim,
            "parameters": manifest.get("parameters"),
            "teacher": manifest.get("teacher"),
            "public_validation_ndcg@10": self.releases[0].validation_ndcg,
        }


def _unit(vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return int8 vectors as the unit vectors they stand for."""
    return np.asarray(vectors, np.float32) / np.float32(127)


def validation_ndcg(
    texts: NDArray[np.float32], items: NDArray[np.integer], item_vectors: NDArray[np.float32]
) -> float:
    """Return nDCG@10 of public validation texts against the whole catalogue, 0 where there are none.

    `texts` `[text, dim]` and `item_vectors` `[item, dim]` are unit vectors, `items` [text] the true items.
    """
    if not len(texts):
        return 0.0
    scores = texts @ item_vectors.T
    own = scores[np.arange(len(items)), items]
    rank = (scores > own[:, None]).sum(axis=1)
    worth = metric_by_rank("ndcg@10", len(item_vectors))
    return float(worth[rank].mean())
