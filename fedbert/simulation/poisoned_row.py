"""What poisoned phones sent in a run, for its result: the simulator's knowledge, which no server has."""

from collections.abc import Sequence

import numpy as np

from fedbert.federation.aggregator import BEYOND_REACH
from fedbert.federation.environment import Environment
from fedbert.results import PoisonedRow, RoundRow
from fedbert.signals.report import ReportLayout

_RING_BITS = 32


def coordinate_bits(layout: ReportLayout) -> int:
    """Return the bits of a coordinate whose range would be proved, or of the ring where none is."""
    return _RING_BITS if layout.coordinate_bound is None else (2 * layout.largest_integer).bit_length()


def poisoned_row(environment: Environment, rows: Sequence[RoundRow]) -> PoisonedRow | None:
    """Return the figures of a run with the rounds `rows`; None where no phone is poisoned."""
    poisoning, layout = environment.poisoning, environment.layout
    if poisoning is None:
        return None
    shares = [share for row in rows if (share := row.get("poisoned_norm_share")) is not None]
    return {
        "share": poisoning.share,
        "attack": poisoning.attack,
        "factor": poisoning.factor,
        "coordinate_bound": layout.coordinate_bound,
        "largest_coordinate": layout.largest_integer / layout.scale,
        "coordinate_bits": coordinate_bits(layout),
        "reports": sum(row.get("poisoned", 0) for row in rows),
        "norm_share": float(np.mean(shares)) if shares else None,
        "rounds_held": sum(BEYOND_REACH in row["round_status"] for row in rows),
    }
