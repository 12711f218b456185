"""Check-ins and uploads through a real SuperLink, as ``fedbert capacity measure`` counts them."""

from pathlib import Path

import pytest

from fedbert.federation.places.measured_link import measure_link

pytestmark = pytest.mark.deployment


def test_a_real_superlink_is_measured(tmp_path: Path) -> None:
    """Two phases of two answers come back through the SuperLink; its processes hold memory."""
    found = measure_link(tmp_path, [(2, 1_000), (2, 50_000)], 1)
    assert len(found.phase_cpu_s) == 2
    assert len(found.check_in_cpu_s) == 1
    assert found.memory_after_bytes >= found.memory_before_bytes > 10_000_000
    # Each answer was pushed by the SuperNode and taken: its pushes stand in the SuperLink's log.
    assert (tmp_path / "superlink.log").read_text("utf-8", "replace").count("Push replies") == 4
