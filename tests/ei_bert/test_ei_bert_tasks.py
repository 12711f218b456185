"""Reading classification sets: what is understood, and one clear line for what is not."""

from pathlib import Path

import pandas as pd
import pytest

from fedbert.ei_bert.teaching.splits import evidence_lines, held_out, leaked
from fedbert.ei_bert.teaching.tasks import load_task, load_tasks
from fedbert.errors import FedbertError
from fedbert.paths import data_folder

ROWS = [(f"text {index} of {label}", label) for label in ("b", "a") for index in range(5)]


def _write(path: Path, rows: list[tuple[str, ...]], columns: list[str]) -> Path:
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def test_without_splits_every_fifth_text_of_a_label_is_test(tmp_path: Path) -> None:
    """Labels are sorted; of five texts a label has, the fifth is held out."""
    task = load_task(_write(tmp_path / "set.csv", ROWS, ["text", "label"]))
    assert (task.name, task.labels) == ("set", ("a", "b"))
    assert task.test.texts == ("text 4 of b", "text 4 of a")
    assert task.test.labels.tolist() == [1, 0]
    assert (len(task.train), len(task.validation)) == (8, 0)


def test_equal_texts_stay_on_one_side(tmp_path: Path) -> None:
    """Without a split column a text of the same words goes where its equal went, so nothing leaks."""
    rows = [(f"{text}{mark}", label) for text, label in ROWS for mark in ("", "!", " ")]
    task = load_task(_write(tmp_path / "set.csv", rows, ["text", "label"]))
    assert (len(task.train), len(task.test)) == (24, 6)
    assert leaked(task.train.texts, task.test.texts) == 0
    assert held_out(["a", "b", "c", "d", "e", "A.", "E?"], ["x"] * 6 + ["y"]) == [
        *["train"] * 4,
        "test",
        "train",
        "test",
    ]


def test_test_texts_in_train_are_counted() -> None:
    """Case, punctuation and spaces make no other text; accents, words and signs alone do."""
    train = ["What's my balance?", "caf\u00e9", "??", "\u0915\u093f"]
    test = ["whats MY  balance", "cafe", "!!", "\u0915\u0940", "Caf\u00c9.", "balance"]
    assert leaked(train, test) == 2
    assert evidence_lines("set", train, test)[0].startswith("set: 2 of 6 test texts are also in train")
    assert evidence_lines("set", train, ["other"]) == []
    assert evidence_lines("set", train, ["one", "One.", "two"]) == [
        "set: 1 of 3 test texts are duplicates (same words), so accuracy rests on 2"
    ]


def test_the_shipped_sets_leaks_are_known() -> None:
    """Of the test texts that the shipped students are scored on, so many are in train."""
    tasks = load_tasks([data_folder() / "intents"])
    counts = {task.name: leaked(task.train.texts, task.test.texts) for task in tasks}
    assert counts == {"banking77": 26, "clinc150": 26, "hwu64": 4}


def test_splits_are_read_by_their_usual_names(tmp_path: Path) -> None:
    """`val`, `valid` and `dev` are validation; CSV and Parquet give the same task but for the file's hash."""
    rows = [
        (f"{label} {split}", label, split)
        for label in "ab"
        for split in ("train", "val", "dev", "test", "test")
    ]
    columns = ["text", "label", "split"]
    one = load_task(_write(tmp_path / "set.csv", rows, columns))
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "set.parquet")
    two = load_task(tmp_path / "set.parquet")
    assert (len(one.train), len(one.validation), len(one.test)) == (2, 4, 4)
    assert one.validation.texts == two.validation.texts
    assert one.sha256 != two.sha256


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    """Each file is a task by the name of its file; other files are passed over."""
    for name in ("one", "two"):
        _write(tmp_path / f"{name}.csv", ROWS, ["text", "label"])
    (tmp_path / "LICENSE.txt").write_text("free")
    assert [task.name for task in load_tasks([tmp_path])] == ["one", "two"]


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (ROWS, ["text", "kind"], "must have a column 'label' (has: text, kind; separated by commas)"),
        (
            [*ROWS, ("", "a")],
            ["text", "label"],
            "set.csv row 11, text(='') must not be empty (1 of",
        ),
        ([*ROWS, ("x", " ")], ["text", "label"], "set.csv row 11, label(='') must not be empty"),
        (ROWS[:5], ["text", "label"], "at least 2 classes (has 1)"),
        ([*ROWS, ("x", "c")], ["text", "label"], "have a text of label 'c' in split test"),
        (
            [(*row, "train") for row in ROWS],
            ["text", "label", "split"],
            "label 'a' in split test",
        ),
        (
            [(*row, "trial") for row in ROWS],
            ["text", "label", "split"],
            "row 1, split(='trial') must be train",
        ),
    ],
)
def test_a_set_that_cannot_be_used_is_one_line(
    tmp_path: Path, rows: list[tuple[str, ...]], columns: list[str], words: str
) -> None:
    """The line names the file and what is wrong with it."""
    path = _write(tmp_path / "set.csv", rows, columns)
    with pytest.raises(FedbertError) as caught:
        load_task(path)
    assert words in str(caught.value)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_encoding_is_one_line(tmp_path: Path) -> None:
    """Latin-1 bytes are named by their line."""
    path = tmp_path / "set.csv"
    path.write_bytes("text,label\ncafé,a\nthé,b\n".encode("latin-1"))
    with pytest.raises(FedbertError, match=r"must be UTF-8 text \(line 2 is not\); save it"):
        load_task(path)


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    """A missing file, another kind of file, an empty folder, a broken Parquet file, two files of one name."""
    (tmp_path / "set.parquet").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    for name in ("none.csv", "set.json", "set.parquet", "empty"):
        with pytest.raises(FedbertError, match=name):
            load_tasks([tmp_path / name])
    (tmp_path / "set.parquet").unlink()
    same = [_write(folder / "set.csv", ROWS, ["text", "label"]) for folder in (tmp_path, tmp_path / "empty")]
    with pytest.raises(FedbertError, match="two files are named set"):
        load_tasks(same)


def test_a_spreadsheet_s_set_is_read(tmp_path: Path) -> None:
    """Tabs, carriage returns, a .TSV, and a column that nothing uses, which is named; a folder has it too."""
    lines = ["text\tlabel\tnote", *(f"{text}\t{label}\tx" for text, label in ROWS)]
    (tmp_path / "set.TSV").write_bytes("\r".join(lines).encode())
    (task,) = load_tasks([tmp_path])
    assert (len(task.train), len(task.test)) == (8, 2)
    assert task.read is not None
    assert task.read.line() == "set.TSV: 10 rows separated by tabs; not used: column note"


def test_labels_and_texts_are_not_made_up(tmp_path: Path) -> None:
    """Whole numbers are labels by their digits; numbers are no texts, a missing label is refused by row."""
    good = {"text": [text for text, _ in ROWS], "label": [label == "a" for _, label in ROWS]}
    pd.DataFrame(good | {"label": [int(one) for one in good["label"]]}).to_parquet(tmp_path / "n.parquet")
    assert load_task(tmp_path / "n.parquet").labels == ("0", "1")
    for column, values, message in (
        ("text", list(range(10)), "must have text in column 'text' (has int64)"),
        ("label", [None, *["a", "b"] * 4, "a"], "row 1, label(='') must not be empty"),
        ("label", good["label"], "must have ids in column 'label' (has bool)"),
    ):
        pd.DataFrame(good | {column: values}).to_parquet(tmp_path / "t.parquet")
        with pytest.raises(FedbertError) as caught:
            load_task(tmp_path / "t.parquet")
        assert message in str(caught.value)
