"""What the aggregator spends: adding masked vectors of phones, taking the masks off, the noise."""

import time
from collections.abc import Mapping

import numpy as np

from fedbert.federation.aggregator import Aggregator, AggregatorState, MaskedReport
from fedbert.federation.protocol import Member, RoundOrder
from fedbert.machine import peak_memory_bytes
from fedbert.planning.capacity.calibration import CheckRow
from fedbert.planning.measuring.samples import (
    Measurements,
    Sample,
    each_and_fixed_memory,
    fixed_and_each,
    grown,
)
from fedbert.privacy.mechanism import Mechanism
from fedbert.privacy.secure_sum import masked_vector
from fedbert.signals.report import ReportLayout

FEW, MANY, REPEATS = 32, 160, 30
HELD = (100, 200, 400, 600, 1_200)
"""Reports of a round whose memory is asked for; the first and fourth are fitted to, the others are checks."""
RATES_PER_S = (25, 50, 100)
"""Reports of a round in the check, as if they came in a second; as many rounds as there are repeats."""

HOW_REPORT = "one phone's masked vector added and its mask taken off, keys dealt; each phone is a party"
HOW_ROUND = "a round's opening beside its reports: graph, decoding, bound, noise; nobody drops out"


def aggregator_samples(layout: ReportLayout, mechanism: Mechanism) -> Measurements:
    """Return what reports and rounds cost, and the check at three rates."""
    _opened(layout, mechanism, FEW, 1)  # warms caches up
    numbers = range(2, 2 + 2 * REPEATS, 2)
    pairs: list[tuple[float, float]] = []
    loads = dict.fromkeys(RATES_PER_S, 0.0)
    # In turns: what else the machine does in the meantime bears on figures and check alike.
    for round_ in numbers:
        pairs.append((_opened(layout, mechanism, FEW, round_), _opened(layout, mechanism, MANY, round_ + 1)))
        for rate in RATES_PER_S:
            loads[rate] += _opened(layout, mechanism, rate, round_)
    fixed, each = fixed_and_each([pair[0] for pair in pairs], [pair[1] for pair in pairs], FEW, MANY)
    found = (
        Sample("aggregator_report_cpu_s", each, HOW_REPORT),
        Sample("aggregator_round_cpu_s", fixed, HOW_ROUND),
    )
    a_report, a_round = (max(0.0, float(np.mean(sample.values))) for sample in found)
    checks: list[CheckRow] = [
        {
            "part": "aggregator",
            "rate_per_s": float(rate),
            "count": rate * REPEATS,
            "bytes_each": layout.bytes_up,
            "predicted_cpu_s": REPEATS * (a_round + rate * a_report),
            "measured_cpu_s": spent,
        }
        for rate, spent in loads.items()
    ]
    return Measurements(found, tuple(checks), ())


def held_memory(layout: ReportLayout, mechanism: Mechanism, phones: int) -> int:
    """Return the peak of a process of its own that opens a round of so many phones, all reports held."""
    _opened(layout, mechanism, phones, 1)
    return peak_memory_bytes()


def memory_of(peaks: Mapping[int, float], report_bytes: int) -> Measurements:
    """Return what a report takes and what the process takes without any, from the peaks of `HELD`."""
    few, _, _, many, _ = HELD
    each, fixed = each_and_fixed_memory(peaks, few, many)
    how = f"peaks of processes that open a round of {few} and of {many} reports, all of them held"
    samples = (
        Sample("aggregator_memory_bytes", (fixed,), f"{how}: without any"),
        Sample("aggregator_report_memory_bytes", (each,), f"{how}: for each"),
    )
    return Measurements(samples, (), tuple(grown("aggregator", peaks, (few, many), each, report_bytes)))


def _opened(layout: ReportLayout, mechanism: Mechanism, phones: int, round_: int) -> float:
    """Return the CPU seconds of the aggregator for a round of so many phones, each a party of its own."""
    members = tuple(Member(index, index + 1, index, 1) for index in range(phones))
    aggregator = Aggregator(
        mechanism,
        layout,
        members,
        noise_seed=round_,
        min_reports=2,
        largest_cohort=phones,
        devices=phones,
    )
    started = time.process_time()
    keys = aggregator.deal(round_)
    spent = time.process_time() - started
    # What phones do is not the aggregator's.
    values = np.zeros(layout.size, np.uint32)
    reports = {party: MaskedReport(masked_vector(values, party, keys[party]), 1) for party in keys}
    started = time.process_time()
    opened, refused, _ = aggregator.open(RoundOrder(round_, 0, 0), reports, AggregatorState())
    spent += time.process_time() - started
    if opened.sums is None or refused:
        raise RuntimeError(f"the measured round was not opened: {opened.held}")
    return spent
