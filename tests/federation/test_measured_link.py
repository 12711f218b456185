"""Check-ins and uploads through a real SuperLink, as ``fedbert capacity measure`` counts them."""

from pathlib import Path

import pytest

from fedbert.federation.places.measured_link import Phase, Polls, measure_link

pytestmark = pytest.mark.deployment


def test_a_real_superlink_is_measured(tmp_path: Path) -> None:
    """Two phases of two answers come back through the SuperLink; its processes hold memory."""
    found = measure_link(tmp_path, [Phase(2, 1_000), Phase(2, 50_000, 10.0)], [Polls(20, 50.0)])
    assert len(found.phase_cpu_s) == 2
    assert len(found.polls_cpu_s) == 1
    assert len(found.memory_bytes) == 3
    assert found.memory_bytes[2] >= found.memory_bytes[0] > 10_000_000
    # Each answer was pushed by the SuperNode and taken, two openers' among them: pushes stand in the log.
    assert (tmp_path / "superlink.log").read_text("utf-8", "replace").count("Push replies") == 6
