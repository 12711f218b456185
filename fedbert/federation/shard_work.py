"""What a shard makes of an order: functions of its phones' memory and the order, the same on every backend.

Nothing is kept between two calls, so that a shard whose machine is lost can be worked again anywhere, and
gives the same answer.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.federation.buffer_round import buffers_told
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import Arrays, Closing, RoundOrder
from fedbert.federation.replay import replay
from fedbert.federation.shard import MaskCheck, Shard
from fedbert.privacy.secure_sum import MaskKeys, masked_vector

RELEASE = "release."
"""What the names of releases begin with among an order's arrays; the number follows."""


def started(state: PhoneState, newest: int) -> Arrays:
    """Return the answer of a shard that has taken its phones over; `newest` is the newest release."""
    return {"installed": state.installed_counts(newest)}


def round_worked(
    shard: Shard,
    state: PhoneState,
    header: Mapping[str, Any],
    arrays: Arrays,
    releases: Mapping[int, EncodedRelease],
) -> Arrays:
    """Advance `state` by the round of `header` and return the answer; the sum of signals is masked in it."""
    closing = header["closing"]
    order = RoundOrder(
        header["round"],
        header["signal_release"],
        header["newest_release"],
        None if closing is None else Closing(*closing),
        buffers_told(header, arrays),
        tuple(header["asking"]),
    )
    report, check = shard.run_round(state, order, releases)
    answer = report.arrays()
    if order.round:
        keys = _keys(header["neighbours"], arrays["mask_keys"])
        answer["server.signal"] = masked_vector(report.server["signal"], int(header["index"]), keys)
    if report.selection is not None:
        answer["selection"] = report.selection
    if check is not None:
        answer["check"] = _check_array(check)
    return answer


def first_arrivals(shard: Shard, state: PhoneState, header: Mapping[str, Any]) -> Arrays:
    """Return when the first of the shard's devices would report in the round of `header`; nothing changes.

    Where reports fill buffers, how long each would be at work.
    """
    newest = header["newest_release"]
    order = RoundOrder(header["round"], newest, newest, asking=tuple(header["asking"]))
    if header["most"] is None:
        return shard.tasks(state.waiting, state.installed, order, state.selection)
    found = shard.arrivals(state.waiting, state.installed, order, header["most"], state.selection)
    return dict(zip(("arrival_us", "device"), found, strict=True))


def replayed(shard: Shard, header: Mapping[str, Any], arrays: Arrays, memory: Arrays) -> Arrays:
    """Return the pooled click sums or the ranks of each system, as `header` asks.

    `memory` is the phones', of which the pooled sums are all that is read.
    """
    answer: Arrays = {}
    if header.get("pooled"):
        answer |= {name: memory[name] for name in ("pooled_sums", "pooled_clicks")}
    if header.get("systems"):
        part = Shard(shard.environment, *header["replayed"])
        answer |= replay(shard.environment, part, header["systems"], header["rounds"], arrays)
    return answer


def _keys(neighbours: list[int], packed: NDArray[Any]) -> MaskKeys:
    own, *pairs = (row.tobytes() for row in packed)
    return MaskKeys(own, dict(zip(neighbours, pairs, strict=True)))


def _check_array(check: MaskCheck) -> NDArray[np.int64]:
    said = -1 if check.equal is None else int(check.equal)
    return np.array([check.devices, check.dropped, said], np.int64)
