"""Numbers as people read them, and the sentences that answer for a whole run."""

from collections.abc import Iterable, Mapping
from typing import Any

from fedbert.results import RoundRow, RunResult
from fedbert.units import format_bytes

NONE = "–"
METRIC_IN_FULL = "nDCG@10, 20 candidates, mean over evaluation sessions"
NOT_PRIVATE = "not private"


def number(value: float | None, digits: int = 3) -> str:
    """Return `value` with `digits` decimals and thousands separators; None reads "–"."""
    return NONE if value is None else f"{value:,.{digits}f}"


def significant(value: float | None, digits: int = 3) -> str:
    """Return `value` with about `digits` significant digits, never in scientific notation above 1e-4."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.1e}".replace("e-0", "e-")
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{float(f'{value:.{digits}g}'):.6f}".rstrip("0").rstrip(".")


def size(value: float | None) -> str:
    """Return bytes with three significant digits, as in "1.91 MB" and "150 kB"."""
    if value is None:
        return NONE
    figure, unit = format_bytes(value).split(" ")
    if unit == "B":
        return f"{figure} B"
    return f"{float(f'{float(figure):.3g}'):g} {unit}"


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share in [0, 1] as per cent."""
    return NONE if share is None else f"{100 * share:.{digits}f}%"


def duration(seconds: float | None) -> str:
    """Return seconds as "0.4 s", "42 s", "3 min 05 s" or "2 h 10 min"."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def milliseconds(value: float | None) -> str:
    """Return milliseconds as "84 ms", "2.4 s" or, from ten seconds, as a duration."""
    if value is None:
        return NONE
    if value >= 1000:
        return duration(value / 1000)
    return f"{significant(value, 2 if value < 100 else 3)} ms"


def power(value: float) -> str:
    """Return a small probability as "1e-6"."""
    return f"{value:.2g}".replace("e-0", "e-")


def span(values: Iterable[float], digits: int = 2) -> str:
    """Return the smallest and largest of `values` as "0.02 to 0.3", or one number if they read alike."""
    listed = list(values)
    if not listed:
        return NONE
    low, high = significant(min(listed), digits), significant(max(listed), digits)
    return low if low == high else f"{low} to {high}"


def _by_unit(name: str, value: Any) -> str:
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        words = name.split("_")
        if "bytes" in words:
            return size(value)
        if len(words) > 1 and words[-1] == "s" and words[-2] != "per":
            return duration(value)
        if words[-1] == "ms":
            return milliseconds(value)
        return f"{value:,}" if isinstance(value, int) else significant(value, 4)
    if isinstance(value, list | tuple):
        return ", ".join(_by_unit("", each) for each in value) or NONE
    return str(value)


def label(name: str) -> str:
    """Return a key as words, without its unit: "report_bytes" reads "report"."""
    words = name.split("_")
    if len(words) > 1 and (words[-1] in ("ms", "bytes") or (words[-1] == "s" and words[-2] != "per")):
        words = words[:-1]
    return " ".join(words)


def facts(values: Mapping[str, Any], omit: Iterable[str] = ()) -> dict[str, str]:
    """Return names and values for reading; a nested mapping becomes "outer: inner"."""
    shown: dict[str, str] = {}
    for name, value in values.items():
        if name in omit:
            continue
        if isinstance(value, Mapping):
            shown |= {f"{label(name)}: {inner}": text for inner, text in facts(value).items()}
        else:
            shown[label(name)] = _by_unit(name, value)
    return shown


def shares(counts: Mapping[str, float]) -> dict[str, float]:
    """Return counts or amounts as shares of their sum; all zero if there is nothing."""
    total = sum(counts.values())
    return {name: (count / total if total else 0.0) for name, count in counts.items()}


def is_scored(outcome: str) -> bool:
    """Whether an outcome's name means that the session was scored in time."""
    return outcome.lower().startswith("scored")


OUTCOME_WORDS = {
    "scored": "scored in time",
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
    return sorted(names, key=lambda name: not is_scored(name))


def scored_share(result: RunResult) -> float | None:
    """Return the share of all sessions scored in time over all tiers, None without sessions."""
    counts = [tier["outcomes"] for tier in result["tiers"].values()]
    total = sum(sum(each.values()) for each in counts)
    scored = sum(count for each in counts for name, count in each.items() if is_scored(name))
    return scored / total if total else None


def last_round(result: RunResult) -> RoundRow | None:
    """Return the newest row of the run, None if not even the first window was finished."""
    return result["rounds"][-1] if result["rounds"] else None


def epsilon(value: float | None) -> str:
    """Return an epsilon, or "not private" for None."""
    return NOT_PRIVATE if value is None else significant(value)


def finished(result: RunResult) -> bool:
    """Whether the run came to its end."""
    return result["status"] == "finished"


def title(result: RunResult) -> str:
    """Return the report's title."""
    devices = result["scenario"].get("devices")
    model_bytes = result["model"].get("bytes")
    phones = f"{devices:,} phones" if devices else "a fleet of phones"
    model = f"a {size(model_bytes)} model" if model_bytes else "a small model"
    return f"What {phones} did with {model}"


def quality_sentence(result: RunResult) -> str:
    """Return how ranking quality moved, as users saw it."""
    rounds = result["rounds"]
    if not rounds:
        return "The run was interrupted before anything was measured."
    first, last = rounds[0]["ndcg@10"], rounds[-1]["ndcg@10"]
    done = rounds[-1]["round"]
    if done == 0:
        return f"Before the first round, ranking quality as users saw it was nDCG@10 {first:.3f}."
    count = "one round" if done == 1 else f"{done} rounds"
    return f"In {count}, ranking quality as users saw it went from nDCG@10 {first:.3f} to {last:.3f}."


def gap_sentence(result: RunResult) -> str | None:
    """Return what the signals won of what pooled data would win, None if that was not measured."""
    gap = result["gap"]
    if gap is None:
        return None
    if gap["closed"] is None:
        return (
            "Training on all clicks in one place would win nothing over release 0: there is no gap to close."
        )
    return (
        f"The phones' signals closed {percent(gap['closed'])} of the gap between the first release "
        f"({gap['release_0']:.3f}) and the same model trained on all clicks in one place "
        f"({gap['pooled']:.3f})."
    )


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
        f"Phones answered {percent(share, 1)} of sessions in time; in the others users saw the default order."
    )


def cost_sentence(result: RunResult) -> str | None:
    """Return what it costs a phone, None if the run has no devices' figures."""
    tiers = list(result["tiers"].values())
    if not tiers:
        return None
    battery = span(tier["battery_percent_per_day"] for tier in tiers)
    text = f"{battery}% of its battery a day (extrapolated), depending on its tier."
    fastest, slowest = latency_p95_ms(result)
    if fastest is not None:
        text += (
            f" 95% of answers come within {milliseconds(fastest)} on the fastest tier and "
            f"{milliseconds(slowest)} on the slowest."
        )
    model_bytes, report = result["model"].get("bytes"), result["traffic"].get("bytes_per_report")
    if model_bytes and report:
        text += f" It fetches {size(model_bytes)} a release and sends {size(report)} a report."
    return text


def answers(result: RunResult) -> dict[str, str]:
    """Return the answers by question: what users get, what it costs a phone, what it reveals."""
    shown = {
        "What users get": " ".join(
            each
            for each in (gap_sentence(result) or quality_sentence(result), service_sentence(result))
            if each is not None
        ),
        "What it costs a phone": cost_sentence(result),
        "What it reveals": sentence(result["privacy"]["statement"]),
    }
    return {question: answer for question, answer in shown.items() if answer}


def headline(result: RunResult) -> str:
    """Return the whole answer in one sentence: quality, cost, what it reveals."""
    rounds, tiers = result["rounds"], list(result["tiers"].values())
    devices = result["scenario"].get("devices")
    parts = []
    if rounds:
        spoken = quality_sentence(result).removesuffix(".")
        parts.append(spoken[0].lower() + spoken[1:])
    if tiers:
        battery = span(tier["battery_percent_per_day"] for tier in tiers)
        parts.append(f"it costs a phone {battery}% of its battery a day (extrapolated)")
    spent = result["privacy"]["epsilon"]
    if spent is None:
        parts.append("nothing bounds what it reveals")
    else:
        seen = result["privacy"]["epsilon_unamplified"]
        known = f"{epsilon(seen)} where participation is seen, " if seen is not None else ""
        unseen = " where it is not" if known else ""
        parts.append(f"what it reveals is bounded by epsilon {known}{epsilon(spent)}{unseen}")
    body = "; ".join(parts)
    return f"{devices:,} phones: {body}." if devices else sentence(body)


def statement(result: RunResult) -> str:
    """Return the line on privacy, without the "not private" that stands before it where it is shown."""
    given = result["privacy"]["statement"].strip()
    if given.lower().startswith(NOT_PRIVATE):
        given = given[len(NOT_PRIVATE) :].lstrip(" :;,.-–")
    return sentence(given)


def missing_sentence(result: RunResult) -> str:
    """Return how many devices gave no figure in how many rounds; empty if all did."""
    rounds = [row["round"] for row in result["rounds"] if row.get("missing")]
    if not rounds:
        return ""
    most = max(row.get("missing", 0) for row in result["rounds"])
    which = ", ".join(str(number) for number in rounds)
    return (
        f"Up to {most:,} of {result['scenario']['devices']:,} phones are missing from every figure of round "
        f"{which}: their shards gave no answer that could be used."
    )


def sentence(text: str) -> str:
    """Return `text` with a capital and a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


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
