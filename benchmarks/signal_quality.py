"""How much of the gap between names and pooled texts the signal `prototypes` closes, by the shipped student.

Teaches nothing: the learnt targets themselves rank the candidates, so the figures are what an update could
reach with its encoder left as it is. Clicks are the phones' histories before the clock; all phones are
available.

    python benchmarks/signal_quality.py --devices 10000 --clicks 4 8 --epsilons none 2 0.5 --seeds 3
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.parts import DEFAULT_MECHANISM, MECHANISMS
from fedbert.paths import models_folder
from fedbert.plugins import load_named
from fedbert.privacy.mechanism import Mechanism, PrivacySettings
from fedbert.privacy.mechanisms import decode, largest_cohort
from fedbert.randomness import ONCE, Purpose, uniforms
from fedbert.recommendation.clicks import ClickModel, clicked_history
from fedbert.recommendation.metrics import mean_metric, rank_histogram
from fedbert.recommendation.services import ServicesWorld, load_services
from fedbert.recommendation.sessions import (
    Block,
    Requests,
    WorldSettings,
    candidate_draws,
    draw_by_weight,
    draw_candidates,
)
from fedbert.results import CANDIDATES
from fedbert.signals.prototypes.contribution import prototype_layout
from fedbert.signals.prototypes.evidence import add_round, no_evidence
from fedbert.signals.prototypes.learner import PublicKnowledge, fit_prior, learn
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.report import report_layout, report_sum
from fedbert.signals.signal import Clicks

ROUNDS_PER_DAY = 12.0
NON_IID = 1.0
"""Tastes of the published table: twice as far apart as a run's default."""


def evaluation(world: ServicesWorld, sessions: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (text [s], candidates [s, 20], the truth first) of sessions drawn by popularity."""
    catalogue = world.public.catalogue
    cumulative = np.cumsum(catalogue.popularity)
    draw = uniforms(0, Purpose.SAMPLE, ONCE, 0, sessions, 2 + candidate_draws(CANDIDATES))
    item = draw_by_weight(cumulative / cumulative[-1], draw[:, 0])
    text = world.evaluation.pick(item, draw[:, 1])
    candidates = draw_candidates(catalogue, item, draw[:, 2:], CANDIDATES)
    truth_first = np.argsort(candidates != item[:, None], axis=1, kind="stable")
    return text, np.take_along_axis(candidates, truth_first, axis=1)


def ndcg(
    vectors: NDArray[np.float32], targets: NDArray[np.floating], text: NDArray[np.int32], candidates: NDArray
) -> float:
    """Return nDCG@10 of unit `targets` [item, dim] for the sessions `text` [s], `candidates` [s, 20]."""
    scores = np.einsum("sd,scd->sc", vectors[text], targets[candidates].astype(np.float32))
    ranks = 1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
    return float(mean_metric(rank_histogram(ranks, CANDIDATES), "ndcg@10"))


def learnt(
    world: ServicesWorld,
    vectors: NDArray[np.int8],
    public: PublicKnowledge,
    history: Requests,
    mechanism: Mechanism,
    clicks: int,
    weights: tuple[float, float],
    devices: DeviceRange,
) -> NDArray[np.float32]:
    """Return the targets `[item, dim]` after the mechanism's rounds; `history` is that of `devices`."""
    text, item = history.text[:, -clicks:], history.item[:, -clicks:]
    rank = np.zeros(item.shape, np.int8)
    signal, settings = Prototypes(), mechanism.settings
    own = prototype_layout(world.public.catalogue.items, vectors.shape[1], beta=weights[0])
    layout = report_layout(
        own,
        clip_norm=settings.clip_norm,
        largest_cohort=largest_cohort(devices.count, mechanism.round_rate),
        gamma=weights[1],
    )
    evidence, opened = no_evidence(own), list[int]()
    pending = np.zeros(layout.size)
    for number in range(1, settings.rounds + 1):
        joins = mechanism.joins(devices, number)
        joined = Clicks(vectors, text[joins], item[joins], rank[joins])
        pending += decode(report_sum(signal, layout, joined), layout.scale)
        gathered = mechanism.gathered(number)
        if not gathered:
            continue
        opened.append(number)
        noisy, _ = layout.split(pending + mechanism.on_sum(devices.seed, number, layout.size))
        expected = gathered * mechanism.round_rate * devices.count
        evidence = add_round(evidence, own, noisy, mechanism.total_sigma(opened), expected)
        pending = np.zeros(layout.size)
    return learn(evidence, public).vectors


def main() -> None:
    """Print a table of nDCG@10 and of the share of the gap that is closed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--sampling-probability", type=float, default=0.1)
    parser.add_argument("--clicks", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--clip-norm", type=float, default=2.0)
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--gamma", type=float, default=0.1)
    parser.add_argument("--mechanism", choices=list(MECHANISMS), default=DEFAULT_MECHANISM)
    parser.add_argument("--epsilons", nargs="+", default=["none", "2", "0.5"])
    parser.add_argument("--seeds", type=int, default=3)
    flags = parser.parse_args()

    world = load_services()
    encoder = Int8Encoder(load_artefact(models_folder() / "default"), threads=2)
    catalogue, public_data = world.public.catalogue, world.public
    vectors = encoder.encode(world.texts)
    unit = vectors.astype(np.float32) / 127
    names = encoder.encode(catalogue.texts, "item").astype(np.float64) / 127
    labelled = np.flatnonzero(np.asarray(public_data.split) == "train")
    public = PublicKnowledge(
        names,
        encoder.encode([public_data.texts[i] for i in labelled]).astype(np.float64) / 127,
        public_data.item[labelled].astype(np.int64),
    )
    pooled = np.stack(
        [
            unit[world.learning.text[a : a + n]].mean(0)
            for a, n in zip(world.learning.start, world.learning.count, strict=True)
        ]
    )
    text, candidates = evaluation(world, 20_000)
    low, prior, high = (
        ndcg(unit, targets / np.linalg.norm(targets, axis=1, keepdims=True), text, candidates)
        for targets in (names, fit_prior(public).means, pooled)
    )
    print(
        f"{catalogue.items} items, dim {encoder.dim}: names {low:.4f}  prior {prior:.4f}  pooled {high:.4f}"
    )
    tier = np.zeros(flags.devices, np.int8)
    kind = load_named(flags.mechanism, MECHANISMS, "mechanism", "mechanism")
    for clicks in flags.clicks:
        for word in flags.epsilons:
            mechanism = kind.make(
                PrivacySettings(
                    epsilon=None if word == "none" else float(word),
                    delta=1e-6,
                    sampling_probability=flags.sampling_probability,
                    clip_norm=flags.clip_norm,
                    rounds=flags.rounds,
                    rounds_per_day=ROUNDS_PER_DAY,
                    devices=flags.devices,
                )
            )
            found = []
            for seed in range(flags.seeds):
                devices = DeviceRange(seed, 0, flags.devices)
                block = Block(devices, tier, WorldSettings(non_iid=NON_IID), devices.count)
                history = clicked_history(world, block, ClickModel())
                targets = learnt(
                    world, vectors, public, history, mechanism, clicks, (flags.beta, flags.gamma), devices
                )
                found.append(ndcg(unit, targets, text, candidates))
            mean = float(np.mean(found))
            print(
                f"clicks {clicks}  epsilon {word:>4}  nDCG@10 {mean:.4f} "
                f"({min(found):.4f} to {max(found):.4f})  closed {(mean - low) / (high - low):.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
