"""Rules of the compared systems: an id each, for programs; a name, for people."""

from typing import Any

from fedbert.comparison import FINAL, FULL, POOLED, ranked_by, system_id, systems


def row(**values: Any) -> Any:
    """Return a row of a comparison as far as its system goes."""
    return values


def test_each_system_has_an_id_of_its_own() -> None:
    """Also those that only some runs have."""
    ids = [system.id for system in systems(unreleased=True)]
    assert len(set(ids)) == len(ids)
    assert {ranked_by(FINAL), ranked_by(POOLED, text_only=True), "tfidf"} <= set(ids)


def test_a_row_is_known_by_its_id_and_an_old_one_by_its_name() -> None:
    """A renamed system stays the same; rows without an id are those of the names that they had."""
    assert system_id(row(id="final_full", system="renamed", inputs="all")) == "final_full"
    assert system_id(row(system="int8 student, final", inputs=FULL)) == "final_full"
    assert system_id(row(system="int8 student, final", inputs="text only")) == "final_text_only"
    assert system_id(row(system="teacher", inputs="text only; of another version")) == "teacher"
    assert system_id(row(system="somebody else's", inputs="x")) == "somebody else's"
