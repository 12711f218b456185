"""The basis of a forecast as ``capacity.json`` has it: what a page computes another plan's figures from."""

from dataclasses import asdict
from typing import cast

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.planning.capacity.capacity import Basis, TierBasis


class TierBasisRow(TypedDict):
    """A device of one tier in the run (`fedbert.planning.capacity.capacity.TierBasis`)."""

    name: str
    share: float
    session_ms: float
    install_ms: float
    installs_per_day: float
    mah_per_day: float
    battery_percent_per_day: float
    energy_mj_per_day_by: dict[str, float]


class BasisRow(TypedDict):
    """The best guess of the run (`fedbert.planning.capacity.capacity.Basis`)."""

    control_share: float
    once_a_day: bool
    moved_ratio: float
    moved_bytes: float
    download_attempts: float
    upload_attempts: float
    sessions_per_day: float
    downloads_per_day: float
    reports_per_day: float
    eligible: list[float]
    fetch_rate: list[float]
    frailty: list[float]
    reporting: list[float]
    report_share: float
    due_hours: list[float]
    early_downloads: list[float]
    tiers: list[TierBasisRow]


def basis_row(basis: Basis) -> BasisRow:
    """Return what is written of a basis."""
    return cast(BasisRow, asdict(basis))


def basis_in(row: BasisRow) -> Basis:
    """Return the basis that `basis_row` wrote."""
    tiers = [TierBasis(**tier) for tier in row["tiers"]]
    return Basis(**{**row, "tiers": tiers})  # type: ignore[arg-type]
