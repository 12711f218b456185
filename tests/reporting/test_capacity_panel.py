"""What people do in the page of a capacity plan: set, link, compare two plans, download."""

import csv
import io
import json
from pathlib import Path

import pytest
from browser import Page, needs_browser
from example_live import CALIBRATION, PRICES, base, in_the_page, opened, prices_of

from fedbert.planning.capacity.cost_forecast import priced
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.buyers import BUYERS, DAYS, OTHER, PRIVACY, buyer_of
from fedbert.reporting.capacity.folder import contents
from fedbert.reporting.capacity.text import day_rows, value_text

pytestmark = pytest.mark.usefixtures("one_draw")


STATE = """(() => {
  const texts = (css) => [...document.querySelectorAll(css)].map((each) => each.textContent.trim());
  const now = texts("[data-answer]"), computed = texts("[data-answer] ~ .computed");
  const value = (key) => document.querySelector(`[data-key="${key}"]`).value;
  const answer = document.querySelector('[data-answer="reports per day"]').textContent;
  const fault = texts("[data-fault]")[0], link = document.querySelector("[data-link]").href;
  return { now, computed, devices: value("devices"), rounds: value("rounds_per_day"), answer, fault, link,
           hash: location.hash, flags: texts("[data-flags]")[0] };
})()"""


TYPED = """(() => {
  const field = document.querySelector('[data-key="%s"]');
  field.value = "%s";
  field.dispatchEvent(new Event("input"));
  field.dispatchEvent(new Event("change"));
})()"""


@needs_browser
def test_a_fragment_restores_a_setting_and_the_reset_leaves_it(page: Page, tmp_path: Path) -> None:
    """5 million phones and 6 rounds in the address: inputs and answers have them, the computed plan stays."""
    run = base()
    result = forecast(run, CapacitySettings().plan(run))
    opened(page, tmp_path, result)
    plain = page.run(STATE)
    assert all(text.startswith(value) for text, value in zip(plain["computed"], plain["now"], strict=True))
    fragment = "#plan:devices=5000000&rounds_per_day=6"
    opened(page, tmp_path, result, fragment)
    moved = page.run(STATE)
    assert (moved["devices"], moved["rounds"], moved["fault"], moved["hash"]) == (
        "5000000",
        "6",
        "",
        fragment,
    )
    assert moved["link"].endswith(fragment)
    assert moved["computed"] == plain["computed"]
    (found,) = in_the_page(page, [{"devices": 5_000_000, "rounds_per_day": 6}])
    assert moved["answer"] == value_text(found["reports per day"], "reports") != plain["answer"]
    assert "--devices 5000000 --reports-per-round 10000" in moved["flags"]
    page.run("document.querySelector('[data-reset]').click()")
    assert page.run(STATE) == plain


@needs_browser
def test_a_setting_typed_is_in_the_address_and_a_wrong_one_has_one_line(page: Page, tmp_path: Path) -> None:
    """A number moves the address; one out of range, or reports above phones, shows its rule."""
    run = base()
    opened(page, tmp_path, forecast(run, CapacitySettings().plan(run)))
    page.run(TYPED % ("rounds_per_day", "6"))
    assert page.run(STATE)["hash"] == "#plan:rounds_per_day=6"
    for key, text, rule in (
        ("devices", "0", "Phones (=0) must be at least 1"),
        ("devices", "2.5", "Phones (=2.5) must be a whole number"),
        ("devices", "", "Phones (=) must be a number"),
        ("download_bytes", "0", "Bytes of a download (=0) must be more than 0"),
        ("rounds_per_day", "1441", "Rounds per day (=1441) must be at most 1440"),
        ("devices", "9999", "Reports per round (=10000) must be at most the phones (= 9999)"),
    ):
        page.run("document.querySelector('[data-reset]').click()")
        page.run(TYPED % (key, text))
        found = page.run(STATE)
        assert (found["fault"], set(found["now"])) == (rule, {"–"})
    page.open(tmp_path / "report.html", "#plan:phones=7")
    assert page.run(STATE)["fault"] == "The link has a setting (phones=7) that this plan does not have"
    page.open(tmp_path / "report.html", "#plan:devices=many")
    assert page.run(STATE)["fault"] == "Phones (=many) must be a number"


CLICK = "document.querySelector('%s').click()"


@needs_browser
def test_two_plans_stand_side_by_side_and_the_link_has_both(page: Page, tmp_path: Path) -> None:
    """5 million phones kept as plan B, 10 million set: both columns, their difference, and one address."""
    run = base()
    result = forecast(run, CapacitySettings().plan(run))
    opened(page, tmp_path, result, "#plan:devices=5000000")
    page.run(CLICK % "[data-pin]")
    page.run(TYPED % ("devices", "10000000"))
    row = """(() => {
      const now = document.querySelector('[data-answer="egress, one release to all devices"]');
      const texts = [now, now.nextElementSibling].map((each) => each.textContent.trim());
      const shown = getComputedStyle(now.nextElementSibling).display;
      return [...texts, shown, document.querySelector("[data-key=devices]").parentElement.textContent.trim()];
    })()"""
    one, ten = (value_text(devices * run.release_bytes, "bytes") for devices in (5e6, 1e7))
    both = [ten, f"{one} +100.0%", "table-cell", "Phones B: 5000000"]
    assert page.run(row) == both
    link = page.run("location.hash")
    assert link == "#plan:devices=10000000&b.devices=5000000"
    opened(page, tmp_path, result, link)
    assert page.run(row) == both
    page.run(CLICK % "[data-reset]")
    assert page.run("location.hash") == "#plan:b.devices=5000000"
    page.run(CLICK % "[data-pin]")
    assert page.run("location.hash") == "#plan:b.computed=1"
    opened(page, tmp_path, result, "#plan:devices=10000000&b.computed=1")
    plain = value_text(8_400_000 * run.release_bytes, "bytes")
    assert page.run(row)[:2] == [ten, f"{plain} +19.0%"]
    page.run(CLICK % "[data-unpin]")
    assert page.run(row)[2] == "none"
    opened(page, tmp_path, result, "#plan:b.devices=0")
    assert page.run(STATE)["fault"] == "Plan B: Phones (=0) must be at least 1"


@needs_browser
def test_differences_read_as_shares_points_and_factors(page: Page, tmp_path: Path) -> None:
    """Per cent of the other plan; points of a share; a factor from tenfold on; else nothing."""
    run = base()
    opened(page, tmp_path, forecast(run, CapacitySettings().plan(run)))
    for (value, other, unit), text in {
        ("110", "100", "bytes"): "+10.0%",
        ("50", "100", "hours"): "\u221250.0%",
        ("0.5", "0.25", "share"): "+25.0 points",
        ("1200", "100", "bytes"): "\u00d7 12",
        ("3", "3", ""): "the same",
        ("3", "Infinity", "hours"): "",
        ("undefined", "3", ""): "",
    }.items():
        assert page.run(f"capacityChange({value}, {other}, {unit!r})") == text


@needs_browser
def test_the_panel_and_the_forecast_are_downloaded(page: Page, tmp_path: Path) -> None:
    """CSV and JSON have inputs and figures of three plans; forecast.csv is that of the folder."""
    run = base()
    result = priced(run, forecast(run, CapacitySettings().plan(run), CALIBRATION), prices_of(PRICES))
    opened(page, tmp_path, result, "#plan:devices=5000000&b.rounds_per_day=6")

    def saved(kind: str, name: str) -> str:
        return page.saved(CLICK % f'[data-save="{kind}"]', tmp_path / "saved" / name).decode()

    (tmp_path / "saved").mkdir()
    assert saved("forecast", "forecast.csv").encode() == contents(result, "a command")["forecast.csv"]
    rows = list(csv.DictReader(io.StringIO(saved("csv", "plan.csv"))))
    found = {row["name"]: row for row in rows}
    assert len(found) == len(rows)
    once = found["egress, one release to all devices"]
    expected = [devices * run.release_bytes for devices in (5e6, 8.4e6, 8.4e6)]
    assert [float(once[each]) for each in ("plan_a", "plan_b", "computed")] == pytest.approx(expected)
    assert (once["buyer"], found["devices"]["kind"]) == ("CDN", "input")
    assert found["rounds_per_day"]["plan_b"] == "6"
    record = json.loads(saved("json", "plan.json"))
    assert "--devices 5000000" in record["flags"]
    names = [each["name"] for each in [*record["inputs"], *record["figures"]]]
    assert names == [row["name"] for row in rows]


@needs_browser
@pytest.mark.parametrize("width", [390, 1400])
def test_two_plans_fit_on_a_phone(page: Page, tmp_path: Path, width: int) -> None:
    """With a plan B and every figure open the page is no wider than the screen."""
    run = base()
    result = priced(run, forecast(run, CapacitySettings().plan(run), CALIBRATION), prices_of(PRICES))
    page.show(width, "light")
    opened(page, tmp_path, result, "#plan:devices=5000000&b.devices=123456789")
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    wide = "[...document.querySelectorAll('.live *')].map((each) => each.getBoundingClientRect().right)"
    assert page.run(f"Math.max(document.documentElement.scrollWidth, ...{wide})") <= width
    page.show(1200, "light")


def test_each_figure_of_the_fleet_has_one_who_buys_it() -> None:
    """Every row of a plan with servers and prices is in a group, and none is named in two."""
    run = base()
    result = priced(run, forecast(run, CapacitySettings().plan(run), CALIBRATION), prices_of(PRICES))
    assert {buyer_of(row.name) for row in day_rows(result)} == set(BUYERS) - {DAYS, OTHER, PRIVACY}
    for name in ("Sunday: rounds that fill", "last day: egress per day", "horizon: egress"):
        assert buyer_of(name) is DAYS
    assert buyer_of("stage 2: peak egress").name == "CDN"
    named = [name for buyer in BUYERS for name in (*buyer.first, *buyer.folded)]
    assert len(named) == len(set(named))
    assert [buyer_of(name).name for name in ("egress per day", "total QPS, p99", "cost per day")] == [
        "CDN",
        "Front end",
        "The whole plan",
    ]


def test_a_whole_page_is_small() -> None:
    """With servers and prices report.html is under 1.6 MB, plotly.js inside."""
    run = base()
    result = priced(run, forecast(run, CapacitySettings().plan(run), CALIBRATION), prices_of(PRICES))
    assert len(contents(result, "a command")["report.html"]) < 1_600_000
