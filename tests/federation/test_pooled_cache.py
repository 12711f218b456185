"""The pooled-data bound on disk: found by all that decides it, trained anew where anything differs."""

from pathlib import Path
from typing import Any

import pytest

from fedbert.ei_bert.artefact.artefact import Artefact, load_artefact, pack
from fedbert.federation.pooled_cache import kept_or_trained
from fedbert.paths import models_folder


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    """A shipped artefact, in the place of a bound."""
    return load_artefact(models_folder() / "tiny")


def test_trained_once_a_key(tmp_path: Path, artefact: Artefact) -> None:
    """The same key gives what was kept, another one is trained."""
    calls: list[str] = []

    def train(name: str) -> Any:
        return lambda: calls.append(name) or artefact

    first = kept_or_trained(tmp_path / "shared", "a" * 64, train("a"))
    again = kept_or_trained(tmp_path / "shared", "a" * 64, train("again"))
    kept_or_trained(tmp_path / "shared", "b" * 64, train("b"))
    assert calls == ["a", "b"]
    assert pack(first) == pack(again)


def test_a_damaged_file_is_trained_again_and_said(
    tmp_path: Path, artefact: Artefact, capfd: pytest.CaptureFixture[str]
) -> None:
    """A cut file is never taken: one line, and it is whole afterwards."""
    kept_or_trained(tmp_path, "a" * 64, lambda: artefact)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    kept_or_trained(tmp_path, "a" * 64, lambda: artefact)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "is trained again" in said
    assert path.read_bytes() == whole
