"""MIND's files as they are published: impressions become rows with candidates, damage is one line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedbert.errors import FedbertError
from fedbert.recommendation.published.mind import read_mind

NEWS = """N55528\tlifestyle\troyals\tThe Brands Queen "Elizabeth Swears By\tShop the\thttps://a/1\t[]\t[]
N19639\thealth\tweightloss\t50 Worst Habits\tThese\thttps://a/2\t[{"Label": "Fat"}]\t[]
N61837\tnews\tnewsworld\tThe Cost of Trump's Aid Freeze\tLt. Ivan\thttps://a/3\t[]\t[]
N53526\thealth\tvoices\tI Was An NBA Wife\t\thttps://a/4\t[]\t[]
N38324\thealth\tmedical\tHow to Get Rid of Skin Tags\tThey seem\thttps://a/5\t[]\t[]
"""
BEHAVIORS = """1\tU13740\t11/11/2019 9:05:58 AM\tN55528 N19639\tN61837-1 N53526-0 N38324-0
2\tU91836\t11/12/2019 6:11:30 PM\tN61837\tN55528-0 N19639-1 N53526-0 N38324-1
3\tU73700\t11/14/2019 12:01:09 AM\t\tN38324-0 N19639-1
4\tU13740\t11/11/2019 12:05:00 PM\tN55528 N19639 N61837\tN38324-1 N55528-0
5\tU34670\t11/11/2019 5:28:05 AM\tN53526\tN61837-0 N55528-0
"""
BEGINS = 1_573_450_085
"""11 November 2019, 5:28:05 UTC: the first impression of all."""


def _folder(path: Path, behaviors: str = BEHAVIORS, news: str = NEWS) -> Path:
    path.mkdir(exist_ok=True)
    (path / "news.tsv").write_bytes(news.encode())
    (path / "behaviors.tsv").write_bytes(behaviors.encode())
    return path


def _rows(*folders: Path) -> list[tuple[Any, ...]]:
    log = read_mind(folders).log
    return list(zip(*(log[name].to_pylist() for name in log.column_names), strict=True))


def test_impressions_become_rows_with_candidates(tmp_path: Path) -> None:
    """A row a click, with what was shown and not the other click; the first history before, a second apart.

    U73700 has no history, U34670 no click: it is left out. Quotes are letters of a title.
    """
    folder = _folder(tmp_path / "train")
    assert _rows(folder) == [
        ("U13740", "N55528", BEGINS - 2, ""),
        ("U13740", "N19639", BEGINS - 1, ""),
        ("U13740", "N61837", 1_573_463_158, "N61837 N53526 N38324"),
        ("U13740", "N38324", 1_573_473_900, "N38324 N55528"),
        ("U91836", "N61837", BEGINS - 1, ""),
        ("U91836", "N19639", 1_573_582_290, "N19639 N55528 N53526"),
        ("U91836", "N38324", 1_573_582_290, "N38324 N55528 N53526"),
        ("U73700", "N19639", 1_573_689_669, "N19639 N38324"),
    ]
    found = read_mind([folder])
    assert found.items["text"].to_pylist()[0] == 'The Brands Queen "Elizabeth Swears By'
    assert found.lines == (
        "news.tsv: 5 news",
        "behaviors.tsv: 5 impressions of 4 users, from 2019-11-11 to 2019-11-14",
        "5 clicks are rows with candidates; 3 rows are history, dated before the first impression; "
        "1 of 3 users have none",
        "1 impressions have several clicks: a row each, without the others",
        "left out: 1 impressions without a click, 1 users without any",
    )


def test_train_and_dev_are_one_log(tmp_path: Path) -> None:
    """A user of both parts keeps the history of the earlier; news of both are one catalogue, each once."""
    more = NEWS.splitlines(keepends=True)[0] + "N7\tnews\tworld\tA seventh\t\t\t[]\t[]\n"
    dev = "1\tU13740\t11/15/2019 8:55:22 AM\tN55528 N7\tN7-1 N55528-0\n"
    dev += "2\tU5\t11/15/2019 8:00:00 AM\tN7\tN55528-1 N7-0\n"
    folders = _folder(tmp_path / "train"), _folder(tmp_path / "dev", dev, more)
    rows = _rows(*folders)
    assert [row[1] for row in rows if row[0] == "U13740"] == ["N55528", "N19639", "N61837", "N38324", "N7"]
    assert [row for row in rows if row[0] == "U5"] == [
        ("U5", "N7", BEGINS - 1, ""),
        ("U5", "N55528", 1_573_804_800, "N55528 N7"),
    ]
    assert read_mind(folders).items["item"].to_pylist() == [
        *(line.split("\t")[0] for line in NEWS.splitlines()),
        "N7",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tN55528 N19639\t", "\t", r"behaviors.tsv'\) must have 5 fields .* a tab \(line 1 has 4\)"),
        ("N53526-0 N38324-1", "N9-0 N38324-1", r"row 2, impressions\(='N9'\) must be a news id of news.tsv"),
        ("\tN53526\tN61837-0", "\tN9\tN61837-1", r"row 5, history\(='N9'\) must be a news id of news.tsv"),
        ("N61837-1", "N61837", r"row 1, impressions\(='N61837'\) must end in -1 .*give train or dev"),
        ("N61837-1", "N61837-2", r"impressions\(='N61837-2'\) must end in -1"),
        ("9:05:58 AM", "9:05:58", r"row 1, time\(='11/11/2019 9:05:58'\) must be a time such as 11/15/2019"),
        ("11/11/2019 9:05:58 AM", "2019-11-11T09:05:58", r"row 1, time.* must be a time such as"),
        ("11/11/2019 9:05:58 AM", "31/11/2019 9:05:58 AM", r"row 1, time.* must be a time such as"),
        ("U91836", " ", r"row 2, user id\(=''\) must name a user"),
    ],
)
def test_damaged_behaviors_are_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Fields too few, news that is unknown, words without a mark, times in another form, no user."""
    assert old in BEHAVIORS
    with pytest.raises(FedbertError, match=message) as caught:
        read_mind([_folder(tmp_path / "train", BEHAVIORS.replace(old, new, 1))])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\t[]\t[]\n", "\t[]\n", r"news.tsv'\) must have 8 fields in each line, .*\(line 1 has 7\)"),
        ("I Was An NBA Wife", " ", r"news.tsv row 4, title\(=' '\) must not be empty"),
        ("N19639", "N55528", r"news.tsv row 2, news id\(='N55528'\) must be an id, each once in a file"),
        ("N19639", "N 9", r"news.tsv row 2, news id\(='N 9'\) must be an id"),
    ],
)
def test_damaged_news_are_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Fields too few, no title, an id twice, an id that candidates could not hold."""
    with pytest.raises(FedbertError, match=message):
        read_mind([_folder(tmp_path / "train", BEHAVIORS, NEWS.replace(old, new, 1))])


def test_a_set_without_clicks_and_a_part_named_twice_are_refused(tmp_path: Path) -> None:
    """Nothing can be ranked without a click; a part that is read twice would double every row."""
    folder = _folder(tmp_path / "train", BEHAVIORS.replace("-1", "-0"))
    with pytest.raises(FedbertError, match=r"must hold an impression with a click; give train or dev"):
        read_mind([folder])
    with pytest.raises(FedbertError, match=r"must be named once"):
        read_mind([folder, tmp_path / "train" / ".." / "train"])
    with pytest.raises(FedbertError, match=r"must hold behaviors.tsv and news.tsv; it is empty"):
        (tmp_path / "empty").mkdir()
        read_mind([tmp_path / "empty"])


def test_parts_of_two_sets_are_refused(tmp_path: Path) -> None:
    """One id with two titles is not one catalogue."""
    other = _folder(tmp_path / "dev", news=NEWS.replace("50 Worst Habits", "Another title"))
    with pytest.raises(FedbertError, match=r"title\(='Another title'\) must be the same in each folder"):
        read_mind([_folder(tmp_path / "train"), other])


IMPRESSION = st.tuples(
    st.integers(0, 3),
    st.integers(0, 59),
    st.lists(st.integers(0, 9), max_size=4),
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=8, unique_by=lambda pair: pair[0]),
)
"""User, minute of 11 November 2019, history, and news shown with whether it was chosen."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(IMPRESSION, min_size=1, max_size=8))
def test_no_click_is_lost(
    tmp_path: Path, rows: list[tuple[int, int, list[int], list[tuple[int, bool]]]]
) -> None:
    """A plain loop over any impressions gives the rows that the reader gives; without a click it refuses."""
    lines = []
    for number, (user, minute, history, shown) in enumerate(rows, 1):
        words = " ".join(f"N{news}-{int(chosen)}" for news, chosen in shown)
        memory = " ".join(f"N{news}" for news in history)
        lines.append(f"{number}\tU{user}\t11/11/2019 8:{minute:02d}:00 AM\t{memory}\t{words}\n")
    news = "".join(f"N{number}\ta\tb\tTitle {number}\t\t\t[]\t[]\n" for number in range(10))
    folder = _folder(tmp_path / "set", "".join(lines), news)
    expected = []
    first_s = min(minute for _, minute, _, _ in rows) * 60 + 1_573_459_200
    for user in dict.fromkeys(user for user, _, _, _ in rows):
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[1])
        if not any(chosen for row in own for _, chosen in row[3]):
            continue
        memory = own[0][2]
        expected += [(f"U{user}", f"N{item}", first_s - len(memory) + k, "") for k, item in enumerate(memory)]
        for _, minute, _, shown in own:
            rest = [f"N{item}" for item, chosen in shown if not chosen]
            expected += [
                (f"U{user}", f"N{item}", 1_573_459_200 + 60 * minute, " ".join([f"N{item}", *rest]))
                for item, chosen in shown
                if chosen
            ]
    if not expected:
        with pytest.raises(FedbertError, match="must hold an impression with a click"):
            read_mind([folder])
    else:
        assert _rows(folder) == expected
