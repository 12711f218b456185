"""Options made from settings: one notation, every field a flag, the settings say what is wrong."""

from pathlib import Path
from typing import Literal

import click
import pytest
from pydantic import Field

from fedbert.cli.main import load_command
from fedbert.cli.options import choices, given, metavar, options_from
from fedbert.errors import FedbertError
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.settings import GridSettings
from fedbert.scenario import EXECUTION_KEYS, GROUPS, SCENARIO_KEYS, Scenario
from fedbert.settings import Settings


class Example(Settings):
    """Settings with a field of each kind."""

    deadline_ms: float = Field(default=300.0, gt=0, le=60_000, description="time to answer")
    place: Literal["here", "there"] = Field(default="here", description="where")
    folder: Path | None = Field(default=None, description="what is read")
    count: int | None = Field(default=None, ge=1, description="how many")
    loud: bool = Field(default=False, description="say more")
    bound: bool = Field(default=True, description="train it")
    names: tuple[str, ...] = Field(default=(), description="who")


def records() -> dict[str, tuple[str, str]]:
    """Return flag and help of each field of `Example`, by name."""
    context = click.Context(click.Command("test"))
    made = {option.name: option.get_help_record(context) for option in options_from(Example)}
    return {str(name): record for name, record in made.items() if record is not None}


@pytest.mark.parametrize(
    ("name", "flag", "text"),
    [
        ("deadline_ms", "--deadline-ms MS", "time to answer  [default: 300; 0<x<=60000]"),
        ("place", "--place [here|there]", "where  [default: here]"),
        ("folder", "--folder PATH", "what is read"),
        ("count", "--count N", "how many  [x>=1]"),
        ("loud", "--loud", "say more"),
        ("bound", "--bound / --no-bound", "train it  [default: on]"),
        ("names", "--names NAME", "who"),
    ],
)
def test_one_notation(name: str, flag: str, text: str) -> None:
    """Unit or kind of the value, choices, default and range stand in the same way for every field."""
    assert records()[name] == (flag, text)


def test_a_flag_that_was_not_given_says_nothing() -> None:
    """Only what was given goes to the settings: None and an empty list were not."""
    assert given({"count": None, "names": (), "loud": False, "place": "there"}) == {
        "loud": False,
        "place": "there",
    }


def test_choices_and_metavar_come_from_the_type() -> None:
    """The words of a Literal, also where None is allowed; other fields have none."""
    assert choices(Example.model_fields["place"]) == ("here", "there")
    assert choices(Example.model_fields["count"]) == ()
    assert metavar("round_hours", Scenario.model_fields["round_hours"]) == "HOURS"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"place": "nowhere"}, "place(='nowhere') must be 'here' or 'there'; see --help for its meaning"),
        ({"count": True}, "count(=True) must be a value, not true or false; see --help for its meaning"),
        ({"colour": 1}, "colour(=1) must be Extra inputs are not permitted; see --help for its meaning"),
    ],
)
def test_settings_refuse_in_one_line(values: dict[str, object], line: str) -> None:
    """A wrong value is one line with name, value and rule, for Python as for a flag."""
    with pytest.raises(FedbertError) as caught:
        Example(**values)
    assert str(caught.value).casefold() == line.casefold()


def test_every_setting_of_a_run_is_in_one_group() -> None:
    """The groups of `run --help` hold each key of Scenario and Execution once."""
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(SCENARIO_KEYS | EXECUTION_KEYS)


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("run", SCENARIO_KEYS | EXECUTION_KEYS | {"quick", "config", "resume"}),
        (
            "tradeoff",
            (SCENARIO_KEYS - {"epsilon", "pooled_bound", "budget"}) | {*GridSettings.model_fields, "config"},
        ),
        ("capacity", set(CapacitySettings.model_fields)),
    ],
)
def test_every_setting_is_a_flag(command: str, keys: set[str]) -> None:
    """A command takes all that its settings know, and nothing else."""
    assert {option.name for option in load_command(command).params} == keys


@pytest.mark.parametrize("command", ["", "profiles", "compress"])
def test_without_a_command_there_is_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`fedbert`, `fedbert profiles` and `fedbert compress` alone show help, and begin nothing."""
    from fedbert.cli.command import report_errors
    from fedbert.cli.main import fedbert

    assert report_errors(load_command(command) if command else fedbert, []) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage:")
    assert "Commands:" in out
    assert err == ""


@pytest.mark.parametrize(
    "command", ["run", "tradeoff", "capacity", "report", "profiles", "keys", "env", "compress"]
)
def test_help_is_plain(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No backslash, no line over 80 columns."""
    from fedbert.cli.command import report_errors

    assert report_errors(load_command(command), ["--help"]) == 0
    out = capsys.readouterr().out
    assert "\\" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_completion_names_commands() -> None:
    """The shell's completion, as the documentation sets it up, offers the commands that begin so."""
    import os
    import subprocess
    import sys

    script = Path(sys.executable).with_name("fedbert")
    done = subprocess.run(
        [str(script)],
        env=os.environ
        | {"_FEDBERT_COMPLETE": "bash_complete", "COMP_WORDS": "fedbert ca", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,capacity"]


def test_env_says_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, processor, memory, extras and models, one a line; no folder of the user's."""
    from fedbert.cli.main import call

    assert call("env", []) == 0
    rows = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert {"fedbert", "python", "torch", "processor", "memory", "extra ray", "models"} <= rows.keys()
    assert not [value for value in rows.values() if str(Path.home()) in value or str(Path.cwd()) in value]


def test_quick_gives_way_to_flags_and_wins_over_the_file(tmp_path: Path) -> None:
    """--quick sets 1,000 devices and 3 rounds without the pooled bound; a flag beside it is kept."""
    from fedbert.cli.run import gather

    (tmp_path / "mine.toml").write_text("devices = 5\nseed = 3\n")
    scenario, _ = gather(tmp_path / "mine.toml", {"rounds": "2"}, quick=True)
    assert (scenario.devices, scenario.rounds, scenario.seed, scenario.pooled_bound) == (1_000, 2, 3, False)
    assert Scenario.quick(devices=7).devices == 7
