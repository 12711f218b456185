"""What ONNX Runtime's rows would add to the fit: errors without and with them, on rows that were not fitted.

They are a check and stay out of the fit unless this table shows a gain. ``build_profiles.py --errors`` writes
it to ``device_profiles/sources/added_rows.csv``.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedbert.devices.fitting.assumptions import read_assumptions
from fedbert.devices.fitting.engines import EngineTimings, predicted_seconds, read_speech
from fedbert.devices.fitting.fitting import (
    INT8,
    NEWEST_BUILD,
    Fit,
    Flags,
    Floats,
    Timings,
    fit,
    relative_errors,
)
from fedbert.devices.fitting.measured import read_cores, read_ncnn
from fedbert.devices.fitting.threads import parallel_shares
from fedbert.devices.fitting.transformers import FAMILY, joined, read_bolt, transformer_activations
from fedbert.table_files import rows_of

ADDED = "added_rows.csv"
COLUMNS = ("what", "rows", "median_without", "median_with")
TWIN = "tinybert"
_SPEECH_SOC = "RK3588"

Row = tuple[str, int, float, float]
"""What, number of rows, median |error| without and with ONNX Runtime's rows."""


def onnx_timings(sources: Path) -> Timings:
    """Return ONNX Runtime's rows on one thread for the fit: SenseVoice on two cores, Parakeet on one."""
    facts, speech = read_assumptions(sources), read_speech(sources)
    kept = np.flatnonzero(speech.of("onnxruntime", INT8) & (speech.threads == 1))
    names = tuple(speech.network[row] for row in kept)
    shapes = [facts["speech"]["shapes"][name] for name in names]
    operators = facts["transformer"]["operators_per_layer"]
    return Timings(
        board=("rk3588-speech",) * len(kept),
        soc=(_SPEECH_SOC,) * len(kept),
        core=tuple(speech.core[row] for row in kept),
        network=names,
        shapes=names,
        family=(FAMILY,) * len(kept),
        precision=speech.precision[kept],
        build=np.full(len(kept), NEWEST_BUILD),
        clock_hz=speech.clock_hz[kept],
        conv_macs=speech.macs[kept],
        activations=np.array([transformer_activations(*shape) for shape in shapes]),
        dense_params=np.zeros(len(kept)),
        layers=np.array([float(operators * shape[0]) for shape in shapes]),
        seconds=speech.seconds[kept],
    )


def compare_added(sources: Path) -> list[Row]:
    """Return the errors with and without the rows; eight fits, some 40 s."""
    cores, measured, bolt = read_cores(sources), read_ncnn(sources), read_bolt(sources)
    shares, speech = parallel_shares(measured, cores), read_speech(sources)
    single = measured.timings.take(measured.threads == 1)
    added, both = onnx_timings(sources), joined(single, bolt)
    twin = np.array([name == TWIN for name in bolt.network])
    onnx, ncnn = speech.of("onnxruntime", INT8), speech.of("ncnn", INT8)
    parakeet = np.array([name.startswith("Parakeet") for name in speech.network])
    new = np.array([name.startswith("Parakeet") for name in added.network])
    rates = fit(both, cores)

    def heard(rows: Flags) -> Callable[[Fit], Floats]:
        return lambda found: _errors(speech, found, shares)[rows]

    def compare(what: str, errors: Callable[[Fit], Floats], without: Fit, more: Timings) -> Row:
        return _row(what, errors(without), errors(fit(more, cores)))

    alone, known = fit(single, cores), joined(single, bolt.take(twin))
    everything = fit(joined(both, added), cores)
    return [
        compare(
            "ONNX Runtime: Parakeet, SenseVoice's rows added",
            heard(onnx & parakeet),
            rates,
            joined(both, added.take(~new)),
        ),
        compare(
            "ONNX Runtime: SenseVoice, Parakeet's row added",
            heard(onnx & ~parakeet),
            rates,
            joined(both, added.take(new)),
        ),
        _row("ncnn: SenseVoice in int8", heard(ncnn)(rates), heard(ncnn)(everything)),
        compare(
            "Bolt: TinyBERT, none of Bolt's rows in the fit",
            lambda found: relative_errors(found, bolt)[twin],
            alone,
            joined(single, added),
        ),
        compare(
            "Bolt: other TinyBERTs, TinyBERT in the fit",
            lambda found: relative_errors(found, bolt)[~twin],
            fit(known, cores),
            joined(known, added),
        ),
        _row(
            "ncnn's benchmark, in the fit",
            relative_errors(rates, single),
            relative_errors(everything, single),
        ),
    ]


def added_table(file: Path) -> list[str]:
    """Return the rows of `file` (`ADDED`) as Markdown lines."""
    lines = ["| median error of | rows | without | with |", "|---|---|---|---|"]
    for row in rows_of(file):
        without, added = float(row["median_without"]), float(row["median_with"])
        lines.append(f"| {row['what']} | {row['rows']} | {without:.1%} | {added:.1%} |")
    return lines


def _errors(speech: EngineTimings, fitted: Fit, shares: dict[str, float]) -> Floats:
    return np.asarray(predicted_seconds(speech, fitted, shares) / speech.seconds - 1)


def _row(what: str, without: Floats, added: Floats) -> Row:
    medians = [round(float(np.median(np.abs(errors))), 4) for errors in (without, added)]
    return what, len(without), medians[0], medians[1]
