"""The summary a run ends with: what users got, what it cost, what it reveals, where the files are."""

import sys
from pathlib import Path
from typing import Any, TextIO

from fedbert.comparison import EVERY_SESSION, tier_ndcg
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import device_errors_line
from fedbert.reporting.run import sentences
from fedbert.results import RunResult, is_private

STYLES = {"measured": "green", "modelled": "yellow", "proved": "magenta"}


def print_summary(
    result: RunResult, folder: Path, stream: TextIO | None = None, width: int | None = None
) -> None:
    """Print the summary of a run whose files are in `folder`.

    Args:
        result: the run.
        folder: where its files are.
        stream: where to print, standard output by default.
        width: columns; by default the terminal's, and 100 where there is none.
    """
    from rich.console import Console

    out = stream if stream is not None else sys.stdout
    if width is None and not out.isatty():
        width = 100
    console = Console(file=out, width=width, highlight=False, markup=False)
    console.print()
    console.print(sentences.headline(result), style="bold")
    gap = sentences.gap_sentence(result)
    if gap:
        console.print(gap)
    if not sentences.finished(result):
        console.print(text.sentence(result["status"]), style="bold red")
    missing = sentences.missing_sentence(result)
    if missing:
        console.print(missing, style="bold red")
    blocks = (_quality, _tier_quality, _tiers, _energy, _outcomes, _privacy, _traffic)
    for block in (make(result) for make in blocks):
        if block is not None:
            console.print()
            console.print(block)
    verified = sentences.verified_sentence(result)
    if verified:
        console.print()
        console.print(_verified(result))
    note = str(result["world"].get("note") or "")
    if note:
        console.print()
        console.print(f"Note: {text.sentence(note)}")
    console.print()
    console.print(
        f"{text.duration(result['wall_s'])}, peak memory {text.size(result['peak_memory_bytes'])}. "
        "Open the report:"
    )
    # one unbroken line, so that it can be clicked or copied
    console.print(str(folder / "report.html"), style="bold cyan", soft_wrap=True)
    console.print("beside it: run.json, rounds.parquet, devices.parquet, scenario.toml", style="dim")


def _block(title: str, label: str, *parts: Any) -> Any:
    from rich.console import Group
    from rich.text import Text

    return Group(Text.assemble((title, "bold"), "  ", (label, STYLES[label])), *parts)


def _table(*columns: str, left: int = 1) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return table


def _quality(result: RunResult) -> Any:
    rounds = result["rounds"]
    if not rounds:
        return None
    table = _table("", "nDCG@10", "95% interval")
    after = f"  after round {rounds[-1]['round']}"
    for name, row in (("as users saw it, before", rounds[0]), (after, rounds[-1])):
        table.add_row(
            name, text.number(row["ndcg@10"]), f"{row['ndcg@10_low']:.3f} to {row['ndcg@10_high']:.3f}"
        )
    if result["comparison"]:
        table.add_section()
        table.add_row("every session scored by:", "", "")
    named = zip(sentences.system_labels(result), result["comparison"], strict=True)
    for name, system in sorted(named, key=lambda pair: -pair[1]["quality"]["ndcg@10"]):
        table.add_row(
            f"  {name}",
            text.number(system["quality"]["ndcg@10"]),
            f"{system['low']:.3f} to {system['high']:.3f}",
        )
    return _block(sentences.METRIC_IN_FULL, "measured", table)


def _tier_quality(result: RunResult) -> Any:
    if not result["tiers"]:
        return None
    from rich.text import Text

    names = [name for name in EVERY_SESSION if result["comparison"]]
    table = _table("tier", "as users saw it", "when scored", *names)
    for name in result["tiers"]:
        table.add_row(name, *(text.number(value) for value in tier_ndcg(result, name)[: 2 + len(names)]))
    note = f"{', '.join(names)}: every session scored" if names else ""
    return _block(
        "nDCG@10 by device tier, whole run", "measured", *([Text(note, "dim")] if note else []), table
    )


def _tiers(result: RunResult) -> Any:
    if not result["tiers"]:
        return None
    table = _table("tier", "devices", "p50", "p95", "p99", "memory p95")
    for name, tier in result["tiers"].items():
        table.add_row(
            name,
            f"{tier['devices']:,}",
            *(text.milliseconds(tier["latency_ms"].get(key)) for key in ("p50", "p95", "p99")),
            text.size(tier["peak_memory_bytes"].get("p95")),
        )
    line = device_errors_line(result.get("device_errors"))
    return _block(
        "By device tier: latency of answered sessions", "modelled", table, *([line] if line else [])
    )


def _energy(result: RunResult) -> Any:
    if not result["tiers"]:
        return None
    from rich.text import Text

    table = _table("tier", "mJ a session", "mJ a round", "mAh a day", "battery a day", "goes most to")
    for name, tier in result["tiers"].items():
        uses = text.shares(tier.get("energy_mj_per_day_by", {}))
        most = max(uses, key=lambda use: uses[use], default=None)
        table.add_row(
            name,
            text.significant(tier["energy_mj_per_session"]),
            text.significant(tier.get("energy_mj_per_round")),
            text.significant(tier["mah_per_day"]),
            f"{text.significant(tier['battery_percent_per_day'])}%",
            f"{most} {text.percent(uses[most])}" if most else text.NONE,
        )
    note = "from one phone's power profile; a round: of a device that sends a signal in it"
    return _block("Energy and battery of a phone, extrapolated", "modelled", Text(note, "dim"), table)


def _outcomes(result: RunResult) -> Any:
    names = sentences.outcome_names(result)
    if not names:
        return None
    table = _table("tier", *(sentences.outcome_label(name) for name in names))
    for tier, row in result["tiers"].items():
        part = text.shares(row["outcomes"])
        table.add_row(tier, *(text.percent(part.get(name, 0.0), 1) for name in names))
    return _block("What became of the sessions", "modelled", table)


def _privacy(result: RunResult) -> Any:
    from rich.text import Text

    row = result["privacy"]
    if not is_private(row):
        return Text.assemble(("Not private. ", "bold red"), sentences.statement(result))
    projected = [f"{each['days']} days" if each["days"] > 1 else "1 day" for each in row["projections"]]
    table = _table("", "assumes", "run", *projected, left=2)
    for name, key in (("amplified", "epsilon"), ("unamplified", "epsilon_unamplified")):
        table.add_row(
            name,
            row["assumptions"].get(name, text.NONE),
            text.epsilon(row[key]),  # type: ignore[literal-required]
            *(text.epsilon(each[key]) for each in row["projections"]),  # type: ignore[literal-required]
        )
    unit = row["assumptions"].get("unit", text.NONE)
    title = f"Epsilon at delta {text.power(row['delta'])}"
    return _block(title, "proved", sentences.statement(result), Text(f"who is protected: {unit}"), table)


def _verified(result: RunResult) -> Any:
    table = _table("device", "profile", "tokens", "budget", "predicted peak", "predicted", "seen", left=2)
    for row in result.get("verified_devices", []):
        table.add_row(
            text.NONE if row["device"] is None else str(row["device"]),
            row["profile"],
            str(row["tokens"]),
            text.size(row["budget_bytes"]),
            text.size(row["predicted_bytes"]),
            row["predicted"],
            row["seen"] if row["agrees"] else f"{row['seen']} (!)",
        )
    return _block(
        "Devices run under a hard memory limit", "measured", sentences.verified_sentence(result), table
    )


def _traffic(result: RunResult) -> Any:
    table = _table("", "", left=1)
    table.show_header = False
    for name, value in text.facts(result["traffic"]).items():
        table.add_row(name, value)
    note = "measured: the bytes of one report and of one release"
    return _block("Traffic", "modelled", note, table)
