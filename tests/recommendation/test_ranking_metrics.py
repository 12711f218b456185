"""Ranking metrics from rank histograms, against literal numbers and plain loops."""

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from fedbert.randomness import Purpose, generator
from fedbert.recommendation.metrics import (
    METRICS,
    all_metrics,
    cluster_interval,
    mean_draws,
    mean_metric,
    metric_by_rank,
    rank_histogram,
)


def test_one_session_at_rank_three() -> None:
    """Rank 3 of 20: AUC 17/19, MRR 1/3, nDCG 1/2, no hit."""
    found = all_metrics(rank_histogram(np.array([3])))
    assert found == pytest.approx({"auc": 17 / 19, "mrr": 1 / 3, "ndcg@5": 0.5, "ndcg@10": 0.5, "hit@1": 0.0})
    assert tuple(found) == METRICS


def test_metrics_cut_where_they_say() -> None:
    """nDCG@5 ends after rank 5 and nDCG@10 after rank 10; AUC ends at 0."""
    assert metric_by_rank("ndcg@5")[4:6].tolist() == [1 / math.log2(6), 0.0]
    assert metric_by_rank("ndcg@10")[9:11].tolist() == [1 / math.log2(11), 0.0]
    assert metric_by_rank("auc")[[0, -1]].tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="unknown metric 'ndgc'"):
        metric_by_rank("ndgc")


def test_metrics_agree_with_scikit_learn() -> None:
    """nDCG and AUC of one relevant item among 20 are scikit-learn's."""
    random = np.random.default_rng(1)
    for _ in range(20):
        scores = random.permutation(20).astype(float)
        truth = np.eye(20)[random.integers(20)]
        rank = int(1 + (scores > scores[truth == 1]).sum())
        found = all_metrics(rank_histogram(np.array([rank])))
        assert found["ndcg@10"] == pytest.approx(ndcg_score([truth], [scores], k=10))
        assert found["auc"] == pytest.approx(roc_auc_score(truth, scores))


def test_means_over_histograms_are_means_over_sessions() -> None:
    """The mean from counts equals the mean of the sessions' values, for groups of any shape."""
    random = np.random.default_rng(2)
    ranks, group = random.integers(1, 21, 500), random.integers(0, 6, 500)
    group[group == 4] = 3
    histogram = rank_histogram(ranks, group=group, groups=6)
    assert histogram.sum() == 500
    found = mean_metric(histogram.reshape(2, 3, 20), "mrr").ravel()
    for one in range(6):
        values = 1 / ranks[group == one]
        assert found[one] == pytest.approx(values.mean()) if len(values) else math.isnan(found[one])


def test_histograms_of_parts_add_up() -> None:
    """The histogram of a fleet is the sum of its shards', and so are all figures to the bit."""
    random = np.random.default_rng(3)
    ranks = random.integers(1, 21, 1000)
    parts = sum(rank_histogram(part) for part in np.array_split(ranks, 7))
    assert all_metrics(parts) == all_metrics(rank_histogram(ranks))


def test_no_session_gives_nan() -> None:
    """An empty histogram has no mean and no interval."""
    assert all(math.isnan(value) for value in all_metrics(np.zeros(20, np.int64)).values())
    assert cluster_interval(np.zeros((5, 20), np.int64), "mrr", 0) is None


def test_the_interval_resamples_clusters_not_sessions() -> None:
    """A thousand sessions of each text make the interval no narrower; more texts do."""
    random = np.random.default_rng(4)
    few = rank_histogram(random.integers(1, 21, 50), group=np.arange(50), groups=50)
    low, high = cluster_interval(few, "auc", seed=1) or (0.0, 0.0)
    assert cluster_interval(few * 1024, "auc", seed=1) == (low, high)
    assert cluster_interval(few, "auc", seed=1) == (low, high)
    many = rank_histogram(random.integers(1, 21, 5000), group=np.arange(5000), groups=5000)
    narrow = cluster_interval(many, "auc", seed=1)
    assert narrow is not None
    assert narrow[1] - narrow[0] < (high - low) / 3


@pytest.mark.parametrize("texts", [8, 100])
def test_the_interval_covers_the_mean_as_often_as_it_says(texts: int) -> None:
    """Of 95 % intervals over samples of texts, about 95 % hold the true mean, with few texts too."""
    random = np.random.default_rng(5)
    truth = metric_by_rank("auc").mean()
    hits = 0
    for trial in range(200):
        sample = rank_histogram(random.integers(1, 21, texts), group=np.arange(texts), groups=texts)
        low, high = cluster_interval(sample, "auc", seed=trial, resamples=400) or (1.0, 0.0)
        hits += low <= truth <= high
    assert 0.9 <= hits / 200 <= 0.99


def test_few_clusters_give_no_interval() -> None:
    """Five texts carry no interval, six do."""
    ranks = rank_histogram(np.arange(1, 7), group=np.arange(6), groups=6)
    assert cluster_interval(ranks[:5], "mrr", seed=0) is None
    assert cluster_interval(ranks, "mrr", seed=0) is not None


def test_draws_are_paired() -> None:
    """Each draw takes the same clusters for all groups: plain loops over them give the same means."""
    random = np.random.default_rng(6)
    ranks = np.stack(
        [rank_histogram(random.integers(1, 21, 40), group=np.arange(40) % 9, groups=9) for _ in range(3)]
    )
    ranks = np.concatenate([ranks, ranks[:1]])
    draws = mean_draws(ranks, "ndcg@10", seed=2, resamples=70)
    assert draws.shape == (71, 4)
    assert draws[:, 0].tolist() == draws[:, 3].tolist()
    for group in range(4):
        assert draws[0, group] == pytest.approx(all_metrics(ranks[group].sum(axis=0))["ndcg@10"])
    # a group whose sessions lie in one cluster keeps its mean in each draw that has the cluster
    alone = ranks[:2].copy()
    alone[1, 1:] = 0
    found = mean_draws(alone, "ndcg@10", seed=2, resamples=70)[:, 1]
    assert np.isnan(found).any()
    assert found[~np.isnan(found)] == pytest.approx(found[0])
    picked = generator(2, Purpose.RESAMPLING, 0).integers(0, 9, size=(64, 9))
    for draw in range(64):
        again = sum(ranks[1, cluster] for cluster in picked[draw])
        assert draws[1 + draw, 1] == pytest.approx(all_metrics(again)["ndcg@10"])
