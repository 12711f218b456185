"""The best guess that a forecast's figures follow from, for a page that computes those of another plan."""

from dataclasses import replace

from fedbert.planning.capacity.base_run import Tier
from fedbert.planning.capacity.calibration import Calibration
from fedbert.planning.capacity.capacity import Basis, PrivacyPlan, ServerBasis, TierBasis
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.privacy_basis import privacy_basis
from fedbert.planning.capacity.privacy_forecast import largest_probability
from fedbert.planning.capacity.world import PLAIN
from fedbert.privacy.accounting import rounds_of_day

_TRIED_ROUNDS = (1.0, 2.5, 24.0)
"""Rounds a day at which a mechanism is asked how often a device may join: at three it shows its rule."""


def basis_of(load: Load, privacy: PrivacyPlan, calibration: Calibration | None) -> Basis | None:
    """Return the best guess of a load, independent of its plan; `privacy` is that of the plan.

    None for a plan with a world of its own, whose formulas the page lacks, and for a mechanism whose limit on
    joining a round is neither "every round" nor "one round a day".
    """
    if load.plan.world != PLAIN:
        return None
    base, draws = load.base, load.draws
    once_a_day = _joins_once_a_day(load)
    if once_a_day is None:
        return None
    releases = base.releases
    return Basis(
        control_share=base.control_share,
        once_a_day=once_a_day,
        moved_ratio=base.moved_bytes / base.release_bytes,
        moved_bytes=base.moved_bytes,
        download_attempts=base.download_attempts,
        upload_attempts=base.upload_attempts,
        sessions_per_day=base.sessions_per_day,
        downloads_per_day=base.downloads_per_day,
        reports_per_day=base.reports_per_day,
        eligible=draws.eligible[0].tolist(),
        fetch_rate=draws.fetch_rate[0].tolist(),
        frailty=draws.frailty[0].tolist(),
        reporting=draws.reporting[0].tolist(),
        report_share=float(base.report_share.mean()),
        due_hours=releases.due_hours[releases.made].tolist(),
        early_downloads=(releases.early_downloads / base.devices / base.days).tolist(),
        tiers=[_tier(tier, base.devices) for tier in base.tiers],
        waits=base.waits,
        round_spread=float(draws.spread[0]),
        privacy=privacy_basis(base.privacy, privacy),
        servers=_servers(load, calibration) if calibration else None,
    )


def _servers(load: Load, calibration: Calibration) -> ServerBasis:
    return ServerBasis(
        costs={name: cost.value for name, cost in calibration.costs.items()},
        report_bytes=float(calibration.report_bytes),
        cores=calibration.machine["cores"],
        memory_bytes=float(calibration.machine["memory_bytes"]),
        download_s=load.plan.download_s,
        releases_kept=load.plan.releases_kept,
        records_days=load.plan.records_days,
        record_bytes_per_round=load.base.record_bytes_per_round,
    )


def _joins_once_a_day(load: Load) -> bool | None:
    """Return whether a device joins one round a day at most, None for any other rule but "every round"."""
    most = [
        (largest_probability(load.base, replace(load.plan, rounds_per_day=rounds)), rounds_of_day(rounds))
        for rounds in _TRIED_ROUNDS
    ]
    if all(probability == 1 for probability, _ in most):
        return False
    return True if all(probability == 1 / rounds for probability, rounds in most) else None


def _tier(tier: Tier, devices: int) -> TierBasis:
    return TierBasis(
        name=tier.name,
        share=tier.devices / devices,
        session_ms=tier.device_ms_per_day - tier.install_ms_per_day,
        install_ms=tier.install_ms_per_day,
        installs_per_day=tier.installs_per_day,
        mah_per_day=tier.mah_per_day,
        battery_percent_per_day=tier.battery_percent_per_day,
        energy_mj_per_day_by=dict(tier.energy_mj_per_day_by),
    )
