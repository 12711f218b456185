"""What a plan emits: energy of phones, networks and servers, times grams of CO2e for a kilowatt-hour.

A core draws its idle watts all day and, while it works, what its full use adds (a line through both,
as in the methodology of Cloud Carbon Footprint); memory and storage draw by size; the data centre takes its
share on top (PUE).
"""

from fedbert.intervals import Estimate
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast
from fedbert.planning.capacity.estimates import added, times
from fedbert.planning.capacity.prices import Prices
from fedbert.planning.capacity.server_forecast import PARTS
from fedbert.units import GIGABYTE, HOURS_PER_DAY, TERABYTE

MJ_PER_KWH = 3.6e9
"""Millijoules in one kilowatt-hour."""
W_PER_KW = 1_000.0


def carbon(
    base: BaseRun, found: CapacityForecast, prices: Prices
) -> tuple[dict[str, Estimate], list[Forecast]]:
    """Return grams of CO2e a day by part, and the rows of the energy of networks and servers.

    Both are empty if the grams of a kilowatt-hour where phones charge are not given.
    """
    if prices.gco2e_per_kwh is None:
        return {}, []
    grid = prices.gco2e_per_kwh.value
    parts, rows = phone_kwh(base, found, prices), []
    if parts and prices.network_kwh_per_gb is not None:
        each = prices.network_kwh_per_gb.value / GIGABYTE
        for part, name in (("uploads", "ingress per day"), ("downloads", "egress per day")):
            parts[part] = added([parts[part], times(found.find(name).estimate, each)])
    grams = {part: times(kwh, grid) for part, kwh in parts.items()}
    servers = server_kwh(found, prices)
    if parts and servers is not None and prices.server_gco2e_per_kwh is not None:
        grams["servers"] = times(servers, prices.server_gco2e_per_kwh.value)
        said = f"cores bought for their busiest time, memory and storage, by {prices.said}"
        rows = [Forecast("server energy per day", "kWh", servers, "modelled", said)]
    return grams, rows


def phone_kwh(base: BaseRun, found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    """Return kilowatt-hours a day of all phones, by part; empty for a run from before they were kept."""
    efficiency = prices.charging_efficiency.value if prices.charging_efficiency else 1.0
    uses = {"computing": ("sessions", "installs"), "uploads": ("uploads",), "downloads": ("downloads",)}
    if not any(tier.energy_mj_per_day_by for tier in base.tiers):
        return {}
    return {
        part: added(
            times(
                found.find(f"energy per day, {use}", tier=tier.name).estimate,
                found.plan.devices * tier.devices / base.devices / MJ_PER_KWH / efficiency,
            )
            for tier in base.tiers
            for use in names
        )
        for part, names in uses.items()
    }


def server_kwh(found: CapacityForecast, prices: Prices) -> Estimate | None:
    """Return kilowatt-hours a day of the servers, None without a calibration or a core's watts."""
    idle, busy = prices.core_idle_w, prices.core_busy_w
    if found.servers is None or idle is None or busy is None:
        return None

    def row(name: str) -> Estimate:
        return found.find(name).estimate

    worked = added(row(f"CPU time per day, {part}") for part in PARTS)
    parts = [
        times(row("cores, all servers"), HOURS_PER_DAY * idle.value / W_PER_KW),
        times(worked, (busy.value - idle.value) / W_PER_KW),
    ]
    if prices.memory_kwh_per_gb_hour is not None:
        each = prices.memory_kwh_per_gb_hour.value * HOURS_PER_DAY / GIGABYTE
        parts.append(times(row("memory, all servers"), each))
    if prices.storage_wh_per_tb_hour is not None:
        each = prices.storage_wh_per_tb_hour.value / W_PER_KW * HOURS_PER_DAY / TERABYTE
        parts.append(times(row("storage, all"), each))
    return times(added(parts), prices.pue.value if prices.pue else 1.0)
