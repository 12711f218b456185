"""Tags of words as BIO says them: `O` for no entity, `B-NAME` where one begins, `I-NAME` where it goes on.

Ramshaw and Marcus (1995), "Text chunking using transformation-based learning", in the form in which every
entity begins with a B. F1 is that of entities (Tjong Kim Sang and De Meulder 2003, CoNLL): one is right if
its name, its first and its last word are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTSIDE = "O"
_FORBIDDEN = -1e30


@dataclass(frozen=True, order=True)
class Entity:
    """Words `start` .. `end` - 1 of a text, and what they are."""

    start: int
    end: int
    name: str


def follows(before: str, tag: str) -> bool:
    """Return whether `tag` may stand behind `before`; `O` stands for the beginning of a text."""
    return not tag.startswith("I-") or (before[:2] in ("B-", "I-") and before[2:] == tag[2:])


def misplaced(tags: Sequence[str]) -> tuple[int, str] | None:
    """Return the place of the first wrong tag and the rule it breaks ("must ..."); None if all fit."""
    before = OUTSIDE
    for place, tag in enumerate(tags):
        if tag != OUTSIDE and not (tag[:2] in ("B-", "I-") and len(tag) > 2):
            return place, "be O, B-NAME or I-NAME"
        if not follows(before, tag):
            return place, f"come behind B-{tag[2:]} or I-{tag[2:]}"
        before = tag
    return None


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of a text's `tags`, which fit, in their order."""
    found: list[Entity] = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append(Entity(place, place + 1, tag[2:]))
        elif tag != OUTSIDE:
            found[-1] = Entity(found[-1].start, place + 1, found[-1].name)
    return found


def steps(names: Sequence[str]) -> NDArray[np.float64]:
    """Return what a step between tags costs, `[tag + 1, tag]`: 0 or as good as minus infinity.

    The last row is the beginning of a text.
    """
    before = [*names, OUTSIDE]
    return np.array([[0.0 if follows(one, other) else _FORBIDDEN for other in names] for one in before])


def best_tags(scores: NDArray[np.floating[Any]], between: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the tags `[word]` of the highest sum of `scores` `[word, tag]` among those that fit.

    `between` is that of `steps` (Viterbi 1967). Of equal ones the first in the order of names is taken.
    """
    count, total = len(scores), scores.astype(np.float64)
    if not count:
        return np.zeros(0, np.int64)
    came_from = np.zeros(scores.shape, np.int64)
    best = total[0] + between[-1]
    for word in range(1, count):
        paths = best[:, None] + between[:-1]
        came_from[word] = paths.argmax(0)
        best = paths.max(0) + total[word]
    out = np.empty(count, np.int64)
    out[-1] = best.argmax()
    for word in range(count - 1, 0, -1):
        out[word - 1] = came_from[word, out[word]]
    return out


@dataclass(frozen=True)
class EntityScores:
    """Entities over texts: right ones, those that were said and those there are."""

    right: int
    said: int
    there: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if no entity is right."""
        return 2 * self.right / (self.said + self.there) if self.right else 0.0


def compared(said: Sequence[str], there: Sequence[str]) -> EntityScores:
    """Return how the entities of a text's tags `said` compare with those that are `there`."""
    mine, theirs = set(entities(said)), set(entities(there))
    return EntityScores(len(mine & theirs), len(mine), len(theirs))


def summed(scores: Sequence[EntityScores]) -> EntityScores:
    """Return the scores of all texts together."""
    return EntityScores(
        sum(each.right for each in scores),
        sum(each.said for each in scores),
        sum(each.there for each in scores),
    )
