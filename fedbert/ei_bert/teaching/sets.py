"""Sets of every kind of task, told by the columns of a file."""

from collections.abc import Sequence
from pathlib import Path

from fedbert.ei_bert.artefact.kinds import KINDS, Kind
from fedbert.ei_bert.teaching.pair_sets import PairSet, load_pair_set
from fedbert.ei_bert.teaching.tag_sets import TagSet, load_tag_set
from fedbert.ei_bert.teaching.tasks import Task, load_task
from fedbert.errors import invalid
from fedbert.user_tables import read_headers

AnySet = Task | TagSet | PairSet
_OWN: dict[Kind, frozenset[str]] = {
    "tags": frozenset({"tags"}),
    "pairs": frozenset({"text_b", "label"}),
    "labels": frozenset({"label"}),
}
"""The columns beside `text` that make a file one of a kind."""


def kind_of(path: Path) -> Kind:
    """Return the kind of the set in `path`: what its columns are those of.

    Raises FedbertError if they are those of no kind, or of tags and another.
    """
    every = [set(names) for names in read_headers("data", path)]
    header = next((names for names in every if "text" in names), set())
    found = [kind for kind in KINDS if _OWN[kind] <= header]
    if "pairs" in found:  # pairs have labels too
        found.remove("labels")
    if len(found) > 1:
        columns = " and ".join(sorted(header & {"tags", "label", "text_b"}))
        rule = f"have columns of one kind of task (has {columns})"
        raise invalid("data", str(path), rule, "drop the others, or give --kind to add-head")
    if not found:
        rule = "have columns text,label, text,tags or text,text_b,label"
        raise invalid("data", str(path), rule, "rename or add them")
    return found[0]


def load_set(path: Path, kind: Kind | None = None) -> AnySet:
    """Read the set in `path`, of `kind` or of the one that its columns say; raises as the kind's reader."""
    chosen = kind or kind_of(path)
    if chosen == "tags":
        return load_tag_set(path)
    return load_pair_set(path) if chosen == "pairs" else load_task(path)


def kind_of_set(found: AnySet) -> Kind:
    """Return the kind of a set that was read."""
    return "labels" if isinstance(found, Task) else "tags" if isinstance(found, TagSet) else "pairs"


def names_of(found: AnySet) -> Sequence[str]:
    """Return the label names of a set, or its tags."""
    return found.tags if isinstance(found, TagSet) else found.labels


def train_and_test(found: AnySet) -> tuple[Sequence[str], Sequence[str]]:
    """Return the training and the test texts of a set, for what they have in common."""
    if isinstance(found, Task):
        return found.train.texts, found.test.texts
    return found.train.texts(), found.test.texts()
