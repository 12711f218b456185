"""The chapters of a run's report; each returns None where the run has nothing to say on its subject."""

from fedbert.reporting import plots, plots_devices, text
from fedbert.reporting.page import (
    Cell,
    Panel,
    Section,
    alert_html,
    facts_html,
    figure_html,
    panels_html,
    table_html,
)
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
            "Solid blue counts every evaluation session; where the phone could not answer in time the user saw "
            "the default order. The two thinner lines count scored sessions only; the control group never "
            "gets a new release, so their distance is what learning won. Dashed lines score every session.",
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
                "The pooled-data bound is the same student, steps and learning rates on all learning sessions' "
                f"clicks in one place, unclipped. By text alone {text.percent(gap['text_only_closed'])} was won.",
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
        "Sampled-candidate metrics are not comparable with metrics over a whole catalogue. Intervals come from "
        "resampling texts, not devices.",
        f"All figures are {text.METRIC_IN_FULL}: 1 means that the item the user wanted always stood first.",
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
        "95 % interval",
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
    outcomes = text.outcome_names(result)
    rows: list[list[Cell]] = [
        [
            name,
            tier["devices"],
            tier["sessions"],
            tier["quality"]["ndcg@10"],
            tier["scored_quality"]["ndcg@10"] if tier["scored_quality"] else None,
            *(text.percent(text.shares(tier["outcomes"]).get(outcome, 0.0), 1) for outcome in outcomes),
        ]
        for name, tier in result["tiers"].items()
    ]
    columns = ["tier", "devices", "sessions", "nDCG@10 as seen", "nDCG@10 scored", *outcomes]
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
            Panel("By tier, over the whole run", "measured", table_html(rows, columns), wide=True),
        ),
        "Quality is measured on real text; whether a phone of a tier answers in time is modelled from its profile.",
        "A phone that is too slow, short of memory or without a release shows the default order: its user loses "
        "quality, and this is by how much.",
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
        "Percentiles and curves are of answered sessions, from fixed bins 2 % wide.",
    )


def cost(result: RunResult) -> Section | None:
    """What the feature costs a phone a day."""
    if not result["tiers"]:
        return None
    rows: list[list[Cell]] = [
        [
            name,
            text.significant(tier["battery_percent_per_day"]) + " %",
            text.significant(tier["mah_per_day"]) + " mAh",
            text.significant(tier["energy_mj_per_session"]) + " mJ",
            text.milliseconds(tier["device_ms_per_day"]),
            text.milliseconds(tier["install_ms"]),
        ]
        for name, tier in result["tiers"].items()
    ]
    columns = [
        "tier",
        "battery a day",
        "charge a day",
        "energy a session",
        "computing a day",
        "encoding per release",
    ]
    return Section(
        "What it costs a phone",
        "modelled",
        table_html(rows, columns),
        "Encoding per release is the background work of reading catalogue and history anew when a release is "
        "installed, in the mean.",
    )


def privacy(result: RunResult) -> Section:
    """Epsilon by round, its assumptions, and what it would come to."""
    row = result["privacy"]
    protected = row["epsilon"] is not None
    how: dict[str, Cell] = {
        "mode": row["mode"],
        "who is protected": row["assumptions"].get("unit", text.NONE),
        "sampler": f"{row['sampler']}, probability {text.significant(row['sampling_probability'], 4)}",
        "noise multiplier": text.significant(row["noise_multiplier"], 4) if protected else "no noise",
        "clip norm": text.significant(row["clip_norm"], 4),
        "delta": f"{row['delta']:.2g}",
    }
    panels: list[Panel | None] = []
    if protected:
        table: list[list[Cell]] = [
            [
                "amplified by sampling",
                text.epsilon(row["epsilon"]),
                *(text.epsilon(each["epsilon"]) for each in row["projections"]),
                row["assumptions"].get("amplified", text.NONE),
            ],
            [
                "unamplified",
                text.epsilon(row["epsilon_unamplified"]),
                *(text.epsilon(each["epsilon_unamplified"]) for each in row["projections"]),
                row["assumptions"].get("unamplified", text.NONE),
            ],
        ]
        columns = ["epsilon", "this run", *(_days(each["days"]) for each in row["projections"]), "assumes"]
        panels = [
            Panel(
                "Epsilon by round",
                "proved",
                figure_html(
                    plots.epsilon_by_round(result), "Cumulative epsilon by round, amplified and not.", 320
                ),
            ),
            Panel("How it is done", None, facts_html(how)),
            Panel(
                "Side by side, and what the same noise and rounds would come to",
                "proved",
                table_html(table, columns, align="l" + "r" * (len(columns) - 2) + "l"),
                wide=True,
            ),
        ]
        return Section(
            "What it reveals",
            None,
            panels_html(*panels),
            "Smaller is more private. Epsilon bounds how much more likely any outcome becomes through one "
            "person's data, by a factor of e to the epsilon, but for a chance of delta.",
            text.sentence(row["statement"]),
        )
    notice = alert_html("Not private.", text.sentence(row["statement"]))
    return Section(
        "What it reveals",
        None,
        notice + panels_html(Panel("How it is done", None, facts_html(how), wide=True)),
    )


def _days(days: int) -> str:
    return "after 1 day" if days == 1 else f"after {days} days"


def secure_sum(result: RunResult) -> Section | None:
    """The check that masked and plain sums agree."""
    if not result["secure_sum"]:
        return None
    return Section(
        "Do the masks cancel?",
        "measured",
        facts_html(text.facts(result["secure_sum"])),
        "Pairwise masks with devices dropping out were really run for small groups and compared with the plain "
        "sum, mod 2^32.",
    )


def releases(result: RunResult) -> Section | None:
    """What the server learned and what the gate let through."""
    rounds = result["rounds"]
    if not rounds:
        return None
    rows: list[list[Cell]] = [
        [
            str(row["round"]),
            str(row["signal_release"]),
            row["reported"],
            row["round_status"],
            text.number(row["loss"], 4),
            row["server_ndcg@10"],
            row["gate"],
            str(row["released"]) if row["released"] is not None else None,
        ]
        for row in rounds
    ]
    columns = ["round", "signals of", "reports", "round", "loss", "nDCG@10 public", "gate", "release"]
    return Section(
        "What the server learned and released",
        None,
        panels_html(
            Panel(
                "What the server could see",
                "measured",
                figure_html(plots.server_quality(result), "nDCG@10 on public validation texts by round."),
            ),
            Panel(
                "What phones had installed",
                "modelled",
                figure_html(plots.installed(result), "Share of devices by installed release and round."),
            ),
            Panel(
                "Rounds and the gate's decisions",
                "measured",
                table_html(rows, columns, align="llrlrrlr"),
                wide=True,
            ),
        ),
        "The gate uses only what a deployed server has: public validation text and privatised histograms of the "
        "rank users clicked. A round sums signals of one release only.",
    )


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
        "Every device tosses its own coin whether or not it can take part; those that cannot count as zero, and the "
        "privacy account charges the coin, not the turnout.",
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
                "Bytes by round",
                "measured",
                figure_html(plots_devices.traffic(result), "Megabytes up and down by round."),
            ),
            Panel("Payloads and totals", "measured", facts_html(text.facts(result["traffic"]))),
        ),
        "Bytes are of real payloads: the release file and the masked dense report. How many travel follows from the "
        "modelled availability.",
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


def world_and_model(result: RunResult) -> Section:
    """What was ranked, and by what."""
    return Section(
        "World and model",
        None,
        panels_html(
            Panel("World", "measured", facts_html(text.facts(result["world"], omit=("note",)))),
            Panel("Model", "measured", facts_html(text.facts(result["model"]))),
            Panel("Totals", "measured", facts_html(text.facts(result["totals"])), wide=True)
            if result["totals"]
            else None,
        ),
        text.sentence(str(result["world"].get("note") or "")),
    )


def scenario(result: RunResult) -> Section:
    """Every setting."""
    settings = list(result["scenario"].items())
    half = -(-len(settings) // 2)
    return Section(
        "Scenario",
        None,
        panels_html(
            *(
                Panel("Settings" if index == 0 else "Settings, continued", None, _settings(part))
                for index, part in enumerate((settings[:half], settings[half:]))
                if part
            )
        ),
        "The same settings stand in scenario.toml beside this report; --config reads them again.",
    )


def _settings(part: list[tuple[str, object]]) -> str:
    return facts_html({name: text.NONE if value is None else str(value) for name, value in part})


def provenance(result: RunResult) -> Section:
    """How the run was made: time by stage, versions, command."""
    made: dict[str, Cell] = {
        "command": result["command"],
        "status": result["status"],
        "started": result["started"],
        "wall time": text.duration(result["wall_s"]),
        "peak memory": text.size(result["peak_memory_bytes"]),
        "seed": str(result["seed"]),
        "commit": result["commit"] or text.NONE,
        **result["versions"],
    }
    timed = (
        Panel(
            "Where the time went",
            "measured",
            figure_html(plots.timing(result), "Seconds by stage.", 90 + 34 * len(result["timing_s"])),
        )
        if result["timing_s"]
        else None
    )
    return Section("How this was made", None, panels_html(Panel("Run", "measured", facts_html(made)), timed))
