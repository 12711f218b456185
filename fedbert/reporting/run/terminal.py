"""The summary a run ends with: what users got, what it cost, what it reveals, where the files are."""

import sys
from pathlib import Path
from typing import Any, TextIO

from fedbert.comparison import EVERY_SESSION, tier_ndcg
from fedbert.display import COLUMNS
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import device_errors_line, engine_sentence
from fedbert.reporting.parts.terminal import block, dim, new_table
from fedbert.reporting.parts.tier_notes import TIER_HEADINGS
from fedbert.reporting.run import asked, asynchronous, audit, clock, epsilons, poisoned, sentences, sizes
from fedbert.results import ROUND_ENDS, ROUND_PARTS, RunResult, is_private


def print_summary(
    result: RunResult, folder: Path, stream: TextIO | None = None, width: int | None = None
) -> None:
    """Print the summary of a run whose files are in `folder`.

    Args:
        result: the run.
        folder: where its files are.
        stream: where to print, standard output by default.
        width: columns; by default the terminal's, and 80 where there is none.
    """
    from rich.console import Console

    out = stream if stream is not None else sys.stdout
    if width is None and not out.isatty():
        width = COLUMNS
    console = Console(file=out, width=width, highlight=False, markup=False)
    console.print()
    console.print(sentences.headline(result), style="bold")
    said = sentences.said(result)
    for sentence, style in (
        (said["baselines"], "bold red"),
        (said["held"], "bold red"),
        (said["gap"], ""),
        (said["delivery"], ""),
        (said["arms"], ""),
    ):
        if sentence:
            console.print(sentence, style=style)
    if not sentences.finished(result):
        console.print(text.sentence(result["status"]), style="bold red")
    ended = sentences.ended_sentence(result)
    if ended:
        console.print(ended, style="bold")
    missing = sentences.missing_sentence(result)
    if missing:
        console.print(missing, style="bold red")
    lies = poisoned.all_sentences(result)
    if lies:
        console.print(lies, style="bold red")
    timed = sentences.timing_sentence(result)
    if timed:
        console.print(timed, style="bold")
    left_out = sentences.no_bound_sentence(result)
    if left_out:
        console.print(left_out)
    blocks = (
        *(_quality, _tier_quality, _tiers, _energy, _outcomes, _sizes),
        *(_asked, _clock, _privacy, _audit, _traffic),
    )
    for shown in (make(result) for make in blocks):
        if shown is not None:
            console.print()
            console.print(shown)
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
    console.print("Beside it: run.json, rounds.parquet, devices.parquet, scenario.toml.", style="dim")


def _quality(result: RunResult) -> Any:
    rounds = result["rounds"]
    if not rounds or result["scenario"].get("timing_only"):
        return None
    table = new_table("", "nDCG@10", "95% interval")
    after = f"  after round {rounds[-1]['round']}"
    for name, row in (("as users saw it, before", rounds[0]), (after, rounds[-1])):
        table.add_row(
            name, _figure(row["ndcg@10"], "no session"), text.between(row["ndcg@10_low"], row["ndcg@10_high"])
        )
    if result["comparison"]:
        table.add_section()
        table.add_row("every session scored by:", "", "")
    named = zip(sentences.system_labels(result), result["comparison"], strict=True)
    for name, system in sorted(named, key=lambda pair: -pair[1]["quality"]["ndcg@10"]):
        table.add_row(
            f"  {name}",
            text.number(system["quality"]["ndcg@10"]),
            text.between(system["low"], system["high"]),
        )
    note = f"{sentences.interval_label(result)}. {sentences.carried_sentence(result)}".strip()
    return block(sentences.METRIC_IN_FULL, "measured", dim(note), table)


def _figure(value: float | None, missing: str) -> str:
    return missing if value is None else text.number(value)


def _tier_quality(result: RunResult) -> Any:
    if not result["tiers"] or result["scenario"].get("timing_only"):
        return None
    rows = {name: tier_ndcg(result, name) for name in result["tiers"]}
    # A quick run has no bound.
    known = [any(each is not None for each in values) for values in zip(*rows.values(), strict=True)]
    headings = [name for name, here in zip(TIER_HEADINGS[1:], known, strict=True) if here]
    table = new_table("tier", *headings)
    for name, values in rows.items():
        table.add_row(name, *(text.number(each) for each, here in zip(values, known, strict=True) if here))
    scored = [name for name in headings if name in EVERY_SESSION]
    note = [dim(f"every session scored: {', '.join(scored)}")] if scored else []
    return block("nDCG@10 by device tier, whole run", "measured", *note, table)


def _tiers(result: RunResult) -> Any:
    if not result["tiers"]:
        return None
    table = new_table("tier", "devices", "p50", "p95", "p99", "memory p95")
    for name, tier in result["tiers"].items():
        table.add_row(
            name,
            f"{tier['devices']:,}",
            *(text.milliseconds(tier["latency_ms"].get(key)) for key in ("p50", "p95", "p99")),
            text.size(tier["peak_memory_bytes"].get("p95")),
        )
    errors = result.get("device_errors")
    lines = [line for line in (engine_sentence(errors), device_errors_line(errors)) if line]
    return block("By device tier: latency of answered sessions", "modelled", table, *lines)


def _energy(result: RunResult) -> Any:
    if not result["tiers"]:
        return None

    table = new_table("tier", "mJ/session", "mJ/round", "mAh/day", "battery/day", "largest use")
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
    note = "From one phone's power profile. mJ/round is of a device that sends a signal."
    return block("Energy and battery of a phone, extrapolated", "modelled", dim(note), table)


def _outcomes(result: RunResult) -> Any:
    names = sentences.outcome_names(result)
    if not names:
        return None
    table = new_table("tier", *(sentences.outcome_label(name) for name in names))
    for tier, row in result["tiers"].items():
        part = text.shares(row["outcomes"])
        table.add_row(tier, *(text.percent(part.get(name, 0.0), 1) for name in names))
    return block("What became of the sessions", "modelled", table)


def _sizes(result: RunResult) -> Any:
    cells = sizes.short_rows(result)
    if not cells:
        return None
    table = new_table(*sizes.SHORT_HEADINGS)
    for row in cells:
        table.add_row(*row)
    note = dim("nDCG@10 is measured. Seen: the final release, with the default order where it is too late.")
    return block(
        "Each phone the size that fits, or one for all", "modelled", note, table, *sizes.sentences(result)
    )


def _asked(result: RunResult) -> Any:
    if not asked.chosen(result):
        return None
    table = new_table(*asked.HEADINGS)
    for row in asked.rows(result):
        table.add_row(*row)
    return block("Who was asked, whole run", "modelled", asked.sentence(result), table)


def _clock(result: RunResult) -> Any:
    said = clock.sentence(result)
    if not said:
        return None
    table = new_table("tier", "asked", *ROUND_ENDS, *ROUND_PARTS)
    for name, tier in result["tiers"].items():
        table.add_row(name, *clock.tier_cells(tier))
    said = " ".join(each for each in (asynchronous.sentence(result), said) if each)
    return block("Inside a round: how it ended, and mean times of done reports", "modelled", said, table)


def _privacy(result: RunResult) -> Any:
    from rich.text import Text

    row = result["privacy"]
    if not is_private(row):
        return Text.assemble(("Not private. ", "bold red"), sentences.statement(result))
    projected = [f"{each['days']} days" if each["days"] > 1 else "1 day" for each in row["projections"]]
    table = new_table("", "assumes", "run", *projected, left=2)
    for name, key, assumption in epsilons.kinds(row):
        table.add_row(
            name,
            row["assumptions"].get(assumption, text.NONE),
            text.epsilon(row[key]),  # type: ignore[literal-required]
            *(text.epsilon(each[key]) for each in row["projections"]),  # type: ignore[literal-required]
        )
    unit = row["assumptions"].get("unit", text.NONE)
    title = f"Epsilon at delta {text.power(row['delta'])}"
    return block(title, "proved", sentences.statement(result), Text(f"Protected: {unit}."), table)


def _audit(result: RunResult) -> Any:
    from rich.text import Text

    found = result.get("audit")
    if found is None:
        return None
    fault = audit.fault_sentence(found)
    said = Text(f"The audit found a fault. {fault}", "bold red") if fault else audit.result_sentence(found)
    given = found["exposure"]
    parts: list[Any] = [] if given is None else [audit.exposure_sentence(given, audit.reads_reports(found))]
    if found["bounds"]:
        table = new_table(
            "attack", "attacker", "canaries", "at least", "of one run", "proved", "no noise", left=2
        )
        for row in audit.bound_rows(found):
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        parts.append(table)
    return block("What an attack really gets: epsilon", "measured", said, *parts)


def _verified(result: RunResult) -> Any:
    table = new_table("device", "profile", "tokens", "budget", "predicted peak", "predicted", "seen", left=2)
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
    return block(
        "Devices run under a hard memory limit", "measured", sentences.verified_sentence(result), table
    )


def _traffic(result: RunResult) -> Any:
    table = new_table("", "", left=1)
    table.show_header = False
    for name, value in text.facts(result["traffic"]).items():
        table.add_row(name, value)
    note = "The bytes of one report and of one release are measured."
    return block("Traffic", "modelled", note, table)
