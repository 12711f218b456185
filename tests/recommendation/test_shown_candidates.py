"""The world `interactions` with lists that users chose from: what was shown is what a session ranks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedbert.errors import FedbertError
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.recommendation.sessions import Block, Kind
from fedbert.recommendation.shown import Shown, shown_draws, with_shown
from fedbert.recommendation.tables import Split, load_interactions

ITEMS = ["item,text", *(f"n{number},story number {number}" for number in range(40))]
START_S = 1_573_800_000
SHORT = "n4 n5 n6"
LONG = " ".join(f"n{number}" for number in range(5, 35))


def _log(user: str) -> list[str]:
    """Return a user's log: three rows of history, then ten choices an hour apart, of n4, n5, n6 and so on."""
    history = [f"{user},n{number},{START_S - 10 + number}," for number in range(3)]
    shown = [SHORT, *[LONG] * 9]
    return history + [
        f"{user},n{4 + k},{START_S + 3600 * k},{cell if f'n{4 + k} ' in cell else SHORT + f' n{4 + k}'}"
        for k, cell in enumerate(shown)
    ]


def _load(
    tmp_path: Path, rows: list[str], split: Split = "date", header: str = "user,item,timestamp,candidates"
) -> SequenceWorld:
    (tmp_path / "items.csv").write_text("\n".join(ITEMS) + "\n", encoding="utf-8")
    (tmp_path / "log.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return load_interactions(tmp_path / "items.csv", tmp_path / "log.csv", split)


ROWS = [row for user in ("u1", "u2", "u3") for row in _log(user)]


@pytest.mark.parametrize("split", ["date", "own-time"])
def test_rows_without_a_list_are_history(tmp_path: Path, split: Split) -> None:
    """Of 3 rows of history and 10 choices, 8 before the cut: history steps are past, choices are ranked."""
    world = _load(tmp_path, ROWS, split)
    assert world.past.count.tolist() == [5] * 3  # of the ten steps before the cut
    assert world.learning.count.tolist() == [5] * 3
    assert world.evaluation.count.tolist() == [2] * 3
    assert world.past.after[:5].tolist() == [1, 2, 4, 5, 6]
    assert world.evaluation.before[:2].tolist() == [11, 12]
    read = world.read
    assert read is not None
    assert read.rows_used == len(ROWS)
    assert read.shown is not None
    assert (read.shown.rows, read.shown.history_rows, read.shown.rows_filled) == (30, 9, 3)
    # One list of ten has two items beside the chosen one: 17 of its 19 places are drawn.
    assert read.shown.filled_share == pytest.approx(17 / 190)
    assert "9 rows without a list are history and are not ranked" in "\n".join(read.lines())


def test_history_after_the_cut_is_counted(tmp_path: Path) -> None:
    """A row without a list after the cut is neither learnt from nor ranked, and has its reason."""
    world = _load(tmp_path, [*ROWS, f"u1,n30,{START_S + 90_000},"])
    assert world.read is not None
    assert world.read.rows_dropped == {"without a list, after the cut": 1}
    assert world.evaluation.count.tolist() == [2] * 3


def test_sessions_rank_what_was_shown(tmp_path: Path, make_block: Callable[..., Block]) -> None:
    """Evaluation sessions choose from the long list: 20 distinct items of it, the target at any place.

    A learning session from the short list ranks all of it, and drawn items beside.
    """
    world = _load(tmp_path, ROWS)
    block = make_block(count=60, evaluation_per_device_day=30.0, learning_per_device_day=30.0)
    sessions = world.sessions(block, 1, Kind.EVALUATION)
    assert len(sessions) > 50
    assert set(np.unique(sessions.item)) == {12, 13}
    assert sessions.candidates.shape[1] == 20
    assert np.isin(sessions.candidates, np.arange(5, 35)).all()
    assert all(len(set(row)) == 20 for row in sessions.candidates.tolist())
    place = np.argmax(sessions.candidates == sessions.item[:, None], axis=1)
    assert (sessions.candidates == sessions.item[:, None]).sum(axis=1).tolist() == [1] * len(sessions)
    assert len(set(place.tolist())) > 10
    assert len(set(map(tuple, np.sort(sessions.candidates, axis=1).tolist()))) > 10  # drawn anew each time


def test_sessions_do_not_depend_on_the_block(tmp_path: Path, make_block: Callable[..., Block]) -> None:
    """Two halves of a fleet have the sessions that the whole has."""
    world = _load(tmp_path, ROWS)
    often = 20.0
    whole = world.sessions(make_block(count=40, evaluation_per_device_day=often), 2, Kind.EVALUATION)
    halves = [make_block(first=first, count=20, evaluation_per_device_day=often) for first in (0, 20)]
    parts = [world.sessions(half, 2, Kind.EVALUATION) for half in halves]
    assert np.array_equal(np.concatenate([part.candidates for part in parts]), whole.candidates)


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(2, 20),
)
def test_a_list_is_taken_first_and_filled_up(counts: list[int], seed: int, size: int) -> None:
    """All of a short list and part of a long one, the target once, the rest drawn, nothing twice."""
    generator = np.random.default_rng(seed)
    own = [generator.permutation(np.arange(1, 100))[:count] for count in counts]
    start = np.cumsum([0, *counts])[:-1]
    shown = Shown(
        np.concatenate([*own, np.empty(0, np.int64)]).astype(np.int32),
        start.astype(np.int64),
        np.array(counts, np.int64),
        np.ones(len(counts), np.bool_),
    )
    drawn = np.array([[0, *generator.permutation(np.arange(1, 100))[: size - 1]] for _ in counts], np.int32)
    draw = generator.random((len(counts), shown_draws(size)))
    found = with_shown(shown, np.arange(len(counts)), np.zeros(len(counts), np.int32), drawn, draw)
    assert found.shape == (len(counts), size)
    for row, candidates in enumerate(found.tolist()):
        listed = set(candidates) & set(own[row].tolist())
        assert len(set(candidates)) == size
        assert 0 in candidates
        assert len(listed) >= min(counts[row], size - 1)
        assert set(candidates) <= {0} | set(own[row].tolist()) | set(drawn[row].tolist())
        if counts[row] >= size - 1:
            assert len(listed) == size - 1


def test_each_item_of_a_long_list_is_shown_as_often() -> None:
    """Of 30 items beside the target 19 are ranked: each in 19 of 30 sessions, and each place is as likely."""
    sessions = 20_000
    shown = Shown(np.arange(1, 31, dtype=np.int32), np.array([0]), np.array([30]), np.array([True]))
    row, item = np.zeros(sessions, np.int64), np.zeros(sessions, np.int32)
    drawn = np.tile(np.arange(20, dtype=np.int32), (sessions, 1))
    draw = np.random.default_rng(1).random((sessions, shown_draws(20)))
    found = with_shown(shown, row, item, drawn, draw)
    share = np.bincount(found.ravel(), minlength=31)[1:] / sessions
    # Five standard errors of a share of 19/30 among 20,000 are .017.
    assert np.abs(share - 19 / 30).max() < 0.017
    place = np.bincount(np.argmax(found == 0, axis=1), minlength=20) / sessions
    assert np.abs(place - 1 / 20).max() < 0.008


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "n1 n99 n5",
            r"row 40, candidates\(='n99'\) must hold items of the items file \(1 of 822 ids are of",
        ),
        ("N5 n5", r"candidates\(='N5'\).* it is 'n5' there: capitals count"),
        ("n1 n2", r"row 40, candidates\(='n1 n2'\) must hold the row's own item \(1 of 31 lists do not\)"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, cell: str, message: str) -> None:
    """An id of no item and a list without the chosen item are named with their row."""
    with pytest.raises(FedbertError, match=message):
        _load(tmp_path, [*ROWS, f"u1,n5,{START_S},{cell}"])


def test_a_column_without_any_list_is_refused(tmp_path: Path) -> None:
    """An empty column would make every row history: nothing could be ranked."""
    rows = [f"{row.rsplit(',', 1)[0]}," for row in ROWS]
    with pytest.raises(FedbertError, match="must have a list in column 'candidates' somewhere"):
        _load(tmp_path, rows)


def test_a_list_of_the_own_item_alone_is_filled_up(tmp_path: Path, make_block: Callable[..., Block]) -> None:
    """Where nothing else was shown, all other places are drawn, as without a list."""
    rows = [f"{row.rsplit(',', 1)[0]},{row.split(',')[1]}" for row in ROWS]
    world = _load(tmp_path, rows)
    sessions = world.sessions(make_block(count=60, evaluation_per_device_day=30.0), 1, Kind.EVALUATION)
    assert all(len(set(row)) == 20 for row in sessions.candidates.tolist())
    assert world.read is not None
    assert world.read.shown is not None
    assert world.read.shown.filled_share == 1.0
