"""Rules of what trackers record, and under what names."""

from example_tracked import SCENARIO, result, row

from fedbert.scenario import Scenario
from fedbert.tracking.columns import columns, result_columns, row_columns, settings


def test_a_row_becomes_numbers_and_texts() -> None:
    """Inner keys follow outer ones, the round is no figure but the step, and what is missing is left out."""
    figures = row_columns(row(1))
    assert figures.numbers == {"ndcg@10": 0.625, "outcomes/scored": 41.0, "outcomes/too slow": 3.0}
    assert figures.texts == {"gate": "passed"}


def test_only_finite_numbers_and_texts_are_figures() -> None:
    """Truth values are 0 and 1; NaN, infinities, None and lists are left out at every depth."""
    figures = columns({"a": {"b": {"c": True, "d": float("nan")}, "e": [1]}, "f": float("inf"), "g": None})
    assert (figures.numbers, figures.texts) == ({"a/b/c": 1.0}, {})


def test_a_result_gives_figures_of_the_whole_run() -> None:
    """Status, command, totals, traffic and times stand under run/; rounds are not repeated."""
    figures = result_columns(result())
    assert figures.texts == {"run/status": "finished", "run/command": "fedbert run"}
    assert figures.numbers == {
        "run/totals/sessions": 129.0,
        "run/totals/devices_per_s": 2.5,
        "run/traffic/bytes/up": 1000.0,
        "run/wall_s": 1.5,
        "run/peak_memory_bytes": 1000.0,
    }


def test_hyperparameters_are_the_keys_of_the_scenario() -> None:
    """Every key that is set is there, as a number, truth value or text; one that is not set is missing."""
    values = settings(SCENARIO)
    assert (values["devices"], values["epsilon"], values["world"]) == (50, 8.0, "services")
    assert "epsilon" not in settings(Scenario(devices=50, epsilon=None))
    assert all(isinstance(value, bool | int | float | str) for value in values.values())
