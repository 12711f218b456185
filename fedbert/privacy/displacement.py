"""What a round that closes with its first K reports costs, and which mechanisms account for it.

A deadline alone costs nothing. Whether a device's report comes in time is a function of that device, so a
report that is late is a vector of zeros, as that of a device that could not take part: a sum still moves by
at most one clip norm, whatever the mechanism.

A *target count* lets devices push each other out. With one device more in the fleet the K-th report comes
earlier, and a report that was in the sum is not: the sum moves by v_new - v_old, twice the clip norm. So
neighbouring fleets differ by `REACH` = 2 clip norms in each round that the device joins, and the same noise
gives what half of it gave. Two things keep it at that:

* A device that is pushed out never tries again for the same sum. Else the one that it pushes out in a later
  round would differ too, and so on to the sum's end: up to two clip norms a round.
* Who is first is settled by traffic alone, never by clicks, so no other report changes.

When the sum reaches the server says when the K-th report came, and so something of who joined. So bounds
that hide who joined have no account here: those of `poisson`, and of `allocated`, whose other bound `daily`
has too.
"""

from fedbert.errors import FedbertError
from fedbert.privacy.mechanism import MechanismKind

REACH = 2.0
"""How far one device moves a sum, in clip norms, where its report may push out another's."""


def check_displacement(name: str, kind: MechanismKind, epsilon: float | None, target: int | None) -> None:
    """Raise FedbertError if a round that closes with `target` reports has no account in the mechanism `name`.

    A mechanism accounts for it if its class `kind` says so, as `bounds_displacement`: its bounds hold against
    one who sees who took part, and are computed from `PrivacySettings.reach`. Without an epsilon there is
    nothing to hold.
    """
    if target is None or epsilon is None or getattr(kind, "bounds_displacement", False):
        return
    raise FedbertError(
        f"target_reports(={target}) has no account in mechanism {name!r}, "
        f"{getattr(kind, '__name__', 'its kind')}: the time of the last report tells of who joined, and one "
        "report pushes another out; choose --mechanism daily, correlated or tree, or close by "
        "--round-deadline-s alone"
    )
