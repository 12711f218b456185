"""Tables of docs/devices.md on time, energy and memory, made from code and data: Markdown lines."""

import numpy as np

from fedbert.devices.cost_model import CostModel, Outcome
from fedbert.devices.fitting import Fit, Timings, leave_one_board_out, relative_errors
from fedbert.devices.fleet import draw_fleet
from fedbert.randomness import Purpose, uniforms


def fit_table(timings: Timings, fitted: Fit, factors: dict[str, float]) -> list[str]:
    """Return the fitted constants by core, the overhead, and the errors of the fit."""
    lines = [
        "| core | boards | rows | float MAC/cycle | int8 MAC/cycle | dense weights GB/s | median error |",
        "|---|---|---|---|---|---|---|",
    ]
    errors = relative_errors(fitted, timings)
    for index, core in enumerate(fitted.cores):
        mine = np.array([name == core for name in timings.core])
        boards = len({board for board, name in zip(timings.board, timings.core, strict=True) if name == core})
        floats, int8 = fitted.macs_per_cycle[index]
        lines.append(
            f"| {core} | {boards} | {mine.sum()} | {floats:.2f} | {int8:.2f} "
            f"| {fitted.bytes_per_s[index] / 1e9:.2f} | {np.median(errors[mine]):.1%} |"
        )
    lines += [
        "",
        f"Overhead {fitted.overhead_cycles:,.0f} cycles a layer; TinyBERT's rate is {factors['float']:.2f} "
        f"times the fitted one in half precision and {factors['int8']:.2f} times in int8.",
        "",
        "| rows | median error | within 10 % | within 20 % | within 30 % |",
        "|---|---|---|---|---|",
    ]
    for name, values in (("in the fit", errors), ("one board left out", leave_one_board_out(timings))):
        within = " | ".join(f"{np.mean(values <= limit):.0%}" for limit in (0.1, 0.2, 0.3))
        lines.append(f"| {name} ({len(values)}) | {np.median(values):.1%} | {within} |")
    return lines


def session_table(model: CostModel, tokens: int = 16, devices: int = 50_000) -> list[str]:
    """Return latency (warm and cold), what binds, energy and outcomes by class, for texts of `tokens`."""
    fleet = draw_fleet(model.profiles, 0, 0, devices)
    rows, length = np.arange(devices), np.full(devices, tokens)
    draws = uniforms(0, Purpose.LATENCY, 0, 0, devices, 2)
    warm = model.session(fleet, rows, length, 20, draws, np.zeros(devices, np.bool_))
    cold = model.session(fleet, rows, length, 20, draws, np.ones(devices, np.bool_))
    outcome = model.outcomes(
        cold.latency_ms, cold.peak_memory_bytes, fleet.free_memory_bytes, np.ones(devices, np.bool_)
    )
    lines = [
        "| class | share | warm ms p50 / p95 | cold ms p50 / p95 | memory-bound | warm mJ | out of memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for index, profile in enumerate(model.profiles):
        mine = fleet.profile == index
        times = [np.quantile(costs.latency_ms[mine], [0.5, 0.95]) for costs in (warm, cold)]
        lines.append(
            f"| {profile.name} | {profile.share:.1%} "
            f"| {times[0][0]:.2f} / {times[0][1]:.2f} | {times[1][0]:.0f} / {times[1][1]:.0f} "
            f"| {np.mean(warm.memory_bound[mine]):.0%} | {np.median(warm.energy_mj[mine]):.1f} "
            f"| {np.mean(outcome[mine] == Outcome.OUT_OF_MEMORY):.1%} |"
        )
    return lines
