"""Parts from a user's own file: the worked examples of docs/how-to run, and mistakes are one line."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import own_parts
import pytest
from federation.small_runs import figures

from fedbert.cli.main import call
from fedbert.devices.fleet_shares import load_fleet
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.errors import FedbertError
from fedbert.federation.environment import Environment, load_mechanism, load_selection, load_signal
from fedbert.parts import MECHANISMS, SELECTIONS, SIGNALS, WORLDS
from fedbert.paths import models_folder
from fedbert.plugins import Named, load_named
from fedbert.privacy import trial as privacy_trial
from fedbert.recommendation import trial as worlds_trial
from fedbert.recommendation.world import load_world
from fedbert.results import load_run
from fedbert.scenario import Scenario
from fedbert.signals import trial as signals_trial

SMALL = ["--devices", "150", "--rounds", "2", "--availability", "always", "--min-reports", "2"]
SMALL += ["--model", "tiny", "--release-every", "1", "--sampling-probability", "0.4", "--update-steps", "1"]
SMALL += ["--sessions-per-day", "24"]

Example = Callable[[str], str]


@pytest.fixture
def mine(tmp_path: Path, worked_example: Example) -> Callable[..., Path]:
    """A function that writes a section's example, with more behind it, as a user's file."""

    def write(heading: str, more: str = "", name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(worked_example(heading) + "\n\n" + more, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("heading", ["A signal", "A mechanism", "A selection", "A world", "A tracker"])
def test_an_example_has_sixty_lines_at_most(worked_example: Example, heading: str) -> None:
    """A part of one's own is written in a sitting."""
    assert 10 < worked_example(heading).count("\n") <= 60


def test_parts_of_ones_own_run_end_to_end(
    mine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """World, signal, mechanism and tracker from four files: rounds update, the bound keeps the budget and
    says against whom, the tracker has a line a round, and one shard and three give the same figures.
    """
    monkeypatch.chdir(tmp_path)
    world, signal, mechanism = (
        mine(f"A {kind}", name=f"{kind}.py") for kind in ("world", "signal", "mechanism")
    )
    tracker = mine("A tracker", name="quality.py")
    flags = ["--world", "world.py:load", "--signal", f"{signal}:Activity", "--epsilon", "8"]
    flags += ["--mechanism", f"{mechanism}:OnDevice", "--tracker", f"{tracker}:Quality"]
    assert call("run", [*SMALL, *flags, "--shards", "1"]) == 0
    folder = tmp_path / "runs" / "load-150-seed0"
    one = load_run(folder)
    assert [row["round_status"] for row in one["rounds"][1:]] == ["updated", "updated"]
    assert one["secure_sum"]["equal"] is True
    assert one["traffic"]["bytes_per_report"] == 4 * (1 + 20)

    assert one["name"] == "dishes, 150 devices"
    assert (one["world"]["items"], one["world"]["evaluation_texts"]) == (40, 40)
    assert f'world = "{world}:load"' in (folder / "scenario.toml").read_text(encoding="utf-8")
    assert sum(tier["sessions"] for tier in one["tiers"].values()) > 100

    lines = (folder / "quality.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "finished"]

    privacy = one["privacy"]
    assert (privacy["mechanism"], privacy["mode"]) == ("noise on the device", "local")
    (bound,) = privacy["bounds"]
    assert bound["adversary"] == "sees every single report"
    assert (
        bound["unit"] == privacy["assumptions"]["unit"] == "what one device reports, not whether it reports"
    )
    assert 7.9 < bound["epsilon"] <= 8
    assert bound["unit"] in privacy["statement"]

    assert call("run", [*SMALL, *flags, "--shards", "3", "--output", "three"]) == 0
    assert figures(load_run(tmp_path / "three")) == figures(one)


def test_a_selection_of_ones_own_runs_end_to_end(
    mine: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's example: the reports of `uniform`, from fewer phones and with fewer bytes; run.json and
    terminal have its name and what it depends on.
    """
    file = mine("A selection")
    flags = [*SMALL, "--mechanism", "poisson", "--timing-only", "--sampling-probability", "1"]
    found = {}
    for name, more in (("uniform", []), ("fresh", ["--selection", f"{file}:Fresh"])):
        given = [*flags, *more, "--rounds", "3", "--shards", "2", "--output", str(tmp_path / name)]
        assert call("run", given) == 0
        found[name] = load_run(tmp_path / name)
    plain, fresh = (found[name]["rounds"][1:] for name in ("uniform", "fresh"))
    assert [row["reported"] for row in plain] == [row["reported"] for row in fresh]
    assert sum(row["cohort"] for row in fresh) < sum(row["cohort"] for row in plain)
    assert sum(row["bytes_up"] for row in fresh) < sum(row["bytes_up"] for row in plain)
    assert found["fresh"]["selection"]["name"] == "fresh"
    assert "whether a phone has the release that is summed" in found["fresh"]["selection"]["statement"]
    assert "Selection fresh." in capsys.readouterr().out


def test_registering_a_part_is_one_line(
    mine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With its module's name in the registry a part is known by name everywhere, and not tried again."""
    monkeypatch.syspath_prepend(tmp_path)
    for kind in ("signal", "mechanism", "selection", "world"):
        mine(f"A {kind}", name=f"product_{kind}.py")
    monkeypatch.setitem(SIGNALS, "activity", "product_signal:Activity")
    monkeypatch.setitem(MECHANISMS, "local", "product_mechanism:OnDevice")
    monkeypatch.setitem(WORLDS, "dishes", "product_world:load")
    monkeypatch.setitem(SELECTIONS, "fresh", "product_selection:Fresh")
    scenario = Scenario(world="dishes", signal="activity", mechanism="local", selection="fresh", model="tiny")
    environment = Environment.create(scenario, load_artefact(models_folder() / "tiny"))
    parts = (environment.world, environment.signal, environment.mechanism, environment.selection)
    assert [type(part).__name__ for part in parts] == ["Dishes", "Activity", "OnDevice", "Fresh"]
    assert environment.layout.size == 21
    assert environment.mechanism.noise_on_device


@pytest.mark.parametrize("items", [60, 600])
@pytest.mark.parametrize("name", SIGNALS)
def test_fedberts_own_signals_pass_the_trial(name: str, items: int) -> None:
    """What is asked of a user's signal holds for those that come with fedbert, in a sketch as well."""
    signal = load_named(name, SIGNALS, "signal", "signal")()
    signals_trial.checked(signal, Named("signal", name, "the page"), items, 16)


@pytest.mark.parametrize("variant", [{"epsilon": 5.0}, {"epsilon": 5.0, "round_hours": 5.0}, {}])
@pytest.mark.parametrize("name", MECHANISMS)
def test_fedberts_own_mechanisms_pass_the_trial(name: str, variant: dict[str, Any]) -> None:
    """The same of mechanisms."""
    mechanism = load_mechanism(Scenario(mechanism=name, **variant))
    again = replace(mechanism.settings, noise_multiplier=mechanism.noise_multiplier)
    remade = load_named(name, MECHANISMS, "mechanism", "mechanism").make(again)
    privacy_trial.checked(mechanism, remade, Named("mechanism", name, "the page"))


@pytest.mark.parametrize("name", sorted(WORLDS.keys() - {"interactions"}))
def test_fedberts_own_worlds_pass_the_trial(name: str) -> None:
    """The same of worlds that need no files."""
    worlds_trial.checked(load_world(name), Named("world", name, "the page"))


def _cases(parts: Mapping[str, tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("more", "said"), parts.values(), ids=list(parts))


def _one_line(error: pytest.ExceptionInfo[FedbertError], said: str) -> None:
    text = str(error.value)
    assert said in text
    assert len(text.splitlines()) == 1


@_cases(own_parts.SIGNALS)
def test_a_signal_that_breaks_a_rule_is_refused(mine: Callable[..., Path], more: str, said: str) -> None:
    """One line names the signal and the rule, before the run starts."""
    scenario = Scenario(signal=f"{mine('A signal', more)}:Bad")
    with pytest.raises(FedbertError, match=r"^signal\(=") as caught:
        load_signal(scenario, 278, 96)
    _one_line(caught, said)


@_cases(own_parts.MECHANISMS)
def test_a_mechanism_that_breaks_a_rule_is_refused(mine: Callable[..., Path], more: str, said: str) -> None:
    """One line names the mechanism and the rule, or the type of an event that nobody accounts for."""
    file = mine("A mechanism", more)
    scenario = Scenario(mechanism=f"{file}:Bad", devices=150, rounds=2, epsilon=5, sampling_probability=0.4)
    with pytest.raises(FedbertError, match=r"^mechanism") as caught:
        load_mechanism(scenario)
    _one_line(caught, said)


@_cases(own_parts.SELECTIONS)
def test_a_selection_that_breaks_a_rule_is_refused(mine: Callable[..., Path], more: str, said: str) -> None:
    """One line names the selection and the rule."""
    scenario = Scenario(selection=f"{mine('A selection', more)}:Bad", epsilon=None)
    with pytest.raises(FedbertError, match=r"^selection\(=") as caught:
        load_selection(scenario, load_fleet(), load_mechanism(scenario))
    _one_line(caught, said)


def test_a_selection_of_private_data_is_refused_before_anything_is_loaded(
    mine: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what its class says, or does not say: one line with the next step, before a missing file is met."""
    file = mine("A selection", own_parts.SILENT_SELECTIONS)
    flags = ["--profiles", str(tmp_path / "nowhere"), "--epsilon", "2", "--output", str(tmp_path / "run")]
    for name in ("Private", "Silent"):
        assert call("run", [*SMALL, "--selection", f"{file}:{name}", *flags]) == 2
        said = capsys.readouterr().err
        assert "has no account in a private run" in said
        assert said.rstrip().endswith("or run without privacy by --epsilon none")


@_cases(own_parts.WORLDS)
def test_a_world_that_breaks_a_rule_is_refused(mine: Callable[..., Path], more: str, said: str) -> None:
    """One line names the world and the rule."""
    scenario = Scenario(world=f"{mine('A world', more)}:Bad", model="tiny")
    with pytest.raises(FedbertError, match=r"^world\(=") as caught:
        Environment.create(scenario, load_artefact(models_folder() / "tiny"))
    _one_line(caught, said)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--world", "mars"],
            "world(='mars') must be one of interactions, movietweetings, services; or name a",
        ),
        (["--world", "no/such/world"], "world(='no/such/world') must be one of"),
        (["--world", "mine.py:load", "--items", "a.csv"], "belong to world 'interactions', not to 'mine.py"),
        (["--world", "nowhere.py:load"], "must name a file that exists: there is no nowhere.py"),
        (["--world", "mine.py:DISHES"], "must name something that can be called, not list"),
        (
            ["--signal", "morse"],
            "signal(='morse') must be one of delta, prototypes, public; or name a signal of your own as",
        ),
        (
            ["--mechanism", "hope"],
            "mechanism(='hope') must be one of allocated, correlated, daily, poisson, tree; or name a "
            "mechanism of your own",
        ),
        (
            ["--selection", "best"],
            "selection(='best') must be one of by-staleness, by-tier, oort, uniform; or name a selection of",
        ),
    ],
)
def test_what_is_named_wrongly_is_one_line(
    flags: list[str],
    said: str,
    mine: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unknown name, or a file or name that is not there: exit code 2, one line, nothing written."""
    file = mine("A world")
    monkeypatch.chdir(tmp_path)
    assert call("run", [*SMALL, *flags]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len([line for line in errors if "error" in line]) == 1
    assert said in errors[-1]
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pyc"] == [file]


def test_a_signal_that_fails_later_is_one_line(
    mine: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake that only a later round brings out names the line of the file, and the run can be resumed."""
    file = mine(
        "A signal",
        "class Late(Activity):\n    def learn(self, layout, memory, noisy, view):\n"
        "        if noisy.round == 2 and noisy.expected_reports > 50:\n            raise KeyError('late')\n"
        "        return super().learn(layout, memory, noisy, view)\n",
    )
    line = 1 + file.read_text(encoding="utf-8").partition("raise KeyError")[0].count("\n")
    folder = tmp_path / "run"
    assert (
        call("run", [*SMALL, "--mechanism", "poisson", "--signal", f"{file}:Late", "--output", str(folder)])
        == 2
    )
    said = capsys.readouterr().err
    assert f"must not fail: KeyError: 'late' on line {line} of mine.py" in said
    assert "Traceback" not in said
    assert f"fedbert run --resume {folder}" in said
