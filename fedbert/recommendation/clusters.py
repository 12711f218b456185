"""What evaluation sessions are counted by: the texts and users that they share, and the clusters of them.

Sessions that share a text, or a real user, are not independent, so intervals resample clusters and never
sessions or devices. A cluster is a real user where the world has some (devices that reuse a user belong to
that user), else a text.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedbert.recommendation.sessions import Block
from fedbert.recommendation.world import World

Unit = Literal["user", "text"]

MOST_CLUSTERS = 2**14
"""Users beyond these share a cluster with others, by number modulo it: counts by system and cluster stay at
some tens of MB for any log, and intervals of so many clusters are as wide as those of more."""


@dataclass(frozen=True)
class Places:
    """Sizes of the arrays by which sessions are counted; `users` is 0 where each device has its own."""

    texts: int
    users: int

    @property
    def unit(self) -> Unit:
        """What a cluster is."""
        return "user" if self.users else "text"

    @property
    def clusters(self) -> int:
        """How many clusters there are, those without a session included."""
        return min(self.users, MOST_CLUSTERS) if self.users else self.texts

    def cluster_of(self, text: NDArray[np.int64], user: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return the cluster [session] of sessions by evaluation `text` [session] and `user` [session]."""
        return text if user is None else user % MOST_CLUSTERS


def places_of(world: World) -> Places:
    """Return the sizes for a world; users count where it says which user each device has (`user_of`)."""
    # `in dir` and not `hasattr`, which would run properties of a user's own world.
    known = world.users is not None and "user_of" in dir(world)
    return Places(int(world.evaluation_text.sum()), int(world.users or 0) if known else 0)


def users_on(world: World, places: Places, block: Block) -> NDArray[np.int64] | None:
    """Return the real user [device] on each device of `block`, None where each device has its own."""
    if not places.users:
        return None
    user: NDArray[np.int64] = world.user_of(block)  # type: ignore[attr-defined]  # see places_of
    return user
