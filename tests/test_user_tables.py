"""A user's own tables: each way to separate, end and quote rows is read whole, or refused with its row."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedbert.errors import FedbertError
from fedbert.user_tables import UserTable, read_table

ROWS = [("a", "one, two"), ("b", "three")]


def _read(path: Path, content: str | bytes, *optional: str) -> UserTable:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table("items", path, ("item", "text"), optional)


def _rows(table: UserTable) -> list[tuple[str, str]]:
    return list(zip(table.ids("item").values.to_pylist(), table.text("text").to_pylist(), strict=True))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("separator", "name"), [(",", "comma"), ("\t", "tab"), (";", "semicolon")])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_marks_are_recognised(
    tmp_path: Path, end: str, separator: str, name: str, mark: str
) -> None:
    """Two rows come back alike however they are separated and ended, with and without a byte-order mark."""
    lines = [["item", "text"], ["a", '"one, two"'], ["b", "three"]]
    content = mark + end.join(separator.join(line) for line in lines) + end
    table = _read(tmp_path / "t.csv", content)
    assert _rows(table) == ROWS
    assert (table.facts.rows, table.facts.separator) == (2, name)


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.tsv", "t.TSV", "t.Parquet", "t.PARQUET"])
def test_endings_in_letters_of_any_size(tmp_path: Path, name: str) -> None:
    """.csv, .tsv and .parquet are taken in capitals too."""
    if name.lower().endswith("parquet"):
        pd.DataFrame(ROWS, columns=["item", "text"]).to_parquet(tmp_path / name)
        assert _rows(read_table("items", tmp_path / name, ("item", "text"))) == ROWS
    else:
        assert _rows(_read(tmp_path / name, 'item,text\na,"one, two"\nb,three\n')) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('item,text\na,one\nb,"two\nc,three\n', "close the quote that opens in row 2"),
        ('item,text\na,"one" more\nb,two\n', "line end after a closing quote (row 1 has not)"),
        ('item,text,x\na,one,1\nb,"two,1\nc,three,1\nd,four",1\n', "(row 2 takes in 2 more)"),
        ("item,text\na,one\nb,two,three\n", "row 2 has 3); quote fields that hold a comma"),
        ("item,text\na,one\nb\n", "row 2 has 1)"),
        ("item;text\na;one\nb;two;three\n", "row 2 has 3); quote fields that hold a semicolon"),
        ("item|text\na|one\n", "its header is 'item|text', without a comma, tab or semicolon"),
        ("item,text,item\na,one,b\n", "have one column 'item', not several"),
        ("item,text\n", "have at least one row"),
        ("\n \n", "not be empty"),
        ("item,text\na,one\0\n", "hold no NUL (line 2 has one)"),
        ('"item,text\na,one\n', "have a header in its first line, with quotes that close"),
        (f"item,text\na,one\nb,{'x' * 200_000}\n", "letters (row 2 has a longer one)"),
        (b"item,text\na,one\rb,caf\xe9\n", "be UTF-8 text (line 3 is not)"),
    ],
)
def test_what_is_no_table_is_refused_with_its_row(tmp_path: Path, content: str | bytes, message: str) -> None:
    """A quote that does not close, a row of another length, a missing separator: one line, with the row."""
    with pytest.raises(FedbertError) as caught:
        _read(tmp_path / "t.csv", content)
    assert message in str(caught.value)
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spreadsheet_s_hint_is_no_header(tmp_path: Path) -> None:
    """A first line `sep=;` names the separator; the header is below it."""
    assert _rows(_read(tmp_path / "t.csv", "sep=;\r\nitem;text\r\na;one, two\r\nb;three\r\n")) == ROWS


def test_line_breaks_and_commas_of_a_text_are_text(tmp_path: Path) -> None:
    """A quoted cell may hold line breaks and separators; a quote may follow a blank."""
    table = _read(tmp_path / "t.csv", 'item,text\na,"one\ntwo, three"\nb, "x, ""y"""\n')
    assert _rows(table) == [("a", "one\ntwo, three"), ("b", 'x, "y"')]


def test_blank_lines_are_counted_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    """Blank lines are no rows: their count is in the facts, and rows are numbered as an editor shows them."""
    table = _read(tmp_path / "t.csv", "item,text\n\na,one\n\n  \nb,two\n\n")
    assert (table.facts.rows, table.facts.blank_lines) == (2, 4)
    assert [table.row_number(row) for row in (0, 1)] == [2, 5]
    assert "t.csv: 2 rows, 4 blank lines passed over" in table.facts.line()


def test_columns_that_nothing_uses_are_named(tmp_path: Path) -> None:
    """A column that was not asked for is in the facts; one that is optional is not."""
    table = _read(tmp_path / "t.csv", "item,text,popularity,genre\na,one,1,x\n", "popularity")
    assert table.facts.ignored_columns == ("genre",)
    assert table.numbers("popularity").tolist() == [1.0]
    assert "not used: column genre" in table.facts.line()


def test_names_of_columns_stay_in_one_line(tmp_path: Path) -> None:
    """A name with a line break, and one of 500 letters, are shown in words and cut."""
    table = _read(tmp_path / "t.csv", f'item,text,"a\nb",{"x" * 500}\na,one,1,2\n')
    assert table.facts.line() == f"t.csv: 1 row; not used: columns a b, {'x' * 37}..."
    with pytest.raises(FedbertError, match=r"\(has: name, a b, x{37}\.\.\.; sep"):
        _read(tmp_path / "t.csv", f'name,"a\nb",{"x" * 500}\na,1,2\n')


def test_bytes_and_dictionaries_of_parquet_are_text(tmp_path: Path) -> None:
    """A column of UTF-8 bytes, or one that is coded by a dictionary, is read as the text it stands for."""
    table = pa.table(
        {"item": pa.array([b"a", b"b"]), "text": pa.array(["one, two", "three"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    assert _rows(read_table("items", tmp_path / "t.parquet", ("item", "text"))) == ROWS


def test_ids_lose_blanks_and_whole_decimals_of_parquet(tmp_path: Path) -> None:
    """Ids 7 and 8 are the same as numbers with decimals; a missing one is ''; blanks around are counted."""
    frame = pd.DataFrame({"item": [7.0, None, 8.0], "text": ["a", "b", "c"]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table("items", tmp_path / "t.parquet", ("item", "text"))
    assert table.ids("item").values.to_pylist() == ["7", "", "8"]
    blank = _read(tmp_path / "t.csv", 'item,text\n7 ,a\n" 8",b\n9,c\n').ids("item")
    assert (blank.values.to_pylist(), blank.with_blanks) == (["7", "8", "9"], 2)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("item", pa.array([1.5, 2.0]), "row 1, item(=1.5) must be text or a whole number"),
        ("item", pa.array([True, False]), "have ids in column 'item' (has bool)"),
        ("item", pa.array([1, 2], pa.timestamp("ms")), "have ids in column 'item' (has timestamp[ms])"),
        ("item", pa.array([b"a", b"\xe9"]), "row 2, item(=b'\\xe9') must be UTF-8 text"),
        ("text", pa.array([1, 2]), "have text in column 'text' (has int64)"),
        ("text", pa.array([["a"], ["b"]]), "have plain values in column 'text' (has list"),
        ("text", pa.array([{"a": 1}, {"a": 2}]), "have plain values in column 'text' (has struct"),
    ],
)
def test_nothing_becomes_text_on_the_way(tmp_path: Path, column: str, values: pa.Array, message: str) -> None:
    """Truth values, dates, fractions, lists and other bytes are no ids or texts: one line says so."""
    good = {"item": pa.array(["a", "b"]), "text": pa.array(["one", "two"])}
    pq.write_table(pa.table(good | {column: values}), tmp_path / "t.parquet")
    table = read_table("items", tmp_path / "t.parquet", ("item", "text"))
    with pytest.raises(FedbertError) as caught:
        _rows(table)
    assert message in str(caught.value)


def test_a_folder_name_adds_no_column(tmp_path: Path) -> None:
    """A Parquet file in a folder called item=5 has the columns that are in it, and no other."""
    (tmp_path / "item=5").mkdir()
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "item=5" / "t.parquet")
    with pytest.raises(FedbertError, match=r"have a column 'item' \(has: text\)"):
        read_table("items", tmp_path / "item=5" / "t.parquet", ("item", "text"))
