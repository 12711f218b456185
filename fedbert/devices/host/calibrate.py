"""Measures this machine into a profile, and whole models beside their predictions."""

from collections.abc import Callable
from dataclasses import dataclass

from fedbert.devices.host.check import Row, compare, screen_table
from fedbert.devices.host.device import (
    LENGTHS,
    THREADS,
    fit_core,
    small_graphs,
    small_jobs,
    whole_jobs,
    whole_models,
)
from fedbert.devices.host.graphs import BertSize, bert
from fedbert.devices.host.profile import flash_bytes_per_s, host_profile
from fedbert.devices.host.timing import BUSY_SPREAD, Times, load_ms, measure
from fedbert.devices.profiles import DeviceProfile
from fedbert.machine import cores

_LOADED = BertSize(layers=4, width=32, heads=2, inner=64, int8=True)
"""The graph whose session is made to find the fixed part of a load: a model's operators, hardly a weight."""
_US_PER_MS = 1e3


@dataclass(frozen=True)
class Calibration:
    """The profile, the rows of the check (none without it), and a word on the machine."""

    profile: DeviceProfile
    rows: list[Row]
    loads: list[tuple[str, float, float]]
    warning: str


def calibrate(
    seconds: float, verify: bool, progress: Callable[[float], None] = lambda share: None
) -> Calibration:
    """Time single operators and, to `verify`, whole models for about `seconds`; fit the first, predict the
    second. `progress` gets the share done.
    """
    made = small_graphs()
    models = whole_models() if verify else {}
    times = measure(small_jobs(made) | whole_jobs(models), seconds, progress)
    small = len(THREADS) * len(made)
    fitted = fit_core(made, times.shortest_ms[:small].reshape(len(THREADS), -1) * _US_PER_MS)
    fixed = load_ms(bert(_LOADED, positions=8))
    profile = host_profile(fitted, fixed, flash_bytes_per_s())
    core = profile.big_core
    rows, loads = [], []
    if verify:
        whole = times.shortest_ms[small:].reshape(len(THREADS), len(models), len(LENGTHS))
        rows = compare(core, models, whole)
        for name, content in models.items():  # from memory: no flash in it
            moved = len(content) * _US_PER_MS / core.memory_bytes_per_s
            loads.append((name, fixed + moved, load_ms(content)))
    return Calibration(profile, rows, loads, warning(times))


def warning(times: Times) -> str:
    """Return a line if the machine was busy while it was measured, else nothing."""
    if times.spread < BUSY_SPREAD and times.load < cores():
        return ""
    return (
        f"the machine was busy (load {times.load:.1f} at the start; the median burst took {times.spread:.2f} "
        f"times as long as the shortest of {times.rounds}); measure again when it is quiet, or for longer"
    )


def screen_lines(found: Calibration) -> list[str]:
    """Return what a person sees: the core's constants, then the check."""
    core = found.profile.big_core.model_dump(exclude_unset=True)
    lines = [f"{key} = {value:,}" for key, value in core.items()]
    if not found.rows:
        return lines
    lines += ["", "Milliseconds of one text, warm: predicted is modelled from single operators, measured is"]
    lines += ["the shortest of many runs of the whole model. Parts are of the prediction.", ""]
    lines += screen_table(found.rows)
    lines += ["", "Making a session from memory, ms (in no error above):"]
    lines += [f"{name}: predicted {ahead:.1f}, measured {took:.1f}" for name, ahead, took in found.loads]
    return lines
