"""Chapters of a run's report: who took part, traffic, hours; None where the run has nothing on it."""

from fedbert.reporting import plots_devices
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    facts_html,
    figure_html,
    panels_html,
    table_html,
)
from fedbert.reporting.run import sentences
from fedbert.results import RunResult


def participation(result: RunResult) -> Section | None:
    """Devices by round from the coin to the report."""
    if all(row["round"] == 0 for row in result["rounds"]):
        return None
    return Section(
        "Who took part",
        None,
        panels_html(
            Panel(
                "From the cohort to the report",
                "modelled",
                figure_html(
                    plots_devices.participation(result), "Devices by round and stage of taking part."
                ),
                wide=True,
            )
        ),
        "Every device tosses its own coin whether or not it can take part; those that cannot count as "
        "zero, and the privacy account charges the coin, not the turnout.",
    )


def traffic(result: RunResult) -> Section | None:
    """Bytes up and down."""
    if not result["rounds"]:
        return None
    return Section(
        "Traffic",
        None,
        panels_html(
            Panel(
                "Down: releases",
                "modelled",
                figure_html(plots_devices.traffic(result, "bytes_down"), "Megabytes down by round.", 280),
            ),
            Panel(
                "Up: masked reports",
                "modelled",
                figure_html(plots_devices.traffic(result, "bytes_up"), "Megabytes up by round.", 280),
            ),
            Panel("Payloads and totals", "modelled", facts_html(text.facts(result["traffic"])), wide=True),
        ),
        "The bytes of one release and of one masked report are measured on real ones. How many travel, and "
        "how often again, follows from modelled availability and links.",
    )


def hours(result: RunResult) -> Section | None:
    """Availability and sessions by local hour."""
    if not result["hours"]:
        return None
    return Section(
        "The fleet's day",
        None,
        panels_html(
            Panel(
                "When phones can take part",
                "modelled",
                figure_html(plots_devices.eligibility(result), "Shares of the fleet by local hour."),
            ),
            Panel(
                "When people use them",
                "modelled",
                figure_html(plots_devices.sessions_by_hour(result), "Share of sessions by local hour."),
            ),
        ),
    )


def verified_devices(result: RunResult) -> Section | None:
    """Devices near the boundary that were really run under a hard memory limit."""
    verified = result.get("verified_devices")
    if not verified:
        return None
    rows: list[list[Cell]] = [
        [
            str(row["device"]) if row["device"] is not None else None,
            row["profile"],
            row["tokens"],
            text.size(row["budget_bytes"]),
            text.size(row["predicted_bytes"]),
            row["predicted"],
            row["seen"],
            row["agrees"],
        ]
        for row in verified
    ]
    columns = ["device", "profile", "tokens", "budget", "predicted peak", "predicted", "seen", "agree"]
    return Section(
        "Does memory really decide so?",
        "measured",
        table_html(rows, columns, align="llrrrlll"),
        "Each device is a fresh process whose memory is limited to its own baseline (interpreter and "
        "runtime) plus the device's budget; it loads the model and encodes one text. A device without a "
        "number has a budget drawn from the free memory of its profile.",
        f"{sentences.verified_sentence(result)} Drawn are those whose budget is nearest to the predicted "
        "peak, on both sides of it.",
    )
