"""Ranking metrics out of histograms of the target item's rank among the candidates.

One relevant item per session, so with rank r of n candidates: nDCG@k = 1 / log2(1 + r) if r <= k else 0;
MRR = 1 / r; hit@1 = (r = 1); AUC = (n - r) / (n - 1). A mean over sessions needs only
how often each rank came, and such counts add up exactly over shards.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.intervals import bootstrap_interval
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


def mean_metric(histogram: NDArray[np.integer], metric: str) -> NDArray[np.float64]:
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


def mean_draws(
    by_cluster: NDArray[np.integer], metric: str, seed: int, resamples: int = 1000, time: int = 0
) -> NDArray[np.float64]:
    """Return the means of groups of sessions and `resamples` bootstrap draws of them, `[1 + draw, group]`.

    `by_cluster` is int [group, cluster, rank]. Row 0 is the means themselves. Each further row resamples the
    clusters (Efron 1979), the same ones for all groups, so that differences and ratios of a row's means are
    paired. Clusters without a session are left out; NaN where a draw has no session of a group.
    """
    seen = by_cluster[:, by_cluster.sum(axis=(0, 2)) > 0]
    groups, clusters = seen.shape[:2]
    means = np.full((1 + resamples, groups), np.nan)
    if not clusters:
        return means
    sessions = seen.sum(axis=2).astype(np.float64)
    total = np.nan_to_num(mean_metric(seen, metric)) * sessions
    means[0] = [float(mean_metric(group.sum(axis=0), metric)) for group in seen]
    random = generator(seed, Purpose.RESAMPLING, time)
    # Groups of one comparison have the same sessions, whose sums need to be drawn once.
    alike = bool((sessions == sessions[:1]).all())
    for start in range(0, resamples, _RESAMPLES_PER_BLOCK):
        block = min(_RESAMPLES_PER_BLOCK, resamples - start)
        picked = random.integers(0, clusters, size=(block, clusters))
        count = sessions[0][picked].sum(axis=1)
        for group in range(groups):
            if not alike and group:
                count = sessions[group][picked].sum(axis=1)
            worth = total[group][picked].sum(axis=1)
            means[1 + start : 1 + start + block, group] = np.divide(
                worth, count, out=np.full(block, np.nan), where=count > 0
            )
    return means


def cluster_count(by_cluster: NDArray[np.integer]) -> int:
    """Return how many clusters of `by_cluster` `[cluster, rank]` have a session."""
    return int((by_cluster.sum(axis=1) > 0).sum())


def cluster_interval(
    by_cluster: NDArray[np.integer], metric: str, seed: int, resamples: int = 1000, time: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean over sessions when clusters are resampled (`mean_draws`).

    `by_cluster` is int [cluster, rank]. None with fewer than `fedbert.intervals.LEAST_CLUSTERS` of them.
    """
    draws = mean_draws(by_cluster[None], metric, seed, resamples, time)[:, 0]
    return bootstrap_interval(draws, cluster_count(by_cluster))
