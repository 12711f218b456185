"""What phones that lie do to what is learnt: python benchmarks/poisoned.py [--devices 2000] [--seeds 1].

For each signal, mechanism, bound on coordinates and attack: the share of the sums' norm that poisoned phones
sent, the rounds held since no clipped reports make such a sum, and nDCG@10 of the learnt targets and of the
last release that the gate let out. Teaches nothing, as `signal_quality.py`: item vectors that go part of the
way to the targets stand in for a release, which the gate judges by public validation texts alone. All phones
are available, and clicks are their histories before the clock.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from signal_quality import FOLLOWED, ROUNDS_PER_DAY, View, ndcg, sessions, signal_of

from fedbert.device_range import DeviceRange
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.federation.server import public_scores
from fedbert.federation.sums_apart import POISONED, SumsApart
from fedbert.parts import MECHANISMS
from fedbert.paths import models_folder
from fedbert.plugins import load_named
from fedbert.privacy.mechanism import Mechanism, PrivacySettings
from fedbert.privacy.mechanisms import decode, largest_cohort, wrap
from fedbert.recommendation.clicks import ClickModel, clicked_history
from fedbert.recommendation.services import ServicesWorld, load_services
from fedbert.recommendation.sessions import Block, Requests, WorldSettings
from fedbert.signals.gate import gate, no_ranks, public_change
from fedbert.signals.poisoning import Phones, Poisoning
from fedbert.signals.report import DENSE_DEVICES, ReportLayout, dense_reports, report_layout, report_sum
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks, NoisySum, Signal, Targets

ATTACKS = ("boost", "flip", "random", "stuck")
GATHERED_RATE = 1.0
"""Share of the fleet in one sum, at most, where a day's rounds are opened as one."""


@dataclass(frozen=True)
class World:
    """What all trials share."""

    vectors: NDArray[np.int8]
    view: View
    judged: tuple[NDArray[np.int32], NDArray[np.int32]]
    validation: tuple[NDArray[np.float32], NDArray[np.int64]]
    """Unit vectors and items of the public texts that the gate judges by."""

    def quality(self, items: NDArray[np.floating]) -> float:
        """Return nDCG@10 of item vectors on the evaluation texts."""
        return ndcg(self.vectors.astype(np.float32) / INT8_UNIT_LENGTH, items, *self.judged)


@dataclass(frozen=True)
class Found:
    """What one trial came to."""

    norm_share: float
    held: int
    targets: float
    release: float


def load() -> tuple[World, ServicesWorld]:
    """Return what all trials share, and the world that histories are drawn from."""
    world, encoder = load_services(), Int8Encoder(load_artefact(models_folder() / "default"), threads=2)
    public = world.public
    names = encoder.encode(public.catalogue.texts, "item").astype(np.float32) / INT8_UNIT_LENGTH
    parts = []
    for split in ("train", "validation"):
        rows = np.flatnonzero(np.asarray(public.split) == split)
        texts = encoder.encode([public.texts[i] for i in rows]).astype(np.float32) / INT8_UNIT_LENGTH
        parts.append((texts, public.item[rows].astype(np.int64)))
    (texts, items), validation = parts
    view = View(names, items, texts, (names,))
    return World(
        encoder.encode(world.texts), view, sessions(world, world.evaluation, 20_000), validation
    ), world


def sent(
    signal: Signal,
    layout: ReportLayout,
    clicks: Clicks,
    phones: Phones,
    lying: NDArray[np.bool_],
    poisoning: Poisoning,
    round_: int,
) -> SumsApart:
    """Return what honest and what poisoned phones send in a round."""
    found = SumsApart.empty(layout.size)
    found.reports[:] = np.count_nonzero(~lying), np.count_nonzero(lying)

    def of(rows: NDArray[np.integer]) -> Clicks:
        return Clicks(clicks.vectors, clicks.text[rows], clicks.item[rows], clicks.rank[rows], clicks.items)

    found.sums[0] += report_sum(signal, layout, of(np.flatnonzero(~lying)))
    liars = np.flatnonzero(lying)
    for start in range(0, len(liars), DENSE_DEVICES):
        rows = liars[start : start + DENSE_DEVICES]
        honest = dense_reports(signal, layout, of(rows))
        lies = poisoning.lies(layout, honest, Phones(phones.seed, phones.ids[rows]), round_)
        found.sums[POISONED] += lies.sum(axis=0)
    return found


def trial(
    world: World,
    signal: Signal,
    mechanism: Mechanism,
    history: Requests,
    devices: DeviceRange,
    poisoning: Poisoning,
    bound: float | None,
) -> Found:
    """Return what the mechanism's rounds come to; without a share in `poisoning` all phones are honest."""
    settings, view = mechanism.settings, world.view
    rate = mechanism.round_rate if mechanism.gathered(1) else GATHERED_RATE
    layout = report_layout(
        signal.layout(*view.names.shape),
        clip_norm=settings.clip_norm,
        largest_cohort=largest_cohort(devices.count, rate),
        coordinate_bound=bound,
    )
    memory, first = signal.start(layout.signal, view), view.names
    targets = Targets(first, np.zeros(len(first), np.float32))
    lying = poisoning.poisoned(devices)
    pending, gathered, opened = np.zeros(layout.size), 0, list[int]()
    shares, held = list[float](), 0
    for number in range(1, settings.rounds + 1):
        joined = np.flatnonzero(mechanism.joins(devices, number))
        items = np.rint(view.items(len(view.released) - 1) * INT8_UNIT_LENGTH).astype(np.int8)
        rank = np.zeros((len(joined), history.item.shape[1]), np.int8)
        clicks = Clicks(world.vectors, history.text[joined], history.item[joined], rank, items)
        apart = sent(signal, layout, clicks, Phones(devices.seed, joined), lying[joined], poisoning, number)
        shares.append(apart.poisoned_norm_share or 0.0)
        # The masked sum, as the aggregator opens and checks it.
        total = decode(wrap(apart.total), layout.scale)
        if np.linalg.norm(total) > len(joined) * settings.clip_norm:
            held += 1
        else:
            pending, gathered = pending + total, gathered + 1
        if not mechanism.gathered(number) or not gathered:
            continue
        opened.append(number)
        noisy, _ = layout.split(pending + mechanism.on_sum(devices.seed, number, layout.size))
        expected = gathered * mechanism.round_rate * devices.count
        sigmas = mechanism.total_sigma([number]), mechanism.total_sigma(opened)
        release, pending, gathered = len(view.released) - 1, np.zeros(layout.size), 0
        memory, targets = signal.learn(
            layout.signal, memory, NoisySum(number, release, noisy, sigmas[0], expected, sigmas[1]), view
        )
        if number % 3 == 0:
            view = gated(world, view, targets)
    return Found(
        float(np.mean(shares)), held, world.quality(targets.vectors), world.quality(view.released[-1])
    )


def gated(world: World, view: View, targets: Targets) -> View:
    """Return the view with one more release, if the gate lets it out."""
    trust = FOLLOWED * targets.weights[:, None]
    moved = trust * targets.vectors + (1 - trust) * view.names
    stored = np.rint(INT8_UNIT_LENGTH * moved / np.linalg.norm(moved, axis=1, keepdims=True))
    candidate = (stored / INT8_UNIT_LENGTH).astype(np.float32)
    texts, items = world.validation
    judged = (public_scores(texts, items, candidate), public_scores(texts, items, view.released[-1]))
    if not gate(public_change(*judged, items), no_ranks(), no_ranks()).released:
        return view
    return replace(view, released=(*view.released, candidate))


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--signals", nargs="+", default=["prototypes", "delta"])
    parser.add_argument("--mechanisms", nargs="+", choices=list(MECHANISMS), default=["poisson", "daily"])
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--bounds", nargs="+", default=["none", "0.1"], help="on coordinates")
    parser.add_argument("--poisoned", type=float, default=0.01)
    parser.add_argument("--factor", type=float, default=30.0)
    parser.add_argument("--epsilon", type=float, default=None)
    parser.add_argument("--seeds", type=int, default=1)
    flags = parser.parse_args()

    world, services = load()
    print(f"names alone: {world.quality(world.view.names):.4f}", flush=True)
    print("| signal | mechanism | bound | attack | share of norm | rounds held | targets | release |")
    print("|---|---|---|---|---|---|---|---|")
    histories = []
    for seed in range(flags.seeds):
        devices = DeviceRange(seed, 0, flags.devices)
        block = Block(devices, np.zeros(flags.devices, np.int8), WorldSettings(), flags.devices)
        histories.append((devices, clicked_history(services, block, ClickModel())))
    for name in flags.mechanisms:
        mechanism = load_named(name, MECHANISMS, "mechanism", "mechanism").make(
            PrivacySettings(
                epsilon=flags.epsilon,
                delta=1e-6,
                sampling_probability=0.1,
                clip_norm=1.0,
                rounds=flags.rounds,
                rounds_per_day=ROUNDS_PER_DAY,
                devices=flags.devices,
            )
        )
        for spec in flags.signals:
            for word in flags.bounds:
                bound = None if word == "none" else float(word)
                for attack in ("honest", *flags.attacks):
                    poisoning = (
                        Poisoning(0.0)
                        if attack == "honest"
                        else Poisoning(flags.poisoned, attack, flags.factor)
                    )
                    found = [
                        trial(world, signal_of(spec), mechanism, own, who, poisoning, bound)
                        for who, own in histories
                    ]
                    share, held, targets, release = (
                        float(np.mean([getattr(each, key) for each in found]))
                        for key in ("norm_share", "held", "targets", "release")
                    )
                    print(
                        f"| {spec} | {name} | {word} | {attack} | {share:.0%} | {held:g} | {targets:.3f} "
                        f"| {release:.3f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
