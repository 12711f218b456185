"""How a device that is asked for a report ends in a round, where drop-outs of a round end in several ways."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fleet import Floats
from fedbert.results import ROUND_ENDS

INTERRUPTED_SHARE = 0.254
"""Found: drop-outs that are interruptions; see `fitting/participation.py`."""
LOST_SHARE = 0.129
"""Found: drop-outs that are not heard of again; all others come back too late."""


class EndState(IntEnum):
    """How the session of a selected device ended: its place in `results.ROUND_ENDS`."""

    DONE = ROUND_ENDS.index("done")
    LATE = ROUND_ENDS.index("late")
    INTERRUPTED = ROUND_ENDS.index("interrupted")
    DROPPED = ROUND_ENDS.index("lost")

    @property
    def sentence(self) -> str:
        """The end in words."""
        return (
            "The report came in time and was taken.",
            "The report came after the round had closed and was rejected.",
            "The device was taken into use, unplugged or moved to another network, and stopped.",
            "The device was not heard of again.",
        )[self]


def drop_out_ends(
    fate: Floats, interrupted_share: float = INTERRUPTED_SHARE, lost_share: float = LOST_SHARE
) -> NDArray[np.int8]:
    """Return the `EndState` of drop-outs from a uniform number `fate` [device] each.

    Interrupted by its user, or not heard of again; the others' connection comes back after the round has
    closed, so they are late.
    """
    state = np.full(len(fate), EndState.LATE, np.int8)
    state[fate < interrupted_share + lost_share] = EndState.DROPPED
    state[fate < interrupted_share] = EndState.INTERRUPTED
    return state
