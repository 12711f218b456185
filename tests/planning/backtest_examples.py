"""A back-test of invented figures, for the tests of pages, tables and the dictionary."""

from fedbert.planning.capacity.backtest import Backtest, Checked

DOWN, TOTAL = "energy per day, downloads", "downloads per day"


def example_backtest() -> Backtest:
    """Return three seeds: one figure that all miss, some that hold, and one of which nothing came out."""
    rows = []
    for seed in range(3):
        rows += [
            Checked(30_000, seed, DOWN, None, "entry", "mJ", 12_000.0, 10_000.0, 14_000.0, 11_000.0 + seed),
            Checked(
                30_000, seed, DOWN, None, "flagship", "mJ", 12_000.0, 10_000.0, 14_000.0, 18_206.0, 0.25, 0.4
            ),
            Checked(30_000, seed, TOTAL, None, None, "downloads", 20_000.0, 19_000.0, 22_000.0, 21_000.0),
            Checked(30_000, seed, "eligible devices", 3, None, "devices", 9.0, 0.0, 20.0, 0.0),
        ]
    return Backtest(3_000, 3, 24, 0.2, tuple(rows))
