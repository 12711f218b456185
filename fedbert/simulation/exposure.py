"""What one unmasked report gives away: how much of it an attacker reads who sees a phone's signal alone.

The masks keep every report from every eye; this says what they keep. The attacker knows the catalogue and the
release, and explains the report by reports of single clicks, the best one first (matching pursuit, Mallat and
Zhang 1993).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.privacy.audit.reports import report_noise
from fedbert.signals.report import dense_reports
from fedbert.signals.signal import Clicks
from fedbert.simulation.real_path import MOST_NUMBERS, compact, likeness


@dataclass(frozen=True)
class Exposure:
    """Shares recovered (0..1) from single reports, and of how many."""

    reports: int
    clicks: int
    """Different items and texts in a report, over all reports."""
    candidate_items: int
    candidate_texts: int
    items: float
    """Share of the clicked items that are named, among all candidates; the texts are not known."""
    texts: float
    """Share of the clicked texts that are named, among candidates that hold them."""


def exposure(environment: Environment, phones: int) -> Exposure | None:
    """Return what the first `phones` phones' reports of their histories give away; None without any click."""
    scenario, size = environment.scenario, environment.layout.size
    # All that was clicked must be among the candidates.
    count = min(phones, scenario.devices, MOST_NUMBERS // size // scenario.clicks_per_report)
    remembered = Phones(environment, DeviceRange(scenario.seed, 0, max(count, 1))).remembered_before()
    newest = slice(-scenario.clicks_per_report, None)
    text, item = remembered.text[:, newest], remembered.item[:, newest]
    environment.encoded_0.ensure(text)
    clicked = (text >= 0) & (item >= 0)
    if not clicked.any():
        return None
    vectors = environment.encoded_0.vectors
    pairs = np.unique(np.stack([text[clicked], item[clicked]], axis=1), axis=0)
    names = environment.encoded_0.encoder.encode(environment.world.public.catalogue.texts)
    known = np.unique(item[clicked])
    others = np.setdiff1d(np.arange(len(names)), known)
    items = np.concatenate([known, others])[: MOST_NUMBERS // size].astype(np.int32)

    reports = _dense(environment, vectors, text, item)
    if environment.mechanism.noise_on_device:  # that of a round after the run's
        seed, round_, scale = environment.device_noise_seed, scenario.rounds + 1, environment.layout.scale
        reports = reports + report_noise(environment.mechanism, seed, len(reports), round_, size, scale)
    by_text = _pursued(reports, _dense(environment, vectors, pairs[:, :1], pairs[:, 1:]), clicked.sum(axis=1))
    by_item = _pursued(
        reports, _dense(environment, names, items[:, None], items[:, None]), clicked.sum(axis=1)
    )
    found = np.zeros(4, np.int64)
    for row, here in enumerate(clicked):
        texts, its = set(text[row, here].tolist()), set(item[row, here].tolist())
        found += [
            len(its & set(items[by_item[row]].tolist())),
            len(its),
            len(texts & set(pairs[by_text[row], 0].tolist())),
            len(texts),
        ]
    return Exposure(
        reports=len(reports),
        clicks=int(found[3]),
        candidate_items=len(items),
        candidate_texts=len(pairs),
        items=float(found[0] / found[1]),
        texts=float(found[2] / found[3]),
    )


def _dense(
    environment: Environment, vectors: NDArray[np.int8], text: NDArray[np.int32], item: NDArray[np.int32]
) -> NDArray[np.float64]:
    rank = np.full(text.shape, -1, np.int8)
    clicks = Clicks(vectors, text, item, rank, environment.encoded_0.items)
    return dense_reports(environment.signal, environment.layout, clicks).astype(np.float64)


def _pursued(
    reports: NDArray[np.float64], atoms: NDArray[np.float64], steps: NDArray[np.int64]
) -> list[list[int]]:
    """Return the atoms that explain each report best, one after the other, at most `steps` `[report]`."""
    compacted = compact(atoms / np.maximum(np.linalg.norm(atoms, axis=1), 1e-12)[:, None])
    gram = likeness(compacted, compacted)
    chosen: list[list[int]] = []
    for row, most in zip(likeness(compact(reports), compacted), steps, strict=True):
        left, mine = row.copy(), list[int]()
        for _ in range(int(most)):
            best = int(np.abs(left).argmax())
            if best in mine:
                break
            mine.append(best)
            # All of the chosen ones together explain the report; what they leave is looked at next.
            weights = np.linalg.lstsq(gram[np.ix_(mine, mine)], row[mine], rcond=None)[0]
            left = row - weights @ gram[mine]
        chosen.append(mine)
    return chosen
