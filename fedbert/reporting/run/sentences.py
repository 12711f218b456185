"""The sentences that answer for a whole run."""

from fedbert import findings
from fedbert.parts import AUTO
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import engine_name
from fedbert.reporting.run import epsilons
from fedbert.results import RunResult, Said, Underway

METRIC_IN_FULL = "nDCG@10, 20 candidates, mean over evaluation sessions"


SCORED = "scored"
OUTCOME_WORDS = {
    SCORED: "scored in time",
    "too_slow": "too slow",
    "out_of_memory": "out of memory",
    "no_release": "no release installed",
}


def outcome_label(name: str) -> str:
    """Return an outcome's key in words."""
    return OUTCOME_WORDS.get(name, name.replace("_", " "))


def outcome_names(result: RunResult) -> list[str]:
    """Return every outcome that occurs, scored first, then in the order of the tiers."""
    names = list(dict.fromkeys(name for tier in result["tiers"].values() for name in tier["outcomes"]))
    return sorted(names, key=lambda name: name != SCORED)


def scored_share(result: RunResult) -> float | None:
    """Return the share of all sessions scored in time over all tiers, None without sessions."""
    counts = [tier["outcomes"] for tier in result["tiers"].values()]
    total = sum(sum(each.values()) for each in counts)
    scored = sum(count for each in counts for name, count in each.items() if name == SCORED)
    return scored / total if total else None


def finished(result: RunResult) -> bool:
    """Whether the run came to its end."""
    return result["status"] == "finished"


def title(result: RunResult) -> str:
    """Return the report's title."""
    devices = result["scenario"].get("devices")
    model_bytes = result["model"].get("bytes")
    phones = f"{devices:,} phones" if devices else "a fleet of phones"
    model = f"a {text.size(model_bytes)} model" if model_bytes else "a small model"
    if model_bytes and several_sizes(result):
        model = f"models of up to {text.size(model_bytes)}"
    return f"What {phones} did with {model}"


def several_sizes(result: RunResult) -> bool:
    """Whether phones have several sizes of the model."""
    return result["scenario"].get("model") == AUTO


def release_bytes(result: RunResult) -> int | None:
    """Return the bytes of a release: of the model, or where phones have several sizes their mean."""
    if several_sizes(result):
        return result["traffic"].get("bytes_per_release")
    return result["model"].get("bytes")


def quality_sentence(result: Underway) -> str:
    """Return how ranking quality moved, as users saw it: delivery, the hour and chance are in it."""
    return findings.delivery(result["rounds"])


def said(result: Underway) -> Said:
    """Return the findings of a run in sentences."""
    return findings.sentences(result.get("findings"), result["rounds"])


def interval_label(result: Underway) -> str:
    """Return what the intervals of a run are: "95% interval, resampling texts"."""
    if found := result.get("findings"):
        return found["interval"]
    by_user = any(row.get("users") is not None for row in result["rounds"])
    return f"95% interval, resampling {'users' if by_user else 'texts'}"


def carried_sentence(result: Underway) -> str:
    """Return how many sessions, users and texts carry the comparison; empty where that was not kept."""
    row = result["comparison"][0] if result["comparison"] else None
    if row is None or "sessions" not in row:
        return ""
    users = row.get("users")
    counts = [
        f"{row['sessions']:,} evaluation sessions",
        *([] if users is None else [f"{users:,} users"]),
        f"{row.get('texts', 0):,} texts",
    ]
    said = f"Each row rests on the same {', '.join(counts[:-1])} and {counts[-1]}"
    compared, devices = row.get("devices"), result["scenario"].get("devices")
    if compared is not None and devices is not None and compared < devices:
        said += f", those of the first {compared:,} of {devices:,} phones"
    return f"{said}."


def latency_p95_ms(result: RunResult) -> tuple[float | None, float | None]:
    """Return the p95 latency of the fastest and the slowest tier; None if no session was answered."""
    found = [tier["latency_ms"]["p95"] for tier in result["tiers"].values() if "p95" in tier["latency_ms"]]
    return (min(found), max(found)) if found else (None, None)


def system_labels(result: RunResult) -> list[str]:
    """Return a name for each row of the comparison; what it sees is added where a name comes twice."""
    names = [row["system"] for row in result["comparison"]]
    return [
        f"{row['system']} ({row['inputs']})" if names.count(row["system"]) > 1 else row["system"]
        for row in result["comparison"]
    ]


def service_sentence(result: RunResult) -> str | None:
    """Return how many sessions the model answered, None if the run has no devices' figures."""
    share = scored_share(result)
    if share is None:
        return None
    return (
        f"Phones answered {text.percent(share, 1)} of sessions in time. In the others users saw the "
        "default order."
    )


def cost_sentence(result: RunResult) -> str | None:
    """Return what it costs a phone, None if the run has no devices' figures."""
    tiers = list(result["tiers"].values())
    if not tiers:
        return None
    battery = text.span(tier["battery_percent_per_day"] for tier in tiers)
    said = f"{battery}% of its battery per day (extrapolated), depending on its tier."
    fastest, slowest = latency_p95_ms(result)
    if fastest is not None:
        said += (
            f" 95% of answers come within {text.milliseconds(fastest)} on the fastest tier and "
            f"{text.milliseconds(slowest)} on the slowest"
        )
        engine = engine_name(result.get("device_errors"))
        said += f", in {engine}." if engine else "."
    size, report = release_bytes(result), result["traffic"].get("bytes_per_report")
    if size and report:
        said += f" It fetches {text.size(size)} per release and sends {text.size(report)} per report."
    return said


def answers(result: RunResult) -> dict[str, str]:
    """Return the answers by question: what users get, what it costs a phone, what it reveals."""
    shown = {
        "What users get": " ".join(each for each in (said(result)["won"], service_sentence(result)) if each),
        "What it costs a phone": cost_sentence(result),
        "What it reveals": text.sentence(result["privacy"]["statement"]),
    }
    return {question: answer for question, answer in shown.items() if answer}


def headline(result: RunResult) -> str:
    """Return the whole answer in one sentence: what the model won, what it costs, what it reveals."""
    tiers = list(result["tiers"].values())
    devices = result["scenario"].get("devices")
    spoken = said(result)["won"].removesuffix(".")
    parts = [spoken[0].lower() + spoken[1:]]
    if tiers:
        battery = text.span(tier["battery_percent_per_day"] for tier in tiers)
        parts.append(f"it costs a phone {battery}% of its battery per day (extrapolated)")
    if result["privacy"]["epsilon"] is None:
        parts.append("nothing bounds what it reveals")
    else:
        parts.append(f"what it reveals is bounded by {epsilons.bound_words(result['privacy'])}")
    body = "; ".join(parts)
    return f"{devices:,} phones: {body}." if devices else text.sentence(body)


def statement(result: RunResult) -> str:
    """Return the line on privacy, without the "not private" that stands before it where it is shown."""
    given = result["privacy"]["statement"].strip()
    if given.lower().startswith(text.NOT_PRIVATE):
        given = given[len(text.NOT_PRIVATE) :].lstrip(" :;,.-–")
    return text.sentence(given)


def ended_sentence(result: RunResult) -> str:
    """Return why the run ended before its last round; empty if it did not, or was stopped from outside."""
    return text.sentence(result["ended"]) if "ended" in result else ""


def verified_sentence(result: RunResult) -> str:
    """Return how many verified devices agree with their predicted verdict; empty if none was verified."""
    verified = result.get("verified_devices", [])
    if not verified:
        return ""
    agree, fit = sum(row["agrees"] for row in verified), sum(row["seen"] == "fits" for row in verified)
    return (
        f"{agree} of {len(verified)} devices, really run under a hard memory limit, did as predicted: "
        f"{fit} fit and {len(verified) - fit} ran out of memory."
    )


def no_bound_sentence(result: RunResult) -> str:
    """Return that the pooled-data bound was left out; empty if it was asked for."""
    if result["scenario"].get("pooled_bound", True) or result["scenario"].get("timing_only"):
        return ""
    return (
        "The pooled-data bound was left out (pooled_bound is off, as with --quick), so what could be gained "
        "at most is not known."
    )


def timing_sentence(result: RunResult) -> str:
    """Return what a timing-only run leaves out; empty for any other."""
    if not result["scenario"].get("timing_only"):
        return ""
    return (
        "This run simulates everything but the model. No session was ranked, no click drawn, no signal "
        "summed and nothing trained: quality, clicks and findings are absent. Releases came on schedule with "
        "the bytes of release 0, and phones remember what they clicked before the first round."
    )


def missing_sentence(result: RunResult) -> str:
    """Return how many devices gave no figure in how many rounds; empty if all did."""
    rounds = [row["round"] for row in result["rounds"] if row.get("missing")]
    if not rounds:
        return ""
    most = max(row.get("missing", 0) for row in result["rounds"])
    which = ", ".join(str(number) for number in rounds)
    return (
        f"Up to {most:,} of {result['scenario']['devices']:,} phones are missing from every figure of "
        f"round {which}. Their shards gave no usable answer."
    )
