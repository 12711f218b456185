"""Where the files that travel with the package are, in a checkout, an installed wheel or a Flower bundle."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def data_folder() -> Path:
    """Return the folder of the shipped worlds (Parquet files and their licences)."""
    return PACKAGE / "data"


def models_folder() -> Path:
    """Return the folder of the shipped models, one sub-folder a model."""
    return PACKAGE / "models"


def profiles_folder() -> Path:
    """Return the folder of the shipped device profiles."""
    inside = PACKAGE / "device_profiles"
    return inside if inside.is_dir() else PACKAGE.parent / "device_profiles"
