"""The committed table of the device model's errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedbert.devices.errors_table import ERRORS_FILE, OWN_PROFILES, device_errors, load_errors
from fedbert.errors import FedbertError
from fedbert.paths import profiles_folder

TABLE: dict[str, Any] = json.loads((profiles_folder() / ERRORS_FILE).read_text(encoding="utf-8"))


def test_the_shipped_table_is_read_whole() -> None:
    """Every row is there as written, with the command that makes it."""
    table = load_errors()
    assert table.made_by == TABLE["made_by"]
    assert table.engine == TABLE["engine"]
    assert [row.model_dump() for row in table.rows] == TABLE["rows"]
    assert [row.model_dump() for row in table.engines] == TABLE["engines"]
    assert len(table.rows) >= 1


def test_a_run_keeps_the_table_and_says_whose_errors_they_are(tmp_path: Path) -> None:
    """Without --profiles, and with the shipped folder, no note; with another the note, and no engine."""
    assert device_errors(None) == TABLE | {"note": None}
    assert device_errors(profiles_folder())["note"] is None
    own = device_errors(tmp_path)
    assert (own["note"], own["engine"]) == (OWN_PROFILES, None)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"median_error": -0.1}, "median_error"),
        ({"within_10": 0.9, "within_20": 0.5}, "must rise"),
        ({"within_30": 46}, "within_30"),
        ({"label": "guessed"}, "label"),
        ({"rows": 0}, "rows"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    """Shares beyond 1 or falling, unknown words and keys: the file, the key and what to do."""
    rows = [TABLE["rows"][0] | change]
    (tmp_path / ERRORS_FILE).write_text(json.dumps(TABLE | {"rows": rows}), encoding="utf-8")
    with pytest.raises(FedbertError, match=rf"^errors\.json: [^\n]*{word}[^\n]*--errors$"):
        load_errors(tmp_path)


def test_a_range_of_factors_must_rise(tmp_path: Path) -> None:
    """An engine whose least factor exceeds its median is a mistake of the table."""
    engines = [TABLE["engines"][0] | {"factor_low": 9.0}]
    (tmp_path / ERRORS_FILE).write_text(json.dumps(TABLE | {"engines": engines}), encoding="utf-8")
    with pytest.raises(
        FedbertError, match=r"^errors\.json: [^\n]*factor_low <= factor_median[^\n]*--errors$"
    ):
        load_errors(tmp_path)


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    """No file: what is missing and what to do."""
    with pytest.raises(FedbertError, match=r"^errors\.json must be readable[^\n]*$"):
        load_errors(tmp_path)
