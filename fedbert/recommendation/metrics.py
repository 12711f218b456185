"""Ranking metrics out of histograms of the target item's rank among the candidates.

One relevant item per session, so with rank r of n candidates: nDCG@k = 1 / log2(1 + r) if r <= k else 0;
MRR = 1 / r; hit@1 = (r = 1); AUC = (n - r) / (n - 1). A mean over sessions needs only
how often each rank came, and such counts add up exactly over shards.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.randomness import Purpose, generator
from fedbert.results import CANDIDATES, METRICS

# A block of resamples is an array of resamples x texts: tens of MB where all are met.
_RESAMPLES_PER_BLOCK = 64


def metric_by_rank(metric: str, candidates: int = CANDIDATES) -> NDArray[np.float64]:
    """Return a session's value by the rank of its target item, float64 [rank], from rank 1."""
    rank = np.arange(1.0, candidates + 1)
    if metric == "auc":
        return np.asarray((candidates - rank) / (candidates - 1))
    if metric == "mrr":
        return np.asarray(1.0 / rank)
    if metric == "hit@1":
        return np.where(rank == 1, 1.0, 0.0)
    if metric.startswith("ndcg@"):
        return np.where(rank <= int(metric.removeprefix("ndcg@")), 1.0 / np.log2(1.0 + rank), 0.0)
    raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")


def rank_histogram(
    ranks: NDArray[np.int64],
    candidates: int = CANDIDATES,
    group: NDArray[np.int64] | None = None,
    groups: int | None = None,
) -> NDArray[np.int64]:
    """Return how often each rank 1 .. `candidates` came: int64 [rank], or [group, rank] with `group` [s]."""
    if group is None or groups is None:
        return np.bincount(ranks - 1, minlength=candidates)
    flat = np.bincount(group.astype(np.int64) * candidates + ranks - 1, minlength=groups * candidates)
    return flat.reshape(groups, candidates)


def mean_metric(histogram: NDArray[np.int64], metric: str) -> NDArray[np.float64]:
    """Return the mean over the sessions of `histogram` `[..., rank]`, `[...]`; NaN where there are none."""
    worth = metric_by_rank(metric, histogram.shape[-1])
    sessions = histogram.sum(axis=-1)
    # Sums by rank in a fixed order: the same bits for the same counts, whatever the shape.
    total = np.zeros(histogram.shape[:-1])
    for rank, value in enumerate(worth):
        total = total + histogram[..., rank] * value
    return np.asarray(np.divide(total, sessions, out=np.full(total.shape, np.nan), where=sessions > 0))


def all_metrics(histogram: NDArray[np.int64]) -> dict[str, float]:
    """Return every metric of one histogram [rank]."""
    return {metric: float(mean_metric(histogram, metric)) for metric in METRICS}


def text_interval(
    by_text: NDArray[np.int64],
    metric: str,
    seed: int,
    level: float = 0.95,
    resamples: int = 1000,
    time: int = 0,
) -> tuple[float, float]:
    """Return the bootstrap interval of the mean over sessions when *texts* are resampled.

    `by_text` is int64 [text, rank]: devices share texts, so resampling devices would be far too sure. Texts
    without a session are left out. (NaN, NaN) without any session. Percentile bootstrap (Efron 1979).
    """
    seen = by_text[by_text.sum(axis=1) > 0]
    if not len(seen):
        return (float("nan"), float("nan"))
    sessions = seen.sum(axis=1).astype(np.float64)
    total = mean_metric(seen, metric) * sessions
    random = generator(seed, Purpose.RESAMPLING, time)
    means = np.empty(resamples)
    for start in range(0, resamples, _RESAMPLES_PER_BLOCK):
        block = min(_RESAMPLES_PER_BLOCK, resamples - start)
        picked = random.integers(0, len(seen), size=(block, len(seen)))
        means[start : start + block] = total[picked].sum(axis=1) / sessions[picked].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
