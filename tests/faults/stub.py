"""A stub in place of training, so that a whole small run takes a fraction of a second.

All else is the product's own: shards, masks, noise, gate, checkpoints, report. The stub's state follows from
every number that it is taught, and so do its releases, which rank differently: a wrong sum shows in the
figures. What follows from a scenario or a release alone is made once a process.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import MODEL, VOCABULARY, Artefact, build_artefact, unpack
from fedbert.ei_bert.artefact.known_texts import KnownTexts
from fedbert.ei_bert.teaching.model_state import ModelState
from fedbert.ei_bert.teaching.server_models import ServerTexts
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment
from fedbert.federation.server import _Encoded, _Known, starting_artefact
from fedbert.scenario import Scenario

VARIANTS = 4
"""Artefacts that the stub can release; the first is release 0."""


@functools.cache
def variant(number: int) -> Artefact:
    """Return the shipped tiny model, with other embeddings for each `number` but 0."""
    first = starting_artefact("tiny")
    if number == 0:
        return first
    model = onnx.load_from_string(first.files[MODEL])
    tensor = model.graph.initializer[0]
    bits = np.frombuffer(tensor.raw_data, np.uint8)
    flips = np.random.default_rng(number).integers(0, 8, len(bits), np.uint8)
    tensor.raw_data = (bits ^ flips).tobytes()
    vocabulary = tuple(first.files[VOCABULARY].decode().splitlines())
    manifest = {key: value for key, value in first.manifest.items() if key != "files"}
    return build_artefact(model.SerializeToString(), vocabulary, manifest)


class StubModels:
    """Has what the server asks of `ServerModels`; its state is one array `[item, dim]`."""

    def __init__(self, items: int, dim: int) -> None:
        self.start: ModelState = {"items": np.zeros((items, dim), np.float32)}

    @classmethod
    def load(
        cls,
        artefact: Artefact,
        server_folder: Path,
        teacher: str | None,
        texts: ServerTexts,
        *_: Any,
        **__: Any,
    ) -> "StubModels":
        """Return the stub for a catalogue."""
        return cls(len(texts.items), variant(0).dim)

    def update(
        self,
        state: ModelState,
        round_: int,
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        *_: Any,
    ) -> tuple[ModelState, float]:
        """Return a state that depends on every target, and a loss that depends on that state."""
        items = (state["items"] / 2 + targets * weights[:, None]).astype(np.float32)
        loss = float(np.abs(items).sum(dtype=np.float64))
        return {"items": items}, loss

    def export(self, state: ModelState) -> Artefact:
        """Return one of the variants but the first, chosen by the state."""
        digest = hashlib.sha256(state["items"].tobytes()).digest()
        return variant(1 + digest[0] % (VARIANTS - 1))

    def student_vectors(
        self, state: ModelState, texts: Sequence[str], role: str = "text"
    ) -> NDArray[np.float32]:
        """Return unit vectors that follow from the texts' lengths and the state."""
        dim = state["items"].shape[1]
        phase = np.array([len(text) for text in texts], np.float32)[:, None] * (1 + np.arange(dim))
        vectors = np.sin(phase + float(state["items"].sum(dtype=np.float64))).astype(np.float32)
        norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        return np.asarray(vectors / norms, np.float32)

    teacher_vectors = student_vectors


_unpacked = functools.lru_cache(maxsize=64)(unpack)
_releases: dict[str, EncodedRelease] = {}
_encoders: dict[str, _Encoded] = {}
_environments: dict[str, Environment] = {}
_create = Environment.create


def _release(artefact: Artefact, texts: KnownTexts, items: KnownTexts) -> EncodedRelease:
    key = artefact.sha256
    if key not in _releases:
        _releases[key] = EncodedRelease(artefact, texts, items)
    return _releases[key]


def _encoder(artefact: Artefact, known: _Known) -> _Encoded:
    key = artefact.sha256
    if key not in _encoders:
        _encoders[key] = _Encoded(artefact, known)
    return _encoders[key]


def _environment(
    scenario: Scenario, release_0: Artefact, noise_multiplier: float | None = None
) -> Environment:
    key = scenario.for_shards().model_dump_json()
    if key not in _environments:
        _environments[key] = _create(scenario, release_0)
    return _environments[key]


@contextmanager
def stubbed() -> Iterator[None]:
    """Put the stub in the place of training, for runs with ``model="tiny"`` on one world."""
    with (
        mock.patch("fedbert.ei_bert.teaching.server_models.ServerModels.load", StubModels.load),
        mock.patch("fedbert.federation.environment.EncodedRelease", _release),
        mock.patch("fedbert.federation.server._Encoded", _encoder),
        mock.patch("fedbert.federation.server.starting_artefact", lambda model: variant(0)),
        mock.patch("fedbert.federation.session.starting_artefact", lambda model: variant(0)),
        mock.patch("fedbert.federation.environment.Environment.create", _environment),
        mock.patch("fedbert.federation.environment.unpack", _unpacked),
        mock.patch("fedbert.federation.places.client_app.unpack", _unpacked),
    ):
        yield
