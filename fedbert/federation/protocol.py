"""What server and phones agree on: the order of a round, the layout of a signal, the masks between shards."""

from dataclasses import dataclass

from fedbert.scenario import Scenario
from fedbert.signals.prototypes import SignalLayout, signal_layout

MASK_DEGREE = 2
"""Each shard shares masks with this many others; one shard's sum alone looks random to the server."""

CLICK_WEIGHT = 0.1
RANK_WEIGHT = 0.1
"""What a click's count and its rank weigh in a device's vector, beside a text vector of norm 1."""


def layout_of(scenario: Scenario, items: int, dim: int) -> SignalLayout:
    """Return the layout of a device's signal, the same on phones and server; no sum of the fleet can wrap."""
    return signal_layout(
        items,
        dim,
        beta=CLICK_WEIGHT,
        gamma=RANK_WEIGHT,
        clip_norm=scenario.clip_norm,
        largest_cohort=scenario.devices,
    )


@dataclass(frozen=True)
class RoundOrder:
    """What the server announces to every shard."""

    round: int
    signal_release: int
    newest_release: int
    sample_contributions: int = 0
