"""Tokens, roles, pruning and spelling."""

import numpy as np
import pytest
import torch

from fedbert.ei_bert.compression.token_pruning import (
    attention_received,
    pruned_vocabulary,
    spelling,
    teacher_rows,
)
from fedbert.ei_bert.model.tokenizer import SPECIALS, Tokens, by_length, padded
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher
from fedbert.errors import FedbertError

SMALL = (*SPECIALS, "set", "an", "alarm", "a", "##s", "s", "##a")


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    """The installed teacher."""
    torch.set_num_threads(1)
    return load_teacher()


def test_the_first_token_says_the_role() -> None:
    """A text begins with [CLS] (2), an item's name with [ITEM] (4); both end with [SEP] (3)."""
    tokens = Tokens(SMALL)
    assert tokens.rows(["Set an alarm"]) == [[2, 5, 6, 7, 3]]
    assert tokens.rows(["set an alarms"], "item") == [[4, 5, 6, 7, 9, 3]]


def test_a_vocabulary_without_item_token_knows_one_role() -> None:
    """The teacher's vocabulary marks names as it marks texts."""
    tokens = Tokens([token for token in SMALL if token != "[ITEM]"])
    assert tokens.rows(["an alarm"], "item") == tokens.rows(["an alarm"], "text")


def test_long_texts_are_cut_to_64_tokens() -> None:
    """Truncation keeps the specials at both ends."""
    row = Tokens(SMALL).rows(["alarm " * 200])[0]
    assert len(row) == 64
    assert (row[0], row[-1]) == (2, 3)


@pytest.mark.parametrize("missing", SPECIALS[:4])
def test_a_vocabulary_without_a_special_is_refused(missing: str) -> None:
    """Each of the four BERT specials is needed, and the message names it."""
    with pytest.raises(FedbertError, match=missing.strip("[]")):
        Tokens([token for token in SMALL if token != missing])


def test_batches_hold_one_length_and_every_row_once() -> None:
    """Rows of a batch have one length; all rows come up once; a batch has at most so many tokens."""
    rows = [[2] + [5] * n + [3] for n in (1, 4, 1, 2, 1, 4, 9)]
    seen = []
    for chosen, ids in by_length(rows, batch_tokens=7):
        assert all(rows[index] == ids[place].tolist() for place, index in enumerate(chosen.tolist()))
        assert ids.size <= 7 or len(chosen) == 1
        seen += chosen.tolist()
    assert sorted(seen) == list(range(7))


def test_padding_is_zero() -> None:
    """Shorter rows are filled with [PAD], which is 0."""
    assert padded([[2, 3], [2, 5, 3]], 4).tolist() == [[2, 3, 0, 0], [2, 5, 3, 0]]


def test_attention_received_adds_up(teacher: Teacher) -> None:
    """A token gives away 1 a layer and head: a text's tokens receive layers x heads x tokens."""
    texts = ["set an alarm", "how do i freeze my bank account please"]
    received = attention_received(teacher, texts)
    tokens = sum(len(row) for row in teacher.tokens.rows(texts))
    assert received.sum() == pytest.approx(6 * 12 * tokens, rel=1e-5)
    assert (received > 0).sum() == len({index for row in teacher.tokens.rows(texts) for index in row})


def test_pruning_keeps_characters_then_the_most_attended(teacher: Teacher) -> None:
    """Specials and ASCII characters stay; what is left of the size goes by importance, ties by order."""
    importance = np.zeros(len(teacher.vocabulary))
    importance[teacher.vocabulary.index("alarm")] = 3.0
    importance[teacher.vocabulary.index("freeze")] = 2.0
    importance[teacher.vocabulary.index("account")] = 1.0
    base = pruned_vocabulary(teacher.vocabulary, importance, [], 400)
    characters = [t for t in base if len(t.removeprefix("##") if len(t) > 2 else t) == 1 and t.isascii()]
    kept = pruned_vocabulary(teacher.vocabulary, importance, [], len(SPECIALS) + len(characters) + 2)
    assert set(kept) - set(SPECIALS) - set(characters) == {"alarm", "freeze"}
    assert {"a", "##a", "z", "##z", "0", "##9", "?"} <= set(kept)


def test_characters_of_the_texts_stay(teacher: Teacher) -> None:
    """A pound sign in public text stays in the vocabulary, so nothing of it becomes [UNK]."""
    kept = pruned_vocabulary(teacher.vocabulary, np.ones(len(teacher.vocabulary)), ["a fee of £5"], 400)
    assert "£" in kept
    assert spelling(kept, ["a fee of £5 on my xylophone"])[0] == 0.0


def test_too_small_a_vocabulary_is_refused(teacher: Teacher) -> None:
    """A size below specials and characters is an error with the least size in it."""
    with pytest.raises(FedbertError, match=r"vocabulary size\(=20\) must be at least 109, "):
        pruned_vocabulary(teacher.vocabulary, np.ones(len(teacher.vocabulary)), [], 20)


def test_item_token_starts_as_the_text_token(teacher: Teacher) -> None:
    """[ITEM] takes over the teacher's [CLS] embedding; other tokens take their own."""
    assert teacher_rows(teacher.vocabulary, ["[CLS]", "[ITEM]", "alarm"]).tolist() == [
        101,
        101,
        teacher.vocabulary.index("alarm"),
    ]
