"""Tables of docs/devices.md on time, energy and memory, made from code and data: Markdown lines."""

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.cost_model import CostModel, Outcome
from fedbert.devices.errors_table import ErrorTable
from fedbert.devices.fitting.fitting import FLOAT, INT8, Fit, Timings, relative_errors
from fedbert.devices.fitting.transformers import transformer_rates
from fedbert.devices.fleet import draw_fleet
from fedbert.devices.profiles import DeviceProfile
from fedbert.randomness import ONCE, Purpose
from fedbert.results import CANDIDATES


def fit_table(
    timings: Timings, fitted: Fit, shares: dict[str, float], profiles: tuple[DeviceProfile, ...]
) -> list[str]:
    """Return the fitted constants of a transformer by core that was timed or that a class of `profiles` has.

    `shares` are p of `threads` by kind of core.
    """
    used = set(timings.core) | {cluster.core for profile in profiles for cluster in profile.clusters}
    lines = [
        "| core | SoCs | rows | float MAC/cycle | int8 MAC/cycle | dense weights GB/s | cycles per operator "
        "| p of threads | median error in the fit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    errors = np.abs(relative_errors(fitted, timings))
    for core, facts in fitted.cores.items():
        if core not in used:
            continue
        mine = np.array([name == core for name in timings.core])
        socs = {soc for soc, name in zip(timings.soc, timings.core, strict=True) if name == core}
        floats, cycles, bandwidth = transformer_rates(fitted, core, FLOAT)
        int8 = transformer_rates(fitted, core, INT8)[0]
        error = f"{np.median(errors[mine]):.1%}" if mine.any() else "from what is known of it"
        lines.append(
            f"| {core} | {len(socs)} | {mine.sum()} | {floats:.2f} | {int8:.2f} | {bandwidth / 1e9:.2f} "
            f"| {cycles:,.0f} | {shares[facts.kind()]:.2f} | {error} |"
        )
    return lines


def errors_table(table: ErrorTable) -> list[str]:
    """Return predicted against measured as Markdown lines."""
    lines = [
        "| what | rows | median error | asked | within 10 % | within 20 % | within 30 % | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.rows:
        asked = f"{row.asked:.0%}" if row.asked is not None else ""
        lines.append(
            f"| {row.what} | {row.rows} | {row.median_error:.1%} | {asked} "
            f"| {row.within_10:.0%} | {row.within_20:.0%} | {row.within_30:.0%} | {row.note} |"
        )
    return lines


def engines_table(table: ErrorTable) -> list[str]:
    """Return measured over predicted by engine as Markdown lines."""
    lines = [
        "| engine | precision | networks | on | rows | least | median | most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.engines:
        factors = (row.factor_low, row.factor_median, row.factor_high)
        shown = " | ".join(f"{factor:.2f}" for factor in factors)
        lines.append(
            f"| {row.engine} | {row.precision} | {row.networks} | {row.devices} | {row.rows} | {shown} |"
        )
    return lines


def session_table(model: CostModel, tokens: int = 16, devices: int = 50_000) -> list[str]:
    """Return latency (warm and cold), what binds, energy and outcomes by class, for texts of `tokens`."""
    sample = DeviceRange(0, 0, devices)
    fleet = draw_fleet(model.profiles, sample)
    rows, length = np.arange(devices), np.full(devices, tokens)
    draws = sample.uniforms(Purpose.LATENCY, ONCE, 2)
    warm = model.session(fleet, rows, length, CANDIDATES, draws, np.zeros(devices, np.bool_))
    cold = model.session(fleet, rows, length, CANDIDATES, draws, np.ones(devices, np.bool_))
    outcome = model.outcomes(
        cold.latency_ms, cold.peak_memory_bytes, fleet.free_memory_bytes, np.ones(devices, np.bool_)
    )
    lines = [
        "| class | share | warm ms p50 / p95 | cold ms p50 / p95 | memory-bound | warm mJ | out of memory |",
        "|---|---|---|---|---|---|---|---|",
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
