"""Costs: the columns against one device and one loop, outcomes, and independence of blocks."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.devices.cost_model import (
    BUSY_HIGH,
    BUSY_LOW,
    BUSY_PROBABILITY,
    SCORING_OPERATORS,
    VARIATION_SIGMA,
    CostModel,
    Outcome,
    encoding,
    variation,
)
from fedbert.devices.energy import charge_mah, energy_mj, energy_of_charge_mj
from fedbert.devices.fleet import draw_fleet, standard_normal
from fedbert.devices.fleet_shares import load_fleet
from fedbert.devices.memory import ONNX_RUNTIME
from fedbert.devices.operations import GraphStorage, ModelOperations, Quadratic
from fedbert.devices.profiles import Core
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose

PROFILES = load_fleet()
OPERATIONS = ModelOperations(
    integer_macs=Quadratic(127_000, 786_000, 0),
    float_macs=Quadratic(0, 128, 1024),
    float_ops=Quadratic(3_000, 27_000, 192),
    traffic_bytes=Quadratic(978_000, 47_000, 128),
    operator_calls=55,
    weight_bytes=1_862_930,
    output_width=96,
    peak_lengths=np.array([1.0, 32.0, 64.0]),
    peak_bytes=np.array([3e3, 1e5, 3e5]),
    storage=GraphStorage(
        file_bytes=450_000,
        nodes=80,
        tensors=70,
        stored_bytes=440_000,
        largest_bytes=250_000,
        operators=45,
        constants=69,
        kept_bytes=445_000,
        nibbles=0,
    ),
)
MODEL = CostModel(PROFILES, OPERATIONS, artefact_bytes=1_900_000)
COUNT = 400
DEVICES = DeviceRange(11, 0, COUNT)
FLEET = draw_fleet(PROFILES, DEVICES)
ROWS = np.arange(COUNT)
TOKENS = 3 + ROWS % 40
UNIFORM = DEVICES.uniforms(Purpose.LATENCY, 1, 2)
COLD = ROWS % 3 == 0
COSTS = MODEL.session(FLEET, ROWS, TOKENS, 20, UNIFORM, COLD)


def at(quadratic: Quadratic, tokens: float) -> float:
    """Return a quadratic's value, written out."""
    return quadratic.constant + quadratic.per_token * tokens + quadratic.per_token_squared * tokens**2


@pytest.mark.parametrize("row", range(0, COUNT, 37))
def test_a_session_as_in_the_text_book(row: int) -> None:
    """One device and the formulas one after the other give what the columns give."""
    profile = PROFILES[FLEET.profile[row]]
    core, tokens = profile.big_core, int(TOKENS[row])
    factor = math.exp(VARIATION_SIGMA * float(standard_normal(UNIFORM[row : row + 1, 0])[0]))
    if UNIFORM[row, 1] < BUSY_PROBABILITY:
        factor *= BUSY_LOW * (BUSY_HIGH / BUSY_LOW) ** (UNIFORM[row, 1] / BUSY_PROBABILITY)
    factor /= FLEET.speed_factor[row]
    compute = at(OPERATIONS.integer_macs, tokens) / (core.int8_gmacs_per_s * 1e6)
    floats = at(OPERATIONS.float_macs, tokens) + at(OPERATIONS.float_ops, tokens)
    compute += floats / (core.float_gmacs_per_s * 1e6)
    memory = 1e3 * at(OPERATIONS.traffic_bytes, tokens) / core.memory_bytes_per_s
    overhead = 55 * core.overhead_us_per_operator / 1e3
    scoring = 20 * 96 * (1 + 8) / (core.int8_gmacs_per_s * 1e6)
    scoring += SCORING_OPERATORS * core.overhead_us_per_operator / 1e3
    load = 0.0
    if COLD[row]:
        load = profile.load.fixed_ms + 1e3 * 1.9e6 / profile.load.flash_bytes_per_s
        load += 1e3 * 1.9e6 / core.memory_bytes_per_s
    latency = (load + max(compute, memory) + overhead + scoring) * factor
    parts = (load, compute, memory, overhead, scoring)
    names = ("load_ms", "compute_ms", "memory_ms", "overhead_ms", "scoring_ms")
    for name, part in zip(names, parts, strict=True):
        assert getattr(COSTS, name)[row] == pytest.approx(part * factor, rel=1e-12), name
    assert COSTS.memory_bound[row] == (memory > compute)
    assert COSTS.latency_ms[row] == pytest.approx(latency, rel=1e-12)
    assert COSTS.energy_mj[row] == pytest.approx(latency * core.power_mw / 1000, rel=1e-12)
    low, high = (1.0, 3e3), (32.0, 1e5)
    if tokens > 32:
        low, high = (32.0, 1e5), (64.0, 3e5)
    activations = low[1] + (high[1] - low[1]) * (tokens - low[0]) / (high[0] - low[0])
    runtime = ONNX_RUNTIME
    session = runtime.session_bytes + 45 * runtime.session_bytes_per_operator
    session += 69 * runtime.session_bytes_per_constant
    running = 445_000 + session + runtime.activation_factor * activations
    reading = 450_000 + 440_000 + runtime.reading_bytes + 80 * runtime.reading_bytes_per_node
    reading += 70 * runtime.reading_bytes_per_tensor
    building = 440_000 + 250_000 + runtime.building_bytes + 80 * runtime.building_bytes_per_node
    building += 70 * runtime.building_bytes_per_tensor
    beside = 1_900_000 - 450_000 + (20 + 8 + 1) * 96
    assert COSTS.peak_memory_bytes[row] == int(beside + max(reading, building, running))


@pytest.mark.parametrize("vectors", [0, 1, 64])
def test_a_longer_history_costs_products_and_bytes(vectors: int) -> None:
    """Each remembered vector is 20 products of the width, and the width's bytes of memory; no other part
    changes.
    """
    one = replace(MODEL, history_vectors=vectors).session(FLEET, ROWS, TOKENS, 20, UNIFORM, COLD)
    rate = np.array([profile.big_core.int8_gmacs_per_s * 1e6 for profile in PROFILES])[FLEET.profile]
    more = (vectors - 8) * 20 * 96 / rate * variation(UNIFORM) / FLEET.speed_factor
    assert one.scoring_ms - COSTS.scoring_ms == pytest.approx(more, rel=1e-9)
    assert (one.peak_memory_bytes - COSTS.peak_memory_bytes == (vectors - 8) * 96).all()
    for name in ("load_ms", "compute_ms", "memory_ms", "overhead_ms"):
        assert np.array_equal(getattr(one, name), getattr(COSTS, name))


FULL = Core(
    int8_gmacs_per_s=80.0,
    float_gmacs_per_s=40.0,
    memory_bytes_per_s=2e9,
    overhead_us_per_operator=0.5,
    power_mw=1000.0,
    element_gops_per_s=20.0,
    overhead_us_per_product=2.0,
    overhead_us_per_run=8.0,
    parallel_share=0.75,
    wake_us_per_product=1.5,
)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_encoding_with_every_constant(threads: int) -> None:
    """Rates of elements, products, the run and threads enter as the formula says, in a session too."""
    ops = replace(OPERATIONS, product_calls=28)
    for tokens in (4, 40):
        part = 1 - 0.75 + 0.75 / threads
        integer, floats = at(ops.integer_macs, tokens) / 80e6, at(ops.float_macs, tokens) / 40e6
        compute = (integer + floats + at(ops.float_ops, tokens) / 20e6) * part
        memory = at(ops.traffic_bytes, tokens) / 2e6 * part
        overhead = (8.0 + 55 * 0.5 + 28 * (2.0 + (1.5 if threads > 1 else 0.0))) / 1e3
        found = encoding(FULL, ops, np.array([float(tokens)]), threads)
        assert found.compute_ms[0] == pytest.approx(compute, rel=1e-12)
        assert found.memory_ms[0] == pytest.approx(memory, rel=1e-12)
        assert found.overhead_ms[0] == pytest.approx(overhead, rel=1e-12)
        assert found.total_ms[0] == pytest.approx(max(compute, memory) + overhead, rel=1e-12)
        profiles = tuple(profile.model_copy(update={"big_core": FULL}) for profile in PROFILES)
        model = replace(MODEL, profiles=profiles, operations=ops, threads=threads)
        fleet = replace(FLEET, speed_factor=np.ones_like(FLEET.speed_factor))
        one = np.array([0])
        costs = model.session(
            fleet, one, np.array([tokens]), 20, np.array([[0.5, 0.5]]), np.zeros(1, np.bool_)
        )
        whole = costs.latency_ms[0] - costs.scoring_ms[0]
        assert whole == pytest.approx(found.total_ms[0], rel=1e-12)


def test_a_core_without_the_optional_constants() -> None:
    """More threads then change nothing, and elements go at the rate of float multiply-adds."""
    core, tokens = PROFILES[0].big_core, np.array([16.0])
    plain = core.model_copy(
        update=dict.fromkeys(
            (
                "element_gops_per_s",
                "overhead_us_per_product",
                "overhead_us_per_run",
                "parallel_share",
                "wake_us_per_product",
            )
        )
    )
    given = plain.model_copy(update={"element_gops_per_s": plain.float_gmacs_per_s, "parallel_share": 0.0})
    assert encoding(plain, OPERATIONS, tokens, 4) == encoding(given, OPERATIONS, tokens, 1)


def test_threads_must_be_a_number_of_threads() -> None:
    """None is no number of threads."""
    with pytest.raises(FedbertError, match=r"^threads\(=0\) must be at least 1"):
        replace(MODEL, threads=0)


def test_parts_make_up_the_latency() -> None:
    """Latency is load + the larger of compute and memory + overhead + scoring, to the bit."""
    work = np.maximum(COSTS.compute_ms, COSTS.memory_ms)
    assert (COSTS.latency_ms == COSTS.load_ms + work + COSTS.overhead_ms + COSTS.scoring_ms).all()
    assert (COSTS.load_ms > 0).tolist() == COLD.tolist()


def test_blocks_do_not_change_sessions() -> None:
    """Any split of the sessions, down to one at a time, gives the same bits."""
    for size in (1, 7, 133):
        parts = [
            MODEL.session(
                FLEET, ROWS[i : i + size], TOKENS[i : i + size], 20, UNIFORM[i : i + size], COLD[i : i + size]
            )
            for i in range(0, COUNT, size)
        ]
        for name in COSTS._fields:
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert joined.tobytes() == getattr(COSTS, name).tobytes(), name


def test_longer_texts_cost_more() -> None:
    """Time rises with the length of the text, and memory once encoding takes more than loading."""
    same = np.zeros(60, np.int64)
    uniform, cold = np.full((60, 2), 0.5), np.zeros(60, np.bool_)
    costs = MODEL.session(FLEET, same, np.arange(1, 61), 20, uniform, cold)
    assert (np.diff(costs.latency_ms) > 0).all()
    steps = np.diff(costs.peak_memory_bytes)
    assert (steps >= 0).all()
    assert (steps[-30:] > 0).all()


def test_variation() -> None:
    """The median session takes the model's time; one in twenty is slowed down by 1.5 to 4."""
    assert variation(np.array([[0.5, 0.5]])).tolist() == [1.0]
    assert variation(np.array([[0.5, 0.0499999], [0.5, 1e-12]])) == pytest.approx([4.0, 1.5], rel=1e-5)
    factors = variation(DeviceRange(0, 0, 20_000).uniforms(Purpose.LATENCY, 0, 2))
    assert np.median(factors) == pytest.approx(1.0, abs=0.03)
    assert np.quantile(factors, 0.95) > 1.4


def test_outcomes() -> None:
    """No release comes before memory, memory before time; both limits may be reached but not passed."""
    latency = np.array([300.0, 300.1, 300.1, 1.0, 1.0, 1.0, 999.0])
    peak = np.array([100, 100, 4_000_001, 4_000_000, 2_000, 2_001, 9_000_000])
    free = np.array([10**9, 10**9, 10**9, 10**9, 2_000, 2_000, 1])
    has = np.array([True, True, True, True, True, True, False])
    found = MODEL.outcomes(latency, peak, free, has)
    assert found.dtype == np.int8
    assert [Outcome(value).name for value in found] == [
        "SCORED",
        "TOO_SLOW",
        "OUT_OF_MEMORY",
        "SCORED",
        "SCORED",
        "OUT_OF_MEMORY",
        "NO_RELEASE",
    ]


def test_outcomes_are_sentences() -> None:
    """Each outcome reads as one sentence of its own."""
    sentences = [outcome.sentence for outcome in Outcome]
    assert len(set(sentences)) == 4
    assert all(text[0].isupper() and text.endswith(".") for text in sentences)


def test_installing_encodes_everything_on_a_little_core() -> None:
    """Time is the load and each text at the mean length, on the little core; storage a vector a text."""
    rows = np.array([5, 8])
    costs = MODEL.install(FLEET, rows, np.array([3_000, 100]), np.array([300, 5]))
    for index, (row, count, tokens) in enumerate([(5, 300, 10.0), (8, 5, 20.0)]):
        profile = PROFILES[FLEET.profile[row]]
        core = profile.little_core
        compute = at(OPERATIONS.integer_macs, tokens) / (core.int8_gmacs_per_s * 1e6)
        floats = at(OPERATIONS.float_macs, tokens) + at(OPERATIONS.float_ops, tokens)
        compute += floats / (core.float_gmacs_per_s * 1e6)
        memory = 1e3 * at(OPERATIONS.traffic_bytes, tokens) / core.memory_bytes_per_s
        load = profile.load.fixed_ms + 1e3 * 1.9e6 / profile.load.flash_bytes_per_s
        load += 1e3 * 1.9e6 / profile.big_core.memory_bytes_per_s
        one = max(compute, memory) + 55 * core.overhead_us_per_operator / 1e3
        expected = (load + count * one) / FLEET.speed_factor[row]
        assert costs.time_ms[index] == pytest.approx(expected, rel=1e-12)
        assert costs.energy_mj[index] == pytest.approx(expected * core.power_mw / 1000, rel=1e-12)
    assert costs.storage_bytes.tolist() == [1_900_000 + 300 * 96, 1_900_000 + 5 * 96]


def test_installing_nothing_to_encode() -> None:
    """A device without texts pays for the load alone."""
    costs = MODEL.install(FLEET, np.array([1]), np.array([0]), 0)
    assert 0 < costs.time_ms[0] < 1_000
    assert costs.storage_bytes.tolist() == [1_900_000]


def test_no_sessions_cost_nothing() -> None:
    """An empty block is fine."""
    none = np.zeros(0, np.int64)
    costs = MODEL.session(FLEET, none, none, 20, np.zeros((0, 2)), np.zeros(0, np.bool_))
    assert all(len(column) == 0 for column in costs)


def test_energy_units() -> None:
    """1 W for an hour is 3.6 kJ; at 3.6 V that is 277.8 mAh, and back."""
    assert energy_mj(1000.0, 3_600_000.0) == 3_600_000.0
    assert charge_mah(3_600_000.0, 3.6) == pytest.approx(277.7778, abs=1e-4)
    assert energy_of_charge_mj(charge_mah(5.0, 3.85), 3.85) == pytest.approx(5.0)


def test_threads_beyond_the_fastest_cluster_are_not_used() -> None:
    """On two big cores eight threads take as long as two, and less than one."""
    rows = np.flatnonzero([PROFILES[index].clusters[0].count == 2 for index in FLEET.profile])
    uniform, cold = np.full((len(rows), 2), 0.5), np.zeros(len(rows), np.bool_)
    times = [
        replace(MODEL, threads=threads).session(FLEET, rows, TOKENS[rows], 20, uniform, cold).latency_ms
        for threads in (1, 2, 8)
    ]
    assert len(rows) > 10
    assert (times[1] < times[0]).all()
    assert times[2].tolist() == times[1].tolist()
