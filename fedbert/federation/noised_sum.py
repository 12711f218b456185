"""What some phones send: the exact sum of their reports, and of the noise that they add themselves."""

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.federation.environment import Environment
from fedbert.signals.report import report_sum
from fedbert.signals.signal import Clicks


def noised_sum(
    environment: Environment, clicks: Clicks, devices: DeviceRange, sending: NDArray[np.bool_], round_: int
) -> NDArray[np.int64]:
    """Return the sum `[size]` of the reports of `clicks` and of the noise of the devices that are `sending`.

    The seed of `devices` is that of their noise. `sending` `[device]` are all that send a report, without
    clicks too: where devices add noise nobody may see that one has nothing to say.
    """
    layout = environment.layout
    total = report_sum(environment.signal, layout, clicks)
    return total + environment.mechanism.on_device(devices, sending, round_, layout.size, layout.scale)
