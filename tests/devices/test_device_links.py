"""links.toml: the shipped one follows from its sources, and every wrong key gets one clear line."""

import math
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner
from device_helpers import changed, script

from fedbert.cli.profiles import profiles
from fedbert.devices.links import LINK_KINDS, LinkTable, check_links, load_links
from fedbert.errors import FedbertError
from fedbert.paths import profiles_folder

GOOD = tomllib.loads((profiles_folder() / "links.toml").read_text(encoding="utf-8"))
PATHS = [(kind, key) for kind in LINK_KINDS for key in LinkTable._fields]


def problems(folder: Path, path: tuple[str, ...], value: Any) -> list[str]:
    """Return the problems of the good file with one value replaced, or left out if `value` is None."""
    (folder / "links.toml").write_text(tomli_w.dumps(changed(GOOD, path, value)), encoding="utf-8")
    found = check_links(folder)
    assert all("\n" not in line for line in found)
    with pytest.raises(FedbertError) as raised:
        load_links(folder)
    assert str(raised.value) == found[0]
    return found


def test_columns_go_in_the_order_of_the_kinds() -> None:
    """Row i of each column is the key of link i of `LINK_KINDS`."""
    table = load_links()
    for index, kind in enumerate(LINK_KINDS):
        assert {name: float(getattr(table, name)[index]) for name in table._fields} == GOOD[kind]


def test_a_folder_without_links_has_the_shipped_ones(tmp_path: Path) -> None:
    """Profiles of one's own need no links.toml; with one, that is read."""
    shipped = load_links()
    assert load_links(tmp_path).rtt_ms.tolist() == shipped.rtt_ms.tolist()
    assert check_links(tmp_path) == []
    own = {**GOOD, "lte": GOOD["lte"] | {"rtt_ms": 77.0}}
    (tmp_path / "links.toml").write_text(tomli_w.dumps(own), encoding="utf-8")
    assert load_links(tmp_path).rtt_ms[LINK_KINDS.index("lte")] == 77.0


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_missing_key_is_named(path: tuple[str, str], tmp_path: Path) -> None:
    """Every key is needed: the message names file and key."""
    assert problems(tmp_path, path, None) == [f"links.toml: {'.'.join(path)} must be given; add the key"]


@pytest.mark.parametrize("kind", LINK_KINDS)
def test_a_missing_link_is_named(kind: str, tmp_path: Path) -> None:
    """All four links are needed."""
    assert problems(tmp_path, (kind,), None)[0] == f"links.toml: {kind} must be given; add the key"


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_negative_number_is_refused(path: tuple[str, str], tmp_path: Path) -> None:
    """No number may be negative: file, key, value and rule are named."""
    found = problems(tmp_path, path, -1.0)
    assert len(found) == 1
    assert found[0].startswith(f"links.toml: {'.'.join(path)}(=-1.0) must be greater than")


@pytest.mark.parametrize("path", PATHS, ids=".".join)
@pytest.mark.parametrize("value", [1e15, float("nan"), "7", True])
def test_an_absurd_value_is_refused(path: tuple[str, str], value: Any, tmp_path: Path) -> None:
    """A number out of range, not a number, a text and a truth value are refused and never converted."""
    found = problems(tmp_path, path, value)
    assert found[0].startswith(f"links.toml: {'.'.join(path)}(={value!r}) must be ")


@pytest.mark.parametrize(
    "path", [("lte", "rtt_s"), ("lte", "downlink_p50_mbit_per_s"), ("wifi",), ("five_g", "share")]
)
def test_an_unknown_key_is_refused(path: tuple[str, ...], tmp_path: Path) -> None:
    """A key with another unit, or of another file, is an error."""
    found = problems(tmp_path, path, 5.0)
    assert found == [f"links.toml: {'.'.join(path)}(=5.0) must be a known key; correct its name or unit"]


@pytest.mark.parametrize("path", [p for p in PATHS if p[1].split("_")[-1] in ("s", "ms", "mw")], ids=".".join)
@pytest.mark.parametrize("factor", [1_000, 0.001])
def test_a_unit_of_another_thousand_is_refused(path: tuple[str, str], factor: float, tmp_path: Path) -> None:
    """Mbit/s or bit/s for kbit/s, seconds for milliseconds and watts for milliwatts leave their range."""
    assert problems(tmp_path, path, GOOD[path[0]][path[1]] * factor)


@pytest.mark.parametrize(
    ("key", "value"), [("downlink_p10_kbit_per_s", 9e6), ("downlink_p90_kbit_per_s", 1.0)]
)
def test_quantiles_must_rise(key: str, value: float, tmp_path: Path) -> None:
    """p10 < p50 < p90, said in one line."""
    assert problems(tmp_path, ("three_g", key), value) == [
        "links.toml: three_g: must rise: downlink_p10_kbit_per_s < downlink_p50_kbit_per_s "
        "< downlink_p90_kbit_per_s"
    ]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("lte.rtt_ms", None, "sources.'lte.rtt_ms' must say where it is from; add it to [sources]"),
        ("lte.rtt_ms", " ", "sources.'lte.rtt_ms' must say where it is from; add it to [sources]"),
        ("lte.rtt_s", "a guess", "sources.'lte.rtt_s' must name a key with a number; remove or correct it"),
    ],
)
def test_every_number_has_its_source(key: str, value: str | None, rule: str, tmp_path: Path) -> None:
    """[sources] names all numbers and nothing else."""
    assert problems(tmp_path, ("sources", key), value) == [f"links.toml: {rule}"]


def test_the_command_checks_links_too(tmp_path: Path) -> None:
    """`fedbert profiles check` lists the problems of links.toml after those of the profiles."""
    for file in profiles_folder().glob("*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shutil.copytree(profiles_folder() / "fleets", tmp_path / "fleets")
    assert "are good" in CliRunner().invoke(profiles, ["check", str(tmp_path)]).output
    problems(tmp_path, ("lte", "rtt_ms"), -1.0)
    answer = CliRunner().invoke(profiles, ["check", str(tmp_path)], standalone_mode=False)
    assert answer.return_value == 2
    assert "error: links.toml: lte.rtt_ms(=-1.0) must be greater than or equal to 1" in answer.output


def test_the_shipped_file_follows_from_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building from the committed sources writes the committed links.toml."""
    module = script("build_links")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module.build()
    text = (tmp_path / "links.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text) == GOOD


def test_moments_are_split_as_in_3g() -> None:
    """Half of the spread between devices, a quarter in transfers: 100, 400, 1600 become 200, 400, 800."""
    module = script("build_links")
    row = {"sigma_between_units": 0.5, "sigma_within_transfers": 0.25, "sigma_moments": 1.0}
    got = module.split([100.0, 400.0, 1600.0], row)
    assert [got[f"downlink_{name}_kbit_per_s"] for name in ("p10", "p50", "p90")] == [200.0, 400.0, 800.0]
    assert got["transfer_sigma"] == pytest.approx(0.25 * math.log(4) / 1.2815515655, rel=1e-3)
