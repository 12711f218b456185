"""TF-IDF on names: exact integers, fitted on public text only, better than popularity."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from fedbert.recommendation import baselines
from fedbert.recommendation.baselines import TfidfScorer, fit_tfidf
from fedbert.recommendation.metrics import mean_metric, rank_histogram
from fedbert.recommendation.scorer import default_scores, ranks
from fedbert.recommendation.services import ServicesWorld
from fedbert.recommendation.sessions import Block, Kind


@pytest.fixture(scope="module")
def scorer(services: ServicesWorld) -> TfidfScorer:
    """Return the scorer of the first 300 texts."""
    return fit_tfidf(services.public, services.texts[:300])


def test_scores_are_exact_dot_products(scorer: TfidfScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores in small blocks, and from a table made in small blocks, equal the dense integer product."""
    dense = (scorer.texts @ scorer.items.T).toarray()
    random = np.random.default_rng(0)
    text = random.integers(0, 300, 100).astype(np.int32)
    candidates = random.integers(0, 278, (100, 20)).astype(np.int32)
    monkeypatch.setattr(baselines, "_ROWS_PER_BLOCK", 7)
    with_table = baselines.with_table(scorer, sessions=1_000)
    assert scorer.table is None
    assert with_table.table is not None
    for each in (scorer, with_table):
        assert np.array_equal(each.scores(text, candidates), dense[text[:, None], candidates])


def test_a_table_is_made_for_many_sessions_only(scorer: TfidfScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 texts x 278 items are 83,400 entries: worth it from 167 sessions on, and never beyond the limit."""
    assert baselines.with_table(scorer, sessions=166).table is None
    assert baselines.with_table(scorer, sessions=167).table is not None
    monkeypatch.setattr(baselines, "TABLE_ENTRIES", 83_399)
    assert baselines.with_table(scorer, sessions=1e9).table is None


def test_letters_counted_by_distinct_words_are_those_of_whole_texts() -> None:
    """Short words, several blanks, other scripts, and capitals that grow in lower case count alike."""
    texts = ["Play  the PLAY", "a\u00a0b \u0130stanbul", "", "\u65e5\u672c \u65e5\u672c\u8a9e play"]
    counter = CountVectorizer(ngram_range=(3, 5), analyzer="char_wb").fit(texts)
    found, plain = baselines._count_by_word(counter, texts), baselines._count(counter, texts)
    assert (found != plain).nnz == 0
    assert found.indices.tolist() == plain.indices.tolist()


def test_a_text_has_the_same_vector_whatever_else_is_scored(
    services: ServicesWorld, scorer: TfidfScorer
) -> None:
    """Nothing is learnt from the texts to be scored: each alone gets the same integers."""
    alone = fit_tfidf(services.public, services.texts[7:8])
    assert (alone.texts != scorer.texts[7]).nnz == 0
    assert (alone.items != scorer.items).nnz == 0


def test_a_name_is_most_like_itself(services: ServicesWorld) -> None:
    """Scoring the names themselves puts each first."""
    names = services.public.catalogue.texts
    found = fit_tfidf(services.public, names)
    everything = np.tile(np.arange(278, dtype=np.int32), (278, 1))
    assert np.array_equal(
        found.scores(np.arange(278, dtype=np.int32), everything).argmax(axis=1), np.arange(278)
    )


def test_words_beat_popularity(services: ServicesWorld, make_block: Callable[..., Block]) -> None:
    """On learning sessions the baselines stand in the order that makes them worth beating."""
    found = services.sessions(make_block(count=6000), 10, Kind.LEARNING)
    texts, text = np.unique(found.text, return_inverse=True)
    words = fit_tfidf(services.public, [services.texts[one] for one in texts])
    goods = services.public.catalogue

    def ndcg(scores: np.ndarray) -> float:
        rank = ranks(scores, found.candidates, found.item, goods.default_rank)
        return float(mean_metric(rank_histogram(rank), "ndcg@10"))

    popular = ndcg(default_scores(goods, found.candidates))
    assert 0.25 < popular < 0.4
    assert ndcg(words.scores(text, found.candidates)) > popular + 0.3
