"""The two shipped worlds, loaded once, and small blocks of devices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.recommendation.sequences import SequenceWorld, load_films
from fedbert.recommendation.services import ServicesWorld, load_services
from fedbert.recommendation.sessions import Block, WorldSettings


@pytest.fixture(scope="session")
def services() -> ServicesWorld:
    """Return the world `services`."""
    return load_services()


@pytest.fixture(scope="session")
def films() -> SequenceWorld:
    """Return the world `movietweetings`."""
    return load_films()


@pytest.fixture(scope="session")
def make_block() -> Callable[..., Block]:
    """Return a maker of blocks whose tiers go 0, 1, 2, 0, ... by device id."""

    def make(first: int = 0, count: int = 300, seed: int = 5, **settings: Any) -> Block:
        def tier_of(devices: DeviceRange) -> NDArray[np.int8]:
            return (np.arange(devices.first, devices.end) % 3).astype(np.int8)

        devices = DeviceRange(seed, first, count)
        return Block(devices, tier_of(devices), WorldSettings(**settings), 1000, tier_of)

    return make
