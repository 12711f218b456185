"""Small fleets on the shipped model and world."""

import pytest

from fedbert.ei_bert.artefact.artefact import Artefact, load_artefact
from fedbert.federation.environment import Environment
from fedbert.paths import models_folder
from fedbert.scenario import Scenario


@pytest.fixture(scope="session")
def release_0() -> Artefact:
    """The shipped artefact."""
    return load_artefact(models_folder() / "default")


@pytest.fixture(scope="session")
def small() -> Scenario:
    """A fleet small enough for a loop, with a control group and many sessions."""
    return Scenario(
        devices=48,
        rounds=3,
        seed=11,
        epsilon=None,
        mechanism="poisson",
        control_share=0.2,
        sampling_probability=0.8,
        sessions_per_day=20,
    )


@pytest.fixture(scope="session")
def environment(small: Scenario, release_0: Artefact) -> Environment:
    """What the shards of the small fleet share."""
    return Environment.create(small, release_0)
