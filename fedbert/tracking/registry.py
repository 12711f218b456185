"""The trackers that can be asked for: fedbert's own by name, a user's own as ``PATH.py:NAME``."""

from collections.abc import Callable, Sequence

from fedbert.errors import FedbertError, invalid
from fedbert.plugins import load_named, one_line
from fedbert.tracking.tracker import METHODS, Tracker, Trackers

TRACKERS = {
    "mlflow": "fedbert.tracking.mlflow:MLflowTracker",
    "tensorboard": "fedbert.tracking.tensorboard:TensorBoardTracker",
    "wandb": "fedbert.tracking.wandb:WandbTracker",
}
"""Where each tracker is; its name is also the name of the extra that installs its package."""


def open_trackers(specs: Sequence[str], note: Callable[[str], None]) -> Trackers:
    """Return the trackers that `specs` name, each once, not yet started.

    `note` is given one line for each tracker that fails later. Raises FedbertError if a name is unknown, a
    package is not installed, or a class of a user's file cannot be made or is no tracker.
    """
    return Trackers({spec: _made(spec) for spec in dict.fromkeys(specs)}, note)


def _made(spec: str) -> Tracker:
    factory = load_named(spec, TRACKERS, "tracker", "tracker")
    try:
        tracker: Tracker = factory()
    except ModuleNotFoundError as error:
        if spec not in TRACKERS:
            raise _cannot_be_made(spec, error) from None
        package = (error.name or spec).partition(".")[0]
        raise invalid(
            "tracker", spec, f"have its package {package} installed", f"pip install 'fedbert[{spec}]'"
        ) from None
    except Exception as error:
        raise _cannot_be_made(spec, error) from None
    missing = [name for name in METHODS if not callable(getattr(tracker, name, None))]
    if missing:
        raise invalid("tracker", spec, f"have the method {missing[0]}", "docs/how-to/tracker.md shows one")
    return tracker


def _cannot_be_made(spec: str, error: Exception) -> FedbertError:
    return invalid("tracker", spec, f"be a class that can be made without arguments: {one_line(error)}")
