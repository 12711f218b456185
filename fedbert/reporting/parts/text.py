"""Numbers as people read them, and the sentences that answer for a whole run."""

from collections.abc import Iterable, Mapping
from typing import Any

from fedbert.units import MJ_PER_J, format_bytes

NONE = "–"
NOT_PRIVATE = "not private"
FIVE_DIGITS = 9_999.5
"""From here on a number has five digits when it is written as a whole number."""


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


def between(low: float | None, high: float | None) -> str:
    """Return an interval as "0.812 to 0.834", or that too little carries the figure for one."""
    return "too little for one" if low is None or high is None else f"{low:.3f} to {high:.3f}"


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


def energies(values: Iterable[float | None]) -> list[str]:
    """Return millijoules that stand together in one unit: mJ, or J if one of them has five digits in mJ."""
    listed = list(values)
    joules = any(value is not None and abs(value) >= FIVE_DIGITS for value in listed)
    if joules:
        return [NONE if value is None else f"{significant(value / MJ_PER_J)} J" for value in listed]
    return [NONE if value is None else f"{significant(value)} mJ" for value in listed]


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


def epsilon(value: float | None) -> str:
    """Return an epsilon, or "not private" for None."""
    return NOT_PRIVATE if value is None else significant(value)


def sentence(text: str) -> str:
    """Return `text` with a capital and a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
