"""docs/devices.md shows what the code gives."""

import csv
from pathlib import Path

from fedbert.devices.links import load_links
from fedbert.devices.network_report import network_table
from fedbert.devices.report import availability_table
from fedbert.paths import profiles_folder

SOURCES = profiles_folder() / "sources"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "devices.md"


def test_the_availability_table_is_current() -> None:
    """Every line of the table in the docs is what the model gives today."""
    text = DOCS.read_text(encoding="utf-8")
    assert [line for line in availability_table() if line not in text] == []


def test_the_table_of_transfers_is_current() -> None:
    """Every line of the table in the docs is what links.toml and the model of transfers give today."""
    text = DOCS.read_text(encoding="utf-8")
    assert [line for line in network_table(load_links()) if line not in text] == []


def test_the_spread_of_the_traces_is_current() -> None:
    """The docs give the sigmas of network_traces.csv, and the two ratios of the split they lead to."""
    text = DOCS.read_text(encoding="utf-8")
    with (SOURCES / "network_traces.csv").open(encoding="utf-8") as file:
        rows = {row["link"]: row for row in csv.DictReader(file)}
    names = ("sigma_between_units", "sigma_within_transfers", "sigma_moments")
    for key, name in (("fixed_line", "fixed line"), ("three_g", "3G")):
        row = rows[key]
        sigmas = " | ".join(f"{float(row[name]):.3f}".removeprefix("0") for name in names)
        assert f"| {name} | {row['units']} | {int(row['transfers']):,} | {sigmas} |" in text
    between, within, moments = (float(rows["three_g"][name]) for name in names)
    assert f"{between / moments:.3f} of those".removeprefix("0") in text
    assert f"{within / moments:.3f} of the upper".removeprefix("0") in text
