"""What reports and noise cost the simulation: python benchmarks/signal_time.py [--rounds 12].

Milliseconds of one core, by its own clock. Of each signal: a device's part of the sum that a block of phones
gives, with every click its own text, which is the dearest case; the least of five. Of each mechanism: the
noise of all rounds of a run, on one sum each, whatever the fleet.
"""

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from fedbert.parts import MECHANISMS, SIGNALS
from fedbert.plugins import load_named
from fedbert.privacy.mechanism import Mechanism, PrivacySettings
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


def noise_s(mechanism: Mechanism, rounds: int, size: int) -> float:
    """Return the processor seconds of the noise of all `rounds` sums of `size` coordinates."""
    started = time.process_time()
    for round_ in range(1, rounds + 1):
        if mechanism.gathered(round_):
            mechanism.on_sum(7, round_, size)
    return time.process_time() - started


def main() -> None:
    """Print a line a signal and a line a mechanism."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=8192)
    parser.add_argument("--items", type=int, default=278)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--clicks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
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
    settings = PrivacySettings(2.0, 1e-6, 0.1, 1.0, flags.rounds, 12.0, 10_000, noise_multiplier=1.0)
    size = flags.items * (flags.dim + 1)
    for name in MECHANISMS:
        mechanism = load_named(name, MECHANISMS, "mechanism", "mechanism").make(settings)
        with threadpool_limits(1):
            took_s = noise_s(mechanism, flags.rounds, size)
        print(f"{name:<12} {1e3 * took_s:.1f} ms for {flags.rounds} rounds of {size:,} coordinates")


if __name__ == "__main__":
    main()
