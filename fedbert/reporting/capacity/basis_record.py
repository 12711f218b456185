"""The basis of a forecast as ``capacity.json`` has it: what a page computes another plan's figures from."""

from dataclasses import asdict
from typing import NotRequired, cast

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.planning.capacity.capacity import (
    Basis,
    GuaranteeBasis,
    PrivacyBasis,
    Rule,
    ServerBasis,
    TierBasis,
)


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


class GuaranteeBasisRow(TypedDict):
    """How epsilon against one adversary follows (`fedbert.planning.capacity.capacity.GuaranteeBasis`)."""

    adversary: str
    rule: Rule


class PrivacyBasisRow(TypedDict):
    """The run's noise (`fedbert.planning.capacity.capacity.PrivacyBasis`)."""

    noise_multiplier: float
    delta: float | None
    guarantees: list[GuaranteeBasisRow]


class ServerBasisRow(TypedDict):
    """What servers follow from (`fedbert.planning.capacity.capacity.ServerBasis`)."""

    costs: dict[str, float]
    report_bytes: float
    cores: int
    memory_bytes: float
    download_s: float
    releases_kept: int | None
    records_days: float
    record_bytes_per_round: float


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
    waits: NotRequired[bool]  # this and the others were not kept at first
    round_spread: NotRequired[float]
    privacy: NotRequired[PrivacyBasisRow | None]
    servers: NotRequired[ServerBasisRow | None]


def basis_row(basis: Basis) -> BasisRow:
    """Return what is written of a basis."""
    return cast(BasisRow, asdict(basis))


def basis_in(row: BasisRow) -> Basis | None:
    """Return the basis that `basis_row` wrote, None for one from before all of it was kept."""
    if "round_spread" not in row:
        return None
    privacy, servers = row.get("privacy"), row.get("servers")
    parts = {
        "tiers": [TierBasis(**tier) for tier in row["tiers"]],
        "privacy": _privacy(privacy) if privacy else None,
        "servers": ServerBasis(**servers) if servers else None,
    }
    return Basis(**{**row, **parts})  # type: ignore[arg-type]


def _privacy(row: PrivacyBasisRow) -> PrivacyBasis:
    guarantees = [GuaranteeBasis(**each) for each in row["guarantees"]]
    return PrivacyBasis(row["noise_multiplier"], row["delta"], guarantees)
