"""Chapters of a run's report: what was ranked by what, every setting, and how the run was made."""

from typing import Any

from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Cell, Panel, Section, facts_html, figure_html, panels_html
from fedbert.results import RunResult, Underway

READ = ("read", "trace")
"""Keys of the world's facts on what was read of the user's own files."""


def timing_figure(result: RunResult) -> Any:
    """Seconds by stage of the run."""
    import plotly.graph_objects as go

    stages = sorted(result["timing_s"].items(), key=lambda stage: stage[1])
    figure = go.Figure()
    figure.add_bar(
        x=[seconds for _, seconds in stages],
        y=[text.label(name) for name, _ in stages],
        orientation="h",
        marker={"color": theme.ACCENT},
        text=[text.duration(seconds) for _, seconds in stages],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.2f} s<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "seconds"}},
        margin={"t": 8, "r": 70},
        yaxis={"showgrid": False},
    )
    return figure


def world_and_model(result: RunResult) -> Section:
    """What was ranked, and by what."""
    return Section(
        "World and model",
        None,
        panels_html(
            Panel("World", "measured", facts_html(text.facts(result["world"], omit=("note", *READ)))),
            *(
                Panel(title, "measured", facts_html(read), "As read from your own files.")
                for title, read in _read(result)
            ),
            Panel("Model", "measured", facts_html(text.facts(result["model"]))),
            Panel("Totals", "measured", facts_html(text.facts(result["totals"])), wide=True)
            if result["totals"]
            else None,
        ),
        text.sentence(str(result["world"].get("note") or "")),
    )


def _read(result: RunResult) -> list[tuple[str, dict[str, str]]]:
    """Return what was read of each of the user's own files, by the name of its panel."""
    world = result["world"]
    found = []
    if "read" in world:
        found.append(("Catalogue and log", text.facts(world["read"])))
    if "trace" in world:
        found.append(("Trace of phones", text.facts(world["trace"])))
    return found


def scenario(result: Underway, file: str = "scenario.toml") -> Section:
    """Every setting; `file` holds them, seen from the report."""
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
        f"The same settings are in {file} beside this report. --config reads them.",
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
            figure_html(timing_figure(result), "Seconds by stage.", 90 + 34 * len(result["timing_s"])),
        )
        if result["timing_s"]
        else None
    )
    return Section("How this was made", None, panels_html(Panel("Run", "measured", facts_html(made)), timed))
