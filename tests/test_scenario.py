"""Settings: what is accepted, what is refused in one line, and that a written scenario can be run again."""

import tomllib
from pathlib import Path

import pytest

from fedbert.errors import FedbertError
from fedbert.scenario import Execution, Scenario, build, read_toml, scenario_toml


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"devices": 0}, "devices(=0) must be greater than or equal to 1"),
        ({"devices": -5}, "devices(=-5) must be"),
        ({"devices": 10**12}, "devices(=1000000000000) must be less than or equal to 100000000"),
        ({"devices": "many"}, "devices(='many') must be a valid integer"),
        ({"epsilon": 0}, "epsilon(=0) must be greater than 0"),
        ({"epsilon": float("nan")}, "epsilon(=nan) must be a finite number"),
        ({"epsilon": "inf"}, "epsilon(='inf') must be a finite number"),
        ({"epsilon": -1.0}, "epsilon(=-1.0) must be greater than 0"),
        ({"delta": 0.0}, "delta(=0.0) must be greater than 0"),
        ({"devices": 100, "delta": 0.01}, "delta(=0.01) must be < 1/devices (= 0.01)"),
        ({"rounds": 0}, "rounds(=0) must be"),
        ({"precision": "half"}, "precision(='half') must be 'auto', 'float32' or 'bfloat16'"),
        ({"world": "interactions"}, "must come with items and interactions"),
        ({"items": "a.csv"}, "items and interactions belong to world 'interactions'"),
        ({"split": "own-time"}, "split and min_rating belong to world 'interactions', not to 'services'"),
        ({"min_rating": 3}, "split and min_rating belong to world 'interactions'"),
        ({"min_rating": "nan"}, "min_rating(='nan') must be a finite number"),
        ({"split": "half"}, "split(='half') must be 'date' or 'own-time'"),
        ({"sampling_probability": 0.8, "over_selection": 1.3}, "times sampling_probability"),
        ({"clicks_per_report": 9}, "clicks_per_report(=9) must be <= history_length (=8)"),
        ({"ray_address": "auto"}, "must come with backend 'ray'"),
        ({"shards": 0}, "shards(=0) must be"),
        (
            {"availability": "always", "availability_trace": "mine.csv"},
            "availability(='always') must be left out with an availability_trace",
        ),
        ({"colour": 1}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_value_gets_one_line(values: dict[str, object], message: str) -> None:
    """Each wrong setting is named with its value and rule, in one line."""
    with pytest.raises(FedbertError) as caught:
        build(dict(values))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_written_scenario_reads_back(tmp_path: Path) -> None:
    """scenario.toml holds every set key, and building from it gives the same settings."""
    scenario, execution = build({"devices": 77, "epsilon": 2, "profiles": "mine", "shards": 3})
    path = tmp_path / "scenario.toml"
    path.write_text(scenario_toml(scenario, execution))
    again, where = build(read_toml(path))
    assert again == scenario.model_copy(update={"profiles": Path("mine").absolute()})
    assert where == Execution(shards=3)


def test_a_written_scenario_names_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user named from the working folder is written so that it is found from any other.

    Shipped names stay: a file or folder that is called as one of them changes nothing.
    """
    for folder in ("phones", "student", "bert", "default", "global"):
        (tmp_path / folder).mkdir()
    (tmp_path / "shares.toml").touch()
    monkeypatch.chdir(tmp_path)
    named = {
        "world": "interactions",
        "items": "items.csv",
        "interactions": "clicks.csv",
        "profiles": "phones",
        "availability_trace": "trace.csv",
        "fleet": "shares.toml",
        "model": "student",
        "teacher": "bert",
        "signal": "parts.py:Votes",
        "mechanism": "parts.py:Mine",
    }
    scenario, execution = build(named | {"trackers": ["parts.py:Told", "tensorboard"]})
    text = scenario_toml(scenario, execution, ("trackers",))
    monkeypatch.chdir("/")
    values = tomllib.loads(text)
    whole = {key: str(tmp_path / value) for key, value in named.items() if key != "world"}
    assert {key: values[key] for key in whole} == whole
    assert values["world"] == "interactions"
    assert values["trackers"] == [str(tmp_path / "parts.py:Told"), "tensorboard"]
    assert scenario_toml(build(values)[0], build(values)[1], ("trackers",)) == text
    monkeypatch.chdir(tmp_path)
    shipped = tomllib.loads(scenario_toml(build({"model": "default", "fleet": "global"})[0]))
    assert (shipped["model"], shipped["fleet"], shipped["signal"]) == ("default", "global", "prototypes")


def test_a_default_delta_stays_below_one_over_devices() -> None:
    """Without a delta it is 1e-6, and less where the fleet is so large that 1e-6 would be refused."""
    assert Scenario(devices=10_000).effective_delta == 1e-6
    assert Scenario(devices=1_000_000).effective_delta == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("devices = ", "must be TOML"),
        ("[fleet]\ndevices = 3\n", "unknown table [fleet]"),
    ],
)
def test_a_broken_file_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    """A file that is not TOML, or has tables, is refused by name."""
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(FedbertError, match=r"scenario\.toml") as caught:
        read_toml(path)
    assert message in str(caught.value)


def test_a_missing_file_gets_one_line(tmp_path: Path) -> None:
    """A path that is not there is named."""
    with pytest.raises(FedbertError, match="must exist"):
        read_toml(tmp_path / "none.toml")


def test_over_selection_raises_the_accounted_rate() -> None:
    """q is the sampling probability times over-selection."""
    assert Scenario(sampling_probability=0.1, over_selection=1.3).cohort_probability == pytest.approx(0.13)
