"""What a comparison sees of a finished run, cell or forecast: facts that may differ, and figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedbert.evidence import Absent, Evidence, Known, Sample

Kind = Literal["run", "tradeoff", "capacity"]
Label = Literal["measured", "modelled", "proved"]

_NOBODY = Sample(0, None, None)


@dataclass(frozen=True)
class Figure:
    """What a figure is: its name, the chapter that it stands in, and how it may be judged."""

    name: str
    group: str
    unit: str
    label: Label
    chance: bool = True  # False: it follows from the settings alone
    machine: bool = False  # True: the machine and its load are in it, so nothing is said of effects
    main: bool = False  # what the comparison is read for: judged apart from all others
    hour: int | None = None  # of a forecast by local hour


@dataclass(frozen=True)
class View:
    """One finished run, or one forecast.

    `arm` names the cell of a grid apart from its seed, and is empty elsewhere. `facts` are settings,
    versions, model and world as text, by group and key. `source` tells forecasts from one and the same run;
    it is empty for a run.
    """

    folder: str
    name: str
    seed: int
    arm: str
    facts: Mapping[tuple[str, str], str]
    figures: Mapping[Figure, Evidence]
    source: str = ""


def plain(value: float | None, why: str = "it was not measured in this run") -> Evidence:
    """Return a figure without an interval of its own; None is absent for the reason `why`."""
    return Absent(why) if value is None else Known(float(value), None, None, _NOBODY)


def interval(value: float | None, low: float | None, high: float | None, why: str) -> Evidence:
    """Return a figure with its interval; one end without the other is no interval."""
    if value is None or low is None or high is None:
        return plain(value, why)
    return Known(float(value), float(low), float(high), _NOBODY)


def facts(group: str, values: Mapping[str, Any], leave_out: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yield ((group, key), text) of each value; keys of a mapping inside another are joined by a dot."""
    for key, value in values.items():
        if key in leave_out:
            continue
        if isinstance(value, Mapping):
            yield from facts(group, {f"{key}.{inner}": each for inner, each in value.items()}, leave_out)
        else:
            yield (group, key), text(value)


def text(value: Any) -> str:
    """Return a setting as it is typed: ``none`` for None, ``on`` and ``off``, lists with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(text(each) for each in value) or "none"
    return f"{value:g}" if isinstance(value, float) and value == float(f"{value:g}") else str(value)
