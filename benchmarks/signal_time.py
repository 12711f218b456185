"""What the reports of each signal cost the simulation: python benchmarks/signal_time.py [--devices 8192].

Milliseconds of one core a device, by its own clock, of the sum that a block of phones gives, with every click
its own text, which is the dearest case. The least of five.
"""

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from fedbert.parts import SIGNALS
from fedbert.plugins import load_named
from fedbert.signals.report import report_layout, report_sum
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks


def unit(rng: np.random.Generator, rows: int, dim: int, about: np.ndarray | None = None) -> np.ndarray:
    """Return int8 unit vectors `[rows, dim]`, half as far from `about` as random ones if it is given."""
    drawn = rng.normal(size=(rows, dim))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    if about is not None:
        drawn += about / INT8_UNIT_LENGTH
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return np.rint(INT8_UNIT_LENGTH * drawn).astype(np.int8)


def main() -> None:
    """Print a line a signal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=8192)
    parser.add_argument("--items", type=int, default=278)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--clicks", type=int, default=8)
    flags = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (flags.devices, flags.clicks)
    # Items in groups of eight alike ones, between which a softmax is undecided, as in a real catalogue.
    groups = unit(rng, flags.items // 8 + 1, flags.dim)
    items = unit(rng, flags.items, flags.dim, groups[np.arange(flags.items) // 8])
    item = rng.integers(0, flags.items, shape)
    texts = unit(rng, item.size, flags.dim, items[item.ravel()])
    text = np.arange(item.size, dtype=np.int32).reshape(shape)
    clicks = Clicks(texts, text, item.astype(np.int32), np.zeros(shape, np.int8), items)
    for name in SIGNALS:
        signal = load_named(name, SIGNALS, "signal", "signal")()
        layout = report_layout(
            signal.layout(flags.items, flags.dim), clip_norm=1.0, largest_cohort=flags.devices
        )
        took = []
        with threadpool_limits(1):
            for _ in range(5):
                started = time.process_time()
                report_sum(signal, layout, clicks)
                took.append(time.process_time() - started)
        print(f"{name:<12} {1e3 * min(took) / flags.devices:.4f} ms a device, {layout.bytes_up:,} bytes up")


if __name__ == "__main__":
    main()
