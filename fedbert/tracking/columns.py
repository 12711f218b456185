"""What the trackers record, decided once: which figures are numbers, which are texts, under what names."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario


@dataclass(frozen=True)
class Columns:
    """Figures by name: finite numbers, and texts."""

    numbers: dict[str, float]
    texts: dict[str, str]


def columns(values: Mapping[str, Any]) -> Columns:
    """Return the numbers and texts of nested `values`; inner keys follow outer ones: ``outcomes/scored``.

    Truth values are 0 and 1. None, NaN, infinities and lists are left out.
    """
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    for name, value in _leaves("", values):
        if isinstance(value, str):
            texts[name] = value
        elif isinstance(value, int | float) and math.isfinite(value):
            numbers[name] = float(value)
    return Columns(numbers, texts)


def _leaves(before: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(f"{before}{key}/", value)
        else:
            yield f"{before}{key}", value


def row_columns(row: RoundRow) -> Columns:
    """Return the figures of a round without its number, which is the step they are recorded at."""
    return columns({key: value for key, value in row.items() if key != "round"})


def result_columns(result: RunResult) -> Columns:
    """Return the figures of a whole run, under names that begin with ``run/``."""
    whole = ("status", "command", "commit", "totals", "traffic", "gap", "wall_s", "peak_memory_bytes")
    return columns({"run": {key: result.get(key) for key in whole}})


def settings(scenario: Scenario) -> dict[str, bool | int | float | str]:
    """Return the keys of `scenario` that are set, as hyperparameters; what is not a number is a text."""
    values = scenario.model_dump(mode="json", exclude_none=True)
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in values.items()
    }
