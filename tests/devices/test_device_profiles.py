"""Profiles: the shipped ones are complete, and every wrong key of one's own gets one clear line."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from device_helpers import changed

from fedbert.devices.fleet_shares import check_folder
from fedbert.devices.links import LINK_KINDS
from fedbert.devices.profiles import Radios, load_profiles, read_profiles
from fedbert.errors import FedbertError
from fedbert.paths import profiles_folder
from fedbert.results import TIERS

GOOD = tomllib.loads((profiles_folder() / "17_kirin_810.toml").read_text(encoding="utf-8"))


def numbers(table: dict[str, Any], prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every number in a profile."""
    found: list[tuple[str | int, ...]] = []
    for key, value in table.items():
        if key == "sources":
            continue
        if isinstance(value, dict):
            found += numbers(value, (*prefix, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                found += numbers(item, (*prefix, key, index))
        elif not isinstance(value, str):
            found.append((*prefix, key))
    return found


NUMBERS = numbers(GOOD)
TEXTS = [("name",), ("tier",), ("soc",), ("clusters", 0, "core")]
FIELDS = NUMBERS + TEXTS
NEEDED = [path for path in FIELDS if path[-1] != "parallel_share"]
"""A core need not say what threads are worth."""


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as messages write it."""
    return ".".join(str(part) for part in path)


def problems(folder: Path, table: dict[str, Any]) -> list[str]:
    """Return the problems of a folder with one profile, and check that loading raises the first of them."""
    (folder / "phone.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    found = read_profiles(folder)[1]
    assert all("\n" not in line for line in found)
    with pytest.raises(FedbertError) as raised:
        load_profiles(folder)
    assert str(raised.value).startswith(found[0])
    return found


def test_shipped_profiles_are_complete() -> None:
    """There are at least 20 classes over all tiers, from 1 GB to a flagship, in file order."""
    profiles = tuple(load_profiles().values())
    assert len(profiles) >= 20
    assert {profile.tier for profile in profiles} == set(TIERS)
    assert profiles[0].ram_bytes == 10**9
    assert profiles[-1].tier == "flagship"
    assert check_folder(profiles_folder()) == []


def test_radios_are_in_the_order_of_the_links() -> None:
    """`Radios.shares` go in the order of the cellular kinds of links."""
    radios = next(iter(load_profiles().values())).radios
    assert radios.shares == tuple(getattr(radios, kind) for kind in LINK_KINDS[1:])


def test_links_are_no_profile(tmp_path: Path) -> None:
    """A links.toml beside the profiles is not read as one of them."""
    (tmp_path / "links.toml").write_text("", encoding="utf-8")
    (tmp_path / "phone.toml").write_text(tomli_w.dumps(GOOD), encoding="utf-8")
    assert read_profiles(tmp_path)[1] == []


@pytest.mark.parametrize("path", NEEDED, ids=dotted)
def test_a_missing_key_is_named(path: tuple[str | int, ...], tmp_path: Path) -> None:
    """Every key is needed: the message names file and key."""
    found = problems(tmp_path, changed(GOOD, path, None))
    assert found[0] == f"phone.toml: {dotted(path)} must be given; add the key"


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_a_negative_number_is_refused(path: tuple[str | int, ...], tmp_path: Path) -> None:
    """No number of a profile may be negative: file, key and value are named."""
    found = problems(tmp_path, changed(GOOD, path, -1))
    assert any(line.startswith(f"phone.toml: {dotted(path)}(=-1) must be greater than") for line in found)


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_an_absurd_number_is_refused(path: tuple[str | int, ...], tmp_path: Path) -> None:
    """A number in a wrong unit leaves the range of its key."""
    found = problems(tmp_path, changed(GOOD, path, 10**15))
    assert any(f"{dotted(path)}(=1000000000000000) must be less than" in line for line in found)


WITH_UNIT = [path for path in NUMBERS if path[0] != "radios" and path[-1] not in ("parallel_share", "year")]


@pytest.mark.parametrize("path", WITH_UNIT, ids=dotted)
@pytest.mark.parametrize("factor", [1_000, 0.001])
def test_a_unit_of_another_thousand_is_refused(
    path: tuple[str | int, ...], factor: float, tmp_path: Path
) -> None:
    """Watts for milliwatts, megabytes for bytes, seconds for milliseconds: no key takes them."""
    value: Any = GOOD
    for part in path:
        value = value[part]
    wrong = type(value)(value * factor)
    assert problems(tmp_path, changed(GOOD, path, wrong))


def test_a_cost_of_zero_is_left_out(tmp_path: Path) -> None:
    """An overhead of 0 says that the cost is not modelled, and is no wrong unit."""
    table = changed(GOOD, ("big_core", "overhead_us_per_operator"), 0.0)
    (tmp_path / "phone.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    assert read_profiles(tmp_path)[1] == []


def test_what_has_no_battery_or_cellular_link_is_told_the_limit(tmp_path: Path) -> None:
    """A board on the mains and a tablet without a modem get a line that says what to give instead."""
    board = problems(tmp_path, changed(GOOD, ("battery_mah",), 0.0))
    assert "battery_mah(=0.0) must be greater than or equal to 200; a board on the mains cannot" in board[0]
    no_modem = GOOD | {"radios": {"three_g": 0.0, "lte": 0.0, "five_g": 0.0}}
    assert "a tablet without a cellular link cannot be modelled as such" in problems(tmp_path, no_modem)[0]


def test_a_large_tablet_is_let_in(tmp_path: Path) -> None:
    """A battery of 11,200 mAh and 16 GB of memory are within the ranges."""
    table = changed(changed(GOOD, ("battery_mah",), 11_200.0), ("ram_bytes",), 16 * 10**9)
    (tmp_path / "tablet.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    assert read_profiles(tmp_path)[1] == []


def test_rounded_radios_are_scaled() -> None:
    """Shares that add up to .999 are divided by it; those that add up to 1 are taken as they are."""
    thirds = Radios(three_g=0.333, lte=0.333, five_g=0.333)
    assert thirds.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3), rel=1e-12)
    assert Radios(three_g=0.1, lte=0.9, five_g=0.0).shares == (0.1, 0.9, 0.0)


@pytest.mark.parametrize("path", FIELDS, ids=dotted)
def test_a_wrong_type_is_refused(path: tuple[str | int, ...], tmp_path: Path) -> None:
    """A number given as text, or a text given as a number, is refused and never converted."""
    wrong = "7" if path in NUMBERS else 7
    found = problems(tmp_path, changed(GOOD, path, wrong))
    assert found[0].startswith(f"phone.toml: {dotted(path)}(={wrong!r}) must be ")


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_not_a_number_is_refused(path: tuple[str | int, ...], tmp_path: Path) -> None:
    """nan is not in any range."""
    found = problems(tmp_path, changed(GOOD, path, float("nan")))
    assert found[0].startswith(f"phone.toml: {dotted(path)}(=nan) must be ")


@pytest.mark.parametrize("table", ["", "big_core", "free_memory", "load", "radios"])
def test_an_unknown_key_is_refused(table: str, tmp_path: Path) -> None:
    """A mistyped key, or one with another unit, is an error."""
    path = (*[part for part in table.split(".") if part], "clock_mhz")
    found = problems(tmp_path, changed(GOOD, path, 2000))
    assert found == [f"phone.toml: {dotted(path)}(=2000) must be a known key; correct its name or unit"]


def test_an_unknown_tier_is_refused(tmp_path: Path) -> None:
    """The tier is one of three words."""
    found = problems(tmp_path, changed(GOOD, ("tier",), "cheap"))
    assert found[0].startswith("phone.toml: tier(='cheap') must be 'entry', 'mid' or 'flagship'")


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("free_memory", "p50_bytes"), 70_000_000, "p10_bytes < p50_bytes < p90_bytes"),
        (
            ("radios", "lte"),
            0.5,
            "radios: three_g, lte and five_g must add up to 1 (within 0.01), not 0.6; change the shares",
        ),
        (("ram_bytes",), 250_000_000, "free_memory.p90_bytes(=300000000) must be <= ram_bytes"),
        (("sources", "ram_bytes"), None, "sources.'ram_bytes' must say where it is from"),
        (("sources", "ram_bytes"), " ", "sources.'ram_bytes' must say where it is from"),
        (("sources", "ram_gb"), "a guess", "sources.'ram_gb' must name a key with a number"),
        (("free_memory", "p90_bytes"), 7_000_000_000, "must be <= ram_bytes (=6000000000)"),
    ],
)
def test_values_must_agree(path: tuple[str, ...], value: Any, rule: str, tmp_path: Path) -> None:
    """Quantiles rise, shares add up, memory fits, and every number has a source."""
    if path == ("ram_bytes",):
        table = changed(GOOD, path, value)
        table["free_memory"] = {"p10_bytes": 10**8, "p50_bytes": 2 * 10**8, "p90_bytes": 3 * 10**8}
    else:
        table = changed(GOOD, path, value)
    found = problems(tmp_path, table)
    assert len(found) == 1
    assert found[0].startswith("phone.toml: ")
    assert rule in found[0]


def test_shares_are_not_in_a_profile(tmp_path: Path) -> None:
    """The share of a class stands in the fleet's file."""
    found = problems(tmp_path, GOOD | {"share": 0.5})
    assert found == ["phone.toml: share must stand in a file of fleets/; move it there"]


def test_names_must_differ(tmp_path: Path) -> None:
    """Two profiles cannot have one name."""
    (tmp_path / "first.toml").write_text(tomli_w.dumps(GOOD), encoding="utf-8")
    found = problems(tmp_path, GOOD)
    assert found == ["phone.toml: name(='Kirin 810 · 6 GB') must differ from that of first.toml; rename one"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"share = ", "phone.toml: file must be TOML ("), (b"\xff", "phone.toml: file must be UTF-8 text")],
)
def test_a_broken_file_is_named(content: bytes, rule: str, tmp_path: Path) -> None:
    """A file that is no TOML or no text is named."""
    (tmp_path / "phone.toml").write_bytes(content)
    assert read_profiles(tmp_path)[1][0].startswith(rule)
    with pytest.raises(FedbertError, match="file must be"):
        load_profiles(tmp_path)


def test_a_folder_without_profiles_is_refused(tmp_path: Path) -> None:
    """An empty folder, and one that is not there, get a line each."""
    with pytest.raises(FedbertError, match=r"must hold at least one \.toml file"):
        load_profiles(tmp_path)
    with pytest.raises(FedbertError, match="must be a folder of TOML files"):
        load_profiles(tmp_path / "nothing")


def test_all_problems_are_listed(tmp_path: Path) -> None:
    """Checking lists every problem; loading raises the first and says how many more there are."""
    table = changed(GOOD, ("year",), 1066)
    table["battery_mah"] = -5
    found = problems(tmp_path, table)
    assert [line.split("(")[0] for line in found] == ["phone.toml: year", "phone.toml: battery_mah"]
    with pytest.raises(FedbertError, match=r"\(and 1 more; list them with: fedbert profiles check "):
        load_profiles(tmp_path)
