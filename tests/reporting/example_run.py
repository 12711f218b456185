"""An example run for the tests of reporting: invented figures in the shape of a real run's, nothing else."""

import math
from typing import Any

from fedbert import findings
from fedbert.evidence import EvidenceRow, Known, Sample, as_row
from fedbert.privacy.mechanism import SEES_PARTICIPATION, SEES_SUMS
from fedbert.results import (
    LABELS,
    SCHEMA,
    AuditRow,
    DeviceErrors,
    Findings,
    Metrics,
    RoundRow,
    RunResult,
    TierRow,
    VerifiedRow,
)
from fedbert.scenario import build

OUTCOMES = ("scored", "too_slow", "out_of_memory", "no_release")

TIER_SHIFT = {"entry": -0.02, "mid": 0.0, "flagship": 0.01}
"""By how much the comparison's nDCG@10 differs by tier."""

DEVICE_ERRORS: DeviceErrors = {
    "made_by": "python scripts/build_profiles.py --errors",
    "engine": "an example engine",
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
        {
            "engine": "a third engine",
            "precision": "float",
            "networks": "example networks",
            "devices": "example boards",
            "label": "measured",
            "rows": 36,
            "factor_low": 8.0,
            "factor_median": 8.5,
            "factor_high": 9.0,
        },
    ],
    "rows": [
        {
            "what": "an example of boards left out",
            "label": "measured",
            "rows": 462,
            "median_error": 0.168,
            "within_10": 0.34,
            "within_20": 0.55,
            "within_30": 0.69,
            "asked": 0.15,
            "note": "an example note",
        }
    ],
    "note": None,
}


def metrics(ndcg: float) -> Metrics:
    """Return five metrics around one nDCG@10."""
    return {
        "auc": ndcg + 0.05,
        "mrr": ndcg - 0.08,
        "ndcg@5": ndcg - 0.03,
        "ndcg@10": ndcg,
        "hit@1": ndcg - 0.2,
    }


def _round(index: int, epsilon: float | None) -> RoundRow:
    ndcg = 0.78 + 0.09 * (1 - math.exp(-index / 5))
    private = epsilon is not None and index > 0
    release = index // 3
    return {
        "round": index,
        "hour": (2.0 * index) % 24,
        **metrics(ndcg),
        "ndcg@10_low": ndcg - 0.006,
        "ndcg@10_high": ndcg + 0.006,
        "sessions": 1640 + 10 * index,
        "scored_ndcg@10": ndcg + 0.04,
        "users": None,
        "texts": 900,
        "control_ndcg@10": 0.82,
        "control_ndcg@10_low": 0.79,
        "control_ndcg@10_high": 0.85,
        "control_sessions": 80,
        "treated_ndcg@10": ndcg + 0.042,
        "treated_ndcg@10_low": ndcg + 0.03,
        "treated_ndcg@10_high": ndcg + 0.054,
        "treated_sessions": 1420,
        "outcomes": dict(zip(OUTCOMES, (1500, 60, 40, 40 + 10 * index), strict=True)),
        "epsilon": (epsilon or 0.0) * math.sqrt(index / 12) if private else (0.0 if epsilon else None),
        "epsilon_unamplified": 9.25 * math.sqrt(index / 12) if private else (0.0 if epsilon else None),
        "cohort": 1000 + index if index else 0,
        "eligible": 240 if index else 0,
        "completed": 221 if index else 0,
        "dropped": 19 if index else 0,
        "reported": 205 if index else 0,
        "signal_release": max(0, release - 1),
        "bytes_up": 221 * 150_000 if index else 0,
        "bytes_down": 1_905_000 * (2500 if index % 3 == 0 else 300),
        "downloads": 2500 if index % 3 == 0 else 300,
        "installed": {"0": 10_000 - 2000 * release, **{str(r): 2000 for r in range(1, release + 1)}},
        "server_ndcg@10": 0.8 + 0.006 * index,
        "released": release if index and index % 3 == 0 else None,
        "gate": "passed" if index and index % 3 == 0 else "not due",
        "round_status": "held: fewer than 10 reports (min_reports)" if index == 4 else "updated",
        "loss": 0.4 / (1 + index) if index else None,
        "participants": 225 if index else 0,
        "energy_mj_per_participant": 5250.0 if index else None,
        "wall_s": 1.7,
    }


def _tier(devices: int, latency_ms: float, ndcg: float, out_of_memory: int) -> TierRow:
    return {
        "devices": devices,
        "sessions": devices * 2,
        "quality": metrics(ndcg),
        "scored_quality": metrics(0.87),
        "outcomes": dict(
            zip(
                OUTCOMES,
                (
                    devices * 2 - 2 * out_of_memory,
                    out_of_memory,
                    out_of_memory // 2,
                    out_of_memory - out_of_memory // 2,
                ),
                strict=True,
            )
        ),
        "latency_ms": {
            "p50": latency_ms,
            "p90": 2 * latency_ms,
            "p95": 2.6 * latency_ms,
            "p99": 4 * latency_ms,
        },
        "peak_memory_bytes": {"p50": 3.1e6, "p90": 3.3e6, "p95": 3.4e6, "p99": 3.6e6},
        "energy_mj_per_session": latency_ms / 3,
        "energy_mj_per_round": 5200.0 + latency_ms / 3,
        "energy_mj_per_round_by": {
            "sessions": latency_ms / 3,
            "installs": 200.0,
            "uploads": 4000.0,
            "downloads": 1000.0,
        },
        "energy_mj_per_day_by": {
            "sessions": latency_ms * 4 / 3,
            "installs": 20.0,
            "uploads": 1000.0,
            "downloads": 3000.0,
        },
        "install_ms": latency_ms * 60,
        "mah_per_day": 0.4,
        "battery_percent_per_day": latency_ms / 4000,
        "device_ms_per_day": latency_ms * 64,
    }


VERIFIED: list[VerifiedRow] = [
    {
        "device": device,
        "profile": "a phone",
        "tokens": 9,
        "budget_bytes": budget,
        "predicted_bytes": 3_900_000,
        "predicted": predicted,
        "seen": seen,
        "agrees": predicted == seen,
    }
    for device, budget, predicted, seen in (
        (12, 4_000_000, "fits", "fits"),
        (7, 3_700_000, "out of memory", "out of memory"),
        (None, 3_600_000, "out of memory", "fits"),
    )
]
"""What ``--verify-devices 3`` adds to a run, the last one wrong."""


def figure(value: float, half: float, sessions: int = 20_000, users: int | None = None) -> EvidenceRow:
    """Return a figure with an interval of `half` to both sides, carried by these sessions."""
    return as_row(Known(value, value - half, value + half, Sample(sessions, users, 9000)))


def _findings(rounds: list[RoundRow]) -> Findings:
    found: Findings = {
        "interval": "95% interval, resampling texts",
        "figures": {
            "won": figure(0.06, 0.005),
            "gap": figure(0.09, 0.006),
            "closed": figure(0.667, 0.05),
            "text_only_won": figure(0.07, 0.005),
            "text_only_gap": figure(0.11, 0.006),
            "text_only_closed": figure(0.636, 0.05),
        },
        "final": 0.88,
        "release_0": 0.82,
        "pooled": 0.91,
        "baselines": [
            {
                "id": "popularity",
                "system": "popularity",
                "ndcg": 0.52,
                "difference": figure(0.36, 0.01),
                "pooled": figure(0.39, 0.01),
            }
        ],
        "arms": {
            "first_round": 4,
            "treated": figure(0.9, 0.004, 12_000),
            "control": figure(0.83, 0.02, 640),
            "difference": figure(0.07, 0.02, 12_640),
        },
        "held": findings.held_rows(rounds),
        "said": {"won": "", "delivery": "", "gap": "", "arms": "", "baselines": "", "held": ""},
    }
    return {**found, "said": findings.said(found, rounds)}


def example_audit() -> AuditRow:
    """Return an audit that found no fault."""
    bounds = [
        (adversary, 0.9, 9.3, proved) for adversary, proved in ((SEES_SUMS, 2.0), (SEES_PARTICIPATION, 9.25))
    ]
    return {
        "level": "quick",
        "significance": 0.05,
        "family_level": 0.001,
        "passed": True,
        "failures": [],
        "note": None,
        "bounds": [
            {
                "path": path,
                "adversary": adversary,
                "canaries": canaries,
                "rounds": 12,
                "epsilon": epsilon,
                "epsilon_one_run": epsilon / 2,
                "epsilon_sure": epsilon / 3,
                "proved": proved,
                "epsilon_without_noise": without,
            }
            for path, canaries in (("through the mechanism", 20_000), ("through the real path", 291))
            for adversary, epsilon, without, proved in bounds
        ],
        "noise": [
            {"test": "variance", "p_value": 0.4, "measured": 1.0005},
            {"test": "whiteness over rounds", "p_value": 0.7, "measured": 0.021},
        ],
        "exposure": {
            "reports": 40,
            "clicks": 200,
            "candidate_items": 291,
            "candidate_texts": 195,
            "items": 1.0,
            "texts": 0.985,
        },
        "wall_s": 2.1,
    }


def example_run(private: bool = True, interrupted: bool = False) -> RunResult:
    """Return the example; `interrupted` stops it after round 2, with nothing that comes after the rounds."""
    epsilon = 2.0 if private else None
    scenario, _ = build({"epsilon": epsilon})
    rounds = [_round(index, epsilon) for index in range(13)]
    edges = [5.0 * 1.02**index for index in range(260)]
    tiers = {
        "entry": _tier(2500, 90.0, 0.78, 900),
        "mid": _tier(5000, 40.0, 0.84, 300),
        "flagship": _tier(2500, 14.0, 0.87, 20),
    }
    bell = {
        name: [
            float(round(4000 * math.exp(-((math.log(edge / tier["latency_ms"]["p50"]) / 0.45) ** 2))))
            for edge in edges
        ]
        for name, tier in tiers.items()
    }
    memory_edges = [1e6 * 1.02**index for index in range(100)]
    result: RunResult = {
        "schema": SCHEMA,
        "name": "example",
        "command": "python simulations/run.py --devices 10000 --epsilon 2",
        "seed": 0,
        "started": "2000-01-01T00:00:00+00:00",
        "versions": {"fedbert": "0.1.0", "python": "3.11.0"},
        "machine": {
            "processor": "Example 9000",
            "architecture": "x86_64",
            "instruction_sets": ["avx2", "avx512_bf16"],
            "cores": 2,
            "training_threads": 2,
            "precision": "bfloat16",
        },
        "commit": "0" * 40,
        "status": "finished",
        "labels": LABELS,
        "scenario": scenario.model_dump(mode="json"),
        "world": {
            "name": "services",
            "items": 291,
            "public_texts": 7000,
            "private_texts": 21_000,
            "evaluation_texts": 9000,
            "note": "an example note: the privacy unit is the device",
        },
        "model": {
            "name": "example-student",
            "bytes": 1_905_000,
            "coded_bytes": 1_600_000,
            "final_coded_bytes": 1_601_000,
            "sha256": "ab" * 32,
            "dim": 128,
            "vocabulary": 6000,
            "teacher": "all-MiniLM-L6-v2",
        },
        "privacy": {
            "mode": "central" if private else "none",
            "statement": (
                "each device's whole contribution is protected with epsilon 2 at delta 1e-6"
                if private
                else "not private: the server sees exact sums of what the cohort sent"
            ),
            "mechanism": "poisson",
            "sampling_probability": 0.1,
            "noise_multiplier": 1.4 if private else None,
            "clip_norm": 2.0,
            "delta": 1e-6,
            "epsilon": epsilon,
            "epsilon_unamplified": 9.25 if private else None,
            "assumptions": {
                "amplified": "nobody but the device knows who is in the cohort",
                "unamplified": "the server may know who is in the cohort",
                "unit": "one device with all it ever sends",
            },
            "projections": [
                {"days": 1, "epsilon": 2.0, "epsilon_unamplified": 9.25},
                {"days": 30, "epsilon": 9.0, "epsilon_unamplified": 90.0},
                {"days": 365, "epsilon": 41.0, "epsilon_unamplified": 700.0},
            ]
            if private
            else [],
        },
        "rounds": rounds,
        "tiers": tiers,
        "hours": [
            {
                "hour": hour,
                "idle": 0.55 + 0.35 * math.cos(2 * math.pi * (hour - 3) / 24),
                "charging": 0.3 + 0.25 * math.cos(2 * math.pi * (hour - 2) / 24),
                "unmetered": 0.65 + 0.15 * math.cos(2 * math.pi * (hour - 1) / 24),
                "eligible": 0.2 + 0.18 * math.cos(2 * math.pi * (hour - 2) / 24),
                "sessions": (1 - 0.7 * math.cos(2 * math.pi * (hour - 4) / 24)) / 24,
            }
            for hour in range(24)
        ],
        "comparison": [
            {
                "system": system,
                "inputs": inputs,
                "quality": metrics(ndcg),
                "low": ndcg - 0.008,
                "high": ndcg + 0.008,
                "sessions": 20_000,
                "users": None,
                "texts": 9000,
                "tiers": {name: metrics(ndcg + shift) for name, shift in TIER_SHIFT.items()},
            }
            for system, inputs, ndcg in (
                ("popularity", "popularity of the item", 0.52),
                ("TF-IDF", "text of the session, name of the item", 0.66),
                ("user model only", "what this phone clicked before", 0.61),
                ("unquantised student", "text only; final student before int8", 0.851),
                ("teacher", "text only; final teacher on the server", 0.9),
                ("int8 student, release 0", "text only", 0.78),
                ("int8 student, release 0", "text, history and user model", 0.82),
                ("int8 student, final", "text only", 0.85),
                ("int8 student, final", "text, history and user model", 0.88),
                ("int8 student, pooled-data bound", "text only", 0.89),
                ("int8 student, pooled-data bound", "text, history and user model", 0.91),
            )
        ],
        "gap": {
            "release_0": 0.82,
            "final": 0.88,
            "pooled": 0.91,
            "closed": 0.667,
            "text_only_release_0": 0.78,
            "text_only_final": 0.85,
            "text_only_pooled": 0.89,
            "text_only_closed": 0.636,
        },
        "findings": _findings(rounds),
        "latency_histogram": {"upper_ms": edges, **bell},
        "memory_histogram": {
            "upper_bytes": memory_edges,
            **{
                name: [
                    float(round(tier["devices"] * math.exp(-((math.log(edge / 3.1e6) / 0.08) ** 2)) / 8))
                    for edge in memory_edges
                ]
                for name, tier in tiers.items()
            },
        },
        "secure_sum": {"devices_per_shard": 32, "dropped": "one in eight", "equal": True},
        "traffic": {
            "bytes_per_report": 150_000,
            "bytes_per_release": 1_905_000,
            "bytes_up": sum(row["bytes_up"] for row in rounds),
            "bytes_down": sum(row["bytes_down"] for row in rounds),
        },
        "totals": {"sessions": 20_000, "scored": 18_600, "clicks": 19_000, "devices_per_s": 9100.0},
        "device_errors": DEVICE_ERRORS,
        "timing_s": {
            "loading the world": 2.1,
            "loading the teacher": 3.2,
            "rounds": 21.0,
            "pooled-data bound": 6.0,
        },
        "wall_s": 34.5,
        "peak_memory_bytes": 1_450_000_000,
    }
    if private and not interrupted:
        result["audit"] = example_audit()
    if interrupted:
        stopped = _findings(rounds[:3])
        reason = "the run stopped before the systems were compared"
        stopped |= {
            "figures": findings.no_figures(reason),
            "baselines": [],
            "arms": findings.no_arms("no treated device had another release than 0 when a round began"),
        }
        nothing: dict[str, Any] = {
            "findings": {**stopped, "said": findings.said(stopped, rounds[:3])},
            "status": "interrupted after round 2",
            "rounds": rounds[:3],
            "gap": None,
            "comparison": [],
        }
        result.update(nothing)  # type: ignore[typeddict-item]
    return result
