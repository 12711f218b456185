"""The comparison of variants: what differs in their settings, and in their results, pair by pair.

A variant is what differs in the seed alone: some runs, one grid, or one forecast. The first is the reference
that every other one is held against.
"""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedbert.errors import invalid
from fedbert.evidence import Absent, Evidence, Known
from fedbert.intervals import Array
from fedbert.planning.comparing.verdicts import (
    Difference,
    exact,
    judged_together,
    missing,
    of_one,
    paired,
    unpaired,
    without_interval,
)
from fedbert.planning.comparing.views import Figure, Kind, View

LETTERS = string.ascii_uppercase
"""Names of the variants, in order; no comparison has more."""

HOW = ("execution", "machine")
"""Groups of facts on which no result but times depends."""

CHANGES = "+changes"
"""What `fedbert.provenance.commit` adds to a commit that the code differs from."""

MACHINE = "the machine and its load are in it"
NOT_WRITTEN = "it is not in this one"
PART_OF_SEEDS = "some seeds lack it: a mean over the others would be of those alone in which it came out"


@dataclass(frozen=True)
class Side:
    """One side of a comparison with all that was read of it."""

    letter: str
    views: tuple[View, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seeds, ascending."""
        return tuple(sorted({view.seed for view in self.views}))

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms of a grid in order; one without a name elsewhere."""
        return tuple(dict.fromkeys(view.arm for view in self.views))

    def of_arm(self, arm: str) -> dict[int, View]:
        """Return the runs of `arm` by seed."""
        return {view.seed: view for view in self.views if view.arm == arm}


@dataclass(frozen=True)
class Variant:
    """What is said of one side: folders, names of what is in them, seeds, and how many runs."""

    letter: str
    folders: tuple[str, ...]
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: int
    changed: bool  # whether its code had changes that its commit does not have


@dataclass(frozen=True)
class Setting:
    """A fact that is not the same in all variants: a text each, None where a variant does not have it."""

    group: str
    key: str
    values: tuple[str | None, ...]


@dataclass(frozen=True)
class Row:
    """One figure of one arm: the means over the compared seeds, and their difference."""

    arm: str
    figure: Figure
    reference: float | None
    other: float | None
    difference: Difference


@dataclass(frozen=True)
class Pair:
    """A variant held against the reference."""

    letter: str
    seeds: tuple[int, ...]  # that both have
    arms: tuple[str, ...]  # that both have
    arms_of_one: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Comparison:
    """All that a comparison found; `same` counts the facts that all variants share."""

    kind: Kind
    variants: tuple[Variant, ...]
    settings: tuple[Setting, ...]
    same: int
    pairs: tuple[Pair, ...]


# -- variants -----------------------------------------------------------------------------------------------


def run_variants(views: Sequence[View]) -> list[list[View]]:
    """Return runs that differ in the seed alone together, in the order of their first.

    Two runs of one seed never stand together; where all would, each stands alone: the seed is then what
    differs.
    """
    found: list[list[View]] = []
    for view in views:
        for group in found:
            if _settings(group[0]) == _settings(view) and view.seed not in {each.seed for each in group}:
                group.append(view)
                break
        else:
            found.append([view])
    return found if len(found) > 1 else [[view] for view in views]


def _settings(view: View) -> dict[tuple[str, str], str]:
    return {key: text for key, text in view.facts.items() if key[0] not in HOW}


def lettered(groups: Sequence[Sequence[View]]) -> tuple[Side, ...]:
    """Return the groups as sides A, B, ...; raises FedbertError for more than there are letters."""
    if len(groups) > len(LETTERS):
        raise invalid("folders", len(groups), f"be {len(LETTERS)} variants at most", "compare fewer")
    return tuple(Side(letter, tuple(views)) for letter, views in zip(LETTERS, groups, strict=False))


def _variant(side: Side) -> Variant:
    commits = [view.facts.get(("versions", "commit"), "") for view in side.views]
    return Variant(
        letter=side.letter,
        folders=tuple(dict.fromkeys(view.folder for view in side.views)),
        names=tuple(dict.fromkeys(view.name for view in side.views)),
        seeds=side.seeds,
        runs=len(side.views),
        changed=any(commit.endswith(CHANGES) for commit in commits),
    )


# -- settings -----------------------------------------------------------------------------------------------


def settings(sides: Sequence[Side]) -> tuple[tuple[Setting, ...], int]:
    """Return the facts that differ between `sides`, and how many do not.

    Where the runs of one variant differ, as in the facts of a machine, all their texts stand together.
    """
    keys = dict.fromkeys(key for side in sides for view in side.views for key in view.facts)
    found = [Setting(group, key, tuple(_texts(side, (group, key)) for side in sides)) for group, key in keys]
    differing = [each for each in found if len(set(each.values)) > 1]
    return tuple(differing), len(found) - len(differing)


def _texts(side: Side, key: tuple[str, str]) -> str | None:
    texts = dict.fromkeys(view.facts[key] for view in side.views if key in view.facts)
    return " | ".join(texts) if texts else None


# -- results ------------------------------------------------------------------------------------------------


def compare(kind: Kind, sides: Sequence[Side]) -> Comparison:
    """Return the comparison of `sides`, two or more, each against the first."""
    differing, same = settings(sides)
    reference, *others = sides
    pairs = tuple(_pair(reference, other) for other in others)
    return Comparison(kind, tuple(_variant(side) for side in sides), differing, same, pairs)


def _pair(reference: Side, other: Side) -> Pair:
    arms = tuple(arm for arm in reference.arms if arm in other.arms)
    alone = tuple(arm for arm in (*reference.arms, *other.arms) if arm not in arms)
    rows = [row for arm in arms for row in _rows(arm, reference.of_arm(arm), other.of_arm(arm))]
    seeds = tuple(seed for seed in reference.seeds if seed in other.seeds)
    return Pair(other.letter, seeds, arms, alone, tuple(_judged(rows)))


def _judged(rows: Sequence[Row]) -> list[Row]:
    """Return `rows` judged together: those that the comparison is read for, and apart from them all others.

    A figure by hour is a family of its own: its hours are one curve.
    """
    found = list(rows)
    families: dict[tuple[bool, bool], list[int]] = {}
    for index, row in enumerate(rows):
        families.setdefault((row.figure.main, row.figure.hour is not None), []).append(index)
    for indices in families.values():
        judged = judged_together([rows[index].difference for index in indices])
        for index, difference in zip(indices, judged, strict=True):
            found[index] = replace(rows[index], difference=difference)
    return found


def _rows(arm: str, reference: Mapping[int, View], other: Mapping[int, View]) -> list[Row]:
    names = _figures((*reference.values(), *other.values()))
    return [_row(arm, figure, reference, other) for figure in names]


def _figures(views: Iterable[View]) -> list[Figure]:
    """Return the figures that any view knows, in order, chapter by chapter."""
    found = dict.fromkeys(
        figure for view in views for figure, value in view.figures.items() if isinstance(value, Known)
    )
    chapters = list(dict.fromkeys(figure.group for figure in found))
    return sorted(found, key=lambda figure: chapters.index(figure.group))


def _row(arm: str, figure: Figure, reference: Mapping[int, View], other: Mapping[int, View]) -> Row:
    shared = [seed for seed in reference if seed in other]
    if len(shared) > 1:
        return _by_seed(arm, figure, *([side[seed] for seed in shared] for side in (reference, other)))
    if not shared and min(len(reference), len(other)) > 1:
        return _apart(arm, figure, list(reference.values()), list(other.values()))
    ours, theirs = (shared[:1] or [min(side)] for side in (reference, other))
    return _by_seed(arm, figure, [reference[ours[0]]], [other[theirs[0]]])


def _known(figure: Figure, views: Sequence[View]) -> list[Known] | Absent:
    """Return the figure of each view; a reason if one has none."""
    values: list[Evidence] = [view.figures.get(figure, Absent(NOT_WRITTEN)) for view in views]
    found = [value for value in values if isinstance(value, Known)]
    if len(found) == len(values):
        return found
    first = next(value for value in values if isinstance(value, Absent))
    return Absent(PART_OF_SEEDS) if found else first


def _array(values: Sequence[Known]) -> Array:
    return np.array([value.value for value in values], np.float64)


def _by_seed(arm: str, figure: Figure, reference: Sequence[View], other: Sequence[View]) -> Row:
    """Return the row of runs in pairs."""
    ours, theirs = _known(figure, reference), _known(figure, other)
    if isinstance(ours, Absent) or isinstance(theirs, Absent):
        return _missing(arm, figure, ours, theirs)
    means = float(np.mean(_array(ours))), float(np.mean(_array(theirs)))
    differences = _array(theirs) - _array(ours)
    difference = None if figure.chance else exact(differences)
    if difference is None:
        same_run = bool(reference[0].source) and reference[0].source == other[0].source
        difference = _chancy(figure, differences, ours, theirs, same_run)
    return Row(arm, figure, *means, difference)


def _chancy(
    figure: Figure, differences: Array, ours: Sequence[Known], theirs: Sequence[Known], same_run: bool
) -> Difference:
    if figure.machine:
        return without_interval(float(differences.mean()), len(differences), MACHINE)
    if len(differences) > 1:
        return paired(differences)
    if same_run:
        return of_one(theirs[0], ours[0], "same run", "effect")
    return of_one(theirs[0], ours[0], "one run each", "one seed")


def _apart(arm: str, figure: Figure, reference: Sequence[View], other: Sequence[View]) -> Row:
    """Return the row of two variants without a common seed, two runs or more each."""
    ours, theirs = _known(figure, reference), _known(figure, other)
    if isinstance(ours, Absent) or isinstance(theirs, Absent):
        return _missing(arm, figure, ours, theirs)
    first, second = _array(ours), _array(theirs)
    if figure.machine:
        found = without_interval(float(second.mean() - first.mean()), min(len(first), len(second)), MACHINE)
    else:
        found = unpaired(second, first)
    return Row(arm, figure, float(first.mean()), float(second.mean()), found)


def _missing(arm: str, figure: Figure, ours: list[Known] | Absent, theirs: list[Known] | Absent) -> Row:
    values = [None if isinstance(side, Absent) else float(np.mean(_array(side))) for side in (ours, theirs)]
    why = next((side.reason for side in (ours, theirs) if isinstance(side, Absent)), "")
    return Row(arm, figure, values[0], values[1], missing(why))
