"""A user's own log: ids that are the same, times in one unit, ratings, the cut; what was read is shown."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedbert.comparison import systems
from fedbert.errors import FedbertError
from fedbert.recommendation.log_facts import LogFacts
from fedbert.recommendation.log_times import UNITS_PER_S, read_times
from fedbert.recommendation.names import nearest_by_name
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.recommendation.tables import Split, load_interactions, read_public
from fedbert.user_tables import read_table

START_S = 1_365_000_000
"""3 April 2013, 14:40 UTC."""

ITEMS = ["item,text", *(f"{number},item number {number}" for number in range(30))]
DAILY = [
    (f"u{user}", f"{(user * 7 + k * 3) % 30}", START_S + user + k * 86_400)
    for user in range(4)
    for k in range(10)
]
"""Four users with a click a day for ten days."""


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _world(
    tmp_path: Path,
    rows: list[tuple[object, ...]],
    header: str = "user,item,timestamp",
    split: Split = "date",
    min_rating: float | None = None,
    items: list[str] = ITEMS,
) -> SequenceWorld:
    log = [header, *(",".join(str(cell) for cell in row) for row in rows)]
    return load_interactions(
        _write(tmp_path / "items.csv", items), _write(tmp_path / "clicks.csv", log), split, min_rating
    )


def _facts(world: SequenceWorld) -> LogFacts:
    assert world.read is not None
    return world.read


def test_what_was_read_is_shown_back(tmp_path: Path) -> None:
    """Rows, users, dates and the cut of a small log, and each row that is not used with its reason."""
    repeat = (*DAILY[-1][:2], START_S + 20 * 86_400)
    one_item = ("u9", "5", START_S)
    facts = _facts(_world(tmp_path, [*DAILY, repeat, one_item]))
    assert (facts.interactions.rows, facts.rows_used) == (42, 40)
    assert facts.rows_dropped == {"repeats of the row before": 1, "of users who are left out": 1}
    assert (facts.users, facts.users_dropped, facts.users_evaluated) == (4, 1, 4)
    assert (facts.first, facts.last, facts.cut) == ("2013-04-03", "2013-04-23", "2013-04-11")
    text = "\n".join(facts.lines())
    assert "clicks.csv: 42 rows; from 2013-04-03 to 2013-04-23 (Unix seconds)" in text
    assert "cut at 2013-04-11, 80% to learn from: 4 of 5 users kept, 4 of 5 users evaluated" in text
    assert "40 of 42 rows used; left out: 1 repeats of the row before, 1 of users who are left out" in text


def test_each_id_is_the_same_with_decimals_and_blanks(tmp_path: Path) -> None:
    """`7.0` and ` 7` in the log are item 7 of the catalogue, `u1 ` is user u1: one world, and counted."""
    expected = _world(tmp_path, DAILY)
    changed = [
        (f"{user} " if k % 4 == 0 else user, f"{item}.0" if k % 2 else f" {item} ", time)
        for k, (user, item, time) in enumerate(DAILY)
    ]
    found = _world(tmp_path, changed)
    assert found.evaluation.after.tolist() == expected.evaluation.after.tolist()
    assert found.users == expected.users == 4
    assert _facts(found).ids_mended == {
        "item ids with blanks around them": 20,
        "item ids written as decimals in one file alone": 20,
        "user ids with blanks around them": 10,
    }


def test_items_7_and_7_0_stay_two_where_both_are_there(tmp_path: Path) -> None:
    """Where the catalogue has 7 and 7.0, each is its own item, and 8.0 is neither."""
    items = [*ITEMS, "7.0,another seven"]
    world = _world(tmp_path, [*DAILY, ("u0", "7.0", START_S + 11 * 86_400)], items=items)
    assert 30 in world.evaluation.after.tolist()
    with pytest.raises(FedbertError, match=r"row 41, item\(='8.0'\) must be an item of the items file"):
        _world(tmp_path, [*DAILY, ("u0", "8.0", START_S)], items=items)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0099", r"\(1 of 41 rows are of none\); add it or drop the row"),
        ("007", r"it is '7' there: leading zeros count"),
        ("", "fill it in or drop the row"),
    ],
)
def test_an_unknown_item_says_how_many_and_why(tmp_path: Path, value: str, message: str) -> None:
    """The line counts the rows, and names the likeliest cause."""
    with pytest.raises(FedbertError, match=message):
        _world(tmp_path, [*DAILY, ("u0", value, START_S)])


@pytest.mark.parametrize("unit", UNITS_PER_S)
def test_each_unit_of_unix_time_is_found(tmp_path: Path, unit: str) -> None:
    """Seconds to nanoseconds, as whole numbers, are the same dates; the unit is shown."""
    rows = [(user, item, time * UNITS_PER_S[unit]) for user, item, time in DAILY]
    facts = _facts(_world(tmp_path, rows))
    assert (facts.first, facts.last, facts.time_unit) == ("2013-04-03", "2013-04-12", f"Unix {unit}")


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (START_S * 1000, r"row 41, timestamp.* this row is in milliseconds, most rows are in Unix seconds"),
        (5, r"row 41, timestamp\(='5'\) must be Unix seconds from 1990 to 2099"),
        ("2013-04-03", "row 41, .*this row is a date, other rows are Unix seconds; turn it into seconds"),
        (START_S * 100_000, "row 41, timestamp.* must be Unix seconds from 1990 to 2099"),
    ],
)
def test_a_time_in_another_unit_is_refused(tmp_path: Path, time: object, message: str) -> None:
    """One row in another unit, or outside 1990 to 2099 in that of the others, is named with its row."""
    with pytest.raises(FedbertError, match=message):
        _world(tmp_path, [*DAILY, ("u0", "1", time)])


def test_times_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    """Places of rows instead of times, dates of 1904 and durations are refused."""
    with pytest.raises(FedbertError, match=r"row 1, timestamp.* must be a time from 1990 to 2099"):
        _world(tmp_path, [(user, item, k) for k, (user, item, _) in enumerate(DAILY)])
    with pytest.raises(FedbertError, match=r"row 1, timestamp\(='1904-01-01'\) must be a date from 1990"):
        _world(tmp_path, [(user, item, "1904-01-01") for user, item, _ in DAILY])
    pq.write_table(pa.table({"timestamp": pa.array([1, 2], pa.duration("s"))}), tmp_path / "t.parquet")
    with pytest.raises(FedbertError, match="must have dates and times in column 'timestamp'"):
        read_times(read_table("interactions", tmp_path / "t.parquet", ("timestamp",)), "timestamp")


def test_fractions_of_a_second_order_rows(tmp_path: Path) -> None:
    """Times within one second keep their order: whole milliseconds of Unix time."""
    table = read_table(
        "log", _write(tmp_path / "t.csv", ["timestamp", f"{START_S}.75", f"{START_S}.5"]), ("timestamp",)
    )
    assert read_times(table, "timestamp").unix_ms.tolist() == [START_S * 1000 + 750, START_S * 1000 + 500]


RATED = [(*row, 5 - k % 2 * 4) for k, row in enumerate(DAILY)]
"""The daily log with a rating of 5 and 1 in turn."""


def test_low_ratings_are_left_out_when_asked(tmp_path: Path) -> None:
    """With 3 as the least rating half of the rows are clicks; without it all are, and a line says so."""
    header = "user,item,timestamp,rating"
    facts = _facts(_world(tmp_path, RATED, header, min_rating=3))
    assert (facts.rows_used, facts.rows_dropped) == (20, {"rated lower than --min-rating": 20})
    assert not any("every row counts" in line for line in facts.lines())
    facts = _facts(_world(tmp_path, RATED, header))
    assert facts.rows_used == 40
    assert any("column rating is not used: every row counts as a click" in line for line in facts.lines())


@pytest.mark.parametrize(
    ("header", "rating", "least", "message"),
    [
        ("user,item,timestamp,stars", 5, 3, "must have a column 'rating'"),
        ("user,item,timestamp,rating", "good", 3, r"row 41, rating\(='good'\) must be a number"),
        (
            "user,item,timestamp,rating",
            5,
            6,
            "must have a row with a rating of at least 6 .the highest is 5.",
        ),
    ],
)
def test_ratings_that_cannot_be_used_are_named(
    tmp_path: Path, header: str, rating: object, least: float, message: str
) -> None:
    """A missing column, a word, and a threshold above all ratings are one line each."""
    with pytest.raises(FedbertError, match=message):
        _world(tmp_path, [*RATED, ("u0", "1", START_S, rating)], header, min_rating=least)


SITTINGS = [
    (f"u{user}", f"{(user * 7 + k * 3) % 30}", START_S + user * 86_400 + k * 30)
    for user in range(10)
    for k in range(10)
]
"""Ten users, each with ten clicks within five minutes of a day of their own."""


def test_a_log_of_sittings_is_refused_by_date_and_taken_by_own_time(tmp_path: Path) -> None:
    """Nobody learns and comes again: refused with the flag to add; that evaluates all on their last fifth."""
    with pytest.raises(FedbertError, match=r"must have a user to evaluate on.*--split own-time") as caught:
        _world(tmp_path, SITTINGS)
    assert "\n" not in str(caught.value)
    world = _world(tmp_path, SITTINGS, split="own-time")
    facts = _facts(world)
    assert (facts.users, facts.users_evaluated, facts.cut) == (10, 10, None)
    assert world.evaluation.count.tolist() == [2] * 10
    assert (world.past.count + world.learning.count).tolist() == [7] * 10


def test_few_evaluated_users_are_said(tmp_path: Path) -> None:
    """Where two of ten users come on both sides of the date, a line says so and what else there is."""
    both = [("u0", f"{k}", START_S + 9 * 86_400 + k) for k in (1, 2, 4)]
    lines = _facts(_world(tmp_path, [*SITTINGS, *both])).lines()
    assert any("2 of 10 users evaluated" in line for line in lines)
    assert lines[-1].startswith("most users are not evaluated; --split own-time")


def test_nothing_is_ranked_by_a_popularity_that_is_not_known(tmp_path: Path) -> None:
    """Without the column, or with equal weights, the comparison has no row of popularity; with it, it has."""
    for weight, known in (
        ([""] * 31, False),
        (["popularity", *["1"] * 30], False),
        (["popularity", "2", *["1"] * 29], True),
    ):
        lines = [f"{line},{one}" if weight[0] else line for line, one in zip(ITEMS, weight, strict=True)]
        public = read_public(_write(tmp_path / "items.csv", lines))
        assert public.catalogue.has_popularity is known
        names = [system.id for system in systems(False, popularity=public.catalogue.has_popularity)]
        assert ("popularity" in names) is known


def test_names_without_a_word_have_neighbours() -> None:
    """Emoji have no word: names are compared by their letters alone, equal ones nearest."""
    texts = ["\U0001f600\U0001f601", "\U0001f680", "\U0001f600\U0001f601"]
    assert nearest_by_name(texts, 1)[:, 0].tolist()[::2] == [2, 0]
    assert np.isin(nearest_by_name(texts, 2), [0, 1, 2]).all()
