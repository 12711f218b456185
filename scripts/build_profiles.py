"""Write device_profiles/*.toml from measured tables: ``build_profiles.py [SHARED_DATA_DIR]``.

With the folder of the measured data (it holds ``devices/`` and ``network/``) the excerpts under
device_profiles/sources are written anew from it; without, the committed excerpts are used. Every number of a
profile is then computed from the files in sources/ and gets a line in [sources]. ``--report`` prints the
tables of docs/devices.md: fitted constants and errors, availability, sessions of the shipped model.
"""

import argparse
import csv
import math
import shutil
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from fedbert.devices.availability_report import availability_table
from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.energy_report import DRAIN_COLUMNS, DRAIN_RATES, energy_table
from fedbert.devices.fitting import PRECISIONS, Fit, Timings, fit
from fedbert.devices.links import load_links
from fedbert.devices.network_report import network_table
from fedbert.devices.power import EXCERPT_PREFIXES, POWER_PROFILE, Power, read_power
from fedbert.devices.profiles import LINKS_FILE, check_profiles, load_profiles
from fedbert.devices.report import fit_table, session_table
from fedbert.paths import models_folder

ROOT = Path(__file__).resolve().parent.parent / "device_profiles"
SOURCES = ROOT / "sources"
NORMAL_P90 = 1.2815515655446004


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def excerpt(shared: Path) -> None:
    """Write the small excerpts of the measured tables that the profiles use, and their licences."""
    devices = shared / "devices"
    cores, networks = read(SOURCES / "cores.csv"), {row["network"] for row in read(SOURCES / "networks.csv")}
    seen: dict[tuple[str, str, str], tuple[object, ...]] = {}
    for row in read(devices / "ncnn_benchmark" / "timings.csv"):
        board = " ".join(row["soc"].split())
        if row["num_threads"] != "1" or row["gpu_device"] != "-1" or row["model"] not in networks:
            continue
        for core in cores:
            if board.startswith(core["soc_starts_with"]) and row["powersave"] == core["powersave"]:
                key = (board, core["core"], row["model"])
                seen.setdefault(key, (*key[:2], core["clock_ghz"], row["model"], row["avg_ms"]))
    header = ["board", "core", "clock_ghz", "network", "avg_ms"]
    write(SOURCES / "ncnn_single_thread.csv", header, seen.values())
    shutil.copyfile(devices / "ncnn_benchmark" / "LICENSE.txt", SOURCES / "LICENSE-ncnn.txt")

    bolt = [
        row for row in read(devices / "bolt_tinybert" / "tinybert_kirin810.csv") if row["model"] == "tinybert"
    ]
    header = ["model", "compiler", "core", "precision", "avg_ms"]
    rows = (("tinybert", row["compiler"], row["core"], row["precision"], row["p1"]) for row in bolt)
    write(SOURCES / "tinybert_kirin810.csv", header, rows)
    shutil.copyfile(devices / "bolt_tinybert" / "LICENSE.md", SOURCES / "LICENSE-bolt.md")

    power = read(devices / "power_profile_pixel5" / "power_profile_redfin.csv")
    kept = [row for row in power if row["name"].startswith(EXCERPT_PREFIXES)]
    write(SOURCES / POWER_PROFILE, ["name", "value"], ((row["name"], row["value"]) for row in kept))
    drain = read(devices / "power_profile_pixel5" / "tte_summary_with_conditions.csv")
    write(
        SOURCES / DRAIN_RATES, list(DRAIN_COLUMNS), ([row[name] for name in DRAIN_COLUMNS] for row in drain)
    )


def read_timings() -> Timings:
    """Return the excerpt of ncnn's table joined with the networks' multiply-adds."""
    networks = {row["network"]: row for row in read(SOURCES / "networks.csv")}
    rows = read(SOURCES / "ncnn_single_thread.csv")
    facts = [networks[row["network"]] for row in rows]
    return Timings(
        tuple(row["board"] for row in rows),
        tuple(row["core"] for row in rows),
        tuple(fact["shapes"] for fact in facts),
        np.array([PRECISIONS.index(fact["precision"]) for fact in facts]),
        np.array([1e9 * float(row["clock_ghz"]) for row in rows]),
        np.array([1e9 * float(fact["conv_gmacs"]) for fact in facts]),
        np.array([1e6 * float(fact["dense_mparams"]) for fact in facts]),
        np.array([float(fact["layers"]) for fact in facts]),
        np.array([float(row["avg_ms"]) / 1000 for row in rows]),
    )


def transformer_macs(shape: dict[str, Any]) -> float:
    """Return the multiply-adds of a BERT: projections, feed-forward, scores and weighted sums."""
    hidden, tokens = shape["hidden"], shape["tokens"]
    per_token = 4 * hidden**2 + 2 * hidden * shape["feed_forward"] + 2 * hidden * tokens
    return float(shape["layers"] * tokens * per_token)


def transformer_factors(fitted: Fit, shape: dict[str, Any]) -> dict[str, float]:
    """Return measured over fitted rate of TinyBERT by precision: the efficiency of its shapes."""
    logs: dict[str, list[float]] = {"float": [], "int8": []}
    for row in read(SOURCES / "tinybert_kirin810.csv"):
        precision = {"fp16": "float", "int8": "int8"}.get(row["precision"])
        if precision is None:
            continue  # on both cores ncnn computes in half precision: nothing to compare fp32 rows with
        core = f"Cortex-{row['core']}"
        clock = 1e9 * shape["clock_ghz"][core]
        busy = float(row["avg_ms"]) / 1000 - shape["operators"] * fitted.overhead_cycles / clock
        rate = fitted.macs_per_cycle[fitted.cores.index(core), PRECISIONS.index(precision)]
        logs[precision].append(math.log(transformer_macs(shape) / (busy * clock) / rate))
    return {precision: math.exp(math.fsum(values) / len(values)) for precision, values in logs.items()}


def core_rates(fitted: Fit, stand_in: dict[str, list[str]], core: str) -> tuple[float, float, float, str]:
    """Return (float and int8 multiply-adds per cycle, bytes per second, where from) of a core type."""
    names = [core] if core in fitted.cores else stand_in[core]
    rows = [fitted.cores.index(name) for name in names]
    logs = np.log(np.column_stack([fitted.macs_per_cycle[rows], fitted.bytes_per_s[rows]]))
    values = np.exp(logs.mean(axis=0))
    where = (
        f"fit of {core} rows of ncnn's table"
        if names == [core]
        else f"extrapolated from {' and '.join(names)}"
    )
    return float(values[0]), float(values[1]), float(values[2]), where


def significant(value: float, digits: int = 4) -> float:
    """Return `value` with so many significant digits."""
    return float(f"{value:.{digits}g}")


def core_table(
    core: str, clock_ghz: float, fitted: Fit, factors: dict[str, float], power: Power, facts: dict[str, Any]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the table of one core and its sources."""
    floats, int8, bandwidth, where = core_rates(fitted, facts["stand_in"], core)
    table = {
        "int8_gmacs_per_s": significant(clock_ghz * int8 * factors["int8"]),
        "float_gmacs_per_s": significant(clock_ghz * floats * factors["float"]),
        "memory_bytes_per_s": significant(bandwidth),
        "overhead_us_per_operator": significant(fitted.overhead_cycles / clock_ghz / 1e3),
        "power_mw": significant(power.core_mw(core, clock_ghz, int8)),
    }
    sources = {
        "int8_gmacs_per_s": f"{where}, times the clock, times TinyBERT/ncnn in int8 (Bolt)",
        "float_gmacs_per_s": f"{where}, times the clock, times TinyBERT/ncnn in half precision (Bolt)",
        "memory_bytes_per_s": f"{where}: how fast dense weights stream (AlexNet)",
        "overhead_us_per_operator": "fit of all rows of ncnn's table: cycles per layer over the clock",
        "power_mw": "extrapolated from the Pixel 5's power profile by kind of core, clock and work per cycle",
    }
    return table, sources


def build(fitted: Fit) -> None:
    """Write one TOML per row of classes.csv."""
    facts = tomllib.loads((SOURCES / "assumptions.toml").read_text(encoding="utf-8"))
    classes = read(SOURCES / "classes.csv")
    factors = transformer_factors(fitted, facts["transformer"])
    power = read_power(facts["battery"]["voltage_v"], fitted)
    for old in ROOT.glob("*.toml"):
        if old.name != LINKS_FILE:
            old.unlink()
    below = 0.0
    for row in classes:
        alike = sum(other["ram_gb"] == row["ram_gb"] for other in classes)
        share = facts["ram_share"][row["ram_gb"]] / alike
        rank, below = below + share / 2, below + share
        clusters = [parse_cluster(text) for text in row["clusters"].split(" + ")]
        ram = int(float(row["ram_gb"]) * 1e9)
        middle, spread = facts["free_memory"]["p50_share_of_ram"], facts["free_memory"]["sigma"]
        memory = {f"p{p}_bytes": round(ram * middle * math.exp(z * spread)) for p, z in QUANTILES}
        cores, sources = {}, dict(FIXED_SOURCES)
        for key, cluster in (("big_core", clusters[0]), ("little_core", clusters[-1])):
            table, where = core_table(cluster["core"], cluster["clock_ghz"], fitted, factors, power, facts)
            cores[key] = table
            sources |= {f"{key}.{name}": text for name, text in where.items()}
        flash = facts["load"]["flash_bytes_per_s"][row["flash"]]
        profile = {
            "name": row["name"],
            "tier": row["tier"],
            "share": significant(share, 12),
            "year": int(row["year"]),
            "soc": row["soc"],
            "ram_bytes": ram,
            "battery_mah": round(
                float(np.interp(rank, facts["battery"]["quantiles"], facts["battery"]["mah"]))
            ),
            "battery_voltage_v": facts["battery"]["voltage_v"],
            "clusters": clusters,
            **cores,
            "free_memory": memory,
            "load": {
                "fixed_ms": significant(facts["load"]["cycles"] / clusters[0]["clock_ghz"] / 1e6),
                "flash_bytes_per_s": flash,
            },
            "radios": facts["radio_share"][row["modem"]],
            "sources": sources,
        }
        if row["example"]:
            profile["sources"]["year"] = profile["sources"]["ram_bytes"] = (
                f"AI-benchmark's table: {row['example']}"
            )
        (ROOT / f"{row['file']}.toml").write_text(tomli_w.dumps(profile), encoding="utf-8")


QUANTILES = ((10, -NORMAL_P90), (50, 0.0), (90, NORMAL_P90))
FIXED_SOURCES = {
    "share": "RAM of 1,006 phones on sale around 2023, split evenly over the classes with that RAM",
    "year": "the SoC maker's data sheet",
    "ram_bytes": "assumed: a usual size for phones with this SoC",
    "battery_mah": "1,006 phones on sale around 2023: quantile of the class's rank by RAM",
    "battery_voltage_v": "assumed: usual nominal voltage of a lithium-ion cell for phones",
    "clusters": "the SoC maker's data sheet",
    "free_memory": "assumed: median .4 % of RAM for one feature of an app in use, log-normal with sigma .65",
    "load.fixed_ms": "assumed: 20 million cycles of the big core to make a session",
    "load.flash_bytes_per_s": "assumed: nominal sequential read of eMMC 5.1, UFS 2.1 or UFS 3.1",
    "radios": "assumed by generation of the modem",
}


def battery_mah(rank: float, battery: dict[str, Any]) -> int:
    """Return the battery at `rank` (0 to 1) of the fleet, between the known quantiles."""
    return round(float(np.interp(rank, battery["quantiles"], battery["mah"])))


def parse_cluster(text: str) -> dict[str, Any]:
    """Return the table of a cluster written like ``4x Cortex-A53 1.2``."""
    count, core, clock = text.split()
    return {"core": core, "count": int(count.removesuffix("x")), "clock_ghz": float(clock)}


def report(timings: Timings, fitted: Fit) -> None:
    """Print the tables of docs/devices.md."""
    facts = tomllib.loads((SOURCES / "assumptions.toml").read_text(encoding="utf-8"))
    folder = models_folder() / "default"
    size = sum(path.stat().st_size for path in folder.iterdir())
    operations = count_operations((folder / "model.onnx").read_bytes())
    model = CostModel(load_profiles(ROOT), operations, artefact_bytes=size)
    tables = (
        fit_table(timings, fitted, transformer_factors(fitted, facts["transformer"])),
        availability_table(),
        session_table(model),
        network_table(load_links(ROOT)),
        energy_table(),
    )
    print("\n\n".join("\n".join(lines) for lines in tables))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", nargs="?", type=Path, help="folder of the measured data")
    parser.add_argument(
        "--report", action="store_true", help="print the tables of docs/devices.md, write nothing"
    )
    arguments = parser.parse_args()
    if arguments.shared is not None and not arguments.report:
        excerpt(arguments.shared)
    timings = read_timings()
    fitted = fit(timings)
    if arguments.report:
        report(timings, fitted)
        return 0
    build(fitted)
    problems = check_profiles(ROOT)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(read(SOURCES / 'classes.csv'))} profiles in {ROOT.name}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
