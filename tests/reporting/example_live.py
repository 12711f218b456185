"""An invented run, its plan's page alone, and the page's answers: for tests of a plan's inputs."""

import json
import math
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from browser import Page
from planning.planning_fakes import fake_run

from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.calibration import read_calibration
from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.planning.capacity.prices import Prices, Sourced
from fedbert.reporting.capacity.live import live
from fedbert.reporting.parts.page import render_page
from fedbert.scenario import build

PRICES = {
    "cdn_per_gb": 0.01,
    "egress_per_gb": 0.05,
    "ingress_per_gb": 0.02,
    "requests_per_million": 0.4,
    "kwh": 0.3,
    "gco2e_per_kwh": 400.0,
    "network_kwh_per_gb": 0.02,
    "charging_efficiency": 0.8,
    "cdn_requests_per_million": 0.7,
    "core_per_hour": 0.04,
    "memory_per_gb_hour": 0.005,
    "machine_per_hour": 0.1,
    "storage_per_gb_month": 0.02,
    "core_idle_w": 0.7,
    "core_busy_w": 3.5,
    "memory_kwh_per_gb_hour": 0.0004,
    "storage_wh_per_tb_hour": 1.2,
    "pue": 1.1,
    "server_gco2e_per_kwh": 300.0,
}

CALIBRATION = read_calibration()

Answers = dict[str, float]


def base(**values: Any) -> BaseRun:
    """Return the forecast's view of an invented run whose transfers are repeated, as real ones are."""
    plain = {"devices": 10_000, "rounds": 24, "release_every": 12, "mechanism": "daily", "epsilon": 2.0}
    run = base_of(fake_run(*build(plain | values)))
    by_hour = np.sin(np.arange(24) / 24 * 2 * np.pi)
    return replace(
        run,
        moved_bytes=1.07 * run.moved_bytes,
        download_attempts=1.2,
        upload_attempts=1.1,
        eligible=0.3 + 0.2 * by_hour,
        unmetered=0.6 - 0.3 * by_hour,
        completed=run.completed * (0.7 + 0.3 * by_hour[: len(run.completed)]),
    )


def prices_of(values: dict[str, float]) -> Prices:
    """Return a prices file's content; downloads are cheaper beyond 100 and 1,000 TB a month."""
    said = {
        key: Sourced(value=value, date=date(2026, 1, 2), source="invented") for key, value in values.items()
    }
    if first := said.get("cdn_per_gb"):
        steps = ((100.0, 0.7 * first.value), (1_000.0, 0.3 * first.value))
        said["cdn_per_gb"] = first.model_copy(update={"above_tb_per_month": steps})
    return Prices(currency="EUR", region="nowhere", **said)


def in_the_page(page: Page, settings: list[dict[str, float]]) -> list[Answers]:
    """Return the page's own answers to settings."""
    asked = (
        "JSON.stringify(%s.map((each) => document.querySelector('[data-live]').answers(each)),"
        " (key, value) => value === Infinity ? 'inf' : value)"
    )
    found = json.loads(page.run(asked % json.dumps(settings)))
    return [{name: math.inf if value == "inf" else value for name, value in each.items()} for each in found]


def opened(page: Page, folder: Path, result: CapacityForecast, fragment: str = "") -> None:
    """Open a page with the chapter of a forecast alone: without charts it loads quickly."""
    (folder / "report.html").write_text(render_page("A plan", "", [], live(result)), encoding="utf-8")
    page.open(folder / "report.html", fragment)
