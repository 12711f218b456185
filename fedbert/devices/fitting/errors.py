"""Predicted against measured times: the rows of device_profiles/errors.json, from the committed tables."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedbert.devices.fitting.engines import engine_rows, predicted_seconds, read_speech
from fedbert.devices.fitting.fitting import (
    FLOAT,
    INT8,
    CoreFacts,
    Flags,
    Floats,
    Timings,
    fit,
    relative_errors,
)
from fedbert.devices.fitting.left_out import known_cores, leave_out, with_one_time
from fedbert.devices.fitting.measured import ThreadedTimings, published_networks, read_cores, read_ncnn
from fedbert.devices.fitting.memory_report import memory_errors
from fedbert.devices.fitting.threads import paired, parallel_shares, threads_factor
from fedbert.devices.fitting.transformers import joined, read_bolt
from fedbert.devices.host.check import read_rows
from fedbert.results import DeviceErrorRow, EngineRow

PROBE = "squeezenet"
"""The network whose time is given where one time on a SoC is known."""

TWIN = "tinybert"


def error_row(what: str, errors: Floats, asked: float | None = None, note: str = "") -> DeviceErrorRow:
    """Return the row of signed relative `errors` [row]."""
    size = np.abs(errors)
    return {
        "what": what,
        "label": "measured",
        "rows": len(size),
        "median_error": round(float(np.median(size)), 4),
        "within_10": round(float(np.mean(size <= 0.1)), 4),
        "within_20": round(float(np.mean(size <= 0.2)), 4),
        "within_30": round(float(np.mean(size <= 0.3)), 4),
        "asked": asked,
        "note": note,
    }


@dataclass(frozen=True)
class Errors:
    """The rows of errors.json, and measured over predicted by engine."""

    rows: list[DeviceErrorRow]
    engines: list[EngineRow]


def all_errors(sources: Path) -> Errors:
    """Return the rows on time, then those on memory, and the engines, from the tables in `sources`."""
    host = np.array([row.error for row in read_rows(sources / "host_calibration.csv")])
    memory = memory_errors(sources / "memory_measured.csv")
    latency = latency_errors(sources)
    rows = [
        *latency.rows,
        error_row(
            "latency on the host: this model and other BERTs, 8 to 128 tokens, 1 and 2 threads",
            host,
            0.08,
            f"from single operators; worst {np.abs(host).max():.1%}",
        ),
        error_row(
            "peak memory on the host: shipped models, 8 to 64 tokens",
            memory,
            None,
            f"from other graphs; worst {np.abs(memory).max():.1%}, at most 10% asked",
        ),
    ]
    return Errors(rows, latency.engines)


def latency_errors(sources: Path) -> Errors:
    """Return the rows on time of other networks on phones and boards, and the engines, from `sources`."""
    cores, measured, bolt = read_cores(sources), read_ncnn(sources), read_bolt(sources)
    single = measured.timings.take(measured.threads == 1)
    fitted, shares, speech = (
        fit(joined(single, bolt), cores),
        parallel_shares(measured, cores),
        read_speech(sources),
    )
    heard = (predicted_seconds(speech, fitted, shares) / speech.seconds - 1)[speech.of("onnxruntime", INT8)]
    tinyberts, twin = _transformer_errors(single, bolt, cores), _is_twin(bolt)
    rows = [
        *_cnn_rows(single, cores, published_networks(sources)),
        *_thread_rows(measured, cores),
        *_transformer_rows(tinyberts[twin], tinyberts[~twin]),
        error_row(
            "ONNX Runtime, int8: two speech transformers on the RK3588, 1 to 4 threads",
            heard,
            None,
            f"none of its rows in the fit; {_signed(heard)}",
        ),
    ]
    made = engine_rows(sources, single, fitted, shares, (tinyberts, bolt.precision == INT8))
    return Errors(rows, made)


def _cnn_rows(
    single: Timings, cores: dict[str, CoreFacts], published: frozenset[str]
) -> list[DeviceErrorRow]:
    soc = leave_out(single, cores, single.soc)
    known = known_cores(single)
    probed, rows = with_one_time(single, soc, PROBE, FLOAT)
    network = leave_out(single, cores, single.network)
    stated = np.array([name in published for name in single.network])
    unknown = soc[~known & (single.precision == INT8)]
    return [
        error_row("one thread, in the fit", relative_errors(fit(single, cores), single)),
        error_row(
            "one thread, one SoC left out, its cores timed on another SoC",
            soc[known],
            0.15,
            "only its cores and clocks known",
        ),
        error_row(
            "one thread, one SoC left out, all", soc, None, "also cores that no other SoC of the table has"
        ),
        error_row("one thread, int8, on cores that no fitted row has", unknown, None, _signed(unknown)),
        error_row(
            "one thread, one SoC left out, one time on it known",
            probed[rows],
            0.10,
            f"that of {PROBE}, one thread",
        ),
        error_row("one thread, one network left out, all", network, 0.20),
        error_row("one thread, one network left out, its multiply-adds published", network[stated], 0.20),
    ]


def _thread_rows(measured: ThreadedTimings, cores: dict[str, CoreFacts]) -> list[DeviceErrorRow]:
    rows, one = paired(measured)
    shares = parallel_shares(measured, cores)
    t = measured.timings
    share = np.array([shares.get(cores[core].kind(), 0.0) for core in t.core])
    errors = one * threads_factor(share, measured.threads) / t.seconds - 1
    note = "time on one thread known"
    room = np.array([clusters[0].count for clusters in measured.clusters])
    chosen = (measured.threads <= 8) & (measured.threads <= room)
    few = t.take(chosen)
    alone = measured.threads[chosen] == 1
    blind = (1 + leave_out(few, cores, few.soc, alone)) * threads_factor(share, measured.threads)[chosen] - 1
    known, eight = known_cores(few), blind[measured.threads[chosen] == 8]
    return [
        error_row(
            "1 to 8 threads of one cluster, one SoC left out, its cores timed on another SoC",
            blind[known],
            0.15,
            "only its cores and clocks known",
        ),
        error_row("1 to 8 threads of one cluster, one SoC left out, all", blind),
        error_row("8 threads of one cluster, one SoC left out", eight, None, _signed(eight)),
        *(
            error_row(f"{threads} threads", errors[rows & (measured.threads == threads)], None, note)
            for threads in (2, 4, 8)
        ),
    ]


def _transformer_errors(single: Timings, bolt: Timings, cores: dict[str, CoreFacts]) -> Floats:
    """Return the errors [row] of Bolt's: TinyBERT from ncnn's networks alone, others with it in the fit."""
    twin = _is_twin(bolt)
    alone = relative_errors(fit(single, cores), bolt)
    others = relative_errors(fit(joined(single, bolt.take(twin)), cores), bolt)
    return np.where(twin, alone, others)


def _is_twin(bolt: Timings) -> Flags:
    return np.array([name == TWIN for name in bolt.network])


def _transformer_rows(alone: Floats, others: Floats) -> list[DeviceErrorRow]:
    return [
        error_row("TinyBERT on the Kirin 810, from ncnn's networks alone", alone, None, _spread(alone, 0.3)),
        error_row("other TinyBERTs there, TinyBERT in the fit", others, None, _spread(others, 0.2)),
    ]


def _signed(errors: Floats) -> str:
    """Return the median of signed errors and the range of nine of ten of them; of all, where they are few."""
    tail = 0.05 if len(errors) >= 20 else 0.0
    low, middle, high = np.quantile(errors, (tail, 0.5, 1 - tail))
    share = "nine of ten" if tail else "all"
    return f"predicted / measured - 1: median {middle:+.0%}, {share} {low:+.0%} to {high:+.0%}"


def _spread(errors: Floats, limit: float) -> str:
    """Return the range of signed errors, and how many are within the limit that was aimed at."""
    inside = int(np.sum(np.abs(errors) <= limit))
    return (
        f"{errors.min():+.0%} to {errors.max():+.0%}; {inside} of {len(errors)} within {limit:.0%}, "
        "which all should be"
    )
