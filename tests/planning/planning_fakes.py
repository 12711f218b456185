"""Small invented runs for the planning tests: RunResult in the shape of a real one, by plain formulas."""

import math
import os
import time
from pathlib import Path
from typing import Any

from fedbert.errors import FedbertError
from fedbert.results import LABELS, SCHEMA, Metrics, RunResult
from fedbert.scenario import Execution, Scenario

RELEASE_BYTES = 1_910_000
REPORT_BYTES = 100_000


ROUND: dict[str, Any] = {
    "ndcg@10_low": 0.7,
    "ndcg@10_high": 0.9,
    "sessions": 1,
    "scored_ndcg@10": None,
    "control_ndcg@10": None,
    "treated_ndcg@10": None,
    "outcomes": {},
    "epsilon": None,
    "epsilon_unamplified": None,
    "signal_release": 0,
    "server_ndcg@10": 0.8,
    "gate": "not due",
    "round_status": "updated",
    "loss": None,
    "wall_s": 0.1,
}
"""What a round says that no plan reads."""

WORLD = {"items": 7, "public_texts": 1, "private_texts": 2, "evaluation_texts": 1, "note": None}

MODEL = {"name": "invented", "bytes": RELEASE_BYTES, "sha256": "0" * 64, "dim": 8, "teacher": "invented"}

TOTALS: dict[str, Any] = {
    "secure_sum": {"devices_per_shard": 0, "dropped": "none", "equal": None},
    "traffic": {
        "bytes_per_report": REPORT_BYTES,
        "bytes_per_release": RELEASE_BYTES,
        "bytes_up": 1,
        "bytes_down": 1,
    },
    "totals": {"sessions": 1, "scored": 1, "clicks": 1, "devices_per_s": 1.0},
}

PRIVACY: dict[str, Any] = {
    "statement": "invented",
    "mechanism": "poisson",
    "sampling_probability": 0.1,
    "clip_norm": 2.0,
    "assumptions": {},
}


def quality(ndcg: float) -> Metrics:
    """Return five metrics around one nDCG@10."""
    return {"auc": ndcg + 0.05, "mrr": ndcg, "ndcg@5": ndcg, "ndcg@10": ndcg, "hit@1": ndcg / 2}


def final_ndcg(epsilon: float | None, seed: int) -> float:
    """Return the invented quality of the final release: it grows with epsilon and shifts with the seed."""
    budget = 100.0 if epsilon is None else epsilon
    return 0.80 + 0.1 * budget / (budget + 1) + 0.001 * (seed % 3)


PUBLIC_NDCG = 0.81
"""Invented quality of the arm without signals, at seed 0."""


def fetched(behind: float, hours: float, unmetered: float, factor: float) -> int:
    """Return how many of `behind` fetch within `hours` at rate factor x unmetered an hour."""
    return round(behind * -math.expm1(-factor * unmetered * hours))


def fake_run(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Return an invented finished run of `scenario`: at all hours 30 % are eligible, 60 % unmetered."""
    eligible, unmetered, factor = (0.3, 0.6, 0.5) if scenario.availability == "default" else (1.0, 1.0, 5.0)
    devices, hours = scenario.devices, scenario.round_hours
    treated = round(devices * (1 - scenario.control_share))
    ndcg = final_ndcg(scenario.epsilon, scenario.seed)
    if scenario.signal == "public":
        ndcg = PUBLIC_NDCG + 0.001 * (scenario.seed % 3)
    rounds: list[Any] = []
    newest, have = 0, treated
    for number in range(scenario.rounds + 1):
        downloads = fetched(treated - have, hours, unmetered, factor) if newest and number else 0
        have += downloads
        cohort = round(devices * scenario.cohort_probability) if number else 0
        completed = round(0.9 * eligible * cohort)
        rounds.append(
            {
                **ROUND,
                "round": number,
                "hour": number * hours % 24,
                **quality(0.8 + (ndcg - 0.8) * number / scenario.rounds),
                "cohort": cohort,
                "eligible": round(eligible * cohort),
                "completed": completed,
                "dropped": round(eligible * cohort) - completed,
                "reported": completed,
                "bytes_up": completed * REPORT_BYTES,
                "bytes_down": downloads * RELEASE_BYTES,
                "downloads": downloads,
                "installed": {"0": devices - have, str(newest): have} if newest else {"0": devices},
                "released": None,
            }
        )
        if number and number % scenario.release_every == 0:
            newest, have = newest + 1, 0
            rounds[-1]["released"] = newest
    private = scenario.epsilon is not None
    result: Any = {
        "schema": SCHEMA,
        "name": "invented",
        "command": command,
        "seed": scenario.seed,
        "started": "2000-01-01T00:00:00+00:00",
        "versions": {"threads": os.environ.get("OMP_NUM_THREADS", "")},
        "commit": None,
        "status": "finished",
        "labels": LABELS,
        "scenario": scenario.model_dump(mode="json"),
        "world": WORLD | {"name": scenario.world},
        "model": MODEL,
        "privacy": {
            **PRIVACY,
            "mode": "central" if private else "none",
            "delta": scenario.effective_delta,
            "noise_multiplier": 2 / scenario.epsilon if scenario.epsilon else None,
            "epsilon": scenario.epsilon,
            "epsilon_unamplified": 9 * scenario.epsilon if scenario.epsilon else None,
            "projections": [
                {
                    "days": days,
                    "epsilon": factor * (scenario.epsilon or 0.0),
                    "epsilon_unamplified": 9.0 * factor,
                }
                for days, factor in ((1, 1.0), (30, 6.0), (365, 20.0))
                if private
            ],
        },
        "rounds": rounds,
        "tiers": {
            name: {
                "devices": devices // 2,
                "sessions": 2 * devices,
                "outcomes": {
                    "scored": round(share * 2 * devices),
                    "too_slow": 2 * devices - round(share * 2 * devices),
                },
                "quality": quality(ndcg * share),
                "scored_quality": quality(ndcg),
                "latency_ms": {},
                "peak_memory_bytes": {},
                "install_ms": 100.0,
                "energy_mj_per_session": milliseconds / 1000,
                "energy_mj_per_round": milliseconds,
                "energy_mj_per_day_by": {
                    "sessions": 10.0,
                    "installs": 20.0,
                    "uploads": 30.0,
                    "downloads": 40.0,
                },
                "installs_per_day": 2.0,
                "device_ms_per_day": milliseconds,
                "mah_per_day": 0.5,
                "battery_percent_per_day": 0.01,
            }
            for name, share, milliseconds in (("entry", 0.7, 4000.0), ("flagship", 0.9, 1000.0))
        },
        "hours": [
            {
                "hour": hour,
                "idle": 0.8,
                "charging": 0.5,
                "unmetered": unmetered,
                "eligible": eligible,
                "sessions": 1 / 24,
            }
            for hour in range(24)
        ],
        "comparison": [
            {
                "system": f"int8 student, {name}",
                "inputs": inputs,
                "quality": quality(value - (0.1 if inputs == "text only" else 0.0)),
                "low": 0.0,
                "high": 1.0,
                "tiers": {"entry": quality(value - 0.02), "flagship": quality(value + 0.01)},
            }
            for name, value in (("release 0", 0.8), ("final", ndcg), ("pooled-data bound", 0.92))
            for inputs in ("text only", "text, history and user model")
        ],
        "gap": {
            "release_0": 0.8,
            "final": ndcg,
            "pooled": 0.92,
            "closed": (ndcg - 0.8) / 0.12,
            "text_only_release_0": 0.7,
            "text_only_final": ndcg - 0.1,
            "text_only_pooled": 0.82,
            "text_only_closed": (ndcg - 0.8) / 0.12,
        },
        "device_errors": {
            "made_by": "an invented command",
            "engine": "an invented engine",
            "engines": [
                {
                    "engine": "another engine",
                    "precision": "int8",
                    "networks": "example networks",
                    "devices": "example boards",
                    "label": "measured",
                    "rows": 36,
                    "factor_low": 1.41,
                    "factor_median": 2.5,
                    "factor_high": 7.45,
                },
            ],
            "rows": [
                {
                    "what": "invented boards",
                    "label": "measured",
                    "rows": 7,
                    "median_error": 0.17,
                    "within_10": 0.3,
                    "within_20": 0.5,
                    "within_30": 0.7,
                    "asked": None,
                    "note": "an invented note",
                }
            ],
            "note": None,
        },
        "latency_histogram": {},
        "memory_histogram": {},
        **TOTALS,
        "timing_s": {},
        "wall_s": 0.1,
        "peak_memory_bytes": 1,
    }
    return result  # type: ignore[no-any-return]


def failing_run(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Fail for epsilon 1 with the error a user may cause, else as `fake_run`."""
    if scenario.epsilon == 1:
        raise FedbertError("profiles(='x') must exist; check the path")
    return fake_run(scenario, execution, command)


def broken_run(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Fail with an error of two lines that is no FedbertError."""
    raise ZeroDivisionError("first line\nsecond line")


def killed_run(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """End the worker as the system does when memory runs out."""
    os._exit(9)


def killed_for_epsilon_1(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """End the worker as the system does for epsilon 1, else as `fake_run`."""
    return (killed_run if scenario.epsilon == 1 else fake_run)(scenario, execution, command)


def killed_by_1(number: int) -> int:
    """Return `number`; 1 ends the process."""
    if number == 1:
        os._exit(9)
    return number


def slow_run(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Be quick for seed 0, then take a minute, as `fake_run` in both cases."""
    if scenario.seed > 0:
        time.sleep(60)
    return fake_run(scenario, execution, command)


def counted_run(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Leave a file for each call in the folder named by the variable FEDBERT_TEST_CALLS."""
    calls = Path(os.environ["FEDBERT_TEST_CALLS"])
    (calls / f"{scenario.signal}-{scenario.epsilon}-{scenario.seed}").touch()
    return fake_run(scenario, execution, command)
