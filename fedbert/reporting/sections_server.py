"""Chapters of a run's report: privacy, the server, and how the run was made."""

from fedbert.reporting import plots
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    alert_html,
    facts_html,
    figure_html,
    panels_html,
    table_html,
)
from fedbert.reporting.run import sentences
from fedbert.results import RunResult, is_private

MASK_WORDS = {
    "devices_per_shard": "most devices of a shard whose masks were run",
    "dropped": "of these, dropped out half-way",
    "equal": "masked sum equal to the plain sum, to the bit",
}


def privacy(result: RunResult) -> Section:
    """Epsilon by round, its assumptions, and what it would come to."""
    row = result["privacy"]
    protected = is_private(row)
    how: dict[str, Cell] = {
        "mechanism": f"{row.get('mechanism', 'gaussian')}, {row['mode']}",
        "who is protected": row["assumptions"].get("unit", text.NONE),
        "sampler": f"{row['sampler']}, probability {text.significant(row['sampling_probability'], 4)}",
        "noise multiplier": text.significant(row["noise_multiplier"], 4) if protected else "no noise",
        "clip norm": text.significant(row["clip_norm"], 4),
        "delta": text.power(row["delta"]),
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
            sentences.statement(result),
        )
    notice = alert_html("Not private.", sentences.statement(result))
    return Section(
        "What it reveals",
        None,
        notice + panels_html(Panel("How it is done", None, facts_html(how), wide=True)),
    )


def _days(days: int) -> str:
    return "after 1 day" if days == 1 else f"after {days} days"


def secure_sum(result: RunResult) -> Section:
    """The check that masked and plain sums agree."""
    checked = result["secure_sum"]
    return Section(
        "Do the masks cancel?",
        "measured",
        facts_html({MASK_WORDS.get(name, name): value for name, value in text.facts(checked).items()}),
        "Each shard really runs pairwise masks, with devices dropping out, for a few of its phones, compares "
        "the result with their plain sum, mod 2^32, and answers yes or no: no phone's vector leaves it.",
    )


def shards(result: RunResult) -> Section | None:
    """What went wrong with shards, and whose figures are missing; None if nothing did."""
    events = result.get("events", [])
    if not events:
        return None
    rows: list[list[Cell]] = [[str(event["round"]), event["text"]] for event in events]
    missing = sentences.missing_sentence(result)
    notice = alert_html("Devices are missing.", missing) if missing else ""
    table = table_html(rows, ["round", "what"], align="rl")
    return Section(
        "What went wrong with shards",
        None,
        notice + panels_html(Panel("By round", None, table, wide=True)),
        "A shard that fails is asked again, three times in all. One that is left out of a round is in none "
        "of its figures.",
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
        "The gate uses only what a deployed server has: public validation text and privatised histograms "
        "of the rank users clicked. A round sums signals of one release only.",
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
        **text.facts(result.get("machine", {})),
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
