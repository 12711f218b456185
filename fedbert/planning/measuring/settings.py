"""What a calibration is asked for: the flags of ``fedbert capacity measure``."""

from pathlib import Path

from pydantic import Field

from fedbert.settings import Settings


class MeasureSettings(Settings):
    """Where the calibration goes, and what its machine is called."""

    output: Path = Field(default=Path("servers.json"), description="file of the calibration")
    machine: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="what to call this machine; default: its processor's name and its cores",
    )
    overwrite: bool = Field(default=False, description="replace an earlier file")
