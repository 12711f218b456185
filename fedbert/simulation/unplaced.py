"""How many sessions have a text that the student cannot place: no name of the catalogue is near to it.

What is near follows from public texts alone: a threshold that 95 % of the public validation requests reach
with the name nearest to them, by the release that ranks.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.results import UnplacedRow

KEPT = 0.95
"""Share of the public validation requests that are placed."""

LEAST_REQUESTS = 100
"""Fewer public validation requests make no threshold."""

Floats = NDArray[np.floating]


def nearest(texts: Floats, names: Floats) -> NDArray[np.float64]:
    """Return the largest cosine of each text to a name, `[text]`; rows `[row, dim]` have any length."""
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (texts, names)]
    return np.asarray((unit[0] @ unit[1].T).max(1), np.float64)


def threshold(public: Floats) -> float:
    """Return the greatest value that `KEPT` of the `public` cosines `[request]` reach."""
    return float(np.sort(public)[::-1][math.ceil(KEPT * len(public)) - 1])


def unplaced_share(cosines: Floats, sessions: NDArray[np.integer], least: float) -> float:
    """Return the share of `sessions` `[text]` whose text's cosine `[text]` is under `least`."""
    return float(sessions[cosines < least].sum() / sessions.sum())


def unplaced_row(session: Session, state: RunState) -> UnplacedRow | None:
    """Return the shares by release 0 and the final release on the sessions of the comparison.

    None where nothing was compared, or where the world has too few public requests that ask for an item.
    """
    if session.replayed is None or not session.replayed["text_sessions"].any():
        return None
    server, counts = session.server, session.replayed["text_sessions"]
    requests = server.judged_requests
    if requests < LEAST_REQUESTS:
        return None
    ids = np.flatnonzero(session.world.evaluation_text)
    met = counts > 0

    def share(artefact: Artefact) -> float:
        sizes = zip(server.encoded(artefact).sizes, session.environment.encoded(artefact).sizes, strict=True)
        shares = []
        for known, release in sizes:
            release.ensure(ids[met])
            cosines = nearest(release.vectors[ids[met]].astype(np.float32), known.items)
            shares.append(unplaced_share(cosines, counts[met], threshold(nearest(known.judged, known.items))))
        return float(sum(a * b for a, b in zip(server.settings.size_shares, shares, strict=True)))

    releases = state.server.releases
    first, last = releases[0].artefact, releases[-1].artefact
    before = share(first)
    return {
        "kept": KEPT,
        "requests": requests,
        "sessions": int(counts.sum()),
        "release_0": before,
        "final": before if last.sha256 == first.sha256 else share(last),
    }
