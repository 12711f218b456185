"""Who buys what a capacity plan's figures measure: CDN, front end, aggregator, server, phone."""

from collections.abc import Iterable
from dataclasses import dataclass

from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.world import WEEKDAYS


@dataclass(frozen=True)
class Buyer:
    """A group of figures: those that stand open, in their order, and those that are folded."""

    name: str
    buys: str
    first: tuple[str, ...]
    folded: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()  # how the names of any others begin: folded, in the order of the forecast


def _server(part: str) -> tuple[str, str, str]:
    return f"CPU time per day, {part}", f"cores, {part}", f"memory, {part}"


CDN = Buyer(
    "CDN",
    "release downloads",
    (
        "egress per day",
        "egress headroom, peak hour",
        "minimum hours under the cap",
        "hours to 50%",
        "hours to 90%",
        "hours to 95%",
        "cost per day, downloads",
    ),
    (
        "releases per day",
        "downloads per day",
        "download QPS, peak hour",
        "egress, one release to all devices",
        "egress, one release in 24 h",
        "peak egress without a cap",
        "hours a day at the cap",
        "hours to 99%",
        "downloads started over per day",
        "bytes moved in vain per day",
        *_server("release downloads"),
        "storage, releases",
        "cost per day, download requests",
    ),
    ("egress, one release to all devices, coded", "stage ", "halt: ", "roll-back: "),
)
FRONT = Buyer(
    "Front end",
    "check-ins and uploads",
    (
        "ingress per day",
        "total QPS, peak hour",
        "total QPS, p99",
        "total QPS, peak second",
        "cores, check-ins and uploads",
        "cost per day, requests",
        "cost per day, ingress",
        "cost per day, check-ins out",
    ),
    (
        "peak second, check-ins aligned",
        "check-ins per day",
        "check-in QPS, peak hour",
        "upload QPS, peak hour",
        "check-in and TLS bytes, each way",
        "CPU time per day, check-ins and uploads",
        "memory, check-ins and uploads",
    ),
)
AGGREGATOR = Buyer(
    "Aggregator",
    "sums of masked reports",
    ("rounds that fill", "reports per day", "aggregator ingress, burst", "cores, aggregator"),
    (
        "sampling probability",
        "aggregator ingress",
        "aggregator additions",
        "aggregator additions, burst",
        "CPU time per day, aggregator",
        "memory, aggregator",
    ),
)
SERVER = Buyer(
    "Server",
    "updates of the model, and all machines together",
    ("machines, all servers", "server headroom", "cores, all servers", "memory, all servers"),
    (
        *_server("server update"),
        "storage, all",
        "storage, reports of unfinished rounds",
        "storage, records of rounds",
        "cost per day, cores",
        "cost per day, memory",
        "cost per day, machines",
        "cost per day, storage",
        "server energy per day",
    ),
)
PHONE = Buyer(
    "Phone",
    "what its owner pays",
    ("bytes down per phone and day", "bytes up per phone and day", "cost per day, charging"),
    ("downloads per phone and day", "share of sessions scored"),
    (
        "installs per day",
        "computing per day",
        "energy per ",
        "charge per day",
        "battery per day",
        "metered links: ",
    ),
)
WHOLE = Buyer(
    "The whole plan",
    "money and carbon",
    ("cost per day", "cost per year", "carbon per day"),
    (),
    ("cost per ", "carbon per ", "share of carbon, "),
)
PRIVACY = Buyer("Privacy", "epsilon, proved", (), (), ("epsilon in ",))
DAYS = Buyer(
    "Weekdays and growth",
    "of the days that the plan states",
    (),
    (),
    (*(f"{day}: " for day in WEEKDAYS), "horizon: ", "last day: "),
)
OTHER = Buyer("Other figures", "", (), (), ("",))

BUYERS = (CDN, FRONT, AGGREGATOR, SERVER, PHONE, WHOLE, PRIVACY, DAYS, OTHER)


def is_named(name: str) -> bool:
    """Return whether a figure is named for a buyer, beginnings left out."""
    return any(name in buyer.first or name in buyer.folded for buyer in BUYERS)


def buyer_of(name: str) -> Buyer:
    """Return the group of a figure by its name; `OTHER` for one that nobody is named for."""
    for buyer in BUYERS:
        if name in buyer.first or name in buyer.folded:
            return buyer
    return next(buyer for buyer in BUYERS if name.startswith(buyer.starts))


def place_of(name: str) -> tuple[int, int]:
    """Return where a figure stands: the place of its group, and its place there."""
    buyer = buyer_of(name)
    named = (*buyer.first, *buyer.folded)
    return BUYERS.index(buyer), named.index(name) if name in named else len(named)


def by_buyer(rows: Iterable[Forecast]) -> list[Forecast]:
    """Return figures in the order of those who buy them; within the beginnings of a group as they came."""
    return sorted(rows, key=lambda row: place_of(row.name))
