"""What an environment makes of its scenario."""

from pathlib import Path

import numpy as np
import pytest

from fedbert.devices.fleet_shares import load_fleet
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.known_texts import KnownTexts
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment, cost_model
from fedbert.recommendation.scorer import FULL
from fedbert.scenario import Scenario
from fedbert.simulation.world_facts import lines_read


def test_a_session_reads_as_many_vectors_as_a_phone_remembers(release_0: Artefact) -> None:
    """The cost model follows --history-length, in bytes as well."""
    profiles = load_fleet()
    three, eight = (
        cost_model(Scenario(history_length=length, clicks_per_report=3), profiles, release_0)
        for length in (3, 8)
    )
    assert (three.history_vectors, eight.history_vectors) == (3, 8)
    assert eight.vectors_bytes(20) - three.vectors_bytes(20) == 5 * release_0.dim


def test_a_run_says_that_shares_of_its_fleet_were_scaled(
    tmp_path: Path, small: Scenario, release_0: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares that add up to .99 get one line before the run begins; the shipped fleet none."""
    file = tmp_path / "mine.toml"
    file.write_text(
        'description = "two"\nsource = "a survey"\n[shares]\n17_kirin_810 = 0.33\n14_snapdragon_845 = 0.66\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(Environment, "unknown_token_share", 0.0)  # encodes every text
    own = Environment.create(small.model_copy(update={"fleet": str(file)}), release_0)
    assert lines_read(own) == (f"fleet {file}: shares add up to 0.99, scaled to 1",)
    assert lines_read(Environment.create(small, release_0)) == ()


def test_vectors_from_another_process_are_those_of_its_own(release_0: Artefact) -> None:
    """A release that takes its text vectors has the vectors and scores of one that encodes them itself."""
    texts, items = ["how is the weather", "play a song", "call a taxi"], ["weather", "music", "taxi"]
    own, other = (EncodedRelease(release_0, KnownTexts(texts), KnownTexts(items, "item")) for _ in range(2))
    own.ensure(np.arange(3))
    other.ensure(np.array([1]))
    other.take(own.encoder.encode(texts))
    other.ensure(np.arange(3))
    assert own.vectors.any(axis=1).all()
    assert np.array_equal(own.vectors, other.vectors)
    text, nothing = np.arange(3, dtype=np.int32), np.full((3, 1), -1, np.int32)
    sessions = text, nothing, nothing, np.tile(text, (3, 1)), FULL
    assert np.array_equal(own.scorer.scores(*sessions), other.scorer.scores(*sessions))
