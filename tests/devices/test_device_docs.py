"""docs/devices.md shows what the code gives."""

from dataclasses import asdict
from pathlib import Path

from fedbert.devices.availability_report import availability_table
from fedbert.devices.availability_trace import read_trace
from fedbert.devices.habits import PARAMETERS
from fedbert.devices.participation import SESSIONS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "devices.md"
TEXT = DOCS.read_text(encoding="utf-8")


def test_the_availability_table_is_current() -> None:
    """Every line of the table in the docs is what the model gives today."""
    assert [line for line in availability_table() if line not in TEXT] == []


def test_every_parameter_of_availability_is_in_the_docs() -> None:
    """The table of parameters names each one with its value of today."""
    rows = [f"| `{name}` | {value:g} |" for name, value in (asdict(PARAMETERS) | asdict(SESSIONS)).items()]
    assert [row for row in rows if row not in TEXT] == []


def test_the_example_of_a_trace_is_a_trace(tmp_path: Path) -> None:
    """The five lines in the docs are read as they stand."""
    lines = TEXT[TEXT.index("    device_id,start,end,state") :].split("\n\n")[0].splitlines()
    path = tmp_path / "example.csv"
    path.write_text("\n".join(line.strip() for line in lines) + "\n", encoding="utf-8")
    trace = read_trace(path)
    assert (len(lines), trace.devices, trace.days) == (5, 2, 2)
