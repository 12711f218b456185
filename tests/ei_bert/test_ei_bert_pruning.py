"""The three ways to rank tokens against plain references, what can always be spelt, and the report."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_encoders import CASED, CHINESE, CHINESE_TEXTS, ENGLISH, random_encoder, save_encoder

from fedbert.ei_bert.compression.plan import RANKINGS
from fedbert.ei_bert.compression.token_pruning import (
    agreement,
    importance,
    pruned_vocabulary,
    rescored,
    smallest_size,
    spelling,
    spelling_report,
)
from fedbert.ei_bert.model.tokenizer import SPECIALS, TextRules
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher
from fedbert.errors import FedbertError

TEXTS = ("set an alarm", "the fee was set", "card card")


@pytest.fixture
def teacher(tmp_path: Path) -> Teacher:
    """A small random encoder that reads English."""
    save_encoder(tmp_path)
    return load_teacher(str(tmp_path))


def _attention(texts: tuple[str, ...], weights: tuple[float, ...]) -> np.ndarray:
    """The plain reference: transformers' attentions, text by text, added in a loop; specials 0."""
    model = random_encoder("bert", len(ENGLISH), attn_implementation="eager")
    place = {token: index for index, token in enumerate(ENGLISH)}
    total = np.zeros(len(ENGLISH))
    for text, weight in zip(texts, weights, strict=True):
        ids = [place[token] for token in ("[CLS]", *text.split(), "[SEP]")]
        with torch.inference_mode():
            layers = model(torch.tensor([ids]), output_attentions=True).attentions
        for layer in layers:
            for head in layer[0]:
                for column, index in enumerate(ids):
                    total[index] += weight * float(head[:, column].sum())
    total[:5] = 0.0
    return total


def test_attention_is_that_of_a_plain_loop(teacher: Teacher) -> None:
    """Attention received, texts of different weight and length together in one batch."""
    found = importance("attention", teacher, TEXTS, (1.0, 0.5, 3.0))
    assert np.allclose(found, _attention(TEXTS, (1.0, 0.5, 3.0)), atol=1e-4)


def test_frequency_counts_occurrences_by_weight(teacher: Teacher) -> None:
    """Set is in two texts, card twice in the third; specials are not ranked."""
    found = importance("frequency", teacher, TEXTS, (1.0, 0.5, 3.0))
    place = {token: index for index, token in enumerate(ENGLISH)}
    expected = {"set": 1.5, "an": 1.0, "alarm": 1.0, "the": 0.5, "fee": 0.5, "was": 0.5, "card": 6.0}
    assert {token: found[place[token]] for token in expected} == expected
    assert found.sum() == pytest.approx(sum(expected.values()))


def test_attention_per_occurrence_is_their_ratio(teacher: Teacher) -> None:
    """What never occurs has 0; weights of a text count in both parts."""
    weights = (1.0, 0.5, 3.0)
    found = importance("attention_per_occurrence", teacher, TEXTS, weights)
    counts = importance("frequency", teacher, TEXTS, weights)
    expected = _attention(TEXTS, weights) / np.where(counts > 0, counts, np.inf)
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("method", RANKINGS)
def test_no_texts_rank_nothing(teacher: Teacher, method: str) -> None:
    """Without texts every importance is 0."""
    assert importance(method, teacher, []).tolist() == [0.0] * len(ENGLISH)  # type: ignore[arg-type]


def test_other_methods_and_wrong_weights_are_refused(teacher: Teacher) -> None:
    """The line names the methods there are; each text has one weight."""
    with pytest.raises(FedbertError, match=r"method\(='random'\) must be one of attention, frequency"):
        importance("random", teacher, TEXTS)  # type: ignore[arg-type]
    with pytest.raises(FedbertError, match="3 texts, 2 weights"):
        importance("frequency", teacher, TEXTS, (1.0, 2.0))


def test_a_second_round_counts_the_tokens_that_words_are_split_into(teacher: Teacher) -> None:
    """Without room for `set` and `alarm`, their letters are counted where they will be used."""
    texts = ["card card car car the the fee was", "set alarm"]
    first = importance("frequency", teacher, texts)
    place = {token: index for index, token in enumerate(ENGLISH)}
    assert (first[place["set"]], first[place["##e"]], first[place["card"]]) == (1.0, 0.0, 2.0)
    # Size 0 is the limit of small ones: the second round then reads with the characters alone.
    second = rescored(first, "frequency", teacher, texts, 0)
    assert (second[place["set"]], second[place["card"]]) == (0.0, 0.0)
    written = [
        token for word in " ".join(texts).split() for token in (word[0], *(f"##{c}" for c in word[1:]))
    ]
    assert second[place["##e"]] == written.count("##e") == 5
    assert second.sum() == len(written)


def test_a_second_round_changes_nothing_where_all_tokens_stay(teacher: Teacher) -> None:
    """Room for every token that occurs: the first importance it is."""
    first = importance("frequency", teacher, TEXTS)
    assert rescored(first, "frequency", teacher, TEXTS, 500) is first


def test_agreement_is_the_share_both_keep() -> None:
    """Of the best two, one is shared; tokens of importance 0 are kept by neither."""
    a, b = np.array([3.0, 2.0, 1.0, 0.0]), np.array([3.0, 1.0, 2.0, 0.0])
    assert agreement(a, b, 2) == 0.5
    assert agreement(a, b, 1) == agreement(a, b, 3) == agreement(a, b, 4) == 1.0
    assert agreement(a, np.array([0.0, 0.0, 0.0, 1.0]), 3) == 0.0


def test_forms_that_no_text_can_reach_are_left_out() -> None:
    """Punctuation and ideographs are words of their own: their ## forms go; an accent in lower case too."""
    kept = pruned_vocabulary(ENGLISH, np.zeros(len(ENGLISH)), ["é £’"], smallest_size(ENGLISH, ["é £’"]))
    assert {"a", "##a", "£", "##£", "’", "!"} <= set(kept)
    assert not {"##!", "##’", "é", "##é", "car"} & set(kept)
    accents = TextRules(strip_accents=False)
    kept = pruned_vocabulary(ENGLISH, np.zeros(len(ENGLISH)), ["é"], 200, accents)
    assert {"é", "##é"} <= set(kept)
    size = smallest_size(CHINESE, CHINESE_TEXTS)
    kept = pruned_vocabulary(CHINESE, np.zeros(len(CHINESE)), CHINESE_TEXTS, size)
    assert {"我", "，"} <= set(kept)
    assert not {"##我", "##，", "app"} & set(kept)


def test_upper_case_stays_where_texts_keep_it() -> None:
    """A cased teacher's capitals spell; an uncased one's would only take room."""
    importance = np.zeros(len(CASED))
    cased = smallest_size(CASED, [], TextRules(lowercase=False))
    assert cased == smallest_size(CASED, []) + 2 * 26
    kept = pruned_vocabulary(CASED, importance, [], cased, TextRules(lowercase=False))
    assert spelling(kept, ["SET An aLaRm"], TextRules(lowercase=False))[0] == 0.0


def test_the_smallest_size_is_possible_and_one_less_is_not() -> None:
    """The message of a size with no room holds the size that has."""
    least = smallest_size(ENGLISH, ["£"])
    kept = pruned_vocabulary(ENGLISH, np.zeros(len(ENGLISH)), ["£"], least)
    assert len(kept) == least
    with pytest.raises(FedbertError, match=rf"size\(={least - 1}\) must be at least {least}, its"):
        pruned_vocabulary(ENGLISH, np.zeros(len(ENGLISH)), ["£"], least - 1)


def test_a_token_that_ends_a_line_is_dropped() -> None:
    """vocab.txt has one token a line, so a token that Python takes for the end of one cannot be kept."""
    vocabulary = (*ENGLISH, "\u2028", "##\u2028")
    kept = pruned_vocabulary(vocabulary, np.ones(len(vocabulary)), ["a\u2028b"], 1_000)
    assert "\n".join(kept).splitlines() == list(kept)
    assert set(kept) - set(SPECIALS) == {
        token for token in ENGLISH if token not in SPECIALS and token != "[MASK]"
    }


def test_the_report_of_spelling(teacher: Teacher) -> None:
    """Dropping `alarm` costs four tokens more in one of two texts, and the attention that it received."""
    attention = importance("attention", teacher, ["set an alarm", "the fee"])
    place = {token: index for index, token in enumerate(ENGLISH)}
    kept = (*SPECIALS, *(token for token in ENGLISH[5:] if token != "alarm"))
    report = spelling_report(teacher, kept, ["set an alarm", "the fee 我"], attention)
    assert (report.tokens_per_text_before, report.tokens_per_text) == (5.0, 7.0)
    assert report.unknown_share == pytest.approx(1 / 14)
    share = 1 - attention[place["alarm"]] / attention.sum()
    assert report.kept_attention_share == pytest.approx(share)
