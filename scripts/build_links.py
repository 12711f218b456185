"""Write device_profiles/links.toml from measured rates: ``build_links.py [SHARED_DATA_DIR]``.

With the folder of the measured data (it holds ``network/``) the summary sources/network_traces.csv is written
again from its traces; without, the committed summary is used. The links then follow from it, from
assumptions.toml and from the Pixel 5's power profile, and each number gets its line in [sources].
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from fedbert.devices.fitting.assumptions import read_assumptions
from fedbert.devices.fitting.traces import link_facts
from fedbert.devices.links import LINK_KINDS, check_links
from fedbert.devices.profiles import LINKS_FILE, NORMAL_P90
from fedbert.files import write_text
from fedbert.units import significant

ROOT = Path(__file__).resolve().parent.parent / "device_profiles"
SOURCES = ROOT / "sources"
SUMMARY = SOURCES / "network_traces.csv"

WHOLE_TRACES = Path("network") / "bandwidth_traces" / "fcc_ori" / "cooked_traces"
"""One file a unit. The other folders hold pieces of these: fcc_ori/test_traces* to the bit, cooked_3gp and
traces_3gp resampled, without the slowest stretches. Reading them too would count the same seconds again."""

MEASURED = (
    (
        "fixed_line",
        "trace_*",
        "FCC, Measuring Broadband America 2016: web pages over fixed lines, a unit a line",
    ),
    ("three_g", "*-report.*.log", "HSDPA rides in and around Oslo 2010-2011, a unit a ride"),
)
PUBLISHED = {
    "lte": "download test on phones, LTE while driving",
    "five_g": "download test on phones, 5G standing still",
}
RELEASE_BYTES = 1_900_000
"""Download that a trace is cut into: a release of the shipped model."""


def summarise(shared: Path) -> None:
    """Write the summary of the traces under `shared`."""
    rows = []
    for kind, pattern, what in MEASURED:
        files = sorted((shared / WHOLE_TRACES).glob(pattern))
        facts = link_facts([np.loadtxt(file, ndmin=2) for file in files], RELEASE_BYTES)
        rows.append({"link": kind, "traces": len(files), **facts._asdict(), "source": what})
    pd.DataFrame(rows).to_csv(SUMMARY, index=False, lineterminator="\n")


def measured(kind: str, row: "pd.Series[Any]") -> tuple[dict[str, float], str]:
    """Return rates and sigma of a link with traces, and where they are from."""
    rates = {
        f"downlink_{name}_kbit_per_s": float(row[f"unit_kbit_per_s_{name}"]) for name in ("p10", "p50", "p90")
    }
    source = next(what for name, _, what in MEASURED if name == kind)
    table = rates | {"transfer_sigma": significant(row["sigma_within_transfers"])}
    return table, f"measured: downloads of 1.9 MB in {row['units']} traces ({source})"


def split(moments: list[float], three_g: "pd.Series[Any]") -> dict[str, float]:
    """Return rates over devices and sigma of transfers from the quantiles of `moments` (kbit/s).

    The spread of moments is split as in the 3G traces: a distance in log rate from the median times
    sigma_between_units / sigma_moments is one between devices, the upper sigma times sigma_within_transfers /
    sigma_moments is that of a device's transfers. The lower sigma would count a driver's stretches without
    coverage as slow transfers; they are in the devices' p10 already.
    """
    p10, p50, p90 = moments
    between = float(three_g["sigma_between_units"] / three_g["sigma_moments"])
    within = float(three_g["sigma_within_transfers"] / three_g["sigma_moments"])
    upper = math.log(p90 / p50) / NORMAL_P90
    return {
        "downlink_p10_kbit_per_s": significant(p50 * (p10 / p50) ** between),
        "downlink_p50_kbit_per_s": p50,
        "downlink_p90_kbit_per_s": significant(p50 * (p90 / p50) ** between),
        "transfer_sigma": significant(upper * within),
    }


def radio_mw(power: "pd.Series[str]", kind: str, direction: str) -> float:
    """Return the power of the radio that receives or sends (modem sending: the middle level)."""
    radio = "wifi" if kind == "fixed_line" else "modem"
    levels = power[f"{radio}.controller.{direction}"].split("|")
    milliamperes, millivolts = float(levels[len(levels) // 2]), float(power[f"{radio}.controller.voltage"])
    return significant(milliamperes * millivolts / 1000)


def build() -> None:
    """Write links.toml from the files in sources/."""
    facts = read_assumptions(SOURCES)
    traces = pd.read_csv(SUMMARY, index_col="link")
    power = pd.read_csv(SOURCES / "power_profile_pixel5.csv", index_col="name", dtype=str)["value"]
    links: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for kind in LINK_KINDS:
        if kind in PUBLISHED:
            table = split(facts["rates_kbit_per_s"][kind], traces.loc["three_g"])
            where = dict.fromkeys(
                table, f"assumed split, as in the 3G traces, of moments ({PUBLISHED[kind]})"
            )
            where["downlink_p50_kbit_per_s"] = f"measured: {PUBLISHED[kind]}, median of moments"
        else:
            table, text = measured(kind, traces.loc[kind])
            where = dict.fromkeys(table, text)
        for key, assumed in (
            ("uplink_ratio", facts["uplink_ratio"]),
            ("rtt_ms", facts["rtt_ms"]),
            ("failure_probability", facts["failure_probability"]),
        ):
            table[key], where[key] = assumed[kind], "assumed"
        for key, direction in (("receive_mw", "rx"), ("transmit_mw", "tx")):
            table[key] = radio_mw(power, kind, direction)
            where[key] = "the Pixel 5's power profile, taken for all classes"
        links[kind] = table
        sources |= {f"{kind}.{key}": text for key, text in where.items()}
    write_text(ROOT / LINKS_FILE, tomli_w.dumps({**links, "sources": sources}))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", nargs="?", type=Path, help="folder of the measured data")
    arguments = parser.parse_args()
    if arguments.shared is not None:
        summarise(arguments.shared)
    build()
    problems = check_links(ROOT)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{LINKS_FILE}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
