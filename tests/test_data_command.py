"""``fedbert data``: published sets become a world that a run reads; a check says what a run would read."""

import json
from pathlib import Path

import pytest

from fedbert.cli.main import call
from fedbert.paths import profiles_folder

START_S = 978_300_760


def _movielens(folder: Path) -> Path:
    """Write forty films and thirty users with twelve ratings each, a day apart, and return the folder."""
    folder.mkdir()
    kinds = ("Quiet", "Stormy", "Golden", "Silent", "Broken")
    places = ("River", "Harbour", "Mountain", "Garden", "City", "Desert", "Forest", "Island")
    names = [f"{kind} {place} ({1980 + n})" for n, kind in enumerate(kinds) for place in places]
    films = [f"{n}::{name}::Comedy|Drama" for n, name in enumerate(names, 1)]
    ratings = [
        f"{user}::{(7 * user + 3 * day) % 40 + 1}::{day % 5 + 1}::{START_S + 86_400 * day + user}"
        for user in range(1, 31)
        for day in range(12)
    ]
    (folder / "movies.dat").write_text("\n".join(films) + "\n", encoding="latin-1")
    (folder / "ratings.dat").write_text("\n".join(ratings) + "\n", encoding="latin-1")
    return folder


def _mind(folder: Path) -> Path:
    """Write fifty news and twenty users with six impressions each of 25 news, and return the folder."""
    folder.mkdir()
    news = [f"N{n}\tnews\tsub\tStory number {n} about town {n % 7}\t\t\t[]\t[]" for n in range(50)]
    lines = []
    for user in range(20):
        history = " ".join(f"N{(user + k) % 50}" for k in range(3))
        for day in range(6):
            chosen = (3 * user + 5 * day) % 50
            shown = " ".join(f"N{(chosen + k) % 50}-0" for k in range(1, 25))
            time = f"11/{9 + day}/2019 {1 + user % 12}:{user:02d}:22 AM"
            lines.append(f"{len(lines) + 1}\tU{user}\t{time}\t{history}\tN{chosen}-1 {shown}")
    (folder / "news.tsv").write_text("\n".join(news) + "\n", encoding="utf-8")
    (folder / "behaviors.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _run(world: Path, output: Path) -> int:
    files = ["--items", str(world / "items.csv"), "--interactions", str(world / "interactions.parquet")]
    small = "--devices 40 --rounds 1 --availability always --min-reports 1 --sessions-per-day 30 --model tiny"
    small += " --epsilon none --no-pooled-bound --update-steps 1 --verify-masks 2"
    return call("run", ["--world", "interactions", *files, *small.split(), "--output", str(output)])


def test_impressions_come_to_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From MIND's files to a finished run, which says of the lists what `data check` said before it."""
    world = tmp_path / "world"
    assert call("data", ["mind", str(_mind(tmp_path / "train")), "--output", str(world)]) == 0
    said = capfd.readouterr().out
    assert "behaviors.tsv: 120 impressions of 20 users, from 2019-11-09 to 2019-11-14" in said
    assert "next: fedbert run --world interactions --items" in said
    assert sorted(path.name for path in world.iterdir()) == ["interactions.parquet", "items.csv"]
    files = [str(world / "interactions.parquet"), str(world / "items.csv")]
    assert call("data", ["check", *files]) == 0
    checked = capfd.readouterr().out.splitlines()
    assert "120 rows have a list in column candidates, of 25 items (median)" in "\n".join(checked)
    assert _run(world, tmp_path / "run") == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert [line for line in checked if line not in printed] == []
    read = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["world"]["read"]
    assert read["shown"] == {
        "rows": 120,
        "history_rows": 60,
        "median_items": 25.0,
        "rows_filled": 0,
        "filled_share": 0.0,
    }
    assert "shown: filled share" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_ratings_become_a_world_with_a_popularity(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Public users are out of the log, and the catalogue has their counts; the check reads both files."""
    folder, world = _movielens(tmp_path / "ml-1m"), tmp_path / "world"
    flags = ["--output", str(world), "--public-users", "0.3"]
    assert call("data", ["movielens", str(folder), *flags]) == 0
    assert "of 30 users are public" in capfd.readouterr().out
    assert (world / "items.csv").read_text("utf-8").startswith("item,text,popularity\n1,")
    files = [str(world / name) for name in ("items.csv", "interactions.parquet")]
    assert call("data", ["check", *files, "--min-rating", "3", "--split", "own-time"]) == 0
    said = capfd.readouterr().out
    assert "items.csv: 40 rows\n" in said
    assert "rated lower than --min-rating" in said
    assert "each user's own rows are cut" in said


def test_a_world_is_replaced_only_when_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A filled folder is refused; --overwrite replaces both files; a set that is refused leaves them."""
    folder, world = _movielens(tmp_path / "ml-1m"), tmp_path / "world"
    words = ["movielens", str(folder), "--output", str(world)]
    assert call("data", words) == 0
    before = {path.name: path.read_bytes() for path in world.iterdir()}
    assert call("data", words) == 2
    assert "must be empty or not exist; add --overwrite" in capfd.readouterr().err
    (folder / "ratings.dat").write_text("1::99::5::978300760\n")
    assert call("data", [*words, "--overwrite"]) == 2
    assert {path.name: path.read_bytes() for path in world.iterdir()} == before
    (folder / "ratings.dat").write_text("1::9::5::978300760\n")
    assert call("data", [*words, "--overwrite"]) == 0
    assert (world / "interactions.parquet").read_bytes() != before["interactions.parquet"]
    (world / "notes.txt").write_text("mine")
    assert call("data", [*words, "--overwrite"]) == 2
    assert "which this command did not write" in capfd.readouterr().err


def test_a_refused_set_makes_no_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is left where nothing was."""
    assert call("data", ["mind", str(tmp_path / "none"), "--output", str(tmp_path / "a" / "world")]) == 2
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("share", ["1", "-0.1", "nan", "2"])
def test_a_share_of_all_users_is_refused(
    tmp_path: Path, share: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Phones need users: the share of public ones is from 0 to less than 1."""
    folder = _movielens(tmp_path / "ml-1m")
    flags = ["--output", str(tmp_path / "world"), "--public-users", share]
    assert call("data", ["movielens", str(folder), *flags]) == 2
    assert "must be from 0 to less than 1" in capfd.readouterr().err
    assert not (tmp_path / "world").exists()


def _written(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_each_kind_of_file_is_known_by_its_columns(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A catalogue alone, a trace, texts, a profile, a folder of profiles: each with what is read of it."""
    items = _written(tmp_path / "a.tsv", "item\ttext\tcolour", *(f"{n}\tdish {n}\tred" for n in range(25)))
    trace = _written(tmp_path / "b.csv", "device_id,start,end,state", "p1,0,8,idle", "p1,8,9,in_use")
    texts = [f"text {n} of {label},{label}" for label in ("x", "y") for n in range(20)]
    labelled = _written(tmp_path / "c.csv", "text,label", *texts)
    profile = sorted(path for path in profiles_folder().glob("*.toml") if path.name != "links.toml")[0]
    assert call("data", ["check", items, trace, labelled, str(profile), str(profiles_folder())]) == 0
    said = capfd.readouterr().out
    assert "a.tsv: 25 rows separated by tabs; not used: column colour; no popularity given" in said
    assert "b.csv: 2 rows; 1 phone over 1 day" in said
    assert "c.csv: 40 rows; 2 labels, texts: " in said
    assert f"{profile.name}: profile of " in said
    assert "all profiles, links and fleets are good" in said


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"log.csv": "user,item,timestamp\nu,1,978300760"}, "must come with its catalogue"),
        (
            {"a.csv": "item,name\n1,a"},
            r"must have the columns user,item,timestamp of a log, or item,text of a",
        ),
        (
            {"a.csv": "item,text,label\n1,a,b"},
            "must be one thing (its columns are those of a catalogue and of",
        ),
        ({"a.csv": "item,text\n1,a", "b.csv": "item,text\n1,a"}, "must be the only file that is a catalogue"),
        ({"a.csv": "item,text\n1,a"}, "must have at least 21 items (has 1)"),
        (
            {"a.csv": "device_id,start,end,state\np,0,8,asleep"},
            "a.csv row 1, state(='asleep') must be one of",
        ),
        ({"a.csv": "text,label\na,x"}, "must have labels of at least 2 classes"),
        ({"a.csv": 'item,text\n1,"a'}, "must close the quote that opens in row 1"),
        ({"a.csv": ""}, "must not be empty"),
        ({"a.txt": "item,text"}, "must end in .csv, .tsv or .parquet"),
        ({"a.parquet": "item,text"}, "must be a readable table"),
        ({"a.toml": "name = 3"}, "a.toml: "),
    ],
)
def test_what_a_run_would_refuse_is_one_line(
    tmp_path: Path, files: dict[str, str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the line of the reader that a run uses."""
    paths = [
        _written(tmp_path / name, text) if text else str(tmp_path / name) for name, text in files.items()
    ]
    for path in paths:
        Path(path).touch()
    assert call("data", ["check", *paths]) == 2
    said = capfd.readouterr().err
    assert message in said
    assert said.count("\n") == 1
