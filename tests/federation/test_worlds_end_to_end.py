"""The other worlds, from files to figures."""

import shutil
from itertools import product
from pathlib import Path

import pytest
from small_runs import figures

from fedbert.cli.main import call
from fedbert.paths import models_folder, profiles_folder
from fedbert.results import load_run
from fedbert.scenario import Execution, Scenario
from fedbert.simulation.simulate import run

DISHES = ("soup", "salad", "curry", "pie", "stew", "bread", "cake", "noodles")
KINDS = ("tomato", "potato", "mushroom", "chicken", "lentil")


def test_your_own_catalogue_runs_from_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--world interactions` turns items.csv and clicks.csv into a run folder, and says what it read."""
    names = [f"{kind} {dish}" for kind in KINDS for dish in DISHES]
    items = ["item,text", *(f"d{number},{name}" for number, name in enumerate(names))]
    clicks = ["user,item,timestamp"]
    for user in range(30):
        clicks += [
            f"u{user},d{(7 * user + 3 * step) % 40},{1_700_000_000 + 1000 * step + user}"
            for step in range(12)
        ]
    (tmp_path / "items.csv").write_text("\n".join(items) + "\n")
    (tmp_path / "clicks.csv").write_text("\n".join(clicks) + "\n")
    flags = ["--world", "interactions", "--items", str(tmp_path / "items.csv")]
    flags += ["--interactions", str(tmp_path / "clicks.csv"), "--devices", "80", "--rounds", "2"]
    flags += ["--epsilon", "none", "--mechanism", "poisson"]
    flags += ["--sessions-per-day", "30", "--availability", "always", "--min-reports", "1"]
    assert call("run", [*flags, "--output", str(tmp_path / "run")]) == 0
    result = load_run(tmp_path / "run")
    assert result["world"]["items"] == 40
    assert result["rounds"][-1]["sessions"] > 0
    systems = [row["system"] for row in result["comparison"]]
    # Two rounds come to no release, so the server's student stands beside the final one, ranked both ways.
    assert len(systems) == 12
    assert "popularity" not in systems  # the catalogue gives none
    said = capsys.readouterr().out
    assert "clicks.csv: 360 rows; from 2023-11-14 to 2023-11-15 (Unix seconds)" in said
    assert "30 of 30 users kept, 30 of 30 users evaluated" in said
    assert result["world"]["read"]["rows_used"] == 360
    assert 0 <= result["world"]["unknown_token_share"] < 0.1
    assert systems.count("int8 student, unreleased") == 2
    # intervals are over the users, who are counted with each figure
    assert result["findings"]["interval"] == "95% interval, resampling users"
    sessions = sum(row["sessions"] for row in result["rounds"][1:])
    for row in result["comparison"]:
        assert (row["sessions"], row["low"] < row["quality"]["ndcg@10"] < row["high"]) == (sessions, True)
        assert 6 <= row["users"] <= 30 and row["texts"] <= 40
    assert all(6 <= row["users"] <= 30 for row in result["rounds"])
    assert "no new release was made in 2 rounds" in result["findings"]["figures"]["won"]["absent"]
    assert result["totals"]["clicks"] > 0


def test_a_saved_scenario_runs_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of the user's own, named from one folder; from another, scenario.toml gives the figures."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    items = ["item,text", *(f"d{n},{kind} {dish}" for n, (kind, dish) in enumerate(product(KINDS, DISHES)))]
    clicks = [
        f"u{user},d{(7 * user + 3 * step) % 40},{1_700_000_000 + 1000 * step + user}"
        for user in range(30)
        for step in range(12)
    ]
    trace = [f"p{phone},0,24,{state}" for phone in range(9) for state in ("idle", "charging", "unmetered")]
    (here / "items.csv").write_text("\n".join(items) + "\n")
    (here / "clicks.csv").write_text("\n".join(["user,item,timestamp", *clicks]) + "\n")
    (here / "trace.csv").write_text("\n".join(["device_id,start,end,state", *trace]) + "\n")
    (here / "mine.py").write_text(
        "from fedbert.signals.prototypes.signal import Prototypes\n\n\nclass Mine(Prototypes):\n    pass\n"
    )
    for name in ("tiny", "tiny-server"):
        shutil.copytree(models_folder() / name, here / name.replace("tiny", "student"))
    shutil.copytree(profiles_folder(), here / "phones")
    monkeypatch.chdir(here)
    flags = ["--world", "interactions", "--items", "items.csv", "--interactions", "clicks.csv"]
    flags += ["--availability-trace", "trace.csv", "--profiles", "phones", "--model", "student"]
    flags += ["--fleet", "phones/fleets/low_end.toml", "--signal", "mine.py:Mine"]
    flags += ["--devices", "60", "--rounds", "1", "--sessions-per-day", "30", "--min-reports", "1"]
    flags += ["--epsilon", "none"]
    assert call("run", [*flags, "--output", "../first"]) == 0
    monkeypatch.chdir(there)
    assert call("run", ["--config", "../first/scenario.toml", "--output", "again"]) == 0
    first, again = load_run(tmp_path / "first"), load_run(there / "again")
    assert first["totals"]["reports"] > 0
    assert (first["model"]["name"], again["model"]["name"]) == ("student", str(here / "student"))
    first["model"]["name"] = again["model"]["name"]
    assert figures(again) == figures(first)
    assert again["scenario"] == first["scenario"]


def test_reused_users_are_named_in_plain_sight(tmp_path: Path) -> None:
    """More devices than users: the note says that the privacy unit is the device."""
    names = ["item,text", *(f"d{number},dish number {number}" for number in range(25))]
    clicks = ["user,item,timestamp"]
    clicks += [
        f"u{user},d{(user + step) % 25},{1_700_000_000 + step}" for user in range(5) for step in range(10)
    ]
    (tmp_path / "items.csv").write_text("\n".join(names) + "\n")
    (tmp_path / "clicks.csv").write_text("\n".join(clicks) + "\n")
    scenario = Scenario(
        world="interactions",
        items=tmp_path / "items.csv",
        interactions=tmp_path / "clicks.csv",
        devices=20,
        rounds=1,
        epsilon=None,
        min_reports=0,
    )
    note = run(scenario, Execution(shards=2)).result["world"]["note"]
    assert note is not None
    assert "device" in note


def test_films_travel_in_a_sketch() -> None:
    """12,611 films: a report stays small, and all systems rank the same sessions."""
    scenario = Scenario(
        world="movietweetings",
        devices=150,
        rounds=1,
        sessions_per_day=40,
        availability="always",
        epsilon=50.0,
        delta=1e-3,
        min_reports=1,
        update_steps=1,
    )
    result = run(scenario, Execution(shards=2)).result
    assert result["world"]["items"] > 10_000
    assert result["traffic"]["bytes_per_report"] < 300_000
    assert {row["system"] for row in result["comparison"]} >= {"popularity", "TF-IDF"}
    assert 0 < (result["privacy"]["epsilon"] or 0) <= 50
