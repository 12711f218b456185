"""Chapters of a run's report: latency and peak memory by tier, and devices that were run under a limit."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.device_errors import engine_sentence
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    figure_html,
    folded_html,
    panels_html,
    table_html,
)
from fedbert.reporting.run import sentences
from fedbert.reporting.run.axes import tier_colours
from fedbert.results import RunResult
from fedbert.units import MEGABYTE

LATENCY_TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)


def _occupied(counts: Sequence[float]) -> tuple[int, int]:
    filled = [index for index, count in enumerate(counts) if count > 0]
    return (filled[0], filled[-1] + 1) if filled else (0, 0)


def latency_figure(result: RunResult) -> Any:
    """Cumulative share of answered sessions by latency, one line per tier, with the deadline."""
    import plotly.graph_objects as go

    histogram = result["latency_histogram"]
    edges = histogram.get("upper_ms", [])
    colours = tier_colours(result)
    figure = go.Figure()
    for name, colour in colours.items():
        counts = histogram.get(name, [])
        total = sum(counts)
        first, last = _occupied(counts)
        if not total:
            continue
        first = max(0, first - 1)
        figure.add_scatter(
            x=edges[first:last],
            y=[reached / total for reached in accumulate(counts)][first:last],
            mode="lines",
            line={"color": colour, "width": 2.5},
            name=name,
            hovertemplate=f"{name}: %{{y:.1%}} within %{{x:.0f}} ms<extra></extra>",
        )
    deadline = result["scenario"].get("deadline_ms")
    if deadline:
        figure.add_vline(x=deadline, line={"color": theme.RUST, "width": 1.6, "dash": "dash"})
        figure.add_annotation(
            x=math.log10(deadline),
            y=0.42,
            yref="paper",
            xanchor="right",
            xshift=-6,
            align="right",
            showarrow=False,
            text=f"deadline<br>{text.milliseconds(deadline)}",
            font={"color": theme.RUST, "size": 12},
        )
    figure.update_layout(
        xaxis={
            "title": {"text": "milliseconds to answer a session (logarithmic)"},
            "type": "log",
            "tickvals": list(LATENCY_TICKS_MS),
            "ticktext": [f"{tick:,}" for tick in LATENCY_TICKS_MS],
            "showgrid": True,
        },
        yaxis={"title": {"text": "share of answered sessions"}, "tickformat": ".0%", "range": [0, 1.02]},
    )
    return figure


def memory_figure(result: RunResult) -> Any:
    """Sessions by peak memory of the feature, stacked by tier, with the budget and the way to it."""
    import plotly.graph_objects as go

    histogram = result["memory_histogram"]
    edges = [edge / MEGABYTE for edge in histogram.get("upper_bytes", [])]
    lower = [0.0, *edges[:-1]]
    budget = result["scenario"].get("memory_budget_bytes")
    seen = [budget / MEGABYTE] if budget else []
    figure = go.Figure()
    for name, colour in tier_colours(result).items():
        counts = histogram.get(name, [])
        first, last = _occupied(counts)
        if first == last:
            continue
        seen += [lower[first], edges[last - 1]]
        figure.add_bar(
            x=[(low + high) / 2 for low, high in zip(lower[first:last], edges[first:last], strict=True)],
            width=[high - low for low, high in zip(lower[first:last], edges[first:last], strict=True)],
            y=counts[first:last],
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate=f"{name}: %{{y:,.0f}} near %{{x:.2f}} MB<extra></extra>",
        )
    if budget:
        figure.add_vline(x=budget / MEGABYTE, line={"color": theme.RUST, "width": 1.6, "dash": "dash"})
        figure.add_annotation(
            x=budget / MEGABYTE,
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            text=f"budget {budget / MEGABYTE:g} MB",
            font={"color": theme.RUST, "size": 12},
        )
    # At least a tenth of the value is shown, so that a distance of nothing does not fill the chart.
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    beside = max(0.08 * (high - low), 0.05 * high)
    start, end = max(0.0, low - beside), high + beside
    figure.update_layout(
        barmode="stack",
        bargap=0,
        legend={"traceorder": "normal", "y": 1.08},
        margin={"t": 64},
        xaxis={
            "title": {"text": "peak memory of the feature, MB"},
            "range": [start, end],
            # Plotly's own ticks stand at the bars, and one bar would leave one tick.
            "tick0": 0,
            "dtick": _round_step((end - start) / 4),
        },
        yaxis={"title": {"text": "sessions"}, "tickformat": "~s"},
    )
    return figure


def _round_step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the nearest below `rough`."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (5, 2, 1) if step * power <= rough or step == 1)


def headroom_text(result: RunResult, tier: str) -> str | None:
    """Return a tier's largest peak and how far it is from the budget; None without a budget or a session.

    Peaks are known by bins: up to the upper edge of the last one with a session.
    """
    budget = result["scenario"].get("memory_budget_bytes")
    edges = result["memory_histogram"].get("upper_bytes", [])
    first, last = _occupied(result["memory_histogram"].get(tier, []))
    if not budget or first == last:
        return None
    left = budget - edges[last - 1]
    word = "left" if left >= 0 else "too much"
    return f"{text.size(edges[last - 1])}, {text.size(abs(left))} ({abs(left) / budget:.1%}) {word}"


def memory_sentence(result: RunResult) -> str:
    """Return the largest peak of each tier and its distance to the budget; empty without a budget."""
    tiers: dict[str, list[str]] = {}
    for tier in result["tiers"]:
        if words := headroom_text(result, tier):
            tiers.setdefault(words, []).append(tier)
    if not tiers:
        return ""
    budget = text.size(result["scenario"].get("memory_budget_bytes"))
    found = "; ".join(f"{', '.join(names)} {words}" for words, names in tiers.items())
    return f"Largest peak (upper edge of its bin) against the budget of {budget}: {found}."


def latency_and_memory(result: RunResult) -> Section | None:
    """Latency and peak memory by tier."""
    if not result["tiers"]:
        return None
    latency: list[list[Cell]] = [
        [name, *(text.milliseconds(tier["latency_ms"].get(key)) for key in ("p50", "p90", "p95", "p99"))]
        for name, tier in result["tiers"].items()
    ]
    memory: list[list[Cell]] = [
        [name, *(text.size(tier["peak_memory_bytes"].get(key)) for key in ("p50", "p90", "p95", "p99"))]
        for name, tier in result["tiers"].items()
    ]
    columns = ["tier", "p50", "p90", "p95", "p99"]
    return Section(
        "Speed and memory on the phone",
        None,
        panels_html(
            Panel(
                "How fast sessions are answered",
                "modelled",
                figure_html(latency_figure(result), "Cumulative share of sessions by latency and tier.")
                + folded_html("Percentiles of latency as a table", table_html(latency, columns)),
            ),
            Panel(
                "Does it fit in memory?",
                "modelled",
                figure_html(memory_figure(result), "Sessions by peak memory, with the budget.")
                + folded_html("Percentiles of memory as a table", table_html(memory, columns)),
                memory_sentence(result),
            ),
        ),
        "Percentiles and curves are over answered sessions, from fixed bins that are 2% wide.",
        lead=engine_sentence(result.get("device_errors")) or "",
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
        "Each device is a new process. Its memory is limited to its own baseline (interpreter and "
        "runtime) plus the device's budget. It loads the model and encodes one text. A device without "
        "a number has a budget drawn from the free memory of its profile.",
        f"{sentences.verified_sentence(result)} The devices are those whose budget is nearest to the "
        "predicted peak, on both sides of it.",
    )
