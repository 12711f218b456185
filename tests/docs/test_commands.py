"""Every command of a page can be given as it stands: the command exists, with these flags and values."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from pages import ROOT, Command, commands, pages

from fedbert.cli.main import call, fedbert
from fedbert.cli.run import gather
from fedbert.ei_bert.compression.settings import CompressionSettings, SearchSettings
from fedbert.planning.budget.settings import BudgetSettings
from fedbert.planning.capacity.backtest_settings import BacktestSettings
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.settings import GridSettings
from fedbert.scenario import EXECUTION_KEYS, SCENARIO_KEYS, build
from fedbert.settings import Settings

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MODELS: dict[str, type[Settings]] = {
    "backtest": BacktestSettings,
    "budget": BudgetSettings,
    "capacity": CapacitySettings,
    "make": CompressionSettings,
    "search": SearchSettings,
}
"""Settings of the commands whose flags are all of one model."""

ALL = [
    command for page in pages() for command in commands(str(page.relative_to(ROOT)), page.read_text("utf-8"))
]


def check(command: Command) -> None:
    """Raise an error if a command cannot be given: of click, of the settings, or an AssertionError."""
    program, *words = command.words
    if program == "python" and words[0].startswith("simulations/"):
        script = ROOT / words[0]
        assert script.is_file(), script
        program, words = "fedbert", [script.stem, *words[1:]]
    if program == "fedbert":
        _check_fedbert(words)
    elif program == "python":
        _check_script(words)
    elif program == "make" and not words[0].startswith("-"):
        assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text("utf-8"), words
    elif program == "pip":
        for extra in re.findall(r"fedbert\[([\w,]+)\]", " ".join(words)):
            assert set(extra.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
    elif program == "flwr" and "--run-config" in words:
        _check_run_config(words[words.index("--run-config") + 1])


def _check_fedbert(words: list[str]) -> None:
    """Check the words after ``fedbert``; a command that is only named, without its arguments, is right."""
    command: click.Command = fedbert
    name, rest = "fedbert", ["1" if word == "N" else word for word in words if word != "..."]
    context: click.Context | None = None
    while rest and "--help" not in rest:
        context = command.make_context(name, list(rest), parent=context)
        named = [*context._protected_args, *context.args]
        if not isinstance(command, click.Group) or (command.invoke_without_command and not named):
            values = {key: value for key, value in context.params.items() if value}
            _check_values(str(command.name), values)
            return
        found, inner, rest = command.resolve_command(context, named)
        assert inner is not None, words
        name, command = str(found), inner


def _check_values(name: str, values: dict[str, Any]) -> None:
    values.pop("config", None)
    if name == "run":
        values.pop("resume", None)
        gather(None, values, bool(values.pop("quick", False)))
    elif name == "tradeoff":
        grid = {key: values.pop(key) for key in GridSettings.model_fields if key in values}
        GridSettings(**grid)
        build(values)
    elif name in MODELS:
        MODELS[name](**values)


def _check_script(words: list[str]) -> None:
    script = ROOT / words[0]
    assert script.is_file() or words[0].startswith("-"), words
    if script.is_file():
        text = script.read_text("utf-8")
        flags = [word.partition("=")[0] for word in words[1:] if word.startswith("--") and word != "--"]
        assert [flag for flag in flags if flag not in text and f'"{flag[2:]}"' not in text] == []


def _check_run_config(text: str) -> None:
    keys = {word.partition("=")[0] for word in shlex.split(text)}
    assert keys <= SCENARIO_KEYS | EXECUTION_KEYS | {"resume"}


@pytest.mark.parametrize(
    "command", ALL, ids=[f"{command.page}:{shlex.join(command.words)}"[:90] for command in ALL]
)
def test_a_command_can_be_given(command: Command) -> None:
    """Its program, sub-command, flags and values are known; nothing is run."""
    check(command)


def test_every_shipped_model_is_made_by_a_command_that_can_be_given() -> None:
    """The commands in its manifest, one after another, are of today's flags and end in its own folder."""
    manifests = sorted((ROOT / "fedbert" / "models").glob("*/manifest.json"))
    assert len(manifests) >= 6
    for manifest in manifests:
        model = manifest.parent
        lines = str(json.loads(manifest.read_text("utf-8"))["command"]).split(" && ")
        for line in lines:
            check(Command(model.name, tuple(shlex.split(line))))
        assert str(model.relative_to(ROOT)) in shlex.split(lines[-1])


def test_there_are_commands() -> None:
    """The tutorial has the three of the ten minutes, and every sub-command stands in some page."""
    tutorial = [command.words[:3] for command in ALL if command.page == "docs/tutorial.md"]
    assert tutorial.count(("fedbert", "run", "--quick")) == 3
    named = {Path(command.words[1]).stem for command in ALL if command.words[0] in ("fedbert", "python")}
    assert set(fedbert.list_commands(click.Context(fedbert))) <= named


@pytest.mark.parametrize(
    "line",
    [
        "fedbert run --device 3",
        "fedbert run --devices none",
        "fedbert simulate --devices 3",
        "fedbert tradeoff --seeds 0",
        "fedbert budget --days 0",
        "fedbert capacity --devices 0",
        "fedbert compress make --data a.csv --size enormous",
        "python simulations/none.py --devices 3",
        "python benchmarks/scale.py --none",
        "make nothing",
        "pip install 'fedbert[none]'",
        "flwr run . local --run-config 'device=3'",
    ],
)
def test_a_wrong_command_is_seen(line: str) -> None:
    """A flag, value, command, script, target, extra or key that does not exist is an error."""
    (command,) = commands("page", f"    {line}\n")
    with pytest.raises(Exception, match=r".*"):
        check(command)


@pytest.mark.parametrize(
    "line", ["profiles list", "profiles show kirin_810", "profiles check device_profiles"]
)
def test_a_cheap_command_runs(
    line: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that only look something up end well, and say something."""
    monkeypatch.chdir(ROOT)
    name, *words = line.split()
    assert call(name, words) == 0
    assert len(capfd.readouterr().out) > 30


def test_own_data_are_ranked_as_the_tutorial_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tutorial's last command ranks the example files, and writes a report."""
    monkeypatch.chdir(ROOT)
    (words,) = [
        command.words[2:]
        for command in ALL
        if command.page == "docs/tutorial.md" and "examples/items.csv" in command.words
    ]
    assert call("run", [*words, "--output", str(tmp_path / "run")]) == 0
    assert "120 users" in " ".join(capfd.readouterr().out.split())
    assert (tmp_path / "run" / "report.html").is_file()
