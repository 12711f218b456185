"""Lower layers run once for many releases: every vector has the bits of the whole graph."""

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from small_students import KINDS, NIBBLES, UNIT, export, make, rows

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact
from fedbert.ei_bert.artefact.cut import cut
from fedbert.ei_bert.artefact.known_texts import KnownTexts
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.model.quantisation import INT8, Quantisation
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import SPECIALS, Role

WORDS = [f"word{number}" for number in range(UNIT.vocabulary - len(SPECIALS))]
TEXTS = [" ".join(WORDS[start : start + 1 + start % 5]) for start in range(60)]


def _run(model: bytes, **inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.asarray(onnxruntime.InferenceSession(model).run(None, inputs)[0], np.float32)


@pytest.mark.parametrize("quantisation", [INT8, NIBBLES], ids=["int8", "4 bits"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "shared" not in kind])
def test_the_two_parts_give_the_bits_of_the_whole(kind: str, quantisation: Quantisation) -> None:
    """States of 50 rows by the lower graph, then vectors by the upper one: as by the whole graph."""
    model, ids = export(make(KINDS[kind]), quantisation), rows(50, 9, seed=1)
    parts = cut(model)
    assert parts is not None
    states = _run(parts.lower, ids=ids)
    assert np.array_equal(_run(parts.upper, ids=ids, **{parts.states: states}), _run(model, ids=ids))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "shared" in kind])
def test_shared_layers_are_not_cut(kind: str) -> None:
    """A layer that is passed again learns in every pass: nothing below the last one stays the same."""
    assert cut(export(make(KINDS[kind]))) is None


def _release(student: Student) -> Artefact:
    manifest = {"shape": student.shape.as_dict()}
    return build_artefact(export(student), (*SPECIALS, *WORDS), manifest)


def _releases() -> list[Artefact]:
    """Three states of one student whose last layer learns, and one whose first layer differs."""
    student, made = make(UNIT), []
    for name in ("", "layers.1.", "project", "layers.0."):
        with torch.no_grad():
            for key, value in student.named_parameters():
                if name and name in key:
                    value.mul_(1.25)
        made.append(_release(student))
    return made


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("limit_bytes", [0, 20_000, 10**8], ids=["nothing kept", "some kept", "all kept"])
@pytest.mark.parametrize("role", ["text", "item"])
def test_releases_that_share_states_encode_as_if_alone(role: Role, limit_bytes: int, threads: int) -> None:
    """Texts asked for in parts, again, and in another order: each release's vectors are those of its whole
    graph, and no more is kept than may be.
    """
    known = KnownTexts(TEXTS, role, limit_bytes)
    for artefact in _releases():
        encoder = Int8Encoder(artefact, threads)
        whole = Int8Encoder(artefact).encode(TEXTS, role)
        for chosen in (np.arange(20), np.array([59, 3, 30, 3]), np.array([], np.int64)):
            assert np.array_equal(known.encode(encoder, chosen), whole[chosen])
        assert np.array_equal(known.encode(encoder), whole)
        assert known.kept_bytes <= limit_bytes
    assert (known.kept_bytes > 0) == (limit_bytes > 0)


def test_states_are_made_once_for_releases_that_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty texts by three releases: sixty rows pass the lower layers, none of a foreign release's do."""
    passed, real = [], Int8Encoder.lower_states

    def lower_states(encoder: Int8Encoder, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        passed.append(len(ids))
        return real(encoder, ids)

    monkeypatch.setattr(Int8Encoder, "lower_states", lower_states)
    known = KnownTexts(TEXTS)
    for artefact in _releases():
        known.encode(Int8Encoder(artefact))
    assert sum(passed) == len(TEXTS)
