"""What one phone does in the round, in plain numpy: the same for every system, one phone at a time.

Two sessions on average: score 20 candidates by dot products, show them, click by the click model. Then one
report: of each clicked item the sum of the texts less the item's centre, how often it was clicked, and the
histogram of clicked ranks; clipped as a whole, in fixed point. Numbers, not strings, come from fedbert
(`run_fedbert.py` writes them): sessions, vectors of release 0, and the constants in `rules.json`. Nothing but
numpy is imported, so that each system's own environment can run it.
"""

import hashlib
import json
import math
import os
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RULES, VECTORS, SESSIONS = "rules.json", "vectors.npz", "sessions.npz"

ROUNDING_MARGIN = 1 - 2.0**-40
"""As in `fedbert/privacy/mechanisms.py`: a factor is that much smaller, so that no norm exceeds the clip."""


@dataclass(frozen=True)
class Rules:
    """The constants of the round.

    unit is what one integer step of a report is worth, scale the steps of 1 in fixed point. click_weight and
    rank_weight are in units; continue_, attract_target and attract_other are the click model's chances.
    """

    clicks_per_report: int
    unit: float
    scale: float
    clip_norm: float
    click_weight: int
    rank_weight: int
    rank_bins: int
    continue_: float
    attract_target: float
    attract_other: float


@dataclass(frozen=True)
class Work:
    """All phones' sessions and what they are scored with.

    texts int8 [text, dim], items int8 [item, dim] and centres int8 [item, dim]: those of release 0. tie_order
    [item] decides between equal scores. Sessions first[d] .. first[d + 1] are those of device d: text [s],
    item [s], candidates [s, C], draws [s, 3], scored [s]: a list that a phone cannot score it shows in
    tie_order, and reports no rank. sends [device] is whether its report gets through.
    """

    rules: Rules
    texts: NDArray[np.int8]
    items: NDArray[np.int8]
    centres: NDArray[np.int8]
    tie_order: NDArray[np.int32]
    first: NDArray[np.int64]
    text: NDArray[np.int32]
    item: NDArray[np.int32]
    candidates: NDArray[np.int32]
    draws: NDArray[np.float64]
    scored: NDArray[np.bool_]
    sends: NDArray[np.bool_]

    @property
    def devices(self) -> int:
        """Phones."""
        return len(self.sends)

    @property
    def size(self) -> int:
        """Coordinates of a report."""
        items, dim = self.items.shape
        return items * dim + items + self.rules.rank_bins

    @cached_property
    def exact(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Texts and items as float32, whose products of int8 vectors are whole numbers below 2^24: exact."""
        return self.texts.astype(np.float32), self.items.astype(np.float32)

    @cached_property
    def columns(self) -> NDArray[np.int32]:
        """The coordinates of each item's sum, `[item, dim]`."""
        return np.arange(self.items.size, dtype=np.int32).reshape(self.items.shape)

    @cached_property
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Chances that the places looked at, and the first other item that attracts, are at most 1, 2, ..."""
        places = np.arange(1, self.candidates.shape[1] + 1)
        rules = self.rules
        return 1.0 - (1.0 - (1.0 - rules.continue_)) ** places, 1.0 - (1.0 - rules.attract_other) ** places


def write_work(folder: Path, work: Work) -> None:
    """Write `work` into `folder`, for `read_work`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RULES).write_text(json.dumps(vars(work.rules), indent=1) + "\n", encoding="utf-8")
    names = ("texts", "items", "centres", "tie_order")
    np.savez(folder / VECTORS, **{name: getattr(work, name) for name in names})
    names = ("first", "text", "item", "candidates", "draws", "scored", "sends")
    np.savez(folder / SESSIONS, **{name: getattr(work, name) for name in names})


def read_work(folder: Path) -> Work:
    """Return what `write_work` wrote."""
    rules = Rules(**json.loads((folder / RULES).read_text(encoding="utf-8")))
    arrays: dict[str, Any] = {}
    for name in (VECTORS, SESSIONS):
        with np.load(folder / name) as read:
            arrays |= dict(read)
    return Work(rules, **arrays)


def phone(work: Work, device: int) -> tuple[int, int, NDArray[np.int32] | None]:
    """Return (sessions, clicks, report) of a device.

    The report `[2, n]` has coordinates and the whole numbers there, all others being 0; None for a device
    that sends none: its report is lost on its way, or it clicked nothing.
    """
    own = slice(work.first[device], work.first[device + 1])
    sessions = own.stop - own.start
    if not sessions:
        return 0, 0, None
    shown = ranked(work, own)
    item, rank = clicked(work, own, shown)
    clicks = np.flatnonzero(rank)
    if not (work.sends[device] and len(clicks)):
        return int(sessions), len(clicks), None
    newest = clicks[-work.rules.clicks_per_report :]
    known = np.where(work.scored[own][newest], rank[newest] - 1, -1)
    return int(sessions), len(clicks), report(work, work.text[own][newest], item[newest], known)


def ranked(work: Work, own: slice) -> NDArray[np.int32]:
    """Return the candidates `[s, C]` of a phone's sessions, best first."""
    texts, items = work.exact
    candidates = work.candidates[own]
    score = np.matmul(items[candidates], texts[work.text[own]][:, :, None])[:, :, 0].astype(np.int64)
    score[~work.scored[own]] = 0
    place = np.argsort(work.tie_order[candidates] - score * len(items), axis=1)
    return candidates[np.arange(len(place))[:, None], place]


def clicked(work: Work, own: slice, shown: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return (clicked item [s], its rank [s] from 1, 0 for no click) in the lists `shown` `[s, C]`.

    A cascade: a user looks down the list, goes on with a fixed chance, and clicks the first item that
    attracts. Places looked at and the first other item that attracts are geometric, by inversion.
    """
    draw, size = work.draws[own], shown.shape[1]
    looks, others = work.ends
    looked = 1 + np.searchsorted(looks, draw[:, 0])
    other = 1 + np.searchsorted(others, draw[:, 1])
    target = 1 + np.argmax(shown == work.item[own][:, None], axis=1)
    other += other >= target
    rank = np.minimum(other, np.where(draw[:, 2] < work.rules.attract_target, target, size + 1))
    rank[(rank > looked) | (rank > size)] = 0
    return shown[np.arange(len(shown)), rank - 1], rank


def report(
    work: Work, text: NDArray[np.int32], item: NDArray[np.int32], rank: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return the report `[2, n]` of clicks: `text`, `item`, `rank` (from 0, -1 unknown), each [click]."""
    rules, (items, dim) = work.rules, work.items.shape
    rows, bins = item.tolist(), rank.tolist()
    sums: dict[int, NDArray[np.int32]] = {}
    for row, one in zip(rows, work.texts[text].astype(np.int32) - work.centres[item], strict=True):
        sums[row] = sums[row] + one if row in sums else one
    values, where = list(sums.values()), [work.columns[row] for row in sums]
    for weight, begin, found in (
        (rules.click_weight, items * dim, rows),
        (rules.rank_weight, items * dim + items, [each for each in bins if each >= 0]),
    ):
        counts = Counter(found)
        values.append(np.array([weight * many for many in counts.values()], np.int32))
        where.append(np.array([begin + each for each in counts], np.int32))
    whole = np.concatenate(values)
    norm = math.sqrt(max(int(np.dot(whole, whole)), 1)) * rules.unit
    factor = min(1.0, rules.clip_norm / norm) * (rules.unit * rules.scale * ROUNDING_MARGIN)
    return np.stack([np.concatenate(where), (whole * factor).astype(np.int32)])


def dense(work: Work, report: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a report as the whole vector `[size]`, which says nothing by its length."""
    whole = np.zeros(work.size, np.int32)
    whole[report[0]] = report[1]
    return whole


def digest(total: NDArray[np.int64]) -> str:
    """Return the SHA-256 of a sum of reports `[size]` mod 2^32, by which systems' sums are compared."""
    return hashlib.sha256((total & 0xFFFFFFFF).astype("<u4").tobytes()).hexdigest()


class Clock:
    """Wall time and processor time, of a process or of several, from when it is made (Linux)."""

    def __init__(self, processes: Any = None) -> None:
        """Begin; `processes()` gives the ids whose time counts, by default this process alone."""
        self._processes = processes
        self._wall, self._cpu = time.perf_counter(), self._cpu_s()

    def read(self) -> tuple[float, float]:
        """Return seconds of wall and of processor time."""
        return time.perf_counter() - self._wall, self._cpu_s() - self._cpu

    def _cpu_s(self) -> float:
        return time.process_time() if self._processes is None else cpu_s(self._processes())


def cpu_s(ids: set[int]) -> float:
    """Return the processor time of the processes `ids` so far, and of their ended children."""
    ticks = 0
    for each in ids:
        try:
            stat = Path(f"/proc/{each}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # ended since it was listed
            continue
        # User and system time, its own and its ended children's; the name before may hold anything.
        ticks += sum(int(word) for word in stat.rpartition(")")[2].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def descendants(root: int) -> set[int]:
    """Return the ids of a process and of all that descend from it."""
    parent: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parent[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while more := {one for one, above in parent.items() if above in found and one not in found}:
        found |= more
    return found


def tell(found: dict[str, Any], output: Path | None) -> None:
    """Print what was measured as JSON, and write it to `output` if there is one."""
    text = json.dumps(found, indent=1)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    print(text)
