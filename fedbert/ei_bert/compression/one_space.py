"""One space for students of several sizes: a rotation brings a student's vectors to where another's lie.

Each student of a catalogue has a space of its own, since each was taught with a head of its own. A rotation
leaves every inner product of its vectors as it is, so that it ranks as before, and it folds into the head:
no byte is added. It is the orthogonal Procrustes solution over public texts (Schoenemann 1966).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedbert.ei_bert.artefact.artefact import VOCABULARY, Artefact, build_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.catalogue_goal import CatalogueGoal, round_to_half
from fedbert.ei_bert.compression.goal import Trained
from fedbert.ei_bert.compression.plan import CataloguePlan
from fedbert.ei_bert.compression.public_text import PublicText
from fedbert.ei_bert.compression.scores import Scores, zero_shot
from fedbert.ei_bert.compression.stages import Done
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.teaching.server_folder import read_server_folder, restore
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import FedbertError

Vectors = NDArray[np.float32]

TEXTS = 10_000
"""Most public texts that decide the rotation, which has some thousand numbers."""

_DIGITS = 4


@dataclass(frozen=True)
class Across:
    """nDCG@10 of public validation requests over all names: texts by one student, names by another."""

    texts_by_this: float  # names by the student whose space it is
    names_by_this: float  # texts by that one
    cosine: float  # mean, of the two vectors of a public text


@dataclass(frozen=True)
class Aligned:
    """A student in another's space: its files, its float weights, and the scores across both."""

    artefact: Artefact
    student: Student
    alone: Scores
    before: Across
    after: Across


@dataclass(frozen=True)
class _Seen:
    """Unit vectors of public texts, validation requests and names by one artefact, as a phone makes them."""

    texts: Vectors
    checks: Vectors
    names: Vectors

    @classmethod
    def of(cls, artefact: Artefact, public: PublicText) -> "_Seen":
        encoder = Int8Encoder(artefact, torch.get_num_threads())
        asked = encoder.encode(_texts(public)), encoder.encode(public.checks)
        return cls(*(_unit(part) for part in (*asked, encoder.encode(public.names, "item"))))


def rotation(mine: Vectors, theirs: Vectors) -> Vectors:
    """Return the rotation or reflection R `[dim, dim]` with the least sum of squares of mine R - theirs.

    `mine` and `theirs` `[text, dim]` are vectors of the same texts. Raises FedbertError for unequal widths.
    """
    if mine.shape[1] != theirs.shape[1]:
        raise FedbertError(
            f"vectors must be of one width, and these are {mine.shape[1]} and {theirs.shape[1]} wide; "
            "make one of the students again with --dim"
        )
    left, _, right = np.linalg.svd(mine.T.astype(np.float64) @ theirs)
    return np.asarray(left @ right, np.float32)


@dataclass(frozen=True)
class Space:
    """Another student whose space is taken, and what it is called."""

    name: str
    artefact: Artefact


def align(
    artefact: Artefact, server: Path, to: Space, public: PublicText, teacher: Teacher, command: str
) -> Aligned:
    """Return `artefact` in the space `to`; `server` is the folder of its float weights.

    The last layer of `teacher` is overwritten with the tuned one. `command` goes behind the one that made the
    artefact. Raises FedbertError for weights of another artefact, and as `turned` does.
    """
    check_space(artefact, artefact.manifest["shape"]["dim"])
    student = restore(artefact, *read_server_folder(server, artefact), teacher)
    return turned(artefact, student, to, public, teacher, f"{_trained_by(artefact.manifest)} && {command}")


def turned(
    artefact: Artefact, student: Student, to: Space, public: PublicText, teacher: Teacher, command: str
) -> Aligned:
    """Return `artefact` in the space `to`; its float weights `student` and the last layer of `teacher` become
    those of the files.

    Raises FedbertError for a student without a space of its own, and for other widths.
    """
    for each in (artefact, to.artefact):
        check_space(each, artefact.manifest["shape"]["dim"])
    mine, theirs = _Seen.of(artefact, public), _Seen.of(to.artefact, public)
    turn = torch.from_numpy(rotation(mine.texts, theirs.texts))
    with torch.no_grad():
        student.head.copy_(student.head @ turn)
    round_to_half(student, teacher)
    kept = {key: value for key, value in artefact.manifest.items() if key != "files"}
    plan = CataloguePlan(embedding_bits=kept["quantisation"]["embedding_bits"])
    vocabulary = tuple(artefact.files[VOCABULARY].decode().splitlines())
    done = Done("align", Path(), {}, 0.0, artefact.sha256)
    model = CatalogueGoal(public, teacher, plan).model(Trained(student, vocabulary, nn.ModuleDict(), done))
    made = _Seen.of(build_artefact(model, vocabulary, kept), public)
    alone, before, after = _alone(made, public), _across(mine, theirs, public), _across(made, theirs, public)
    manifest = {
        **kept,
        "scores": {**kept["scores"], "student, int8": alone.as_dict()},
        "space": {
            "of": to.name,
            "of_sha256": to.artefact.sha256,
            "before": _record(before),
            "after": _record(after),
        },
        "command": command,
    }
    return Aligned(build_artefact(model, vocabulary, manifest), student, alone, before, after)


def check_space(artefact: Artefact, dim: int) -> None:
    """Raise FedbertError if `artefact` has no space that vectors of `dim` features could share."""
    shape = artefact.manifest["shape"]
    if shape.get("pooled"):
        raise FedbertError("a student of tasks has no space to share; take one made without --data")
    if shape["dim"] != dim:
        raise FedbertError(
            f"vectors must be of one width, and these are {dim} and {shape['dim']} wide; "
            "make one of the students again with --dim"
        )


def _texts(public: PublicText) -> Sequence[str]:
    texts = [*public.requests, *public.sentences]
    return texts[:: max(1, -(-len(texts) // TEXTS))]


def _unit(vectors: NDArray[np.int8]) -> Vectors:
    whole = vectors.astype(np.float32)
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True), np.float32)


def _alone(seen: _Seen, public: PublicText) -> Scores:
    return zero_shot(seen.checks, seen.names, public.check_items)


def _across(mine: _Seen, theirs: _Seen, public: PublicText) -> Across:
    return Across(
        texts_by_this=zero_shot(mine.checks, theirs.names, public.check_items).ndcg_at_10,
        names_by_this=zero_shot(theirs.checks, mine.names, public.check_items).ndcg_at_10,
        cosine=float((mine.texts * theirs.texts).sum(1).mean()),
    )


def _record(across: Across) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in asdict(across).items()}


def _trained_by(manifest: Mapping[str, Any]) -> str:
    """Return the command that trained the student, without an earlier alignment."""
    return str(manifest["command"]).split(" && ")[0]
