"""How much of the gap between names and pooled texts each signal closes, by the shipped student.

Teaches nothing: the learnt targets themselves rank the candidates. A release every few rounds is stood in for
by item vectors that go part of the way to the targets; texts stay where they are. Clicks are the phones'
histories before the clock; all phones are available. All signals get the same seeds, coins and noise.

    python benchmarks/signal_quality.py --epsilons none 8 2 1
    python benchmarks/signal_quality.py --signals delta delta,learning_rate=5,sharpness=30 --judge learning
    python benchmarks/signal_quality.py --signals prototypes --mechanism daily --mode local --epsilons 2 8 \
        --noise-cohort 1000000 --delta 1e-8

`--noise-cohort N` gives these phones the noise that a mean over N would have. `--judge learning` is for
choosing constants: half of each item's learning texts are on phones, the other half judges, and no evaluation
text is read.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.parts import DEFAULT_MECHANISM, MECHANISMS, SIGNALS
from fedbert.paths import models_folder
from fedbert.plugins import load_named
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import Mechanism, PrivacySettings
from fedbert.privacy.mechanisms import NOISE_SPREADS, decode, largest_cohort
from fedbert.privacy.scaled import scaled
from fedbert.randomness import ONCE, Purpose, generator, uniforms
from fedbert.recommendation.clicks import ClickModel, clicked_history
from fedbert.recommendation.metrics import mean_metric, rank_histogram
from fedbert.recommendation.services import ServicesWorld, TextsByItem, load_services
from fedbert.recommendation.sessions import (
    Block,
    Requests,
    WorldSettings,
    candidate_draws,
    draw_by_weight,
    draw_candidates,
)
from fedbert.results import CANDIDATES
from fedbert.signals.report import report_layout, report_sum
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks, NoisySum, Signal, Targets

ROUNDS_PER_DAY = 12.0
NON_IID = 1.0
"""Tastes of the published table: twice as far apart as a run's default."""

FOLLOWED = 0.7
"""How far a release's items go towards the targets: the student's few steps do not go all the way."""

OLD = "prototypes,centre=0,click_weight=0.1"
"""The signal as it was before texts were centred."""


def halves(texts: TextsByItem) -> tuple[TextsByItem, TextsByItem]:
    """Return the texts of each item in two halves, at random; an item's only text is in both."""
    draw = generator(0, Purpose.SAMPLE, 1)
    parts: tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]] = ([], [])
    for start, count in zip(texts.start, texts.count, strict=True):
        own = draw.permutation(texts.text[start : start + count])
        parts[0].append(own[: (count + 1) // 2])
        parts[1].append(own[count // 2 :])
    grouped = []
    for part in parts:
        counts = np.array([len(own) for own in part])
        grouped.append(TextsByItem(np.concatenate(part), np.cumsum(counts) - counts, counts))
    return grouped[0], grouped[1]


def sessions(
    world: ServicesWorld, texts: TextsByItem, count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (text [s], candidates [s, 20], the truth first) of sessions drawn by popularity."""
    catalogue = world.public.catalogue
    cumulative = np.cumsum(catalogue.popularity)
    draw = uniforms(0, Purpose.SAMPLE, ONCE, 0, count, 2 + candidate_draws(CANDIDATES))
    item = draw_by_weight(cumulative / cumulative[-1], draw[:, 0])
    text = texts.pick(item, draw[:, 1])
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


@dataclass(frozen=True)
class View:
    """What the server knows; `released` are the item vectors of each release so far."""

    names: NDArray[np.float32]
    text_items: NDArray[np.int64]
    public: NDArray[np.float32]
    released: tuple[NDArray[np.float32], ...]

    def items(self, release: int) -> NDArray[np.float32]:
        """Return a release's item vectors."""
        return self.released[release]

    def texts(self, release: int) -> NDArray[np.float32]:
        """Return the public texts: the same in every release."""
        return self.public


def signal_of(spec: str) -> Signal:
    """Return the signal that ``name,constant=value,...`` describes."""
    name, *constants = spec.split(",")
    pairs = (each.partition("=") for each in constants)
    made: Signal = load_named(name, SIGNALS, "signal", "signal")(
        **{key: float(value) for key, _, value in pairs}
    )
    return made


def learnt(
    signal: Signal,
    vectors: NDArray[np.int8],
    view: View,
    history: Requests,
    mechanism: Mechanism,
    devices: DeviceRange,
    release_every: int,
) -> NDArray[np.float32]:
    """Return the targets `[item, dim]` after the mechanism's rounds; `history` is that of `devices`."""
    settings = mechanism.settings
    layout = report_layout(
        signal.layout(*view.names.shape),
        clip_norm=settings.clip_norm,
        largest_cohort=largest_cohort(devices.count, mechanism.round_rate),
        device_noise=mechanism.noise_on_device * 2 * NOISE_SPREADS * mechanism.sigma,
    )
    memory, first = signal.start(layout.signal, view), view.names
    rank = np.zeros(history.item.shape, np.int8)
    targets, opened = Targets(view.names, np.zeros(len(view.names), np.float32)), list[int]()
    pending = np.zeros(layout.size)
    for number in range(1, settings.rounds + 1):
        joins, release = mechanism.joins(devices, number), len(view.released) - 1
        items = np.rint(view.items(release) * INT8_UNIT_LENGTH).astype(np.int8)
        joined = Clicks(vectors, history.text[joins], history.item[joins], rank[joins], items)
        sent = report_sum(signal, layout, joined)
        sent += mechanism.on_device(devices, joins, number, layout.size, layout.scale)
        pending += decode(sent, layout.scale)
        gathered = mechanism.gathered(number)
        if not gathered:
            continue
        opened.append(number)
        noisy, _ = layout.split(pending + mechanism.on_sum(devices.seed, number, layout.size))
        pending = np.zeros(layout.size)
        expected = gathered * mechanism.round_rate * devices.count
        sigmas = mechanism.total_sigma([number]), mechanism.total_sigma(opened)
        memory, targets = signal.learn(
            layout.signal, memory, NoisySum(number, release, noisy, sigmas[0], expected, sigmas[1]), view
        )
        if number % release_every == 0:
            trust = FOLLOWED * targets.weights[:, None]
            moved = trust * targets.vectors + (1 - trust) * first
            stored = np.rint(INT8_UNIT_LENGTH * moved / np.linalg.norm(moved, axis=1, keepdims=True))
            released = (stored / INT8_UNIT_LENGTH).astype(np.float32)
            view = replace(view, released=(*view.released, released))
    return targets.vectors


def main() -> None:
    """Print a table of nDCG@10 and of the share of the gap that is closed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--signals", nargs="+", default=[OLD, "prototypes", "delta"])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--release-every", type=int, default=3)
    parser.add_argument("--sampling-probability", type=float, default=0.1)
    parser.add_argument("--clicks", type=int, default=8)
    parser.add_argument("--clip-norms", type=float, nargs="+", default=[1.0])
    parser.add_argument("--mechanism", choices=list(MECHANISMS), default=DEFAULT_MECHANISM)
    parser.add_argument("--mode", choices=["central", "local"], default="central")
    parser.add_argument("--noise-cohort", type=int)
    parser.add_argument("--delta", type=float, default=1e-6)
    parser.add_argument("--epsilons", nargs="+", default=["none", "8", "2", "1"])
    parser.add_argument("--judge", choices=["evaluation", "learning"], default="evaluation")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    flags = parser.parse_args()

    world = load_services()
    encoder = Int8Encoder(load_artefact(models_folder() / "default"), threads=2)
    public_data, judging = world.public, world.evaluation
    if flags.judge == "learning":
        on_phones, judging = halves(world.learning)
        world = replace(world, learning=on_phones)
    vectors = encoder.encode(world.texts)
    unit = vectors.astype(np.float32) / INT8_UNIT_LENGTH
    names = encoder.encode(public_data.catalogue.texts, "item").astype(np.float32) / INT8_UNIT_LENGTH
    labelled = np.flatnonzero(np.asarray(public_data.split) == "train")
    texts = encoder.encode([public_data.texts[i] for i in labelled]).astype(np.float32) / INT8_UNIT_LENGTH
    view = View(names, public_data.item[labelled].astype(np.int64), texts, (names,))
    pooled = np.stack(
        [
            unit[world.learning.text[a : a + n]].mean(0)
            for a, n in zip(world.learning.start, world.learning.count, strict=True)
        ]
    )
    judged = sessions(world, judging, 20_000)
    low, high = (
        ndcg(unit, targets / np.linalg.norm(targets, axis=1, keepdims=True), *judged)
        for targets in (names, pooled)
    )
    print(f"judged on {flags.judge} texts: names {low:.4f}  pooled {high:.4f}", flush=True)
    histories = []
    for seed in range(flags.first_seed, flags.first_seed + flags.seeds):
        devices = DeviceRange(seed, 0, flags.devices)
        tier = np.zeros(flags.devices, np.int8)
        block = Block(devices, tier, WorldSettings(non_iid=NON_IID), devices.count)
        whole = clicked_history(world, block, ClickModel())
        newest = Requests(whole.text[:, -flags.clicks :], whole.item[:, -flags.clicks :])
        histories.append((devices, newest))
    kind = load_named(flags.mechanism, MECHANISMS, "mechanism", "mechanism")
    for word in flags.epsilons:
        for clip_norm in flags.clip_norms:
            settings = PrivacySettings(
                epsilon=None if word == "none" else float(word),
                delta=flags.delta,
                sampling_probability=flags.sampling_probability,
                clip_norm=clip_norm,
                rounds=flags.rounds,
                rounds_per_day=ROUNDS_PER_DAY,
                devices=flags.noise_cohort or flags.devices,
            )
            local = flags.mode == "local" and settings.epsilon is not None
            mechanism = Local.make(kind, settings) if local else kind.make(settings)
            if mechanism.private:
                mechanism = scaled(mechanism, flags.devices, flags.noise_cohort)
            for spec in flags.signals:
                signal = signal_of(spec)
                found = [
                    ndcg(
                        unit, learnt(signal, vectors, view, own, mechanism, who, flags.release_every), *judged
                    )
                    for who, own in histories
                ]
                mean = float(np.mean(found))
                print(
                    f"epsilon {word:>4}  C {clip_norm:g}  {spec:<40} nDCG@10 {mean:.4f} "
                    f"({min(found):.4f} to {max(found):.4f})  closed {(mean - low) / (high - low):.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
