"""A trace out of a spreadsheet, and phones whose ids differ in nothing that counts."""

from pathlib import Path

import pytest

from fedbert.devices.availability_trace import read_trace
from fedbert.errors import FedbertError

ROWS = "device_id;start;end;state\r7;0;24;idle\r7.0;0;24;charging\r 8;24;48;idle\r"


def test_a_spreadsheet_s_trace_is_read(tmp_path: Path) -> None:
    """Semicolons, carriage returns and a byte-order mark; `7.0` is phone 7, and ` 8` phone 8."""
    path = tmp_path / "trace.CSV"
    path.write_bytes(("\ufeff" + ROWS).encode())
    trace = read_trace(path)
    assert (trace.devices, trace.days, trace.facts.days_of_phone) == (2, 2, (1, 1))
    assert trace.facts.table.rows == 3
    assert "trace.CSV: 3 rows separated by semicolons" in trace.facts.lines()[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('device_id,start,end,state\na,0,1,"idle\nb,0,1,idle\n', "close the quote that opens in row 1"),
        ("device_id;start;end;state\na;0;1,5;idle\n", "first day; write fractions with a point"),
        ("device_id,start,end,state\n\na,0,1,asleep\n", "row 2, state(='asleep') must be one of"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, rows: str, message: str) -> None:
    """A quote that does not close, a decimal comma, and the number of a row below a blank line."""
    (tmp_path / "trace.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(FedbertError) as caught:
        read_trace(tmp_path / "trace.csv")
    assert message in str(caught.value)
    assert "trace.csv" in str(caught.value)
