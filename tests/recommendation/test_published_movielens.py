"""MovieLens' files, each layout as it is published: five lines become a world's files, damage one line."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedbert.errors import FedbertError
from fedbert.recommendation.published.movielens import GENRES, read_movielens
from fedbert.recommendation.published.world_files import (
    PRIOR,
    contents,
    too_few,
    with_public_users,
)

U_DATA = """196\t242\t3\t881250949
186\t302\t3\t891717742
22\t377\t1\t878887116
196\t302\t2\t880606923
166\t346\t1\t886397596
"""
U_ITEM = """242|Kolya (1996)|24-Jan-1997||http://us.imdb.com/M/1|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0
302|L.A. Confidential (1997)|01-Jan-1997||http://us.imdb.com/M/2|0|0|0|0|0|0|1|0|0|0|1|0|0|1|0|0|1|0|0
377|Heavyweights (1994)|01-Jan-1994||http://us.imdb.com/M/3|0|0|0|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0
346|Jacki\u00e9 Brown (1997)|01-Jan-1997||http://us.imdb.com/M/4|0|0|0|0|0|0|1|0|1|0|0|0|0|0|0|0|0|0|0
267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0
"""
RATINGS_DAT = """1::1193::5::978300760
1::661::3::978302109
2::1193::4::978298413
2::2791::3::978299000
3::661::5::978301968
"""
MOVIES_DAT = """661::James and the Giant Peach (1996)::Animation|Children's|Musical
1193::One Flew Over the Cuckoo's Nest (1975)::Drama
2791::Airplane! (1980)::Comedy
2762::Cit\u00e9 des enfants perdus, La (1995)::Adventure|Sci-Fi
3::Grumpier Old Men (1995)::Comedy|Romance
"""
RATINGS_CSV = """userId,movieId,rating,timestamp
1,1,4.0,964982703
1,3,4.5,964981247
2,1,4.0,1445714835
2,6,0.5,1445714885
3,6,4.0,1306463578
"""
MOVIES_CSV = """movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children
3,Grumpier Old Men (1995),Comedy|Romance
6,"American President, The (1995)",Comedy|Drama
7,Heat (1995),Action|Crime
8,Pather Panchali (1955),(no genres listed)
"""


def _folder(path: Path, **files: str | bytes) -> Path:
    """Write files named like `u_data` for u.data and return their folder."""
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        content = text if isinstance(text, bytes) else text.encode("latin-1")
        (path / name.replace("_", ".")).write_bytes(content)
    return path


LAYOUTS: dict[str, dict[str, str | bytes]] = {
    "100k": {"u_data": U_DATA, "u_item": U_ITEM},
    "1m": {"ratings_dat": RATINGS_DAT, "movies_dat": MOVIES_DAT},
    "latest": {"ratings_csv": RATINGS_CSV, "movies_csv": MOVIES_CSV},
}
TEXTS = {
    "100k": [
        "Kolya (1996). Comedy",
        "L.A. Confidential (1997). Crime, Film-Noir, Mystery, Thriller",
        "Heavyweights (1994). Children's, Comedy",
        "Jacki\u00e9 Brown (1997). Crime, Drama",
        "unknown",
    ],
    "1m": [
        "James and the Giant Peach (1996). Animation, Children's, Musical",
        "One Flew Over the Cuckoo's Nest (1975). Drama",
        "Airplane! (1980). Comedy",
        "Cit\u00e9 des enfants perdus, La (1995). Adventure, Sci-Fi",
        "Grumpier Old Men (1995). Comedy, Romance",
    ],
    "latest": [
        "Toy Story (1995). Adventure, Animation, Children",
        "Grumpier Old Men (1995). Comedy, Romance",
        "American President, The (1995). Comedy, Drama",
        "Heat (1995). Action, Crime",
        "Pather Panchali (1955)",
    ],
}
LOGS = {
    "100k": [
        ("196", "302", 880606923, 2.0),
        ("196", "242", 881250949, 3.0),
        ("186", "302", 891717742, 3.0),
        ("22", "377", 878887116, 1.0),
        ("166", "346", 886397596, 1.0),
    ],
    "1m": [
        ("1", "1193", 978300760, 5.0),
        ("1", "661", 978302109, 3.0),
        ("2", "1193", 978298413, 4.0),
        ("2", "2791", 978299000, 3.0),
        ("3", "661", 978301968, 5.0),
    ],
    "latest": [
        ("1", "3", 964981247, 4.5),
        ("1", "1", 964982703, 4.0),
        ("2", "1", 1445714835, 4.0),
        ("2", "6", 1445714885, 0.5),
        ("3", "6", 1306463578, 4.0),
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_becomes_a_catalogue_and_a_log(tmp_path: Path, layout: str) -> None:
    """Titles with genres, accents of ISO 8859-1 too; ratings by user and time; what was read in words."""
    found = read_movielens(_folder(tmp_path / "set", **LAYOUTS[layout]))
    assert found.items["text"].to_pylist() == TEXTS[layout]
    rows = [found.log[name].to_pylist() for name in ("user", "item", "timestamp", "rating")]
    assert list(zip(*rows, strict=True)) == LOGS[layout]
    assert found.lines[0].endswith(": 5 films")
    assert "5 ratings by" in found.lines[1]
    assert "this set has 5" in str(too_few(found))


def test_utf_8_is_read_where_it_is_written(tmp_path: Path) -> None:
    """The 10M set has UTF-8: its accents are not taken for two letters each. Lines may end in CR LF."""
    films = MOVIES_DAT.replace("\n", "\r\n").encode("utf-8")
    found = read_movielens(_folder(tmp_path / "set", ratings_dat=RATINGS_DAT, movies_dat=films))
    assert found.items["text"].to_pylist() == TEXTS["1m"]


DAMAGED: list[tuple[dict[str, str | bytes], str]] = [
    (
        {"ratings_dat": RATINGS_DAT, "movies_dat": MOVIES_DAT.replace("Giant ", "Giant :: ")},
        r"movies.dat'\) must have 3 fields in each line, separated by '::' \(line 1 has 4\)",
    ),
    (
        {"ratings_dat": RATINGS_DAT.replace("1::661::3::978302109", "1::661::3"), "movies_dat": MOVIES_DAT},
        r"ratings.dat'\) must have 4 fields in each line, separated by '::' \(line 2 has 3\)",
    ),
    (
        {"u_data": U_DATA.replace("\t", " "), "u_item": U_ITEM},
        r"u.data'\) must have 4 fields in each line, separated by a tab \(line 1 has 1\)",
    ),
    (
        {"u_data": U_DATA, "u_item": U_ITEM.replace("Kolya", "Kolya | two")},
        r"u.item'\) must have 24 fields in each line, separated by '\|' \(line 1 has 25\)",
    ),
    (
        {"u_data": U_DATA, "u_item": U_ITEM.replace("|0|1|0", "|0|2|0", 1)},
        r"u.item row 1, Comedy\(='2'\) must be 0 or 1",
    ),
    (
        {"ratings_dat": RATINGS_DAT.replace("::2791::", "::9999::"), "movies_dat": MOVIES_DAT},
        r"ratings.dat row 4, movieId\(='9999'\) must be a film of movies.dat \(1 of 5 rows are of none\)",
    ),
    (
        {"ratings_dat": RATINGS_DAT.replace("::4::", "::good::"), "movies_dat": MOVIES_DAT},
        r"ratings.dat row 3, rating\(='good'\) must be a number",
    ),
    (
        {"ratings_dat": RATINGS_DAT.replace("978298413", "9"), "movies_dat": MOVIES_DAT},
        r"ratings.dat row 3, timestamp\(='9'\) must be Unix seconds from 1990",
    ),
    (
        {"ratings_dat": RATINGS_DAT, "movies_dat": MOVIES_DAT.replace("2791::", "1193::")},
        r"movies.dat row 3, movieId\(='1193'\) must be an id, each once",
    ),
    (
        {"ratings_dat": RATINGS_DAT, "movies_dat": MOVIES_DAT.replace("Airplane! (1980)", " ")},
        r"movies.dat row 3, title\(=' '\) must not be empty",
    ),
    ({"ratings_dat": b"", "movies_dat": MOVIES_DAT}, r"ratings.dat'\) must not be empty"),
    ({"ratings_dat": b"1::2\0", "movies_dat": MOVIES_DAT}, r"hold no NUL \(line 1 has one\)"),
    ({"ratings_dat": RATINGS_DAT}, r"hold ratings.dat and movies.dat \(has no movies.dat\)"),
    (
        {"ratings_csv": RATINGS_CSV.replace("rating,", "stars,"), "movies_csv": MOVIES_CSV},
        "must have a column 'rating'",
    ),
    (LAYOUTS["100k"] | LAYOUTS["1m"], r"must hold one set \(has u.data and ratings.dat\)"),
]


@pytest.mark.parametrize(("files", "message"), DAMAGED, ids=[message[-40:] for _, message in DAMAGED])
def test_damage_is_one_line(tmp_path: Path, files: dict[str, str | bytes], message: str) -> None:
    """Fields too many or too few, unknown films, values that are none, files that are missing or two sets."""
    with pytest.raises(FedbertError, match=message) as caught:
        read_movielens(_folder(tmp_path / "set", **files))
    assert "\n" not in str(caught.value)


def test_what_is_no_folder_says_what_to_do(tmp_path: Path) -> None:
    """An archive is to be unpacked; an empty folder, one with the archive and one with the folder say so."""
    archive = tmp_path / "ml-1m.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(FedbertError, match=r"must be a folder, not a file; unpack it first"):
        read_movielens(archive)
    with pytest.raises(FedbertError, match=r"unpack 'ml-1m.zip' first"):
        read_movielens(tmp_path)
    with pytest.raises(FedbertError, match=r"must hold u.data and u.item, or .*; it is empty"):
        read_movielens(_folder(tmp_path / "empty"))
    with pytest.raises(FedbertError, match=r"must be a folder; check the path"):
        read_movielens(tmp_path / "none")
    archive.unlink()
    _folder(tmp_path / "ml-1m", **LAYOUTS["1m"])
    with pytest.raises(FedbertError, match=r"its folder 'ml-1m' does: name that one"):
        read_movielens(tmp_path)


def test_public_users_make_the_popularity(tmp_path: Path) -> None:
    """Users are public by their id alone: their choices before the last fifth count, and they are left out.

    Of the five ratings by time the first four count.
    """
    found = read_movielens(_folder(tmp_path / "set", **LAYOUTS["1m"]))
    shares = with_public_users(found, 0.5)
    public = set(found.log["user"].to_pylist()) - set(shares.log["user"].to_pylist())
    assert 0 < len(public) < 3
    before_last = sorted(LOGS["1m"], key=lambda row: row[2])[:4]
    counted = [film for user, film, _, _ in before_last if user in public]
    assert dict(
        zip(found.items["item"].to_pylist(), shares.items["popularity"].to_pylist(), strict=True)
    ) == {film: counted.count(film) + PRIOR for film in ("661", "1193", "2791", "2762", "3")}
    assert f"{len(public)} of 3 users are public" in shares.lines[-1]
    assert with_public_users(found, 0.0) is found
    with pytest.raises(FedbertError, match=r"public_users\(=1e-09\) must leave users on both sides"):
        with_public_users(found, 1e-9)


def test_the_files_hold_what_was_read(tmp_path: Path) -> None:
    """items.csv quotes what needs it; interactions.parquet has the log as it is."""
    found = read_movielens(_folder(tmp_path / "set", **LAYOUTS["latest"]))
    files = contents(found)
    assert files["items.csv"].decode().splitlines()[:4] == [
        "item,text",
        '1,"Toy Story (1995). Adventure, Animation, Children"',
        '3,"Grumpier Old Men (1995). Comedy, Romance"',
        '6,"American President, The (1995). Comedy, Drama"',
    ]
    path = tmp_path / "log.parquet"
    path.write_bytes(files["interactions.parquet"])
    assert pq.read_table(path).to_pylist() == found.log.to_pylist()


TITLES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters=":|\ufeff"),
    min_size=1,
    max_size=20,
).filter(lambda text: bool(text.strip()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    titles=st.lists(
        st.tuples(TITLES, st.lists(st.sampled_from(GENRES[1:]), max_size=3)), min_size=1, max_size=5
    ),
    data=st.data(),
)
def test_any_titles_and_ratings_come_back(
    tmp_path: Path, titles: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    """Whatever titles, genres and ratings are written in the layout of the 1M set are read, none lost."""
    times = st.integers(700_000_000, 1_700_000_000)
    row = st.tuples(st.integers(1, 4), st.integers(1, len(titles)), st.integers(1, 5), times)
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    films = "".join(f"{n}::{title}::{'|'.join(own)}\n" for n, (title, own) in enumerate(titles, 1))
    ratings = "".join("::".join(map(str, one)) + "\n" for one in rows)
    found = read_movielens(_folder(tmp_path / "set", ratings_dat=ratings, movies_dat=films.encode()))
    for (title, own), text in zip(titles, found.items["text"].to_pylist(), strict=True):
        assert text == " ".join(title.split()) + (f". {', '.join(own)}" if own else "")
    columns = [found.log[name].to_pylist() for name in ("user", "item", "rating", "timestamp")]
    read = [
        (int(user), int(film), int(stars), time) for user, film, stars, time in zip(*columns, strict=True)
    ]
    assert sorted(read) == sorted(rows)
