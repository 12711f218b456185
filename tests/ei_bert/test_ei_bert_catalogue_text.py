"""The texts that a catalogue's student learns from: made of public text alone, asking for what they say."""

from pathlib import Path

import numpy as np
import pytest

from fedbert.ei_bert.compression.catalogue_text import asked_names, made_texts, placed, table_words
from fedbert.ei_bert.compression.public_text import PublicText
from fedbert.ei_bert.teaching.cross_distillation import Asked
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher

NAMES = ("Alarm: set an alarm", "Bank: freeze an account", "Music: play a song")
REQUESTS = ("wake me at six", "stop it now please")


@pytest.fixture
def teacher(small_teacher: str | Path) -> Teacher:
    """A teacher of two layers."""
    return load_teacher(str(small_teacher))


def _public(items: list[int]) -> PublicText:
    """Two requests, three names, of which the items are asked for by public requests."""
    asked, none = np.array([items[0]] * 2), np.zeros(0, np.int64)
    return PublicText(REQUESTS, asked, (), none, ("a song",), NAMES, np.array(items), (), {})


def test_names_are_asked_for_that_no_request_asks_for(teacher: Teacher) -> None:
    """Each such name is asked for equally often, in words of requests, the name and the teacher's table;
    with all names public there is no text.
    """
    texts, items = asked_names(_public([1]), teacher, 40, 3)
    assert (np.bincount(items, minlength=3) == [20, 0, 20]).all()
    again = asked_names(_public([1]), teacher, 40, 3)
    assert (again[0], again[1].tolist()) == (texts, items.tolist())
    own = [text for text, item in zip(texts, items.tolist(), strict=True) if item == 2]
    assert sum("song" in text.split() for text in own) > 5
    known = {word.strip(":").lower() for text in (*NAMES, *REQUESTS) for word in text.split()}
    known |= set(teacher.vocabulary)
    assert {word.strip(":").lower() for text in texts for word in text.split()} <= known
    assert asked_names(_public([0, 1, 2]), teacher, 40, 3)[0] == []


def test_a_step_reads_texts_of_the_names_that_it_reads() -> None:
    """Names are drawn without repetition, and every text that is drawn asks for one of them."""
    asked = Asked(100, np.array([4, 5, 6, 7] * 3), names_a_step=2, texts_a_step=30)
    names, rows = asked.drawn(np.random.default_rng(0))
    assert len(set(names.tolist())) == 2
    assert set(asked.items[rows - 100].tolist()) == set(names.tolist())


def test_each_kind_of_made_text_is_as_many_as_asked(teacher: Teacher) -> None:
    """Varied texts come first and are the same whatever follows; groups are words of the teacher's table."""
    public, words = _public([0]), ["zebra"]
    alone, whole = (made_texts(public, teacher, words, counts, 1) for counts in ((9, 0, 0), (9, 4, 5)))
    assert (len(alone), len(whole), whole[:9]) == (9, 18, alone)
    assert {word for text in whole[13:] for word in text.split()} <= set(table_words(teacher.vocabulary))


def test_the_tables_words_count_as_much_as_the_texts() -> None:
    """Weights times words of the texts, and the words by their place: 1, 1/2 and 1/3 of the first."""
    texts, weights = placed(["one two", "three"], [1.0, 4.0], ["[PAD]", "the", "##s", "cat", "dog"])
    assert texts == ["one two", "three", "the", "cat", "dog"]
    assert weights[:2] == [1.0, 4.0]
    assert np.allclose(weights[2:], np.array([6, 3, 2]) * 6 / 11)
