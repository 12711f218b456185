"""The report of a trade-off grid: one HTML page, put together from its chapters."""

from typing import TYPE_CHECKING

from fedbert.reporting.parts.device_errors import device_errors_reference
from fedbert.reporting.parts.page import Card, Section, facts_html, render_page, table_html
from fedbert.reporting.tradeoff.answer import answer, chosen, differences
from fedbert.reporting.tradeoff.frontier import (
    INTERVAL_NOTE,
    against_epsilon,
    figure_text,
    mean_text,
    won_and_spent,
)
from fedbert.reporting.tradeoff.tiers import tiers
from fedbert.results import DeviceErrors
from fedbert.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd


VARIED = {"signal", "mechanism", "epsilon", "seed"}
"""Keys of the scenario that vary over a grid."""

WHERE_ERRORS = "the report of a cell: fedbert report FOLDER, with a folder of cells/"


def headline(frontier: "pd.DataFrame") -> str:
    """Return the answer in three sentences."""
    release_0, pooled = frontier["release_0_ndcg@10"].mean(), frontier["pooled_ndcg@10"].mean()
    return (
        f"{answer(frontier)} Release 0 ranks at nDCG@10 {release_0:.3f}. Learning from all clicks in one "
        f"place would reach {pooled:.3f}."
    )


def render(
    frontier: "pd.DataFrame",
    cells: "pd.DataFrame",
    scenario: Scenario,
    command: str,
    device_errors: DeviceErrors | None = None,
) -> str:
    """Return report.html of a finished grid; `device_errors` as its runs have it."""
    seeds = sorted(set(cells["seed"].tolist()))
    best = chosen(frontier)
    sections = [
        differences(frontier),
        *against_epsilon(frontier),
        won_and_spent(frontier, len(seeds)),
        tiers(frontier, INTERVAL_NOTE),
        Section(
            "What the epsilons assume",
            "proved",
            table_html(
                [
                    ["amplified", "only the device knows whether it is in a round's cohort"],
                    [
                        "unamplified",
                        "the server knows every cohort; use this one if participation is seen",
                    ],
                    ["no signal", "the same updates from public texts alone; releases pass the same gate"],
                    ["unit", "one device with everything that it sends in the run"],
                    ["signal", ", ".join(sorted(set(frontier["signal"])))],
                    ["privacy mode", ", ".join(sorted(set(frontier["privacy_mode"])))],
                ],
                ["term", "meaning"],
                align="ll",
            ),
        ),
        *([errors] if (errors := device_errors_reference(device_errors, WHERE_ERRORS)) else []),
        Section(
            "The scenario",
            None,
            facts_html(_facts(scenario)),
            note=f"Seeds {', '.join(map(str, seeds))}. Command: {command}",
        ),
    ]
    cards = [
        Card("Runs", str(len(cells)), f"{len(frontier)} arms, {len(seeds)} seeds", "measured"),
        Card("Release 0", mean_text(frontier, "release_0_ndcg@10"), "nDCG@10", "measured"),
        *(
            [
                Card(
                    f"Epsilon {best['epsilon_unamplified']:.3g}, participation seen",
                    figure_text(best["ndcg@10"]),
                    f"nDCG@10 of the final release; {best['signal']}, {best['mechanism']}",
                    "measured",
                )
            ]
            if best is not None
            else []
        ),
        Card("Pooled-data bound", mean_text(frontier, "pooled_ndcg@10"), "nDCG@10", "measured"),
    ]
    return render_page(
        "What privacy costs in quality", headline(frontier), cards, sections, subtitle="Trade-off report"
    )


def _facts(scenario: Scenario) -> dict[str, str]:
    """Return the scenario's keys but those that vary over the grid."""
    values = scenario.model_dump(mode="json", exclude_none=True, exclude=VARIED)
    return {name: str(value) for name, value in values.items()}
