"""What phones spend on what, from the sums of a run: millijoules per session, per round and per day."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from fedbert.federation import shard_report as r
from fedbert.federation.protocol import Arrays
from fedbert.results import ENERGY_USES


class TierEnergy(NamedTuple):
    """Energy of one tier in mJ; None, and by `ENERGY_USES` an empty dictionary, of what did not happen."""

    per_session: float | None  # sessions that ran
    per_round: float | None  # a device in a round in which it sends a signal
    per_round_by: dict[str, float]
    per_day_by: dict[str, float]  # mean device

    @property
    def per_day(self) -> float:
        """Energy of the mean device per day."""
        return sum(self.per_day_by.values())


def tier_energy(totals: Arrays, tier: int, devices: int, days: float) -> TierEnergy:
    """Return what `devices` phones of a tier spent over `days`, from truth arrays (`report.empty_truth`)."""
    ran = int(totals["latency"][tier].sum())
    joined = int(totals["participants"][tier])
    by_day = {
        use: int(totals[key][tier]) / r.MICRO / devices / days
        for use, key in zip(ENERGY_USES, r.ENERGY_KEYS, strict=True)
    }
    by_round = dict(zip(ENERGY_USES, _mean_mj(totals["participant_uj"][tier], joined), strict=True))
    return TierEnergy(
        int(totals["session_uj"][tier]) / r.MICRO / ran if ran else None,
        sum(by_round.values()) if joined else None,
        by_round if joined else {},
        by_day,
    )


def participant_energy(truth: Arrays) -> tuple[int, float | None]:
    """Return how many devices took part in a round and what each of them spent in it (mJ), None for none."""
    joined = int(truth["participants"].sum())
    return joined, sum(_mean_mj(truth["participant_uj"].sum(axis=0), joined)) if joined else None


def _mean_mj(spent_uj: NDArray[Any], count: int) -> list[float]:
    return [int(value) / r.MICRO / max(count, 1) for value in spent_uj]
