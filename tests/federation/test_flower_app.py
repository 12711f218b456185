"""Flower's run configuration in pyproject.toml: every key of a run, and nothing else."""

import tomllib
from pathlib import Path

import pytest

from fedbert.errors import FedbertError
from fedbert.flower_app import settings_of
from fedbert.scenario import DEFAULTS, EXECUTION_KEYS, SCENARIO_KEYS, build

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

NOT_OF_A_DEPLOYMENT = {"backend", "ray_address", "overwrite"}
"""A deployment is a backend of its own; it never replaces a folder."""

OF_FLOWER = {"shards": 2, "devices": 2000}
"""Keys that pyproject.toml sets: SuperNodes to wait for, and a fleet small enough for two of them."""


@pytest.fixture(scope="module")
def config() -> dict[str, object]:
    """The table [tool.flwr.app.config]."""
    table: dict[str, object] = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["flwr"]["app"]["config"]
    return table


def test_flower_knows_every_key_of_a_run(config: dict[str, object]) -> None:
    """Flower refuses a key that the table lacks, so it has all of a run's, and ``resume``."""
    assert config.keys() == (SCENARIO_KEYS | EXECUTION_KEYS | {"resume"}) - NOT_OF_A_DEPLOYMENT


def test_the_table_repeats_no_default(config: dict[str, object]) -> None:
    """Every key but two is left at the scenario's default: a run that names none is the default run."""
    given = settings_of(config)
    assert given == OF_FLOWER
    scenario, _ = build(given)
    assert scenario == DEFAULTS.model_copy(update={"devices": 2000})


def test_none_is_no_value(config: dict[str, object]) -> None:
    """An epsilon of "none" is a run without privacy, whose default is one; elsewhere it is as not given."""
    scenario, _ = build(settings_of(config | {"epsilon": "none", "budget": "None"}))
    assert (scenario.epsilon, scenario.budget) == (None, None)
    assert build(settings_of(config))[0].epsilon == DEFAULTS.epsilon is not None


def test_an_unknown_key_is_refused(config: dict[str, object]) -> None:
    """A key that is no flag's ends in one line that names it."""
    with pytest.raises(FedbertError, match="unknown key 'device'"):
        build(settings_of(config | {"device": 5}))
