"""Which runs may fill buffers, by their mechanism's type: no private one, and none that opens a day at once.

A buffer closes with its K-th report and the next begins with the one after it. With one device more in the
fleet every later report moves up by one place: from that moment on each buffer gains one report and loses
one, until a release empties the one that is open. A sum moves by up to two clip norms, and not one sum, or
one a day, but all that follow. So how far a device moves the sums grows with their number, which is an
outcome of the run and not of its settings, and no mechanism's noise is made for it.

Neither do the mechanisms' own terms hold. `poisson` and `allocated` hide who joined, but who is in a buffer
is settled by speed. `correlated` and `tree` rest on joins that are a fixed number of sums apart, and how many
sums a day has is not known. A weaker promise, to hide what a device reports but not that it took part, would
leave arrivals as they are and could be accounted for; the mechanisms here promise more (`mechanism.DEVICE`).
"""

from fedbert.errors import FedbertError
from fedbert.privacy.mechanism import MechanismKind

_ANY = "makes its noise for sums that a device moves once; one device more shifts every later buffer"


def check_buffers(name: str, kind: MechanismKind, epsilon: float | None, buffer_reports: int | None) -> None:
    """Raise FedbertError if a run with `buffer_reports` cannot have the mechanism `name` of class `kind`.

    None fills no buffer, and anything goes. Without an epsilon there is nothing to account for, and only a
    mechanism that opens a day as one sum is refused; one of a user's own is, by what it gathers, once it is
    made (`federation/buffer_round.py`).
    """
    if buffer_reports is None:
        return
    # Here, since each run needs one of them at most.
    from fedbert.privacy.correlated import Correlated
    from fedbert.privacy.once_a_day import Allocated, Daily
    from fedbert.privacy.poisson import Poisson
    from fedbert.privacy.tree import Tree

    own = kind if isinstance(kind, type) else type(kind)
    if epsilon is None and not issubclass(own, Daily):
        return
    reasons: tuple[tuple[tuple[type, ...], str], ...] = (
        ((Daily,), "opens one sum a day, and so has no buffer"),
        ((Poisson, Allocated), "hides which devices joined, and the fastest fill a buffer"),
        (
            (Correlated, Tree),
            "rests on joins a fixed number of sums apart, and how many a day has is not known",
        ),
    )
    why = next((why for kinds, why in reasons if issubclass(own, kinds)), _ANY)
    raise FedbertError(
        f"buffer_reports(={buffer_reports}) has no account in mechanism {name!r}, "
        f"{getattr(kind, '__name__', 'its kind')}: it {why}; buffers are for runs that are not private: add "
        "--epsilon none --mechanism poisson, or leave --buffer-reports out"
    )
