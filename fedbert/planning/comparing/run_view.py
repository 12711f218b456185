"""A finished run as a comparison sees it."""

from collections.abc import Iterator
from typing import Any

from fedbert.comparison import FINAL, POOLED, RELEASE_0, ranked_by, system_id
from fedbert.errors import FedbertError
from fedbert.evidence import Absent, Evidence
from fedbert.findings import TIMING_ONLY, evidence, held_reason
from fedbert.planning.comparing.views import Figure, View, facts, interval, plain
from fedbert.planning.tradeoff.epsilons import epsilon_text
from fedbert.results import RunResult, TierRow

QUALITY, SERVED, TRAFFIC, PRIVACY = "quality", "rounds and releases", "traffic", "privacy"
PHONES, MACHINE = "phones", "the simulation itself"

MAIN = Figure("nDCG@10, final release", QUALITY, "0..1", "measured", main=True)
"""The figure that a comparison of runs is read for."""

NOT_RANKED = "the run did not rank by it"
VARIED = ("signal", "mechanism", "epsilon")
"""Keys of the scenario that make the arms of a grid."""


def finished(result: RunResult, folder: str) -> RunResult:
    """Return `result`; raises FedbertError unless it is finished."""
    if result["status"] != "finished":
        raise FedbertError(
            f"the run in {folder!r} must be finished (it says {result['status']!r}); run it to its end: "
            "fedbert run --resume FOLDER"
        )
    return result


def run_view(result: RunResult, folder: str, in_grid: bool = False) -> View:
    """Return what is compared of a finished run; of a cell (`in_grid`) its arm is no setting.

    Raises:
        FedbertError: if it is unfinished, or holds what no run writes.
    """
    finished(result, folder)
    try:
        return View(
            folder=folder,
            name=result["name"],
            seed=result["seed"],
            arm=_arm(result) if in_grid else "",
            facts=dict(_facts(result, in_grid)),
            figures=dict(_figures(result)),
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FedbertError(
            f"the run in {folder!r} must be whole, and is not ({type(error).__name__}: {error}); run the "
            "scenario again"
        ) from None


def _arm(result: RunResult) -> str:
    scenario = result["scenario"]
    parts = (scenario["signal"], scenario["mechanism"], f"epsilon {epsilon_text(scenario['epsilon'])}")
    return ", ".join(map(str, parts))


def _facts(result: RunResult, in_grid: bool) -> Iterator[Any]:
    yield from facts("scenario", result["scenario"], ("seed", *(VARIED if in_grid else ())))
    yield from facts("versions", dict(result["versions"]) | {"commit": result["commit"]})
    # What the run made of the model is a result.
    yield from facts("model", result["model"], ("final_sha256", "unreleased_sha256"))
    yield from facts("world", result["world"], ("note",))
    execution = result.get("execution")
    if execution is not None:
        yield from facts("execution", {"backend": execution["backend"], "shards": execution["shards"]})
    yield from facts("machine", result.get("machine", {}))


def _figures(result: RunResult) -> Iterator[tuple[Figure, Evidence]]:
    yield from _quality(result)
    yield from _served(result)
    yield from _traffic(result)
    yield from _privacy(result)
    for tier, row in result["tiers"].items():
        yield from _tier(tier, row)
    yield _machine("time of the run", "s"), plain(result["wall_s"])
    yield _machine("peak memory", "bytes"), plain(result["peak_memory_bytes"])


def _machine(name: str, unit: str) -> Figure:
    return Figure(name, MACHINE, unit, "measured", machine=True)


def _quality(result: RunResult) -> Iterator[tuple[Figure, Evidence]]:
    why = TIMING_ONLY if result["scenario"].get("timing_only") else NOT_RANKED
    rows = {system_id(row): row for row in result["comparison"]}

    def ndcg(system: str) -> Evidence:
        row = rows.get(system)
        if row is None:
            return Absent(why)
        return interval(row["quality"]["ndcg@10"], row["low"], row["high"], why)

    yield MAIN, ndcg(ranked_by(FINAL))
    final = rows.get(ranked_by(FINAL))
    yield _measured("AUC, final release"), plain(final["quality"]["auc"] if final else None, why)
    for name, system in (
        ("nDCG@10, final release, text alone", ranked_by(FINAL, True)),
        ("nDCG@10, release 0", ranked_by(RELEASE_0)),
        ("nDCG@10, pooled-data bound", ranked_by(POOLED)),
    ):
        yield _measured(name), ndcg(system)
    findings = result.get("findings")
    won = {
        "nDCG@10 won: final release minus release 0": "won",
        "share of the gap to pooled data that was closed": "closed",
    }
    for name, key in won.items():
        row = findings["figures"][key] if findings else None  # type: ignore[literal-required]
        yield _measured(name, "0..1" if key == "won" else "share"), evidence(row)
    difference = findings["arms"]["difference"] if findings else None
    yield _measured("nDCG@10, treated devices minus control group"), evidence(difference)
    last = result["rounds"][-1]
    seen = interval(last["ndcg@10"], last["ndcg@10_low"], last["ndcg@10_high"], why)
    yield _measured("nDCG@10 as users saw it, last round"), seen


def _measured(name: str, unit: str = "0..1") -> Figure:
    return Figure(name, QUALITY, unit, "measured")


def _served(result: RunResult) -> Iterator[tuple[Figure, Evidence]]:
    rounds = [row for row in result["rounds"] if row["round"] > 0]
    asked, completed = (float(sum(row[key] for row in rounds)) for key in ("cohort", "completed"))
    held = sum(held_reason(row) is not None for row in rounds)
    released = sum(bool(row["released"]) for row in rounds)
    scored = result["totals"].get("scored_share")
    outcomes = [row["outcomes"] for row in result["tiers"].values()]
    sessions = sum(sum(each.values()) for each in outcomes)
    if scored is None and sessions:
        scored = sum(each.get("scored", 0) for each in outcomes) / sessions
    for name, unit, value in (
        ("sessions scored in time", "share", scored),
        ("devices asked a round", "devices", asked / len(rounds) if rounds else None),
        ("of these, reports completed", "share", completed / asked if asked else None),
        ("rounds held", "share", held / len(rounds) if rounds else None),
        ("releases", "releases", released),
    ):
        yield Figure(name, SERVED, unit, "modelled"), plain(value, "the run has no rounds or sessions")


def _traffic(result: RunResult) -> Iterator[tuple[Figure, Evidence]]:
    traffic = result["traffic"]
    for name, key, chance in (
        ("a report", "bytes_per_report", False),
        ("a release", "bytes_per_release", False),
        ("all reports", "bytes_up", True),
        ("all downloads", "bytes_down", True),
    ):
        yield Figure(name, TRAFFIC, "bytes", "measured", chance), plain(traffic[key])  # type: ignore[literal-required]


def _privacy(result: RunResult) -> Iterator[tuple[Figure, Evidence]]:
    privacy = result["privacy"]
    for name, key in (
        ("epsilon, participation not seen", "epsilon"),
        ("epsilon, participation seen", "epsilon_unamplified"),
        ("noise multiplier", "noise_multiplier"),
    ):
        figure = Figure(name, PRIVACY, "", "proved", chance=False)
        yield figure, plain(privacy[key], "the run is not private")  # type: ignore[literal-required]


def _tier(tier: str, row: TierRow) -> Iterator[tuple[Figure, Evidence]]:
    why = "the run did not keep it"
    scored = row["scored_quality"]
    yield (
        Figure(f"{tier}: nDCG@10 of scored sessions", PHONES, "0..1", "measured"),
        plain(scored["ndcg@10"] if scored else None, TIMING_ONLY),
    )
    for name, unit, value in (
        ("95th percentile of latency", "ms", row["latency_ms"].get("p95")),
        ("energy of a session", "mJ", row["energy_mj_per_session"]),
        ("computing a day", "ms", row["device_ms_per_day"]),
        ("battery a day", "%", row["battery_percent_per_day"]),
    ):
        yield Figure(f"{tier}: {name}", PHONES, unit, "modelled"), plain(value, why)
