"""How far off the device model is: predicted against measured, from the committed table of errors.

``device_profiles/errors.json`` is written by ``python scripts/build_profiles.py --errors``. A run copies it
into its ``run.json``, so that every report says how far its modelled figures may be trusted.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedbert.errors import FedbertError
from fedbert.paths import profiles_folder
from fedbert.results import DeviceErrors

ERRORS_FILE = "errors.json"

OWN_PROFILES = "The run used profiles of its own; the errors are those of the shipped profiles."
"""What a report says where the table is not about the run's profiles."""

_Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ErrorRow(_Strict):
    """Relative errors |predicted / measured - 1| over `rows` measurements; shares are in 0..1."""

    what: str = Field(min_length=1)
    label: Literal["measured", "modelled", "proved"]
    rows: int = Field(ge=1)
    median_error: float = Field(ge=0)
    within_10: _Share
    within_20: _Share
    within_30: _Share
    asked: float | None = Field(gt=0)  # median error that was aimed at
    note: str

    @model_validator(mode="after")
    def _shares_rise(self) -> Self:
        if not self.within_10 <= self.within_20 <= self.within_30:
            raise ValueError("must rise: within_10 <= within_20 <= within_30")
        return self


class EngineFactors(_Strict):
    """Measured over predicted time in one engine and precision, over `rows` measurements."""

    engine: str = Field(min_length=1)
    precision: Literal["int8", "half", "float"]
    networks: str = Field(min_length=1)
    devices: str = Field(min_length=1)
    label: Literal["measured", "modelled", "proved"]
    rows: int = Field(ge=1)
    factor_low: float = Field(gt=0)
    factor_median: float = Field(gt=0)
    factor_high: float = Field(gt=0)

    @model_validator(mode="after")
    def _factors_rise(self) -> Self:
        if not self.factor_low <= self.factor_median <= self.factor_high:
            raise ValueError("must rise: factor_low <= factor_median <= factor_high")
        return self


class ErrorTable(_Strict):
    """All rows, the engine whose times are predicted, how others differ, and the command that makes it."""

    made_by: str = Field(min_length=1)
    engine: str = Field(min_length=1)
    rows: list[ErrorRow] = Field(min_length=1)
    engines: list[EngineFactors] = Field(min_length=1)


def load_errors(folder: Path | None = None) -> ErrorTable:
    """Return the table in `folder` (default: the shipped profiles'); raises FedbertError if it is wrong."""
    path = (profiles_folder() if folder is None else folder) / ERRORS_FILE
    try:
        return ErrorTable.model_validate_json(path.read_bytes())
    except OSError as error:
        raise FedbertError(
            f"{path.name} must be readable ({error.strerror}); install fedbert again"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        message = first["msg"].removeprefix("Value error, ")
        raise FedbertError(
            f"{path.name}: {key}: {message}; make it with build_profiles.py --errors"
        ) from None


def device_errors(profiles: Path | None) -> DeviceErrors:
    """Return the shipped table as a run keeps it; `profiles` is the folder that the run named, if any."""
    table = json.loads(load_errors().model_dump_json())
    own = profiles is not None and profiles.resolve() != profiles_folder().resolve()
    # Whose times profiles of one's own predict, only their author knows.
    engine = None if own else table["engine"]
    return cast(DeviceErrors, table | {"engine": engine, "note": OWN_PROFILES if own else None})
