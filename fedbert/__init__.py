"""fedbert: a federated edge-simulation testbed for ultra-compact BERT recommenders.

>>> import fedbert
>>> out = fedbert.run(fedbert.Scenario.quick())
>>> out.rounds, out.tiers, out.comparison  # tables
>>> out.report()  # in a notebook
>>> out.save("runs/mine")
"""

import importlib
from typing import TYPE_CHECKING, Any

from fedbert.version import __version__
from fedbert.waiting import sleep_when_waiting

if TYPE_CHECKING:
    from fedbert.api import Report, Run, load, run
    from fedbert.ei_bert.pretrained import EiBert
    from fedbert.errors import FedbertError
    from fedbert.scenario import Execution, Scenario

__all__ = ["EiBert", "Execution", "FedbertError", "Report", "Run", "Scenario", "__version__", "load", "run"]

sleep_when_waiting()

_DOORS = {
    "EiBert": "fedbert.ei_bert.pretrained",
    "Execution": "fedbert.scenario",
    "FedbertError": "fedbert.errors",
    "Report": "fedbert.api",
    "Run": "fedbert.api",
    "Scenario": "fedbert.scenario",
    "load": "fedbert.api",
    "run": "fedbert.api",
}
"""Where each public name stands. It is imported when it is asked for, so that ``--help`` answers at once."""


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'fedbert' has no attribute {name!r}")
    return getattr(importlib.import_module(_DOORS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_DOORS})
