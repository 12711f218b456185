"""Where the files that belong to the code are: in a checkout, an installed wheel, or beside a Flower bundle.

A Flower bundle (FAB) carries Python, TOML and JSON files only, so an app that runs from one finds models,
worlds and templates in the installed package, which a deployment needs for its dependencies anyway.
"""

import importlib.metadata
import json
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlparse

PACKAGE = Path(__file__).resolve().parent

_MARKER = Path("models") / "default" / "model.onnx"


def _installed() -> Path | None:
    """Return the package's folder as pip installed it, editable or not (PEP 610); None if it did not."""
    try:
        distribution = importlib.metadata.distribution("fedbert")
    except importlib.metadata.PackageNotFoundError:
        return None
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(unquote(urlparse(origin["url"]).path)) / "fedbert"
    return Path(str(distribution.locate_file("fedbert")))


@cache
def _home() -> Path:
    """Return the folder that holds the package's data."""
    installed = None if (PACKAGE / _MARKER).is_file() else _installed()
    return installed if installed is not None and (installed / _MARKER).is_file() else PACKAGE


def data_folder() -> Path:
    """Return the folder of the shipped worlds (Parquet files and their licences)."""
    return _home() / "data"


def models_folder() -> Path:
    """Return the folder of the shipped models, one sub-folder a model."""
    return _home() / "models"


def templates_folder() -> Path:
    """Return the folder of the reports' templates."""
    return _home() / "reporting" / "templates"


def assets_folder() -> Path:
    """Return the folder of what a report carries inside and fedbert did not write."""
    return _home() / "reporting" / "assets"


def profiles_folder() -> Path:
    """Return the folder of the shipped device profiles."""
    inside = _home() / "device_profiles"
    return inside if inside.is_dir() else _home().parent / "device_profiles"
