"""Bolt's measured TinyBERTs as rows for the fit, and what the fit says of a transformer on any core."""

from pathlib import Path

import numpy as np

from fedbert.devices.fitting.assumptions import read_assumptions
from fedbert.devices.fitting.fitting import FLOAT, INT8, NEWEST_BUILD, Fit, Timings
from fedbert.table_files import rows_of

FAMILY = "transformer"

MACS_PER_OPERATOR = 1e6
"""Work of one operator at which rates are given: an ultra-compact BERT's product at some tens of tokens."""
_PRECISIONS = {"fp16": FLOAT, "int8": INT8}


def transformer_macs(layers: int, hidden: int, feed_forward: int, tokens: int) -> float:
    """Return the multiply-adds of a BERT: projections, feed-forward, scores and weighted sums."""
    return float(layers * tokens * (4 * hidden**2 + 2 * hidden * feed_forward + 2 * hidden * tokens))


def transformer_activations(layers: int, hidden: int, feed_forward: int, tokens: int) -> float:
    """Return the outputs of a BERT's products: queries, keys, values, scores, sums, and the two layers."""
    return float(layers * tokens * (6 * hidden + feed_forward + tokens))


def read_bolt(sources: Path) -> Timings:
    """Return Bolt's rows in half precision and int8, of all TinyBERTs.

    Single precision is left out: ncnn computes floats of these cores in half precision, so that there is
    nothing to compare those rows with.
    """
    facts = read_assumptions(sources)["transformer"]
    rows = [row for row in rows_of(sources / "tinybert_kirin810.csv") if row["precision"] in _PRECISIONS]
    shapes = [facts["shapes"][row["model"]] for row in rows]
    tokens, core = facts["tokens"], [f"Cortex-{row['core']}" for row in rows]
    return Timings(
        board=("kirin-810",) * len(rows),
        soc=(facts["soc"],) * len(rows),
        core=tuple(core),
        network=tuple(row["model"] for row in rows),
        shapes=tuple(row["model"] for row in rows),
        family=(FAMILY,) * len(rows),
        precision=np.array([_PRECISIONS[row["precision"]] for row in rows]),
        build=np.full(len(rows), NEWEST_BUILD),
        clock_hz=np.array([1e9 * facts["clock_ghz"][name] for name in core]),
        conv_macs=np.array([transformer_macs(a, b, c, tokens) for a, b, c in shapes]),
        activations=np.array([transformer_activations(a, b, c, tokens) for a, b, c in shapes]),
        dense_params=np.zeros(len(rows)),
        layers=np.array([float(facts["operators_per_layer"] * shape[0]) for shape in shapes]),
        seconds=np.array([float(row["avg_ms"]) / 1000 for row in rows]),
    )


def joined(one: Timings, other: Timings) -> Timings:
    """Return the rows of both."""
    columns = (
        np.concatenate([mine, theirs]) if isinstance(mine, np.ndarray) else mine + theirs
        for mine, theirs in zip(vars(one).values(), vars(other).values(), strict=True)
    )
    return Timings(*columns)  # type: ignore[arg-type]


def transformer_rates(fitted: Fit, core: str, precision: int) -> tuple[float, float, float]:
    """Return (multiply-adds per cycle, cycles per operator, bytes per second) of a transformer on `core`.

    With the newest build, on a SoC that was never seen; raises KeyError for a core without facts.
    """
    row = _one_row(core, precision)
    return (
        float(fitted.macs_per_cycle(row)[0]),
        float(fitted.overhead_cycles(row)[0]),
        float(fitted.bytes_per_s(row)[0]),
    )


def _one_row(core: str, precision: int) -> Timings:
    one = np.ones(1)
    return Timings(
        board=("",),
        soc=("",),
        core=(core,),
        network=("",),
        shapes=("",),
        family=(FAMILY,),
        precision=np.array([precision]),
        build=np.array([NEWEST_BUILD]),
        clock_hz=one,
        conv_macs=MACS_PER_OPERATOR * one,
        activations=one,
        dense_params=one,
        layers=one,
        seconds=one,
    )
