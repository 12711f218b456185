"""The report of a run that was stopped: what its finished rounds say, and that this is not all."""

import shlex
from pathlib import Path

from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile
from fedbert.journal import read_journal
from fedbert.records import RecordKind, checked_record
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import (
    Card,
    Panel,
    Section,
    alert_html,
    figure_html,
    panels_html,
    render_page,
)
from fedbert.reporting.run import asynchronous, clock, fleet, privacy, provenance, quality, sentences, server
from fedbert.reporting.run.cards import not_private_card, quality_card
from fedbert.results import RUN_FILE, RoundRow, Underway, is_bounded
from fedbert.resume import ROUNDS, saved_settings
from fedbert.run_folder import CHECKPOINT
from fedbert.scenario import Scenario, build

SETTINGS = f"{CHECKPOINT}/scenario.toml"
"""Where a run that works keeps its settings."""


KIND: RecordKind[list[RoundRow]] = RecordKind(
    file=ROUNDS,
    whose="a run's",
    folder="a run",
    again="go on with the run, or run the scenario again",
    shape=list[RoundRow],
    schema=None,
    limit_bytes=0,
)


def is_stopped(folder: Path) -> bool:
    """Whether `folder` holds the rounds of a run, and no result."""
    return (folder / ROUNDS).is_file() and not (folder / RUN_FILE).exists()


def read_underway(folder: Path) -> tuple[Scenario, Underway]:
    """Return the settings and the finished rounds of the run that was stopped in `folder`.

    Raises:
        FedbertError: if no round is whole, the settings are missing, or the rounds are not of this version.
    """
    path = folder / ROUNDS
    try:
        journal = read_journal(path)
    except UnreadableFile as error:
        raise error.of("rounds", str(path)) from None
    rows = journal.rows
    # An empty file is of a run that was stopped in its first window, which has settings to show.
    if not rows and path.stat().st_size:
        raise FedbertError(f"{path} must hold a whole round, and has none; {KIND.again}")
    if not any((folder / name).is_file() for name in (SETTINGS, "scenario.toml")):
        raise FedbertError(f"{folder / SETTINGS} must exist beside {ROUNDS}; run the scenario again")
    scenario, _ = build(saved_settings(folder))
    found: Underway = {
        "scenario": scenario.model_dump(mode="json"),
        "rounds": checked_record(KIND, rows, path),
        "comparison": [],
        "gap": None,
    }
    return scenario, found


def render_partial(folder: Path) -> str:
    """Return the report of the run that was stopped in `folder`; raises FedbertError."""
    scenario, found = read_underway(folder)
    done = found["rounds"][-1]["round"] if found["rounds"] else 0
    chapters = [
        quality.quality(found),
        _epsilon(found),
        server.releases(found),
        fleet.participation(found),
        asynchronous.asynchronous(found),
        clock.clock(found),
        fleet.traffic(found, None),
        provenance.scenario(found, SETTINGS),
    ]
    resume = f"fedbert run --resume {shlex.quote(str(folder))}"
    return render_page(
        title=f"What {scenario.devices:,} phones have done so far",
        subtitle=f"Report of a stopped run · world {scenario.world_name} · seed {scenario.seed}",
        lead=sentences.quality_sentence(found),
        cards=[
            quality_card(found),
            Card("Rounds finished", f"{done} of {scenario.rounds}", "the run was stopped", "measured"),
            _privacy_card(found),
        ],
        sections=[chapter for chapter in chapters if chapter is not None],
        alerts=[
            alert_html(
                "This run did not finish.",
                f"The page shows {done} of {scenario.rounds} rounds. Comparison, tiers, latency and energy "
                f"come at the end of a run. To go on: {resume}",
            )
        ],
    )


def _epsilon(found: Underway) -> Section | None:
    if not any(is_bounded(row) for row in found["rounds"]):
        return None
    figure = figure_html(privacy.epsilon_figure(found), "Cumulative epsilon by round, by adversary.", 320)
    return Section(
        "What it reveals", None, panels_html(Panel("Epsilon by round", "proved", figure, wide=True))
    )


def _privacy_card(found: Underway) -> Card:
    last = found["rounds"][-1] if found["rounds"] else None
    if last is None or not is_bounded(last):
        return not_private_card()
    hidden = f"; {text.epsilon(last['epsilon'])} where it is not"
    return Card(
        "Privacy spent (epsilon)",
        text.epsilon(last["epsilon_unamplified"]),
        f"where participation is seen{hidden if last['epsilon'] != last['epsilon_unamplified'] else ''}",
        "proved",
    )
