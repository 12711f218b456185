"""Worlds of real users and times: `movietweetings`, and `interactions` out of a user's own files.

A user's interactions in the order of time are a chain; a *step* is (the item before, the item after). Its
text is the name of the item before, its target item the one after. All interactions are cut at one point in
time, or each user's at a point of their own: steps to an item before the cut are learning steps, the others
evaluation steps. The earlier half of a
user's learning steps is the history, the later half is what learning sessions on the clock draw from.

Where a log says what users chose from (`shown`), only steps to an item with such a list are ranked; the
others before the cut are history.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.paths import data_folder
from fedbert.randomness import ONCE, Purpose, generator
from fedbert.recommendation.catalogue import PublicData, read_shipped, read_shipped_public
from fedbert.recommendation.log_facts import LogFacts
from fedbert.recommendation.sessions import (
    Block,
    Kind,
    Requests,
    Sessions,
    candidate_draws,
    draw_candidates,
    session_candidates,
    session_hours,
    session_places,
    session_uniforms,
)
from fedbert.recommendation.shown import Shown, shown_draws, with_shown
from fedbert.recommendation.tier_users import assign, lean_of

LEARNING_SHARE = 0.8
"""Share of the interactions, by time, that come before the cut."""


@dataclass(frozen=True)
class Steps:
    """Steps grouped by user, oldest first: those of user u are `start[u] : start[u] + count[u]`.

    before, after: items. row: the place among all interactions of the one to `after`.
    """

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    row: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]


@dataclass(frozen=True)
class SequenceWorld:
    """Users who go from one item to the next; text ids are item ids.

    `lean` [user] is how far a user leans to rare items (`tier_users`): who holds which phone goes by it.
    `shown` has the lists that users chose from, by `Steps.row`; None: candidates are drawn. `unlisted` counts
    interactions after the cut that have none. `read` is what was read of the user's own files, None for a
    shipped world.
    """

    name: str
    public: PublicData
    texts: tuple[str, ...]
    evaluation_text: NDArray[np.bool_]
    users: int | None
    reuse_note: str | None
    past: Steps
    learning: Steps
    evaluation: Steps
    lean: NDArray[np.float64]
    shown: Shown | None = None
    unlisted: int = 0
    read: LogFacts | None = None

    def user_of(self, block: Block) -> NDArray[np.int64]:
        """Return the user on each device: a permutation, repeated when devices outnumber users.

        It goes by seed, and by tier as far as `tier_correlation` says (`tier_users.assign`).
        """
        order = generator(block.devices.seed, Purpose.USER_ASSIGNMENT, ONCE).permutation(len(self.past.start))
        return np.asarray(assign(block, order, self.lean))

    def history(self, block: Block) -> Requests:
        """Return the newest `history_length` steps of each user's earlier half of learning, newest last."""
        length = block.settings.history_length
        user = self.user_of(block)
        back = np.arange(length, 0, -1)
        place = self.past.count[user, None] - back
        step = self.past.start[user, None] + np.maximum(place, 0)
        none = place < 0
        return Requests(
            np.where(none, -1, self.past.before[step]).astype(np.int32),
            np.where(none, -1, self.past.after[step]).astype(np.int32),
        )

    def sessions(self, block: Block, round_: int, kind: Kind) -> Sessions:
        """Return sessions, each a random step of its user's later learning, or of the evaluation period."""
        learning = kind is Kind.LEARNING
        steps = self.learning if learning else self.evaluation
        user = self.user_of(block)
        device, slot = session_places(block, round_, kind, able=steps.count[user] > 0)
        purpose = Purpose.LEARNING_SESSION if learning else Purpose.EVALUATION_SESSION
        draw = session_uniforms(block, purpose, round_, device, slot, 4)
        owner = user[device]
        step = steps.start[owner] + (draw[:, 2] * steps.count[owner]).astype(np.int64)
        text, item = steps.before[step], steps.after[step]
        hour = session_hours(block.settings, round_, draw[:, 3])
        size = block.settings.candidates
        purpose = Purpose.LEARNING_CANDIDATES if learning else Purpose.EVALUATION_CANDIDATES
        catalogue = self.public.catalogue
        if self.shown is None or not size:
            candidates = session_candidates(block, catalogue, purpose, round_, (device, slot, item))
            return Sessions(device, slot, hour, text, item, candidates)
        draws = candidate_draws(size) + shown_draws(size)
        drawn, rest = np.split(
            session_uniforms(block, purpose, round_, device, slot, draws), [candidate_draws(size)], axis=1
        )
        candidates = draw_candidates(catalogue, item, drawn, size)
        candidates = with_shown(self.shown, steps.row[step], item, candidates, rest)
        return Sessions(device, slot, hour, text, item, candidates)


def make_sequence_world(
    public: PublicData,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    learning: NDArray[np.bool_],
    shown: Shown | None = None,
) -> SequenceWorld:
    """Return the world of interactions `user`, `item`, `learning` [n], sorted by user and then by time.

    `shown` has their lists [n], None where users chose from none. Repeats of an item right after itself are
    skipped. Users with fewer than two learning items have nothing to rank by and are left out.
    """
    repeat = np.zeros(len(user), np.bool_)
    repeat[1:] = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    row = np.flatnonzero(~repeat)
    user, item, learning = user[~repeat], item[~repeat], learning[~repeat]
    step = np.flatnonzero(user[1:] == user[:-1]) + 1
    owner, before, after, is_learning, row = user[step], item[step - 1], item[step], learning[step], row[step]
    ranked = np.ones(len(row), np.bool_) if shown is None else shown.is_list[row]
    users = int(user.max()) + 1 if len(user) else 0
    learned = np.bincount(owner[is_learning], minlength=users)
    kept = np.flatnonzero(learned > 0)
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    past = is_learning & ((place < (learned[owner] + 1) // 2) | ~ranked)

    def chosen(mask: NDArray[np.bool_]) -> Steps:
        count = np.bincount(owner[mask], minlength=users)
        start = np.cumsum(count) - count
        # One spare step, so that the place after the last user's steps can be read (and thrown away).
        return Steps(
            np.append(before[mask], -1).astype(np.int32),
            np.append(after[mask], -1).astype(np.int32),
            np.append(row[mask], 0),
            start[kept],
            count[kept],
        )

    later = ~is_learning & (learned[owner] > 0)
    evaluation = chosen(later & ranked)
    evaluation_text = np.zeros(public.catalogue.items, np.bool_)
    evaluation_text[evaluation.before[:-1]] = True
    note = (
        f"{public.name} has {len(kept)} users: where devices outnumber them, users are used again under "
        "other devices, and the privacy unit is the device, not the user"
    )
    popularity = np.log(public.catalogue.popularity[after[is_learning]])
    mean = np.bincount(owner[is_learning], popularity, users) / np.maximum(learned, 1)
    return SequenceWorld(
        public.name,
        public,
        public.catalogue.texts,
        evaluation_text,
        len(kept),
        note,
        chosen(past),
        chosen(is_learning & ~past),
        evaluation,
        lean_of(mean[kept]),
        shown,
        int(np.count_nonzero(later & ~ranked)),
    )


def load_films() -> SequenceWorld:
    """Return the shipped world `movietweetings`, users included."""
    public = read_shipped_public("movietweetings")
    table = read_shipped(data_folder() / "movietweetings" / "interactions.parquet")
    return make_sequence_world(
        public,
        np.asarray(table["user"], np.int64),
        np.asarray(table["item"], np.int64),
        np.array(table["split"].to_pylist()) == "learning",
    )
