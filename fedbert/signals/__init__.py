"""What a device sends, and what the server learns from the sum.

One signal is built: `prototypes` (`prototypes.py` on the device; `evidence.py`, `learner.py` and `gate.py` on
the server). Another one, such as votes on public texts or a weight change, needs the two things that `Signal`
names and nothing else: clipping, masks, noise and accounting work on any integer vector of fixed size.
"""

from typing import Protocol


class Signal(Protocol):
    """What the rest of the system asks of a signal's layout; `prototypes.SignalLayout` is the one there is.

    Beside it a signal brings a function from its devices' arrays to the exact int64 sum `[size]` of their
    clipped integer vectors, and a server-side function from decoded noisy sums to training targets.
    """

    @property
    def size(self) -> int:
        """Coordinates of a device's vector, the same for every device."""
        ...

    @property
    def bytes_up(self) -> int:
        """Bytes of the masked vector that travels."""
        ...

    @property
    def clip_norm(self) -> float:
        """Largest norm of a device's vector."""
        ...

    @property
    def scale(self) -> float:
        """Integer steps in 1.0, such that the largest cohort's sum stays in the signed 32-bit range."""
        ...
