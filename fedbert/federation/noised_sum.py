"""What some phones send: the exact sum of their reports, and of the noise that they add themselves."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.federation.environment import Environment
from fedbert.signals.report import report_sum
from fedbert.signals.signal import Clicks


def noised_sum(
    environment: Environment,
    clicks: Iterable[Clicks],
    devices: DeviceRange,
    sending: NDArray[np.bool_],
    round_: int,
) -> NDArray[np.int64]:
    """Return the sum `[size]` of the reports of all `clicks` and of the noise of the devices that are
    `sending`.

    The seed of `devices` is that of their noise. `sending` `[device]` are all that send a report, without
    clicks too: where devices add noise nobody may see that one has nothing to say.
    """
    layout = environment.layout
    total = np.zeros(layout.size, np.int64)
    for some in clicks:
        total += report_sum(environment.signal, layout, some)
    return total + environment.mechanism.on_device(devices, sending, round_, layout.size, layout.scale)
