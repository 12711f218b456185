"""docs/devices.md shows what the code gives."""

import csv
from dataclasses import asdict
from pathlib import Path

from fedbert.devices.availability_trace import read_trace
from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.errors_table import load_errors
from fedbert.devices.fitting.added_rows import ADDED, added_table
from fedbert.devices.fitting.availability_report import availability_table
from fedbert.devices.fitting.energy_report import energy_table, resolution_mj
from fedbert.devices.fitting.network_report import network_table
from fedbert.devices.fitting.participation import SESSIONS
from fedbert.devices.fitting.report import engines_table, errors_table, session_table
from fedbert.devices.fleet_shares import load_fleet
from fedbert.devices.habits import PARAMETERS
from fedbert.devices.host.check import docs_lines, read_rows, summary
from fedbert.devices.host.device import LENGTHS, SHIPPED, SIZES, THREADS
from fedbert.devices.links import load_links
from fedbert.paths import models_folder, profiles_folder

SOURCES = profiles_folder() / "sources"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "devices.md"
TEXT = DOCS.read_text(encoding="utf-8")
PHONES = (DOCS.parent / "how-to" / "phones.md").read_text(encoding="utf-8")


def test_the_availability_table_is_current() -> None:
    """Every line of the table in the docs is what the model gives today."""
    assert [line for line in availability_table() if line not in TEXT] == []


def test_every_parameter_of_availability_is_in_the_docs() -> None:
    """The table of parameters names each one with its value of today."""
    rows = [f"| `{name}` | {value:g} |" for name, value in (asdict(PARAMETERS) | asdict(SESSIONS)).items()]
    assert [row for row in rows if row not in TEXT] == []


def test_the_example_of_a_trace_is_a_trace(tmp_path: Path) -> None:
    """The five lines in the docs are read as they stand."""
    lines = PHONES[PHONES.index("    device_id,start,end,state") :].split("\n\n")[0].splitlines()
    path = tmp_path / "example.csv"
    path.write_text("\n".join(line.strip() for line in lines) + "\n", encoding="utf-8")
    trace = read_trace(path)
    assert (len(lines), trace.devices, trace.days) == (5, 2, 2)


def test_the_table_of_transfers_is_current() -> None:
    """Every line of the table in the docs is what links.toml and the model of transfers give today."""
    assert [line for line in network_table(load_links()) if line not in TEXT] == []


def test_the_spread_of_the_traces_is_current() -> None:
    """The docs give the sigmas of network_traces.csv, and the two ratios of the split they lead to."""
    with (SOURCES / "network_traces.csv").open(encoding="utf-8") as file:
        rows = {row["link"]: row for row in csv.DictReader(file)}
    names = ("sigma_between_units", "sigma_within_transfers", "sigma_moments")
    for key, name in (("fixed_line", "fixed line"), ("three_g", "3G")):
        row = rows[key]
        sigmas = " | ".join(f"{float(row[name]):.3f}".removeprefix("0") for name in names)
        assert f"| {name} | {row['units']} | {int(row['transfers']):,} | {sigmas} |" in TEXT
    between, within, moments = (float(rows["three_g"][name]) for name in names)
    assert f"{between / moments:.3f} of those".removeprefix("0") in TEXT
    assert f"{within / moments:.3f} of the upper".removeprefix("0") in TEXT


def test_the_table_of_measured_drain_is_current() -> None:
    """Every line of the table on the power profile is what its excerpt and the duties give today."""
    assert [line for line in energy_table() if line not in TEXT] == []
    assert f"{resolution_mj():,.0f} mJ" in TEXT


def test_the_proof_on_the_host_is_that_of_the_file() -> None:
    """The docs show each row of host_calibration.csv and the errors that follow from them."""
    rows = read_rows(SOURCES / "host_calibration.csv")
    assert len(rows) == len(THREADS) * len(LENGTHS) * (len(SHIPPED) + len(SIZES))
    assert [line for line in docs_lines(rows) if line not in TEXT] == []


def test_the_host_is_predicted_as_well_as_claimed() -> None:
    """The errors of the committed run: at most 8 % in the median, nearly all within 15 %."""
    found = summary(read_rows(SOURCES / "host_calibration.csv"))
    assert found.median <= 0.08
    assert found.within >= found.rows - 1


def test_the_errors_are_those_of_the_file() -> None:
    """Every line of the table of errors is what errors.json says."""
    assert [line for line in errors_table(load_errors()) if line not in TEXT] == []


def test_the_engines_are_those_of_the_files() -> None:
    """Every line on engines, and on what ONNX Runtime's rows would add, is what the committed files say."""
    lines = [*engines_table(load_errors()), *added_table(SOURCES / ADDED)]
    assert [line for line in lines if line not in TEXT] == []


def test_the_sessions_are_those_of_the_model() -> None:
    """Every line of the table of sessions is what the cost model gives the shipped model today."""
    folder = models_folder() / "default"
    size = sum(path.stat().st_size for path in folder.iterdir())
    model = CostModel(load_fleet(), count_operations((folder / "model.onnx").read_bytes()), size)
    assert [line for line in session_table(model) if line not in TEXT] == []
