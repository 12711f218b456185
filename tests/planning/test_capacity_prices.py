"""Money and carbon: literal products of a plan's figures and a prices file, and files that are refused."""

from pathlib import Path
from typing import Any

import planning_fakes as fakes
import pytest

from fedbert.cli.capacity import run_capacity
from fedbert.errors import FedbertError
from fedbert.planning.capacity import draws
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.cost_forecast import costs, priced
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.prices import Prices, read_prices
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
    asked = CapacitySettings(base=tmp_path / "run", prices=tmp_path / "prices.toml", output=tmp_path / "out")
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
    ],
)
def test_a_bad_prices_file_is_one_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Zero, negative, without source or date, unknown, or no TOML: named, and nothing is run or written."""
    (tmp_path / "prices.toml").write_text(TEXT.replace(*change))
    asked: dict[str, Any] = {"prices": tmp_path / "prices.toml", "output": tmp_path / "out"}
    with pytest.raises(FedbertError, match=rf"prices\.toml[^\n]*{said}") as caught:
        run_capacity(CapacitySettings(**asked), fakes.broken_run)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_prices_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(FedbertError, match=r"^prices\(='[^\n]*nowhere\.toml'\) must be a TOML file[^\n]*$"):
        read_prices(tmp_path / "nowhere.toml")
