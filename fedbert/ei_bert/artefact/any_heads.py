"""Heads of every kind: what a file of an artefact's folder `heads` holds."""

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.heads import Head, head_bytes, read_head
from fedbert.ei_bert.artefact.kind_files import notes_of
from fedbert.ei_bert.artefact.kinds import KINDS, Kind
from fedbert.ei_bert.artefact.pair_heads import PairHead, pair_head_bytes, read_pair_head
from fedbert.ei_bert.artefact.tag_heads import TagHead, read_tag_head, tag_head_bytes
from fedbert.errors import FedbertError

AnyHead = Head | TagHead | PairHead


def kind_of_file(content: bytes, where: str) -> Kind:
    """Return the kind of head that a file says it holds; that of labels of texts needs no note.

    Raises FedbertError, beginning with `where`, for one that is not known.
    """
    notes = notes_of(content)
    said = "labels" if notes is None else notes.get("kind")
    for kind in KINDS:
        if said == kind:
            return kind
    raise FedbertError(f"head {where}: its kind {said!r} must be one of {', '.join(KINDS)}; fetch it again")


def kind_of_head(head: AnyHead) -> Kind:
    """Return the kind of a head."""
    return "labels" if isinstance(head, Head) else "tags" if isinstance(head, TagHead) else "pairs"


def read_any_head(content: bytes, where: str) -> AnyHead:
    """Return the head of a file; raises FedbertError in one line, beginning with `where`, if it is none."""
    kind = kind_of_file(content, where)
    if kind == "tags":
        return read_tag_head(content, where)
    return read_pair_head(content, where) if kind == "pairs" else read_head(content, where)


def any_head_bytes(head: AnyHead) -> bytes:
    """Return a head's file; equal heads give equal bytes."""
    if isinstance(head, TagHead):
        return tag_head_bytes(head)
    return pair_head_bytes(head) if isinstance(head, PairHead) else head_bytes(head)


def names_of_head(head: AnyHead) -> tuple[str, ...]:
    """Return the label names of a head, or its tags."""
    return head.tags if isinstance(head, TagHead) else head.labels


def kinds(artefact: Artefact) -> dict[str, Kind]:
    """Return the kind of each head, by task; raises FedbertError for one that is not known."""
    return {task: kind_of_file(body, task) for task, body in sorted(artefact.heads.items())}
