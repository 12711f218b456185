"""Chapters of a run's report: quality and phones; None where the run has nothing on the subject."""

from fedbert.comparison import TIER_COLUMNS, tier_ndcg
from fedbert.reporting import plots, plots_devices
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    figure_html,
    panels_html,
    table_html,
)
from fedbert.reporting.parts.tier_notes import tier_note
from fedbert.reporting.run import sentences
from fedbert.results import RunResult

METRIC_COLUMNS = (
    ("nDCG@10", "ndcg@10"),
    ("nDCG@5", "ndcg@5"),
    ("MRR", "mrr"),
    ("hit@1", "hit@1"),
    ("AUC", "auc"),
)


def quality(result: RunResult) -> Section | None:
    """Quality by round, and what of the possible gain was won."""
    rounds = result["rounds"]
    if not rounds:
        return None
    every: list[Panel | None] = [
        Panel(
            "Ranking quality by round",
            "measured",
            figure_html(
                plots.quality_by_round(result),
                "Line chart of nDCG@10 by round: as users saw it, treated and control groups, baselines.",
                460,
            ),
            "Solid blue counts every evaluation session; where the phone could not answer in time the "
            "user saw the default order. The two thinner lines count scored sessions only; the control "
            "group never gets a new release, so their distance is what learning won. Dashed lines score "
            "every session.",
            wide=True,
        )
    ]
    gap = result["gap"]
    if gap is not None:
        closed = text.percent(gap["closed"])
        every.append(
            Panel(
                f"Of the possible gain, {closed} was won"
                if gap["closed"] is not None
                else "No gain was possible",
                "measured",
                figure_html(
                    plots.gap(result), "From release 0 to the final release to the pooled-data bound.", 270
                ),
                "The pooled-data bound is the same student, steps and learning rates on all learning "
                "sessions' clicks in one place, unclipped. By text alone "
                f"{text.percent(gap['text_only_closed'])} was won.",
                wide=True,
            )
        )
    last = rounds[-1]
    rows: list[list[Cell]] = [
        [name, *(row[key] for _, key in METRIC_COLUMNS), row["sessions"]]  # type: ignore[literal-required]
        for name, row in (("before the first round", rounds[0]), (f"round {last['round']}", last))
    ]
    every.append(
        Panel(
            "As users saw it, all metrics",
            "measured",
            table_html(rows, ["window", *(name for name, _ in METRIC_COLUMNS), "sessions"]),
            wide=True,
        )
    )
    return Section(
        "Quality",
        None,
        panels_html(*every),
        "Sampled-candidate metrics are not comparable with metrics over a whole catalogue. Intervals "
        "come from resampling texts, not devices.",
        f"All figures are {sentences.METRIC_IN_FULL}: 1 means that the item the user wanted always stood "
        "first.",
    )


def comparison(result: RunResult) -> Section | None:
    """Every ranking system on the same sessions."""
    rows = sorted(result["comparison"], key=lambda row: -row["quality"]["ndcg@10"])
    if not rows:
        return None
    cells: list[list[Cell]] = [
        [
            row["system"],
            row["inputs"],
            row["quality"]["ndcg@10"],
            f"{row['low']:.3f} to {row['high']:.3f}",
            *(row["quality"][key] for _, key in METRIC_COLUMNS[1:]),  # type: ignore[literal-required]
        ]
        for row in rows
    ]
    columns = [
        "system",
        "what it sees",
        "nDCG@10",
        "95% interval",
        *(name for name, _ in METRIC_COLUMNS[1:]),
    ]
    return Section(
        "Is it understanding or habit?",
        None,
        panels_html(
            Panel(
                "Every system on the same sessions",
                "measured",
                figure_html(
                    plots.comparison(result),
                    "nDCG@10 of each ranking system with its interval.",
                    64 + 44 * len(rows),
                ),
                "Blue runs on phones; purple is the bound with pooled data; green are larger models that "
                "no phone runs; grey understands no text or matches words only.",
                wide=True,
            ),
            Panel("All metrics", "measured", table_html(cells, columns, align="llrrrrrr"), wide=True),
        ),
        lead="A recommender can look clever by repeating habits. Here every system ranks the same evaluation "
        "sessions, all of them scored, so that the text model stands beside popularity, word matching and a "
        "model of the user alone.",
    )


def tiers(result: RunResult) -> Section | None:
    """Quality and outcomes by device tier."""
    if not result["tiers"]:
        return None
    outcomes = sentences.outcome_names(result)
    quality_rows: list[list[Cell]] = [
        [name, tier["devices"], tier["sessions"], *tier_ndcg(result, name)]
        for name, tier in result["tiers"].items()
    ]
    outcome_rows: list[list[Cell]] = [
        [name, *(text.percent(text.shares(tier["outcomes"]).get(outcome, 0.0), 1) for outcome in outcomes)]
        for name, tier in result["tiers"].items()
    ]
    height = 130 + 44 * len(result["tiers"])
    return Section(
        "Who gets what, by device tier",
        None,
        panels_html(
            Panel(
                "Quality by tier",
                "measured",
                figure_html(
                    plots_devices.tier_quality(result), "Bars of nDCG@10 by device tier.", max(320, height)
                ),
            ),
            Panel(
                "What became of the sessions",
                "modelled",
                figure_html(
                    plots_devices.tier_outcomes(result),
                    "Share of sessions by outcome and tier.",
                    max(320, height),
                ),
            ),
            Panel(
                "Quality, over the whole run",
                "measured",
                table_html(quality_rows, ["tier", "devices", "sessions", *TIER_COLUMNS]),
                tier_note(result),
                wide=True,
            ),
            Panel(
                "Outcomes, over the whole run",
                "modelled",
                table_html(
                    outcome_rows, ["tier", *(sentences.outcome_label(outcome) for outcome in outcomes)]
                ),
                wide=True,
            ),
        ),
        "Quality is of evaluation sessions, outcomes are of all sessions. Quality is measured on real "
        "text; whether a phone of a tier answers in time is modelled from its profile.",
        "A phone that is too slow, short of memory or without a release shows the default order: its "
        "user loses quality, and this is by how much.",
    )


def latency_and_memory(result: RunResult) -> Section | None:
    """Latency and peak memory by tier."""
    if not result["tiers"]:
        return None
    rows: list[list[Cell]] = [
        [
            name,
            *(text.milliseconds(tier["latency_ms"].get(key)) for key in ("p50", "p90", "p95", "p99")),
            *(text.size(tier["peak_memory_bytes"].get(key, 0.0)) for key in ("p50", "p95", "p99")),
        ]
        for name, tier in result["tiers"].items()
    ]
    columns = [
        "tier",
        *(f"latency {key}" for key in ("p50", "p90", "p95", "p99")),
        *(f"memory {key}" for key in ("p50", "p95", "p99")),
    ]
    return Section(
        "Speed and memory on the phone",
        None,
        panels_html(
            Panel(
                "How fast sessions are answered",
                "modelled",
                figure_html(
                    plots_devices.latency(result), "Cumulative share of sessions by latency and tier."
                ),
            ),
            Panel(
                "Does it fit in memory?",
                "modelled",
                figure_html(plots_devices.memory(result), "Sessions by peak memory, with the budget."),
            ),
            Panel("Percentiles", "modelled", table_html(rows, columns), wide=True),
        ),
        "Percentiles and curves are of answered sessions, from fixed bins 2% wide.",
    )
