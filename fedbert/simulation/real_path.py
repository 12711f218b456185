"""Planted phones through the real path: clipping, fixed point, masks, the aggregator with its noise.

An aggregator of the audit's own, of the same class and made of the same parts as the run's, opens sums of a
few phones that are planted: each clicks one item of its own. The run is over by then, and no figure of it
depends on what is done here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fedbert.federation.aggregator import Aggregator, AggregatorState, MaskedReport
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import RoundOrder, members_of
from fedbert.privacy.audit.canaries import Transcript, coins, joins_of, opened_rounds, openings
from fedbert.privacy.mechanisms import wrap
from fedbert.privacy.secure_sum import masked_vector
from fedbert.signals.report import dense_reports, report_sum
from fedbert.signals.signal import Clicks

SHARDS = 3
LEAST_OF_A_SHARD = 1
"""Empty reports that each shard adds, so that a round with few planted phones is opened too."""

MOST_NUMBERS = 8_000_000
"""Most numbers of dense reports held at a time: 64 MB."""

_RIDGE = 1e-9
_SPARSE = 0.05


@dataclass(frozen=True)
class Opening:
    """What the server was handed of one round."""

    round: int
    values: NDArray[np.float64]
    """[size] of the report."""
    public: tuple[float, ...]
    """All the rest: numbers that must not depend on who took part."""


def open_rounds(
    environment: Environment, noise_seed: int, rounds: int, phones: Callable[[int, int], Clicks]
) -> list[Opening]:
    """Return what rounds 1 to `rounds` open where shard s sums the reports of `phones(round, s)`.

    Masks, sums, thresholds and noise are the aggregator's; a round that it holds is left out.
    """
    layout, signal = environment.layout, environment.signal
    members = members_of(list(range(SHARDS)), max(SHARDS, environment.scenario.devices))
    aggregator = Aggregator(
        environment.mechanism,
        layout,
        members,
        noise_seed=noise_seed,
        min_reports=0,
        largest_cohort=max(environment.largest_cohort, SHARDS * LEAST_OF_A_SHARD),
        devices=environment.scenario.devices,
    )
    found, state = [], AggregatorState()
    for round_ in range(1, rounds + 1):
        keys, reports = aggregator.deal(round_), {}
        for member in members:
            clicks = phones(round_, member.index)
            total = wrap(report_sum(signal, layout, clicks))
            masked = masked_vector(total, member.index, keys[member.index])
            reports[member.index] = MaskedReport(masked, len(clicks.item) + LEAST_OF_A_SHARD)
        opened, _, state = aggregator.open(RoundOrder(round_, 0, 0), reports, state)
        if opened.signal is None or opened.ranks is None:
            continue
        values = np.concatenate([opened.signal.values, opened.ranks.values])
        public = tuple(
            float(number)
            for part in (opened.signal, opened.ranks)
            for number in (part.sigma, part.total_sigma, part.expected_reports)
        )
        found.append(Opening(round_, values, public))
    return found


def nobody(environment: Environment) -> Callable[[int, int], Clicks]:
    """Return phones that are not there: what is opened then is the noise and nothing else."""
    clicks = _clicks(environment, np.zeros(0, np.int32), np.zeros(0, np.int32))
    return lambda round_, shard: clicks


def planted_clicks(environment: Environment) -> Clicks:
    """Return phones that click one item each, no two the same one, as often as a report holds clicks.

    As many as there are items, or as the memory of `MOST_NUMBERS` and the largest cohort allow.
    """
    size, cohort = environment.layout.size, environment.largest_cohort - SHARDS * LEAST_OF_A_SHARD
    items = len(environment.world.public.catalogue.texts)
    count = max(0, min(items, MOST_NUMBERS // size, cohort))
    texts = np.linspace(0, len(environment.world.texts) - 1, count).astype(np.int32)
    environment.encoded_0.ensure(texts)
    return _clicks(environment, texts, np.arange(count, dtype=np.int32))


def _clicks(environment: Environment, text: NDArray[np.int32], item: NDArray[np.int32]) -> Clicks:
    """Return phones that made one click over and over; the rank is not known."""
    often = environment.scenario.clicks_per_report
    shape = (len(text), often)
    return Clicks(
        environment.encoded_0.vectors,
        np.broadcast_to(text[:, None], shape).copy(),
        np.broadcast_to(item[:, None], shape).copy(),
        np.full(shape, -1, np.int8),
        environment.encoded_0.items,
    )


def excess(environment: Environment, integers: NDArray[np.int64]) -> int:
    """Return how many reports `[phone, size]` are longer than the clip norm, in exact integers."""
    limit = (environment.layout.clip_norm * environment.layout.scale) ** 2
    return int(((integers**2).sum(axis=1) > limit).sum())


def compact(rows: NDArray[np.float64]) -> Any:
    """Return rows as a sparse array if most of their numbers are zeros, else as they are."""
    return csr_array(rows) if np.count_nonzero(rows) < _SPARSE * rows.size else rows


def likeness(one: Any, two: Any) -> NDArray[np.float64]:
    """Return the inner products `[row of one, row of two]` of what `compact` gave."""
    found: Any = one @ two.T
    # getattr: types of the whole of scipy.sparse do not know the method of each class.
    return np.asarray(getattr(found, "toarray", lambda: found)())


@dataclass(frozen=True)
class PlantedAudit:
    """Planted phones and what was opened of them."""

    transcript: Transcript
    """In units of the clip norm along each phone's own report."""
    independent: bool
    """Whether no two of their reports share a direction, so that white noise falls on each alone."""
    too_long: int
    """Reports that are longer than the clip norm."""
    openings: list[Opening]


def planted_audit(environment: Environment, seed: int, rounds: int) -> PlantedAudit | None:
    """Return planted phones through `rounds` rounds of the real path; None for fewer than two of them.

    The attacker knows each phone's report and takes the sum apart along all of them (least squares); what
    remains hidden is who was in.
    """
    clicks, mechanism = planted_clicks(environment), environment.mechanism
    count = len(clicks.item)
    if count < 2:
        return None
    integers = dense_reports(environment.signal, environment.layout, clicks)
    too_long = excess(environment, integers)
    reports = integers / environment.layout.scale
    del integers
    included, joined = coins(seed, count), joins_of(mechanism, seed, count, rounds)
    shard = np.arange(count) % SHARDS

    def present(round_: int, index: int) -> Clicks:
        here = np.flatnonzero(included & joined[round_ - 1] & (shard == index))
        return replace(clicks, text=clicks.text[here], item=clicks.item[here], rank=clicks.rank[here])

    opened = open_rounds(environment, seed, rounds, present)
    reports = compact(reports)
    gram = likeness(reports, reports)
    gram[np.diag_indices(count)] += _RIDGE * float(np.trace(gram)) / count
    inverse = np.linalg.inv(gram)
    # The share of each phone's report that no other's explains: the noise along it is the mechanism's.
    length = 1 / np.sqrt(np.diag(inverse))
    mixing, covariance = openings(mechanism, rounds)
    ends = opened_rounds(mixing)
    kept = [ends.index(each.round) for each in opened]
    clip_norm = float(np.median(length))
    drawn = [mechanism.on_sum(seed, each.round, environment.layout.size) for each in opened]

    def along(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(length * (inverse @ (reports @ values)))

    # Without the noise that its seed gives, the sums must show every phone: a check of the audit itself.
    clean = np.array([along(each.values - noise) for each, noise in zip(opened, drawn, strict=True)])
    noise = np.array([along(each) for each in drawn])
    alone = np.abs(gram - np.diag(np.diag(gram))).max() < 1e-6 * clip_norm**2
    shape = (len(kept), count)
    transcript = Transcript(
        included,
        joined,
        clip_norm,
        mixing[kept],
        covariance[np.ix_(kept, kept)],
        clean.reshape(shape),
        noise.reshape(shape),
    )
    return PlantedAudit(transcript, bool(alone), too_long, opened)
