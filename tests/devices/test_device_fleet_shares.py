"""Fleets: the shipped ones, one's own, and one clear line for each way a fleet can be wrong."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

from fedbert.cli.profiles import profiles
from fedbert.devices.fleet_shares import check_folder, fleet_names, load_fleet, read_fleet
from fedbert.errors import FedbertError
from fedbert.paths import profiles_folder

KIRIN, PIXEL = "17_kirin_810", "19_snapdragon_765g"
GOOD: dict[str, Any] = {
    "description": "two classes",
    "source": "a survey",
    "shares": {KIRIN: 0.25, PIXEL: 0.75},
}


def own_folder(folder: Path, table: dict[str, Any]) -> Path:
    """Return a folder of two profiles with the fleet `mine`."""
    for name in (KIRIN, PIXEL):
        shutil.copy(profiles_folder() / f"{name}.toml", folder)
    (folder / "fleets").mkdir()
    (folder / "fleets" / "mine.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    return folder


@pytest.mark.parametrize("fleet", ["global", "low_end"])
def test_shipped_fleets_add_up(fleet: str) -> None:
    """Shares are above 0 and add up to 1."""
    shares = [profile.share for profile in load_fleet(fleet=fleet)]
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1, abs=1e-9)
    assert fleet_names() == ["global", "low_end"]


def test_the_low_end_has_less_memory() -> None:
    """Nine of ten phones of the low end have at most 4 GB, three of ten of the global fleet's."""
    small = {
        name: sum(p.share for p in load_fleet(fleet=name) if p.ram_bytes <= 4e9)
        for name in ("global", "low_end")
    }
    assert small == pytest.approx({"global": 0.32, "low_end": 0.90})


def test_a_fleet_of_ones_own(tmp_path: Path) -> None:
    """A fleet file gives shares to the classes it names, in a folder of one's own or by its path."""
    own = load_fleet(own_folder(tmp_path, GOOD), "mine")
    assert [(profile.name, profile.share) for profile in own] == [
        ("Kirin 810 · 6 GB", 0.25),
        ("Snapdragon 765G · 8 GB", 0.75),
    ]
    by_path = load_fleet(fleet=str(tmp_path / "fleets" / "mine.toml"))
    assert [profile.share for profile in by_path] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"shares": {KIRIN: 0.5, PIXEL: 0.4}}, "mine.toml: shares must add up to 1 (within 0.01), not 0.9"),
        ({"shares": {KIRIN: 1.5, PIXEL: -0.5}}, f"mine.toml: shares.{KIRIN}(=1.5) must be less than"),
        ({"shares": {KIRIN: 0.0, PIXEL: 1.0}}, f"mine.toml: shares.{KIRIN}(=0.0) must be greater than 0"),
        ({"shares": {"kirin_9000": 1.0}}, "mine.toml: shares.kirin_9000 must name a profile of"),
        ({"shares": {}}, "mine.toml: shares"),
        ({"shares": None}, "mine.toml: shares must be given; add the key"),
        ({"source": None}, "mine.toml: source must be given; add the key"),
        ({"description": None}, "mine.toml: description must be given; add the key"),
        ({"total_percent": 100}, "mine.toml: total_percent(=100) must be a known key"),
    ],
)
def test_a_wrong_fleet_gets_one_line(change: dict[str, Any], line: str, tmp_path: Path) -> None:
    """File, key, value and rule; checking lists it too."""
    table = {key: value for key, value in (GOOD | change).items() if value is not None}
    folder = own_folder(tmp_path, table)
    with pytest.raises(FedbertError) as raised:
        load_fleet(folder, "mine")
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)
    assert any(problem.startswith(line) for problem in check_folder(folder))


def test_rounded_shares_are_scaled(tmp_path: Path) -> None:
    """Shares that add up to .99 are divided by it, and checking says so; further off they are refused."""
    folder = own_folder(tmp_path, GOOD | {"shares": {KIRIN: 0.33, PIXEL: 0.66}})
    assert [profile.share for profile in load_fleet(folder, "mine")] == pytest.approx([1 / 3, 2 / 3])
    answer = CliRunner().invoke(profiles, ["check", str(folder)])
    assert "note: fleet mine: shares add up to 0.99, scaled to 1" in answer.output


def test_a_run_says_that_shares_were_scaled(tmp_path: Path) -> None:
    """A line for the fleet and one for the radios; none for shares that add up to 1."""
    folder = own_folder(tmp_path, GOOD | {"shares": {KIRIN: 0.33, PIXEL: 0.66}})
    assert read_fleet(folder, "mine")[1] == ("fleet mine: shares add up to 0.99, scaled to 1",)
    assert read_fleet()[1] == ()
    file = folder / f"{KIRIN}.toml"
    profile = tomllib.loads(file.read_text(encoding="utf-8"))
    profile["radios"] = {"three_g": 0.1, "lte": 0.895, "five_g": 0.0}
    file.write_text(tomli_w.dumps(profile), encoding="utf-8")
    line = f"radios of {KIRIN}: shares do not add up to 1, scaled to 1"
    assert read_fleet(folder, "mine")[1][1:] == (line,)
    assert f"note: {line}" in CliRunner().invoke(profiles, ["check", str(folder)]).output


def test_shares_that_add_up_are_taken_as_they_are() -> None:
    """The shipped fleet, whose shares are rounded to 13 digits, keeps every bit of its file."""
    fleet = tomllib.loads((profiles_folder() / "fleets" / "global.toml").read_text(encoding="utf-8"))
    assert [profile.share for profile in load_fleet()] == list(fleet["shares"].values())


def test_checking_says_what_a_run_would_refuse(tmp_path: Path) -> None:
    """Without any fleet no run can start: an error. Without the default one it needs --fleet: a note."""
    folder = own_folder(tmp_path, GOOD)
    answer = CliRunner().invoke(profiles, ["check", str(folder)])
    assert "note: no fleet global here: a run needs --fleet mine" in answer.output
    shutil.rmtree(folder / "fleets")
    assert len(check_folder(folder)) == 1
    assert "must hold a fleet, such as global.toml, and has none; write one" in check_folder(folder)[0]
    with pytest.raises(FedbertError, match="must be a fleet of"):
        load_fleet(folder)


def test_an_unknown_fleet_names_those_that_are_there(tmp_path: Path) -> None:
    """The line says which fleets the folder has."""
    with pytest.raises(FedbertError, match=r"fleet\(='big'\) must be a fleet of .*/fleets \(mine\) or a "):
        load_fleet(own_folder(tmp_path, GOOD), "big")


def test_the_commands_show_what_the_files_say(tmp_path: Path) -> None:
    """`list` has a row a class with its share, `show` a line a number with its source, `check` a verdict."""
    folder = str(own_folder(tmp_path, GOOD))
    run = CliRunner().invoke
    listed = run(profiles, ["list", "--profiles", folder, "--fleet", "mine"])
    assert "Kirin 810 · 6 GB" in listed.output
    assert "25.0%" in listed.output
    shown = run(profiles, ["show", "kirin", "--profiles", folder])
    assert "ram_bytes = 6000000000  # AI-benchmark's table: Huawei Nova 5" in shown.output
    assert "are good" in run(profiles, ["check", folder]).output
    wrong = run(profiles, ["show", "810x", "--profiles", folder])
    assert isinstance(wrong.exception, FedbertError)
    assert "it is none; list them with: fedbert profiles list" in str(wrong.exception)
