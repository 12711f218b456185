"""Constants of the cost model, fitted to measured inference times; nothing here is tuned by hand.

The time of a network on one thread of a core is modelled as

    t = conv_macs / (f r) + activations / (f a) + dense_bytes / b + layers o / f

with the core's clock f (1/s), multiply-adds per cycle r, elements of activations written (and read, scaled,
clipped) per cycle a, the rate b at which weights of dense layers stream from memory (batch 1: each is used
once), and o cycles per layer. log r, log a and log b are sums of *effects*: of
what is known of the core (width of its vector unit, half precision, dot products, in-order), the core's own,
the kind of network, its multiply-adds per layer, its own, the age of the build, and what is peculiar to the
SoC and the board. Each group of effects has a standard deviation, the prior's, that says how far it may move;
all are found together by penalised least squares on log t (Gauss-Newton, weights of a soft-L1 loss). A core,
network or SoC that was never seen has the effect 0, so it is predicted from what is known of its kind.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FLOAT, INT8 = 0, 1
PRECISIONS = ("float", "int8")

NEWEST_BUILD = 2
"""Age of a build of ncnn, told by the networks its benchmark had: 0 oldest, 2 newest."""

NOISE_SIGMA = 0.1
"""Standard deviation of log t around the model; priors are relative to it."""

LOSS_SCALE = 0.3
"""Error of log t from which the loss grows linearly: three times the noise, so odd timings count less."""

# Centres the slope on multiply-adds per layer: the level is then that of a usual layer.
_TYPICAL_MACS_PER_LAYER = 2e7

# The loss has several minima. A fixed number of steps makes the shipped constants; they end near a minimum,
# not in it: the last ones swing between two points. `scipy.optimize.least_squares` from this start finds a
# loss .1 % higher, and with other steps one 2.7 % lower, at which int8 rates of the shipped classes differ by
# up to 7.5 %.
_STEPS, _WARM_STEPS, _LONGEST_STEP = 40, 6, 1.0

# A usual core: multiply-adds, elements, bytes a second, cycles a layer, where all effects are 0.
_START_LOG_RATE, _START_LOG_ELEMENTS, _START_LOG_BYTES_PER_S, _START_LOG_CYCLES = np.log([4.0, 0.5, 3e9, 1e4])


@dataclass(frozen=True)
class CoreFacts:
    """What is known of a kind of core: 128-bit vector pipes, and which arithmetic it has (0 or 1)."""

    vector_pipes: float
    half_precision: int
    dot_product: int
    matrix_int8: int
    in_order: int
    armv7: int

    def kind(self) -> str:
        """Return the class of cores that share effects of networks."""
        order = "armv7" if self.armv7 else "in order" if self.in_order else "out of order"
        return f"{order}, half precision {self.half_precision}"


@dataclass(frozen=True)
class Timings:
    """Measured single-thread times; arrays and tuples `[row]`.

    `board`, `soc`, `core`, `network` (without its precision), `shapes` (networks of the same are equally
    efficient) and `family` are names; `precision` an index into
    `PRECISIONS`; `build` the age of the build; `clock_hz`, `conv_macs`, `dense_params` and `layers` what the
    formula needs; `seconds` the measured time.
    """

    board: tuple[str, ...]
    soc: tuple[str, ...]
    core: tuple[str, ...]
    network: tuple[str, ...]
    shapes: tuple[str, ...]
    family: tuple[str, ...]
    precision: NDArray[np.int64]
    build: NDArray[np.int64]
    clock_hz: Floats
    conv_macs: Floats
    activations: Floats
    dense_params: Floats
    layers: Floats
    seconds: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.board)

    def take(self, rows: Flags) -> "Timings":
        """Return the rows where `rows` [row] is true."""
        picked = np.flatnonzero(rows)

        def some(column: object) -> object:
            if isinstance(column, np.ndarray):
                return column[rows]
            return tuple(column[row] for row in picked)  # type: ignore[index]

        return Timings(*(some(getattr(self, field.name)) for field in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Group:
    """Effects of one kind: a label (or None: no effect) and a factor `[row]`, and the prior's sigma."""

    name: str
    sigma: float
    labels: Sequence[Hashable]
    factor: Floats


def rate_groups(timings: Timings, cores: dict[str, CoreFacts]) -> list[Group]:
    """Return the effects on log r, the multiply-adds per cycle."""
    facts = [cores[name] for name in timings.core]
    kind = [fact.kind() for fact in facts]
    half = [fact.half_precision for fact in facts]
    p, build = timings.precision.tolist(), timings.build.tolist()
    one = np.ones(len(timings))
    int8 = timings.precision.astype(np.float64)

    def group(name: str, sigma: float, *labels: Sequence[Hashable]) -> Group:
        return Group(name, sigma, list(zip(*labels, strict=True)), one)

    def slope(name: str, sigma: float, values: Floats) -> Group:
        return Group(name, sigma, [name] * len(timings), values)

    known = {
        "vector pipes": np.log([fact.vector_pipes for fact in facts]),
        "half precision": np.array(half, np.float64),
        "dot product": np.array([float(fact.dot_product) for fact in facts]),
        "int8 matrices": np.array([float(fact.matrix_int8) for fact in facts]),
        "in order": np.array([float(fact.in_order) for fact in facts]),
        "armv7": np.array([float(fact.armv7) for fact in facts]),
    }
    return [
        slope("level", 3.0, one),
        slope("int8", 1.0, int8),
        *(slope(name, 0.5, values) for name, values in known.items()),
        *(slope(f"{name}, int8", 0.5, values * int8) for name, values in known.items()),
        slope("macs per layer", 0.03, np.log(timings.conv_macs / timings.layers / _TYPICAL_MACS_PER_LAYER)),
        group("family", 1.0, timings.family),
        group("family, precision", 0.5, timings.family, p),
        group("shapes", 0.3, timings.shapes),
        group("shapes, precision", 0.15, timings.shapes, p),
        group("kind, family, precision", 0.2, kind, timings.family, p),
        group("kind, shapes, precision", 0.25, kind, timings.shapes, p),
        group("core", 0.3, timings.core),
        group("core, precision", 0.1, timings.core, p),
        group("build, half, precision", 1.0, build, half, p),
        group("build, half, shapes, precision", 0.15, build, half, timings.shapes, p),
        group("soc", 0.2, timings.soc),
        group("board", 0.15, timings.board),
        group("board, precision", 0.1, timings.board, p),
    ]


def element_groups(timings: Timings, cores: dict[str, CoreFacts]) -> list[Group]:
    """Return the effects on log a, the elements of activations per cycle."""
    one = np.ones(len(timings))
    p = timings.precision.tolist()
    kind = [cores[name].kind() for name in timings.core]
    return [
        Group("element level", 3.0, ["element level"] * len(timings), one),
        Group("element, precision", 0.5, [(precision,) for precision in p], one),
        Group("element, kind", 0.5, [(name,) for name in kind], one),
        Group("element, kind, precision", 0.3, list(zip(kind, p, strict=True)), one),
        Group("element, core", 0.5, [(name,) for name in timings.core], one),
    ]


def memory_groups(timings: Timings, cores: dict[str, CoreFacts]) -> list[Group]:
    """Return the effects on log b, the bytes per second of weights that stream from memory."""
    one = np.ones(len(timings))
    kind = [(cores[name].kind(),) for name in timings.core]
    return [
        Group("memory level", 3.0, ["memory level"] * len(timings), one),
        Group("memory, kind", 0.5, kind, one),
        Group("memory, core", 0.5, [(name,) for name in timings.core], one),
    ]


def weight_bytes(facts: CoreFacts, precision: int) -> int:
    """Return the bytes of one weight as ncnn keeps it: floats take 2 on cores with half precision."""
    if precision == INT8:
        return 1
    return 2 if facts.half_precision else 4


def overhead_groups(timings: Timings, cores: dict[str, CoreFacts]) -> list[Group]:
    """Return the effects on log o, the cycles per layer."""
    one = np.ones(len(timings))
    kind = [cores[name].kind() for name in timings.core]
    return [
        Group("overhead level", 0.5, ["overhead level"] * len(timings), one),
        Group("overhead, kind", 0.2, [(name,) for name in kind], one),
        Group("overhead, core", 0.2, [(name,) for name in timings.core], one),
    ]


Effects = dict[tuple[str, Hashable], float]


@dataclass(frozen=True)
class Fit:
    """Fitted effects on log r and log b, and the cycles per layer."""

    cores: dict[str, CoreFacts]
    rate: Effects
    element: Effects
    memory: Effects
    overhead: Effects

    def macs_per_cycle(self, timings: Timings) -> Floats:
        """Return r [row]; what was never seen has no effect."""
        groups = rate_groups(timings, self.cores)
        return np.asarray(np.exp(_START_LOG_RATE + _sum(groups, self.rate, len(timings))))

    def elements_per_cycle(self, timings: Timings) -> Floats:
        """Return a [row]; what was never seen has no effect."""
        groups = element_groups(timings, self.cores)
        return np.asarray(np.exp(_START_LOG_ELEMENTS + _sum(groups, self.element, len(timings))))

    def bytes_per_s(self, timings: Timings) -> Floats:
        """Return b [row]; what was never seen has no effect."""
        groups = memory_groups(timings, self.cores)
        return np.asarray(np.exp(_START_LOG_BYTES_PER_S + _sum(groups, self.memory, len(timings))))

    def overhead_cycles(self, timings: Timings) -> Floats:
        """Return o [row]; what was never seen has no effect."""
        groups = overhead_groups(timings, self.cores)
        return np.asarray(np.exp(_START_LOG_CYCLES + _sum(groups, self.overhead, len(timings))))

    def seconds(self, timings: Timings) -> Floats:
        """Return the predicted time [row] of `timings`."""
        dense = timings.dense_params * _weight_sizes(timings, self.cores)
        return np.asarray(
            timings.conv_macs / (timings.clock_hz * self.macs_per_cycle(timings))
            + timings.activations / (timings.clock_hz * self.elements_per_cycle(timings))
            + dense / self.bytes_per_s(timings)
            + timings.layers * self.overhead_cycles(timings) / timings.clock_hz
        )


def _sum(groups: list[Group], effects: Effects, rows: int) -> Floats:
    total = np.zeros(rows)
    for group in groups:
        found = [effects.get((group.name, label), 0.0) for label in group.labels]
        total += np.array(found) * group.factor
    return total


def _weight_sizes(timings: Timings, cores: dict[str, CoreFacts]) -> Floats:
    pairs = zip(timings.core, timings.precision.tolist(), strict=True)
    return np.array([float(weight_bytes(cores[core], precision)) for core, precision in pairs])


_GROUPS = (rate_groups, element_groups, memory_groups, overhead_groups)
_STARTS = (_START_LOG_RATE, _START_LOG_ELEMENTS, _START_LOG_BYTES_PER_S, _START_LOG_CYCLES)
_SIGNS = (-1.0, -1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Problem:
    """The least-squares problem of some timings.

    `designs` `[row, effect]` of log r, log a, log b and log o, columns scaled by the prior's sigma; `names`
    and `sigmas` of the effects. A *point* holds all effects in units of their sigma.
    """

    timings: Timings
    cores: dict[str, CoreFacts]
    designs: tuple[Floats, ...]
    names: tuple[list[tuple[str, Hashable]], ...]
    sigmas: tuple[Floats, ...]

    @classmethod
    def of(cls, timings: Timings, cores: dict[str, CoreFacts]) -> "Problem":
        """Return the problem of `timings`."""
        made = [_design(groups(timings, cores)) for groups in _GROUPS]
        return cls(timings, cores, *zip(*made, strict=True))

    def split(self, point: Floats) -> list[Floats]:
        """Return the effects on log r, log a and log b."""
        return np.split(point, np.cumsum([design.shape[1] for design in self.designs])[:-1])

    def parts(self, point: Floats) -> list[Floats]:
        """Return the times [row] of arithmetic, of activations, of streaming and of overhead at `point`."""
        t = self.timings
        dense = t.dense_params * _weight_sizes(t, self.cores)
        work = (t.conv_macs / t.clock_hz, t.activations / t.clock_hz, dense, t.layers / t.clock_hz)
        return [
            amount * np.exp(sign * (start + design @ effects))
            for amount, sign, start, design, effects in zip(
                work, _SIGNS, _STARTS, self.designs, self.split(point), strict=True
            )
        ]

    def solve(self, rows: Flags, start: Floats | None = None) -> Floats:
        """Return the point that fits `rows` [row] best; from `start`, a near one, in fewer steps."""
        size = sum(design.shape[1] for design in self.designs)
        point = np.zeros(size) if start is None else start.copy()
        kept = [design[rows] for design in self.designs]
        target = np.log(self.timings.seconds)
        for _ in range(_STEPS if start is None else _WARM_STEPS):
            parts = self.parts(point)
            total = sum(parts)
            left = (target - np.log(total))[rows]
            shares = [(part / total)[rows, None] for part in parts]
            slope = np.hstack(
                [sign * share * design for sign, share, design in zip(_SIGNS, shares, kept, strict=True)]
            )
            weighted = slope / np.sqrt(1 + (left / LOSS_SCALE) ** 2)[:, None]
            normal = weighted.T @ slope + NOISE_SIGMA**2 * np.eye(size)
            step = np.linalg.solve(normal, weighted.T @ left - NOISE_SIGMA**2 * point)
            point = point + step * min(1.0, _LONGEST_STEP / np.abs(step).max())
        return point

    def seconds(self, point: Floats) -> Floats:
        """Return the predicted time [row] of all rows at `point`."""
        return np.asarray(sum(self.parts(point)))

    def fit(self, point: Floats) -> Fit:
        """Return the constants at `point`."""
        effects = [
            dict(zip(names, (values * sigmas).tolist(), strict=True))
            for names, values, sigmas in zip(self.names, self.split(point), self.sigmas, strict=True)
        ]
        return Fit(self.cores, *effects)


def _design(groups: list[Group]) -> tuple[Floats, list[tuple[str, Hashable]], Floats]:
    names: list[tuple[str, Hashable]] = []
    columns: list[Floats] = []
    sigmas: list[float] = []
    for group in groups:
        labels = sorted(set(group.labels), key=str)
        place = {label: index for index, label in enumerate(labels)}
        table = np.zeros((len(group.labels), len(labels)))
        table[np.arange(len(table)), [place[label] for label in group.labels]] = group.factor * group.sigma
        columns.append(table)
        names += [(group.name, label) for label in labels]
        sigmas += [group.sigma] * len(labels)
    return np.hstack(columns), names, np.array(sigmas)


def fit(timings: Timings, cores: dict[str, CoreFacts]) -> Fit:
    """Return the constants that fit `timings` best (deterministic)."""
    problem = Problem.of(timings, cores)
    return problem.fit(problem.solve(np.ones(len(timings), np.bool_)))


def relative_errors(fitted: Fit, timings: Timings) -> Floats:
    """Return predicted / measured - 1 [row]."""
    return np.asarray(fitted.seconds(timings) / timings.seconds - 1)
