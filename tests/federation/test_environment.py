"""What an environment makes of its scenario."""

from fedbert.devices.fleet_shares import load_fleet
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.environment import cost_model
from fedbert.scenario import Scenario


def test_a_session_reads_as_many_vectors_as_a_phone_remembers(release_0: Artefact) -> None:
    """The cost model follows --history-length, in bytes as well."""
    profiles = load_fleet()
    three, eight = (
        cost_model(Scenario(history_length=length, clicks_per_report=3), profiles, release_0)
        for length in (3, 8)
    )
    assert (three.history_vectors, eight.history_vectors) == (3, 8)
    assert eight.vectors_bytes(20) - three.vectors_bytes(20) == 5 * release_0.dim
