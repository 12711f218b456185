"""Write the excerpts of measured tables in device_profiles/sources: ``excerpt_devices.py DATA_FOLDER``.

DATA_FOLDER holds ``devices/``, as published. Kept of ncnn's table are the processor's times (no graphics
chip) of the boards of ``sources/boards.csv``, which have Arm cores, on the networks of
``sources/networks.csv``.
"""

import argparse
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from fedbert.devices.fitting.energy_report import DRAIN_COLUMNS, DRAIN_RATES
from fedbert.devices.fitting.engines import SPEECH
from fedbert.devices.fitting.measured import INT8_SUFFIX, build_age
from fedbert.devices.fitting.power import EXCERPT_PREFIXES, POWER_PROFILE
from fedbert.table_files import rows_of, write_csv

# All are on the RK3588.
SPEECH_COLUMNS = ("engine", "network", "core", "precision", "threads", "audio_seconds", "real_time_factor")
SOURCES = Path(__file__).resolve().parent.parent / "device_profiles" / "sources"


def ncnn(folder: Path) -> list[list[object]]:
    """Return the rows of ncnn's table that are kept."""
    names = [(row["starts_with"], row["board"]) for row in rows_of(SOURCES / "boards.csv")]
    networks = {row["network"] for row in rows_of(SOURCES / "networks.csv")}
    table = [row for row in rows_of(folder / "timings.csv") if row["gpu_device"] == "-1"]
    timed: dict[str, set[str]] = defaultdict(set)
    for row in table:
        timed[row["soc"]].add(row["model"])
    kept: list[list[object]] = []
    for row in table:
        full = " ".join(row["soc"].split())
        board = next((board for start, board in names if full.startswith(start)), None)
        if board is None or row["model"].removesuffix(INT8_SUFFIX) not in networks:
            continue
        age = build_age(timed[row["soc"]])
        kept.append([board, age, row["powersave"], row["num_threads"], row["model"], row["avg_ms"]])
    return kept


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the measured data")
    devices = parser.parse_args().data / "devices"
    rows = ncnn(devices / "ncnn_benchmark")
    write_csv(
        SOURCES / "ncnn_timings.csv", ["board", "build", "powersave", "threads", "network", "avg_ms"], rows
    )
    shutil.copyfile(devices / "ncnn_benchmark" / "LICENSE.txt", SOURCES / "LICENSE-ncnn.txt")
    bolt = [
        [row["model"], row["compiler"], row["core"], row["precision"], row["p1"]]
        for row in rows_of(devices / "bolt_tinybert" / "tinybert_kirin810.csv")
    ]
    write_csv(SOURCES / "tinybert_kirin810.csv", ["model", "compiler", "core", "precision", "avg_ms"], bolt)
    shutil.copyfile(devices / "bolt_tinybert" / "LICENSE.md", SOURCES / "LICENSE-bolt.md")
    speech = rows_of(devices / "onnxruntime_arm" / "rtf.csv")
    write_csv(SOURCES / SPEECH, SPEECH_COLUMNS, [[row[name] for name in SPEECH_COLUMNS] for row in speech])
    pixel = devices / "power_profile_pixel5"
    kept = [
        [row["name"], row["value"]]
        for row in rows_of(pixel / "power_profile_redfin.csv")
        if row["name"].startswith(EXCERPT_PREFIXES)
    ]
    write_csv(SOURCES / POWER_PROFILE, ["name", "value"], kept)
    drain = rows_of(pixel / "tte_summary_with_conditions.csv")
    columns = list(DRAIN_COLUMNS)
    write_csv(SOURCES / DRAIN_RATES, columns, [[row[name] for name in columns] for row in drain])
    print(f"{len(rows)} rows of ncnn's table, {len(bolt)} of Bolt's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
