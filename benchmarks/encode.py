"""Texts per second of the int8 student: python benchmarks/encode.py [--model FOLDER] [--texts N].

Encodes the shipped users' texts as a fleet would (each distinct text once, batches of one length) with one
and two threads, and one text at a time as a phone does. Prints a table; times are the best of three.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fedbert.ei_bert.artefact import load_artefact
from fedbert.ei_bert.runtime import Int8Encoder
from fedbert.paths import data_folder, models_folder


def _best(run: Callable[[], object], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=models_folder() / "default", help="artefact folder")
    parser.add_argument("--texts", type=int, default=20_000, help="distinct texts to encode")
    arguments = parser.parse_args()
    artefact = load_artefact(arguments.model)
    private = pd.read_parquet(data_folder() / "services" / "private.parquet")
    texts = private.text.drop_duplicates().head(arguments.texts).tolist()
    one, two = Int8Encoder(artefact, threads=1), Int8Encoder(artefact, threads=2)
    tokens = float(one.token_counts(texts).mean())
    few = texts[:500]
    print(f"{artefact.total_bytes:,} bytes, {len(texts):,} texts, {tokens:.1f} tokens each")
    print(f"batches of one length, 1 thread : {len(texts) / _best(lambda: one.encode(texts)):8,.0f} texts/s")
    print(f"batches of one length, 2 threads: {len(texts) / _best(lambda: two.encode(texts)):8,.0f} texts/s")
    alone = _best(lambda: [one.encode([text]) for text in few])
    print(f"one text at a time, 1 thread    : {len(few) / alone:8,.0f} texts/s")


if __name__ == "__main__":
    main()
