"""Write device_profiles/*.toml, fleets/*.toml and errors.json from the tables in device_profiles/sources.

Every number of a profile is computed from those files and gets a line in its [sources]. ``--report`` writes
nothing and prints the tables of docs/devices.md; ``--errors`` writes errors.json and sources/added_rows.csv
alone (and takes two minutes).
The excerpts themselves are written by ``excerpt_devices.py`` and ``build_links.py``.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.errors_table import ERRORS_FILE, load_errors
from fedbert.devices.fitting.added_rows import ADDED, COLUMNS, added_table, compare_added
from fedbert.devices.fitting.assumptions import Assumptions, FleetFacts, read_assumptions
from fedbert.devices.fitting.availability_report import availability_table
from fedbert.devices.fitting.energy_report import energy_table
from fedbert.devices.fitting.engines import PREDICTED_FOR
from fedbert.devices.fitting.errors import all_errors
from fedbert.devices.fitting.fitting import FLOAT, INT8, Fit, fit
from fedbert.devices.fitting.measured import parse_clusters, read_cores, read_ncnn
from fedbert.devices.fitting.memory_report import fit_table as memory_graphs_table
from fedbert.devices.fitting.memory_report import memory_table
from fedbert.devices.fitting.network_report import network_table
from fedbert.devices.fitting.power import Power, read_power_profile
from fedbert.devices.fitting.report import engines_table, errors_table, fit_table, session_table
from fedbert.devices.fitting.threads import parallel_shares
from fedbert.devices.fitting.transformers import joined, read_bolt, transformer_rates
from fedbert.devices.fleet_shares import FLEETS_FOLDER, check_folder, load_fleet
from fedbert.devices.host.check import docs_lines, read_rows
from fedbert.devices.links import load_links
from fedbert.devices.profiles import LINKS_FILE, NORMAL_P90
from fedbert.files import write_text
from fedbert.paths import models_folder
from fedbert.table_files import rows_of, write_csv
from fedbert.units import significant

ROOT = Path(__file__).resolve().parent.parent / "device_profiles"
SOURCES = ROOT / "sources"
QUANTILES = ((10, -NORMAL_P90), (50, 0.0), (90, NORMAL_P90))
FIXED_SOURCES = {
    "year": "the SoC maker's data sheet",
    "ram_bytes": "assumed: a usual size for phones with this SoC",
    "storage_bytes": "assumed: a usual size for phones with this SoC and RAM",
    "battery_mah": "1,006 phones on sale around 2023: quantile of the class's rank by RAM",
    "battery_voltage_v": "assumed: usual nominal voltage of a lithium-ion cell for phones",
    "clusters": "the SoC maker's data sheet",
    "free_memory": "assumed: median .4 % of RAM for one feature of an app in use, log-normal with sigma .65",
    "load.fixed_ms": "assumed: 20 million cycles of the big core to make a session",
    "load.flash_bytes_per_s": "assumed: nominal sequential read of eMMC 5.1, UFS 2.1 or UFS 3.1",
    "radios": "assumed by generation of the modem",
}


def core_table(
    core: str,
    clock_ghz: float,
    fitted: Fit,
    shares: dict[str, float],
    seen: frozenset[str],
    power: Power,
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the table of one core and its sources; `seen` are the cores that were timed."""
    floats, cycles, bandwidth = transformer_rates(fitted, core, FLOAT)
    int8 = transformer_rates(fitted, core, INT8)[0]
    facts = fitted.cores[core]
    table = {
        "int8_gmacs_per_s": significant(clock_ghz * int8),
        "float_gmacs_per_s": significant(clock_ghz * floats),
        "memory_bytes_per_s": significant(bandwidth),
        "overhead_us_per_operator": significant(cycles / clock_ghz / 1e3),
        "parallel_share": significant(shares[facts.kind()]),
        "power_mw": significant(power.core_mw(bool(facts.in_order), clock_ghz, int8)),
    }
    where = (
        f"fit of ncnn's and Bolt's tables, {core}"
        if core in seen
        else f"extrapolated: fit of ncnn's and Bolt's tables, where no {core} is, from what is known of it"
    )
    sources = {
        "int8_gmacs_per_s": f"{where}, transformer in int8, times the clock",
        "float_gmacs_per_s": f"{where}, transformer as float, times the clock",
        "memory_bytes_per_s": f"{where}: how fast dense weights stream (AlexNet)",
        "overhead_us_per_operator": f"{where}: cycles per layer over the clock",
        "parallel_share": f"fit of ncnn's rows with several threads: {facts.kind()}",
        "power_mw": "extrapolated from the Pixel 5's power profile by kind of core, clock and work per cycle",
    }
    return table, sources


def fitted_constants() -> tuple[Fit, dict[str, float], frozenset[str]]:
    """Return the fit of all rows, the share that threads divide by kind of core, and the cores timed."""
    cores, measured = read_cores(SOURCES), read_ncnn(SOURCES)
    single = joined(measured.timings.take(measured.threads == 1), read_bolt(SOURCES))
    return fit(single, cores), parallel_shares(measured, cores), frozenset(single.core)


def profile_of(
    row: dict[str, str],
    rank: float,
    constants: tuple[Fit, dict[str, float], frozenset[str]],
    facts: Assumptions,
    power: Power,
) -> dict[str, Any]:
    """Return the profile of one row of classes.csv; `rank` (0 to 1) of its RAM in the global fleet."""
    clusters = parse_clusters(row["clusters"])
    ram = int(float(row["ram_gb"]) * 1e9)
    middle, spread = facts["free_memory"]["p50_share_of_ram"], facts["free_memory"]["sigma"]
    cores, sources = {}, dict(FIXED_SOURCES)
    for key, cluster in (("big_core", clusters[0]), ("little_core", clusters[-1])):
        table, where = core_table(cluster.core, cluster.clock_ghz, *constants, power)
        cores[key] = table
        sources |= {f"{key}.{name}": text for name, text in where.items()}
    if row["example"]:
        sources["year"] = sources["ram_bytes"] = f"AI-benchmark's table: {row['example']}"
    battery = facts["battery"]
    return {
        "name": row["name"],
        "tier": row["tier"],
        "year": int(row["year"]),
        "soc": row["soc"],
        "ram_bytes": ram,
        "storage_bytes": int(row["storage_gb"]) * 10**9,
        "battery_mah": round(float(np.interp(rank, battery["quantiles"], battery["mah"]))),
        "battery_voltage_v": battery["voltage_v"],
        "clusters": [vars(cluster) for cluster in clusters],
        **cores,
        "free_memory": {f"p{p}_bytes": round(ram * middle * math.exp(z * spread)) for p, z in QUANTILES},
        "load": {
            "fixed_ms": significant(facts["load"]["cycles"] / clusters[0].clock_ghz / 1e6),
            "flash_bytes_per_s": facts["load"]["flash_bytes_per_s"][row["flash"]],
        },
        "radios": facts["radio_share"][row["modem"]],
        "sources": sources,
    }


def fleet_of(classes: list[dict[str, str]], facts: FleetFacts) -> dict[str, Any]:
    """Return a fleet: the share of each RAM, split evenly over the classes with that RAM."""
    alike = {ram: sum(row["ram_gb"] == ram for row in classes) for ram in facts["ram_share"]}
    shares = {
        row["file"]: significant(facts["ram_share"][row["ram_gb"]] / alike[row["ram_gb"]], 12)
        for row in classes
        if row["ram_gb"] in facts["ram_share"]
    }
    return {"description": facts["description"], "source": facts["source"], "shares": shares}


def build() -> None:
    """Write one profile a row of classes.csv, and the fleets."""
    facts, classes = read_assumptions(SOURCES), rows_of(SOURCES / "classes.csv")
    constants = fitted_constants()
    a76 = transformer_rates(constants[0], "Cortex-A76", INT8)[0]
    power = Power(
        read_power_profile(SOURCES / "power_profile_pixel5.csv"), facts["battery"]["voltage_v"], a76
    )
    fleets = {name: fleet_of(classes, fleet) for name, fleet in facts["fleets"].items()}
    for old in [*ROOT.glob("*.toml"), *(ROOT / FLEETS_FOLDER).glob("*.toml")]:
        if old.name != LINKS_FILE:
            old.unlink()
    below = 0.0
    for row in classes:
        share = fleets["global"]["shares"][row["file"]]
        profile = profile_of(row, below + share / 2, constants, facts, power)
        below += share
        write_text(ROOT / f"{row['file']}.toml", tomli_w.dumps(profile))
    for name, fleet in fleets.items():
        write_text(ROOT / FLEETS_FOLDER / f"{name}.toml", tomli_w.dumps(fleet))


def write_errors() -> None:
    """Write errors.json, predicted against measured where it was not fitted, and what more rows would add."""
    errors = all_errors(SOURCES)
    table = {
        "made_by": "python scripts/build_profiles.py --errors",
        "engine": PREDICTED_FOR,
        "rows": errors.rows,
        "engines": errors.engines,
    }
    write_text(ROOT / ERRORS_FILE, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    write_csv(SOURCES / ADDED, COLUMNS, compare_added(SOURCES))


def report() -> None:
    """Print every table of docs/devices.md, from sources and shipped models; nothing is measured again."""
    folder = models_folder() / "default"
    size = sum(path.stat().st_size for path in folder.iterdir())
    operations = count_operations((folder / "model.onnx").read_bytes())
    model = CostModel(load_fleet(ROOT), operations, artefact_bytes=size)
    measured = read_ncnn(SOURCES)
    single = joined(measured.timings.take(measured.threads == 1), read_bolt(SOURCES))
    fitted, shares, _ = fitted_constants()
    tables = (
        fit_table(single, fitted, shares, model.profiles),
        errors_table(load_errors(ROOT)),
        engines_table(load_errors(ROOT)),
        added_table(SOURCES / ADDED),
        session_table(model),
        docs_lines(read_rows(SOURCES / "host_calibration.csv")),
        memory_graphs_table(SOURCES / "memory_graphs.csv"),
        memory_table(SOURCES / "memory_measured.csv"),
        energy_table(),
        network_table(load_links(ROOT)),
        availability_table(),
    )
    print("\n\n".join("\n".join(lines) for lines in tables))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--report", action="store_true", help="print tables of docs/devices.md, write nothing"
    )
    parser.add_argument("--errors", action="store_true", help="write errors.json and added_rows.csv alone")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return 0
    if arguments.errors:
        write_errors()
        return 0
    build()
    write_errors()
    problems = check_folder(ROOT)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(rows_of(SOURCES / 'classes.csv'))} profiles in {ROOT.name}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
