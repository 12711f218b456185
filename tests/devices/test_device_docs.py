"""docs/devices.md shows what the code gives."""

from pathlib import Path

from fedbert.devices.links import load_links
from fedbert.devices.network_report import network_table
from fedbert.devices.report import availability_table

DOCS = Path(__file__).resolve().parents[2] / "docs" / "devices.md"


def test_the_availability_table_is_current() -> None:
    """Every line of the table in the docs is what the model gives today."""
    text = DOCS.read_text(encoding="utf-8")
    assert [line for line in availability_table() if line not in text] == []


def test_the_table_of_transfers_is_current() -> None:
    """Every line of the table in the docs is what links.toml and the model of transfers give today."""
    text = DOCS.read_text(encoding="utf-8")
    assert [line for line in network_table(load_links()) if line not in text] == []
