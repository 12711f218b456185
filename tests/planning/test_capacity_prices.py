"""Money and carbon: literal products of a plan's figures and a prices file, and files that are refused."""

from pathlib import Path
from typing import Any

import planning_fakes as fakes
import pytest

from fedbert.cli.capacity import run_capacity
from fedbert.errors import FedbertError
from fedbert.planning.capacity import draws
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.calibration import read_calibration
from fedbert.planning.capacity.capacity import CapacityForecast, Plan
from fedbert.planning.capacity.cost_forecast import costs, graduated, priced
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.prices import Prices, prices_asked, read_prices
from fedbert.planning.capacity.server_forecast import PARTS
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.record import forecast_of, load_forecast, record_of
from fedbert.results import save_run
from fedbert.scenario import build

N = 8_400_000
TEXT = """
currency = "EUR"
region = "an invented one"
cdn_per_gb = { value = 0.01, date = 2026-01-02, source = "an invented list" }
egress_per_gb = { value = 0.05, date = 2026-01-02, source = "an invented list" }
ingress_per_gb = { value = 0.02, date = 2026-01-02, source = "an invented list" }
requests_per_million = { value = 0.4, date = 2026-01-02, source = "an invented list" }
kwh = { value = 0.3, date = 2026-01-02, source = "an invented list" }
gco2e_per_kwh = { value = 400, date = 2026-01-02, source = "an invented list" }
network_kwh_per_gb = { value = 0.02, date = 2026-01-02, source = "an invented list" }
charging_efficiency = { value = 0.8, date = 2026-01-02, source = "an invented list" }
"""

SERVERS = """
cdn_requests_per_million = { value = 0.5, date = 2026-01-03, source = "an invented list" }
core_per_hour = { value = 0.04, date = 2026-01-03, source = "an invented list" }
memory_per_gb_hour = { value = 0.005, date = 2026-01-03, source = "an invented list" }
storage_per_gb_month = { value = 0.02, date = 2026-01-03, source = "an invented list" }
core_idle_w = { value = 1.0, date = 2026-01-03, source = "an invented list" }
core_busy_w = { value = 4.0, date = 2026-01-03, source = "an invented list" }
memory_kwh_per_gb_hour = { value = 0.0004, date = 2026-01-03, source = "an invented list" }
storage_wh_per_tb_hour = { value = 1.2, date = 2026-01-03, source = "an invented list" }
pue = { value = 1.5, date = 2026-01-03, source = "an invented list" }
server_gco2e_per_kwh = { value = 300, date = 2026-01-03, source = "an invented list" }
"""

TWO_REGIONS = """
currency = "EUR"
region = "north"
kwh = { value = 0.3, date = 2026-01-02, source = "for both" }
[regions.north]
gco2e_per_kwh = { value = 30, date = 2026-01-02, source = "of the north" }
[regions.south]
kwh = { value = 0.1, date = 2026-01-02, source = "of the south" }
gco2e_per_kwh = { value = 700, date = 2026-01-02, source = "of the south" }
"""


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs are products: forty draws show that their intervals are, too."""
    monkeypatch.setattr(draws, "DRAWS", 40)


def base() -> BaseRun:
    """Return the forecast's view of an invented run of two tiers, half the phones each."""
    plain = {"devices": 10_000, "rounds": 12, "mechanism": "poisson", "epsilon": None}
    return base_of(fakes.fake_run(*build(plain)))


def prices(tmp_path: Path, text: str = TEXT) -> Prices:
    """Return the prices of a file with `text`."""
    (tmp_path / "prices.toml").write_text(text)
    return read_prices(tmp_path / "prices.toml")


def test_money_is_bytes_requests_and_energy_times_prices(tmp_path: Path) -> None:
    """Each part by hand; the sum per day, release, year and thousand phones; the interval likewise."""
    run = base()
    plain = forecast(run, Plan(N, 1.5e12, 10_000, 12.0, 2.0, 0.0, 1.3, 0.2))
    found = priced(run, plain, prices(tmp_path))

    def value(name: str, tier: str | None = None) -> float:
        return found.find(name, tier=tier).estimate.value

    both = value("check-in and TLS bytes, each way")
    moved = sum(value(f"{what} per day") for what in ("downloads", "reports", "check-ins"))
    # Both tiers spend alike: a phone's mJ a day over the battery's 80 % from the socket.
    energy = value("energy per day", "entry")
    assert energy == value("energy per day", "flagship")
    kwh = N * energy / 3.6e9 / 0.8
    expected = {
        "downloads": 0.01 * value("egress per day") / 1e9,
        "check-ins out": 0.05 * both / 1e9,
        "ingress": 0.02 * (value("ingress per day") + both) / 1e9,
        "requests": 0.4 * moved / 1e6,
        "charging": 0.3 * kwh,
    }
    for name, cost in expected.items():
        row = found.find(f"cost per day, {name}")
        assert (row.estimate.value, row.unit) == (pytest.approx(cost), "EUR"), name
    total = sum(expected.values())
    assert value("cost per day") == pytest.approx(total)
    assert value("cost per release") == pytest.approx(total / 2)
    assert value("cost per year") == pytest.approx(365 * total)
    assert value("cost per thousand phones and year") == pytest.approx(365_000 * total / N)
    egress = found.find("egress per day").estimate
    assert found.find("cost per day, downloads").estimate.low == pytest.approx(
        (egress.low or 0.0) * 0.01 / 1e9
    )


def test_carbon_is_split_beside_the_published_one(tmp_path: Path) -> None:
    """Computing, uploads and downloads with their networks at 400 g a kWh; shares add up to one."""
    run = base()
    found = priced(run, forecast(run, Plan(N, 1.5e12, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2)), prices(tmp_path))

    def value(name: str) -> float:
        return found.find(name).estimate.value

    used = found.find("energy per day, uploads", tier="entry").estimate.value
    kwh = N * used / 3.6e9 / 0.8 + 0.02 * value("ingress per day") / 1e9
    assert value("carbon per day, uploads") == pytest.approx(400 * kwh)
    parts = [value(f"carbon per day, {part}") for part in ("computing", "uploads", "downloads")]
    assert value("carbon per day") == pytest.approx(sum(parts))
    shares = [value(f"share of carbon, {part}") for part in ("computing", "uploads", "downloads")]
    assert sum(shares) == pytest.approx(1.0)
    assert "published for federated training: 27 to 29%" in found.find("share of carbon, uploads").assumption


def planned(text: str, tmp_path: Path) -> CapacityForecast:
    """Return a priced plan with the shipped calibration's servers."""
    run = base()
    plan = Plan(N, 1.5e12, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2)
    return priced(run, forecast(run, plan, read_calibration(), 0.6), prices(tmp_path, text))


def test_servers_cost_what_their_cores_memory_and_storage_do(tmp_path: Path) -> None:
    """As many cores and gigabytes as the plan says, all day; storage by the month; download requests."""
    found = planned(TEXT + SERVERS, tmp_path)

    def value(name: str) -> float:
        return found.find(name).estimate.value

    assert value("cost per day, cores") == pytest.approx(24 * 0.04 * value("cores, all servers"))
    assert value("cost per day, memory") == pytest.approx(24 * 0.005 * value("memory, all servers") / 1e9)
    assert value("cost per day, storage") == pytest.approx(0.02 * value("storage, all") / 1e9 * 12 / 365)
    requests = value("downloads per day") * base().download_attempts
    assert value("cost per day, download requests") == pytest.approx(0.5e-6 * requests)
    parts = [row.estimate.value for row in found.forecasts if row.name.startswith("cost per day, ")]
    assert value("cost per day") == pytest.approx(sum(parts))
    assert len(parts) == 9
    said = found.find("cost per year").assumption
    assert "the prices file for an invented one, as of 2026-01-02 to 2026-01-03" in said
    assert "left out" not in said
    # Bought as machines, cores and memory are not bought again.
    gone = ("core_per_hour", "memory_per_gb_hour")
    kept = "\n".join(line for line in SERVERS.splitlines() if not line.startswith(gone))
    machine = '\nmachine_per_hour = { value = 0.1, date = 2026-01-03, source = "an invented list" }\n'
    whole = planned(TEXT + kept + machine, tmp_path)
    machines = whole.find("machines, all servers").estimate.value
    assert whole.find("cost per day, machines").estimate.value == pytest.approx(24 * 0.1 * machines)
    assert not [row for row in whole.forecasts if row.name == "cost per day, cores"]


def test_servers_emit_by_their_watts(tmp_path: Path) -> None:
    """1 W a core all day, 3 W more while it works; memory, storage; times a PUE of 1.5 and 300 g."""
    found = planned(TEXT + SERVERS, tmp_path)

    def value(name: str) -> float:
        return found.find(name).estimate.value

    kwh = 0.024 * value("cores, all servers")
    kwh += 0.003 * sum(value(f"CPU time per day, {part}") for part in PARTS)
    kwh += 24 * 0.0004 * value("memory, all servers") / 1e9
    kwh += 24 * 0.0012 * value("storage, all") / 1e12
    assert value("server energy per day") == pytest.approx(1.5 * kwh)
    assert value("carbon per day, servers") == pytest.approx(300 * 1.5 * kwh)
    shares = [row for row in found.forecasts if row.name.startswith("share of carbon, ")]
    assert sum(row.estimate.value for row in shares) == pytest.approx(1.0)
    assert "published for federated training: 1 to 2%" in shares[-1].assumption
    without = planned(TEXT, tmp_path)
    assert "servers are left out" in without.find("carbon per day").assumption
    assert "servers are left out" in without.find("cost per day").assumption


def test_a_price_by_volume() -> None:
    """40 TB a month: ten at 0.08 a gigabyte, twenty at 0.05, ten at 0.01; a day is 12 / 365 of that."""
    day = 40e12 * 12 / 365
    month = 10_000 * 0.08 + 20_000 * 0.05 + 10_000 * 0.01
    assert graduated(day, 0.08, ((10, 0.05), (30, 0.01))) == pytest.approx(month * 12 / 365)
    assert graduated(day / 8, 0.08, ((10, 0.05), (30, 0.01))) == pytest.approx(5_000 * 0.08 * 12 / 365)
    assert graduated(1e9, 0.08, ()) == pytest.approx(0.08)


def test_regions_have_what_is_common_and_their_own(tmp_path: Path) -> None:
    """The file's own region unless another is asked for; what a region has replaces what holds for all."""
    path = tmp_path / "prices.toml"
    path.write_text(TWO_REGIONS)
    north, south = read_prices(path), read_prices(path, "south")
    assert [(each.region, each.known()["kwh"].value) for each in (north, south)] == [
        ("north", 0.3),
        ("south", 0.1),
    ]
    assert south.known()["gco2e_per_kwh"].value == 700
    assert prices(tmp_path).region == read_prices(path, "an invented one").region


def test_the_shipped_prices_answer_for_every_region() -> None:
    """Each has money and carbon with servers, and every number its day and a source with an address."""
    regions = ("world", "germany", "india")
    found = [prices_asked("shipped", region) for region in regions]
    first = prices_asked("shipped", None)
    assert first is not None and first.region == "world"
    run = base()
    plain = forecast(run, Plan(N, 1.5e12, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2), read_calibration())
    carbons = []
    for each, region in zip(found, regions, strict=True):
        assert each is not None and each.region == region and each.about
        assert all("https://" in price.source for price in each.known().values())
        rows = {row.name: row for row in costs(run, plain, each)}
        assert "the shipped prices for" in rows["cost per day, cores"].assumption
        assert "losses of charging are left out" in rows["carbon per day, servers"].assumption
        carbons.append(rows["carbon per day"].estimate.value)
    # 381, 481 and 713 g a kilowatt-hour where phones charge.
    assert carbons[1] < carbons[0] < carbons[2]


def test_no_prices_are_none() -> None:
    """ "none" leaves money out; a region of none, or one that is not there, is one line."""
    assert prices_asked("none", None) is None
    with pytest.raises(FedbertError, match=r"^region\(='india'\) must be left out with --prices none[^\n]*$"):
        prices_asked("none", "india")
    with pytest.raises(FedbertError, match=r"^region\(='moon'\) must be one of world, germany, india[^\n]*$"):
        prices_asked("shipped", "moon")


def test_a_missing_price_leaves_its_figures_out(tmp_path: Path) -> None:
    """One price: its own figure and the sum of it alone; no carbon."""
    run = base()
    plain = forecast(run, Plan(N, 1.5e12, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2))
    only = "\n".join(TEXT.splitlines()[:4])
    rows = {row.name: row.estimate.value for row in costs(run, plain, prices(tmp_path, only))}
    assert {name for name in rows if ", " in name} == {"cost per day, downloads"}
    assert rows["cost per day"] == rows["cost per day, downloads"]
    assert not [name for name in rows if "carbon" in name]


def test_prices_are_kept_with_date_and_source(tmp_path: Path) -> None:
    """The record gives back what was read, and the page says it."""
    (tmp_path / "run").mkdir()
    save_run(fakes.fake_run(*build({"devices": 10_000, "rounds": 12, "epsilon": None})), tmp_path / "run")
    prices(tmp_path)
    asked = CapacitySettings(
        base=tmp_path / "run", prices=str(tmp_path / "prices.toml"), output=tmp_path / "out"
    )
    run_capacity(asked)
    found, command = load_forecast(tmp_path / "out")
    assert forecast_of(record_of(found, command)).prices == found.prices
    assert [price.name for price in found.prices][:2] == ["cdn_per_gb", "egress_per_gb"]
    assert {(price.date, price.source) for price in found.prices} == {("2026-01-02", "an invented list")}
    assert "an invented list" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("value = 0.01", "value = 0"), r"cdn_per_gb\.value"),
        (("value = 0.01", "value = -1"), r"cdn_per_gb\.value"),
        (("value = 0.01", "value = true"), r"cdn_per_gb\.value"),
        ((', source = "an invented list" }', " }"), r"cdn_per_gb\.source must be given"),
        (("date = 2026-01-02, ", ""), r"cdn_per_gb\.date must be given"),
        (("cdn_per_gb", "cdn"), r"cdn\("),
        (('currency = "EUR"', ""), r"currency must be given"),
        (("value = 0.8", "value = 1.2"), r"charging_efficiency\.value\(=1\.2\) must be <= 1"),
        ((TEXT, 'currency = "EUR"\nregion = "x"'), r"at least one price"),
        (("EUR", "euros"), r"currency\(='euros'\)"),
        ((TEXT, "= ="), r"must be a TOML file"),
        ((TEXT, TEXT + SERVERS.replace("= 1.5", "= 0.9")), r"pue\.value\(=0\.9\) must be >= 1"),
        (
            (TEXT, TEXT + SERVERS.replace("= 4.0", "= 0.5")),
            r"core_idle_w\.value\(=1\) must be <= ",
        ),
        ((TEXT, TEXT + SERVERS.replace("core_busy_w", "# ")), r"core_idle_w and core_busy_w must be given"),
        ((TEXT, TEXT + SERVERS.replace("pue", "machine_per_hour")), r"machine_per_hour must be left out"),
        (("value = 0.01,", "value = 0.01, above_tb_per_month = [[9, 0.1], [9, 0.2]],"), r"its terabytes asc"),
        (("value = 0.01,", "value = 0.01, above_tb_per_month = [[9, 0]],"), r"above 0"),
        (("value = 0.4,", "value = 0.4, above_tb_per_month = [[9, 1]],"), r"per_million\.above_tb_per_month"),
        (('region = "an invented one"', ""), r"region must be given"),
        ((TEXT, TEXT + 'origin = "x"'), r"origin must be left out"),
        ((TEXT, TEXT + "[regions]\nnorth = 1"), r"regions must be tables"),
        ((TEXT, TWO_REGIONS.replace("= 700", "= 0")), r"regions\.south\.gco2e_per_kwh\.value\(=0\)"),
        ((TEXT, TWO_REGIONS.replace('"north"', '"west"')), r"one of north, south \(in prices"),
    ],
)
def test_a_bad_prices_file_is_one_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Zero, negative, without source or date, unknown, or no TOML: named, and nothing is run or written."""
    (tmp_path / "prices.toml").write_text(TEXT.replace(*change))
    asked: dict[str, Any] = {"prices": str(tmp_path / "prices.toml"), "output": tmp_path / "out"}
    with pytest.raises(FedbertError, match=said) as caught:
        run_capacity(CapacitySettings(**asked), fakes.broken_run)
    assert "\n" not in str(caught.value)
    assert "prices.toml" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_prices_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(FedbertError, match=r"^prices\(='[^\n]*nowhere\.toml'\) must be a TOML file[^\n]*$"):
        read_prices(tmp_path / "nowhere.toml")
