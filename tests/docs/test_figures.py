"""Figures of the pages that are made in a moment are made again: sizes, accuracies, epsilons."""

import json
from typing import Any

import numpy as np
import pytest
from pages import ROOT

from fedbert.devices.fleet_shares import load_fleet
from fedbert.ei_bert.artefact.artefact import download_bytes, load_artefact
from fedbert.intervals import t_interval
from fedbert.paths import models_folder
from fedbert.privacy.correlated import Correlated
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.once_a_day import Allocated
from fedbert.privacy.poisson import Poisson
from fedbert.privacy.tree import Tree
from fedbert.recommendation.world import load_public

TASKS = ("clinc150", "banking77", "hwu64")
PAGES = {
    name: (ROOT / name).read_text("utf-8") for name in ("README.md", "docs/ei_bert.md", "docs/privacy.md")
}


def _record(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "docs" / "compression" / f"{name}.json").read_text("utf-8")))


def _accuracy(stage: dict[str, Any]) -> str:
    """Return the cells of a stage's accuracies in per cent, with half a 95 % interval over seeds."""
    found = []
    for task in TASKS:
        values = stage["accuracy"][task]
        if len(values) == 1:
            found.append(f"{100 * values[0]:.2f}")
            continue
        whole = t_interval(100 * np.array(values))
        assert whole.high is not None
        found.append(f"{whole.value:.2f} ± {whole.high - whole.value:.2f}")
    return " | ".join(found)


@pytest.mark.parametrize("name", ["intents-default", "intents-small", "intents-tiny"])
@pytest.mark.parametrize("page", ["README.md", "docs/ei_bert.md"])
def test_sizes_and_accuracies_are_those_of_files_and_records(page: str, name: str) -> None:
    """The row of a model has the bytes of its folder, those of its download, and its record's accuracies; a
    second row has those of its deep part.
    """
    artefact = load_artefact(models_folder() / name)
    sizes = f"{artefact.total_bytes:,} | {download_bytes(artefact):,}"
    *_, deep, widened = _record(name)["stages"]
    assert widened["bytes"] == artefact.total_bytes
    assert f"| `{name}` | {sizes} | {_accuracy(widened)} |" in PAGES[page]
    before = f"{deep['bytes']:,} | | {_accuracy(deep)}"
    assert f"| its deep part alone | {before} |" in PAGES[page]


@pytest.mark.parametrize("name", ["intents-default", "intents-small", "intents-tiny"])
def test_parts_are_those_of_the_records(name: str) -> None:
    """A widened model's parts have rows with their bytes and accuracies."""
    parts = _record(name)["rivals"]["parts"]
    titles = ("its deep part", "its wide part")
    for title, row in zip(titles, parts, strict=True):
        figures = [
            f"{100 * row['accuracy'][task]:.2f} ({100 * row['accuracy_unseen'][task]:.2f})" for task in TASKS
        ]
        assert f"| {title} | {row['bytes']:,} | {' | '.join(figures)} |" in PAGES["docs/ei_bert.md"]


@pytest.mark.parametrize("name", ["intents-default", "intents-small", "intents-tiny"])
@pytest.mark.parametrize("page", ["README.md", "docs/ei_bert.md"])
def test_rivals_are_those_of_the_records(page: str, name: str) -> None:
    """Each model and its rivals have a row: bytes, accuracy with and without what was trained on."""
    record = _record(name)
    for row in record["rivals"]["rows"]:
        who = f"`{name}`" if row["rival"] == name else row["rival"]
        figures = [
            f"{100 * row['accuracy'][task]:.2f} ({100 * row['accuracy_unseen'][task]:.2f})" for task in TASKS
        ]
        cells = [who, f"{row['bytes']:,}", *figures]
        assert f"| {' | '.join(cells)} |" in PAGES[page]
    assert record["rivals"]["rows"][0]["bytes"] == load_artefact(models_folder() / name).total_bytes


@pytest.mark.parametrize("name", ["intents-default", "intents-small", "intents-tiny"])
def test_unknown_texts_are_told_as_the_page_says(name: str) -> None:
    """The page's row is that of the shipped threshold's figures, and so is the record's."""
    found = json.loads((models_folder() / name / "unknown.json").read_text("utf-8"))["tasks"]["clinc150"]
    figures = found["figures"]
    (row,) = _record(name)["unknown"]
    assert {key: row[key] for key in figures} == figures
    assert row["threshold"] == found["threshold"]
    cells = [
        f"`{name}`", f"{figures['auroc']:.4f}", f"{100 * figures['false_kept_at_95']:.1f}",
        *(f"{100 * figures[key]:.2f}" for key in ("accuracy", "known_right", "unknown_caught", "joint")),
    ]  # fmt: skip
    assert f"| {' | '.join(cells)} |" in PAGES["docs/ei_bert.md"]


@pytest.mark.parametrize(("name", "limit"), [("general-default", 1_820_000), ("general-small", 1_000_000)])
def test_a_general_encoder_is_as_the_pages_say(name: str, limit: int) -> None:
    """README has its bytes; the page of the model has, for each probed set, its accuracy, the teacher's and
    that of words, as its manifest says them, and what it keeps of the teacher's. The default leaves 90,000 of
    the budget's bytes to a head and its wide part.
    """
    artefact = load_artefact(models_folder() / name)
    assert f"| `{name}` | {artefact.total_bytes:,} |" in PAGES["README.md"]
    assert artefact.total_bytes <= limit
    scores = artefact.manifest["scores"]
    for probed, teacher in scores["teacher"].items():
        student, words = scores["student, int8"][probed], scores["TF-IDF, linear"][probed]
        cells = " | ".join(f"{100 * each:.1f}" for each in (words, student, teacher, student / teacher))
        rows = [line for line in PAGES["docs/ei_bert.md"].splitlines() if line.startswith(f"| {probed} | ")]
        assert any(f" | {cells} | " in row for row in rows)


def test_sizes_of_models_for_runs() -> None:
    """README gives the bytes of the three models that runs start from."""
    sizes = [
        f"{load_artefact(models_folder() / name).total_bytes:,}" for name in ("default", "small", "tiny")
    ]
    assert f"| `default`, `small`, `tiny` | {', '.join(sizes)} |" in PAGES["README.md"]


def _settings(epsilon: float) -> PrivacySettings:
    return PrivacySettings(
        epsilon=epsilon,
        delta=1e-6,
        sampling_probability=0.1,
        clip_norm=2.0,
        rounds=12,
        rounds_per_day=12,
        devices=10_000,
    )


def test_the_table_of_epsilons_is_the_accountants() -> None:
    """Noise multipliers and epsilons of the page of privacy come out of the mechanisms again."""
    horizons = (1, 30, 365)
    for epsilon in (0.5, 1.0, 2.0, 4.0, 8.0):
        made = Poisson.make(_settings(epsilon))
        hidden, seen = ([made.spent(12 * days)[end].epsilon for days in horizons] for end in (0, -1))
        row = (
            f"| {epsilon:g} | {made.noise_multiplier:.2f} | {seen[0]:.1f} | {seen[1]:.0f} | {seen[2]:.0f} "
            f"| {hidden[1]:.1f} | {hidden[2]:.0f} |"
        )
        assert row in PAGES["docs/privacy.md"]
        kinds = [kind.make(_settings(epsilon)) for kind in (Allocated, Correlated, Tree)]
        months = [f"{kind.spent(360)[-1].epsilon:.1f}" for kind in kinds]
        row = (
            f"| {epsilon:g} | {kinds[0].noise_multiplier:.2f} | {kinds[0].spent(12)[0].epsilon:.2f} "
            f"| {months[0]} | {kinds[1].noise_multiplier:.2f} | {months[1]} "
            f"| {kinds[2].noise_multiplier:.2f} | {months[2]} |"
        )
        assert row in PAGES["docs/privacy.md"]


def test_counts() -> None:
    """278 services of width 96 make the stated coordinates and bytes; there are 27 classes of phones."""
    items = len(load_public("services", None).catalogue.texts)
    coordinates = items * 96 + items + 20
    assert f"{items} services of width 96 make {coordinates:,} coordinates, {4 * coordinates:,} bytes" in (
        " ".join(PAGES["docs/privacy.md"].split())
    )
    devices = " ".join((ROOT / "docs" / "devices.md").read_text("utf-8").split())
    assert f"There are {len(load_fleet())} classes of phones" in devices
