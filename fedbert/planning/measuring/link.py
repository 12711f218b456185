"""Check-ins and report uploads through a real SuperLink, as figures of a calibration, and their checks."""

from pathlib import Path

import numpy as np

from fedbert.federation.places.measured_link import LinkMeasured, Phase, Polls, measure_link
from fedbert.planning.capacity.calibration import CheckRow, MemoryCheckRow
from fedbert.planning.measuring.samples import (
    Measurements,
    Sample,
    each_and_fixed_memory,
    fixed_and_each,
    grown,
)

SMALL_BYTES, LARGE_BYTES = 1_000, 1_000_000
"""Far apart: what a message costs whatever its size would hide the bytes of a report."""
FEW, MANY, TURNS = 10, 40, 3
RATE_PER_S = 3.0
"""Spaced out, as phones come; the checks have half of it and twice as much, too."""
CHECK_RATES_PER_S = (1.5, 3.0, 6.0)
CHECK_ANSWERS = 24
OTHER_BYTES = 500_000
"""The second payload of the checks; the first is a report."""

POLLS, POLL_RATE_PER_S = 150, 30.0
POLL_TURNS = 5
CHECK_POLLS = 150
CHECK_POLL_RATES_PER_S = (20.0, 40.0, 80.0)

HELD = (40, 100, 160, 280)
"""Answers held at a time, ascending: the first and third are fitted to, the others are checks."""

_WHERE = "SuperLink and ServerApp on loopback, no TLS, asked by Flower's own SuperNode connection"
HOW_CHECK_IN = f"a poll that finds nothing; {_WHERE}"
HOW_UPLOAD = f"a question and its answer, a message each, whatever the size; {_WHERE}"
HOW_BYTE = f"for each byte of an answer; {_WHERE}"
HOW_ROUND = f"a round beside its answers; {_WHERE}"


def link_samples(folder: Path, report_bytes: int) -> Measurements:
    """Return what check-ins and uploads cost, and the checks; `folder` is an empty one to work in."""
    polls, phases = schedule(report_bytes)
    return measurements_of(measure_link(folder, phases, polls), report_bytes)


def schedule(report_bytes: int) -> tuple[list[Polls], list[Phase]]:
    """Return what is measured, in its order: what is fitted to and what checks it in turns."""
    polls = [Polls(POLLS, POLL_RATE_PER_S)]
    for turn in range(POLL_TURNS - 1):
        polls.append(Polls(POLLS, POLL_RATE_PER_S))
        if turn < len(CHECK_POLL_RATES_PER_S):
            polls.append(Polls(CHECK_POLLS, CHECK_POLL_RATES_PER_S[turn]))
    # The first phase has the start of the ServerApp in it; memory only grows, so what is held comes next.
    phases = [Phase(FEW, SMALL_BYTES), *(Phase(count, report_bytes) for count in HELD)]
    for turn in range(TURNS):
        phases += [
            Phase(FEW, SMALL_BYTES, RATE_PER_S),
            Phase(MANY, SMALL_BYTES, RATE_PER_S),
            Phase(MANY, LARGE_BYTES, RATE_PER_S),
            *(Phase(CHECK_ANSWERS, size, CHECK_RATES_PER_S[turn]) for size in (report_bytes, OTHER_BYTES)),
        ]
    return polls, phases


def measurements_of(measured: LinkMeasured, report_bytes: int) -> Measurements:
    """Return the figures and checks of what `schedule` has."""
    polls, phases = schedule(report_bytes)
    fitted = tuple(
        spent / POLLS
        for each, spent in zip(polls, measured.polls_cpu_s, strict=True)
        if each.rate_per_s == POLL_RATE_PER_S
    )
    a_poll = _mean(fitted)
    checks: list[CheckRow] = [
        _check("check-ins", each.rate_per_s, each.count, 0, each.count * a_poll, spent)
        for each, spent in zip(polls, measured.polls_cpu_s, strict=True)
        if each.rate_per_s != POLL_RATE_PER_S
    ]
    first = 1 + len(HELD)
    turns = np.array(measured.phase_cpu_s[first:]).reshape(TURNS, -1)
    # An opener belongs to each: another round, another message, of hardly a byte.
    each = (turns[:, 2] - turns[:, 1]) / (MANY * (LARGE_BYTES - SMALL_BYTES))
    sized = turns[:, :2] - each[:, None] * SMALL_BYTES * np.array([FEW, MANY])
    two_rounds, a_message = fixed_and_each(sized[:, 0].tolist(), sized[:, 1].tolist(), FEW + 1, MANY + 1)
    rounds = tuple(value / 2 for value in two_rounds)
    a_round, an_upload, a_byte = (_mean(values) for values in (rounds, a_message, each.tolist()))
    for phase, spent in zip(phases[first:], measured.phase_cpu_s[first:], strict=True):
        if phase.answers == CHECK_ANSWERS and phase.rate_per_s is not None:
            bytes_ = phase.answers * phase.bytes_each
            predicted = 2 * a_round + (phase.answers + 1) * an_upload + bytes_ * a_byte
            checks.append(
                _check("uploads", phase.rate_per_s, phase.answers, phase.bytes_each, predicted, spent)
            )
    memory, memory_checks = _memory(measured.memory_bytes, report_bytes)
    samples = [
        Sample("check_in_cpu_s", fitted, HOW_CHECK_IN),
        Sample("link_round_cpu_s", rounds, HOW_ROUND),
        Sample("upload_cpu_s", a_message, HOW_UPLOAD),
        Sample("upload_byte_cpu_s", tuple(each.tolist()), HOW_BYTE),
        *memory,
    ]
    return Measurements(tuple(samples), tuple(checks), tuple(memory_checks))


def _memory(peaks: tuple[int, ...], report_bytes: int) -> tuple[list[Sample], list[MemoryCheckRow]]:
    held = dict(zip(HELD, peaks[2:], strict=False))
    few, _, many, _ = HELD
    each, fixed = each_and_fixed_memory(held, few, many)
    how = f"resident peak of SuperLink and ServerApp, {few} and {many} answers of a report at a time"
    return [
        Sample("link_memory_bytes", (fixed,), f"{how}: without any"),
        Sample("link_report_memory_bytes", (each,), f"{how}: for each"),
    ], grown("check-ins and uploads", held, (few, many), each, report_bytes)


def _check(
    part: str, rate_per_s: float, count: int, bytes_each: int, predicted: float, measured: float
) -> CheckRow:
    return {
        "part": part,
        "rate_per_s": rate_per_s,
        "count": count,
        "bytes_each": bytes_each,
        "predicted_cpu_s": predicted,
        "measured_cpu_s": measured,
    }


def _mean(values: tuple[float, ...]) -> float:
    return max(0.0, float(np.mean(values)))
