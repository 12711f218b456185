"""An example record of a compression for the tests of reporting: invented figures, nothing measured."""

from typing import Any


def example_compression() -> dict[str, Any]:
    """Return a whole record in the shape of ``compression.json``."""
    return {
        "title": "default",
        "command": "python simulations/compress.py --budget-bytes 1910000 --output runs/default",
        "seconds": 5400.0,
        "cpu_seconds": 7260.0,
        "environment": {
            "python": "3.11",
            "torch": "2.9",
            "onnxruntime": "1.23",
            "cores": 2,
            "commit": "a" * 40,
        },
        "seeds": [0, 1, 2],
        "whole_seeds": True,
        "budget_bytes": 1_910_000,
        "total_bytes": 1_904_000,
        "download_bytes": 1_500_000,
        "memory_bytes": 1_950_000,
        "tasks": [
            {
                "name": "clinc150",
                "labels": 150,
                "train": 15000,
                "validation": 3000,
                "test": 4500,
                "test_in_train": 26,
            },
            {"name": "banking77", "labels": 77, "train": 9003, "validation": 1000, "test": 3080},
        ],
        "teacher": {
            "name": "teacher-L6",
            "sha256": "0123456789abcdef" * 4,
            "parameters": 22_713_216,
            "bytes": 90_900_000,
            "accuracy": {"clinc150": 0.96, "banking77": 0.93},
            "each": [{"clinc150": 0.951, "banking77": 0.921}, {"clinc150": 0.9582, "banking77": 0.9284}],
        },
        "stages": [
            {"stage": "token pruning", "bytes": 7_900_000, "seconds": 60.0, "cpu_seconds": 110.0},
            _stage(
                "pre-distillation", 7_600_000, (0.940, 0.941, 0.942), (0.905, 0.906, 0.907), 600.0, "float"
            ),
            _stage(
                "cross-distillation", 7_600_000, (0.952, 0.953, 0.951), (0.922, 0.921, 0.923), 1800.0, "float"
            )
            | {"validation": {"clinc150": [0.961, 0.962, 0.9636]}},
            _stage("quantisation", 1_904_000, (0.950, 0.951, 0.952), (0.920, 0.921, 0.922), 40.0, "int8"),
        ],
        "ablation": {
            "steps": 900,
            "texts": 34_963,
            "reference": "plain KD, warm head",
            "arms": [
                _arm("cross-entropy only", (0.930, 0.932, 0.931), (0.910, 0.912, 0.911)),
                _arm("plain KD, warm head", (0.945, 0.946, 0.947), (0.918, 0.919, 0.920)),
                _arm("integration", (0.950, 0.951, 0.9525), (0.919, 0.918, 0.923)),
            ],
            "verdict": "Integration is kept.",
        },
        "search": [
            _shape(4, 128, False, 7200, 1_900_000, 0.21, 3900, True),
            _shape(2, 312, True, 3900, 1_890_000, 0.26, 2300, False),
        ],
        "parts": {"word embeddings": 900_000, "layers": 800_000, "vocabulary": 60_000, "heads": 40_000},
        "latency": [
            {"length": 16, "batch": 1, "threads": 1, "ms": 0.71, "texts_per_s": 1400},
            {"length": 16, "batch": 256, "threads": 2, "ms": 0.2227, "texts_per_s": 4490},
        ],
        "confusion": {
            "clinc150": [
                {"true": "a", "predicted": "b", "teacher": 3, "student": 7},
                {"true": "a", "predicted": "c", "teacher": 5, "student": 4},
                {"true": "d", "predicted": "b", "teacher": 0, "student": 9},
            ],
            "banking77": [{"true": "card", "predicted": "top up", "teacher": 2, "student": 2}],
        },
        "quantisation": [
            _form("float", 7_600_000, 7_000_000, 7_600_000, (0.952, 0.953, 0.951), (0.922, 0.921, 0.923)),
            _form("int8", 1_904_000, 1_500_000, 1_950_000, (0.950, 0.951, 0.952), (0.920, 0.921, 0.922)),
            _form(
                "int8, 4-bit embeddings", 1_450_000, 1_200_000, 1_500_000, (0.948, 0.947, 0.949), (0.916,) * 3
            ),
        ],
        "vocabulary": {
            "size": 7200,
            "unknown_share": 0.0,
            "tokens_per_text": 12.1,
            "tokens_per_text_teacher": 11.7,
            "coverage": [
                {"size": 5000, "train": 0.9871, "validation": 0.9712, "unread": 900, "split": 3538},
                {
                    "size": 7200,
                    "train": 0.9934,
                    "validation": 0.9809,
                    "unread": 2046,
                    "split": 2524,
                    "chosen": True,
                },
            ],
            "agreement": {"frequency": 0.93, "attention_per_occurrence": 0.8},
        },
        "losses": {
            "pre-distillation": [[0, 0.9], [100, 0.4], [200, 0.05]],
            "cross-distillation": [[0, 0.3], [100, 0.2], [200, 0.15]],
        },
        "probe": [
            {"set": "news", "teacher": 0.8, "student": 0.77, "retention": 0.9625, "low": 0.95, "high": 0.975},
            {"set": "questions", "teacher": 0.9, "student": 0.84, "retention": 0.9333},
        ],
        "rivals": {
            "taught_by": "teacher-L6, tuned",
            "made_texts": 30_000,
            "command": "python simulations/compress.py rivals --data a.csv",
            "rows": [
                _rival("default", 1_904_000, (0.951, 0.921), None),
                _rival("n-grams, linear", 1_903_000, (0.915, 0.902), (0.036, 0.019)),
                _rival("token vectors, taught", 1_902_000, (0.93, 0.923), (0.021, -0.002)),
            ],
        },
        "unknown": [
            {
                "task": "clinc150",
                "threshold": 6.2,
                "known": 4500,
                "unknown": 1000,
                "auroc": 0.9647,
                "false_kept_at_95": 0.17,
                "accuracy": 0.9471,
                "known_right": 0.8811,
                "unknown_caught": 0.912,
                "joint": 0.8867,
                "command": "python simulations/compress.py unknown --data a.csv --unknown b.csv --model m",
            }
        ],
        "kinds": [
            {
                "name": "snips",
                "kind": "tags",
                "metric": "entity F1",
                "test": 700,
                "teacher": 0.9059,
                "student": 0.8851,
                "share": 0.977,
                "low": 0.965,
                "high": 0.989,
                "bytes": 96_000,
            }
        ],
        "targets": [
            {"what": "clinc150: share of teacher's accuracy", "asked": 0.993, "reached": 0.9906},
            {"what": "bytes", "asked": 1_910_000, "reached": 1_904_000, "at_most": True},
            {"what": "one text alone, ms", "asked": 0.6, "reached": None, "at_most": True},
        ],
    }


def _accuracy(clinc150: tuple[float, ...], banking77: tuple[float, ...]) -> dict[str, list[float]]:
    return {"clinc150": list(clinc150), "banking77": list(banking77)}


def _rival(
    rival: str, size: int, accuracy: tuple[float, float], ahead: tuple[float, float] | None
) -> dict[str, Any]:
    names = ("clinc150", "banking77")
    row: dict[str, Any] = {"rival": rival, "bytes": size, "texts_per_s": 4000}
    shifts = {"low": -0.006, "accuracy": 0.0, "high": 0.006, "accuracy_unseen": -0.001}
    for key, shift in shifts.items():
        row[key] = {name: value + shift for name, value in zip(names, accuracy, strict=True)}
    if ahead is None:
        return row
    halves = dict(zip(names, (0.006, 0.008), strict=True))
    margins = {
        name: {"mean": mean, "low": mean - halves[name], "high": mean + halves[name]}
        for name, mean in zip(names, ahead, strict=True)
    }
    return row | {"ahead": margins, "seconds": 9.5, "note": "6,500 buckets"}


def _stage(
    stage: str, size: int, first: tuple[float, ...], second: tuple[float, ...], seconds: float, note: str
) -> dict[str, Any]:
    accuracy = _accuracy(first, second)
    return {"stage": stage, "bytes": size, "accuracy": accuracy, "seconds": seconds, "note": note}


def _arm(arm: str, first: tuple[float, ...], second: tuple[float, ...]) -> dict[str, Any]:
    return {"arm": arm, "accuracy": _accuracy(first, second), "seconds": [120.0, 130.0, 125.0]}


def _form(
    form: str, size: int, download: int, memory: int, first: tuple[float, ...], second: tuple[float, ...]
) -> dict[str, Any]:
    accuracy = _accuracy(first, second)
    return {
        "form": form,
        "bytes": size,
        "download_bytes": download,
        "memory_bytes": memory,
        "accuracy": accuracy,
    }


def _shape(
    layers: int, width: int, shared: bool, vocabulary: int, size: int, loss: float, rate: int, chosen: bool
) -> dict[str, Any]:
    shape = {"layers": layers, "width": width, "inner": 4 * width, "embedding": 128, "shared": shared}
    return {
        "shape": shape | {"vocabulary": vocabulary},
        "bytes": size,
        "loss": loss,
        "texts_per_s": rate,
        "seconds": 180,
        "chosen": chosen,
    }
