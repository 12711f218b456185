"""Texts per second of the student: python benchmarks/encode.py [--model FOLDER] [--texts N] [--length L].

Encodes the shipped users' texts as a fleet would (each distinct text once, batches of one length) with one
and two threads, one text at a time, tokenising included, as a phone does, and, for students of runs, by a
second release that shares the states below its last layer with an earlier one. With `--length` the texts are
strung together and cut to exactly L tokens each. Prints a table; times are the best of three. Processor time
is printed beside: on a machine with other work it is the truer figure.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.known_texts import KnownTexts
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.model.tokenizer import MAX_TOKENS
from fedbert.paths import data_folder, models_folder


def _best(run: Callable[[], object], times: int = 3) -> tuple[float, float]:
    """Return the least (wall, processor) seconds of `times` runs."""
    walls, processors = [], []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


def of_length(encoder: Int8Encoder, texts: list[str], length: int) -> list[str]:
    """Return texts of exactly `length` tokens, at most as many as `texts`: words strung together and cut off
    where the tokens suffice; those that would split a word are left out.
    """
    made = []
    for start in range(len(texts)):
        words = " ".join(texts[start : start + length]).split()[:length]
        tries = [" ".join(words[:count]) for count in range(max(1, length // 3), len(words) + 1)]
        made += [
            text for text, count in zip(tries, encoder.token_counts(tries), strict=True) if count == length
        ][:1]
    return made


def _say_known(encoder: Int8Encoder, texts: list[str]) -> None:
    known = KnownTexts(texts)
    known.encode(encoder)  # as an earlier release, with the same lower layers, has done
    wall, processor = _best(partial(known.encode, encoder))
    each = f"{processor / len(texts) * 1e6:5.0f} us of processor each"
    kept = f"{known.kept_bytes / 1e6:.0f} MB kept"
    print(f"from the second release on, 1 thread: {len(texts) / wall:8,.0f} texts/s, {each}, {kept}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=models_folder() / "default", help="artefact folder")
    parser.add_argument("--texts", type=int, default=20_000, help="distinct texts to encode")
    parser.add_argument("--length", type=int, help="tokens of each text, specials included (3 to 64)")
    arguments = parser.parse_args()
    if arguments.length is not None and not 3 <= arguments.length <= MAX_TOKENS:
        parser.error(f"--length(={arguments.length}) must be 3 to {MAX_TOKENS}")
    artefact = load_artefact(arguments.model)
    private = pd.read_parquet(data_folder() / "services" / "private.parquet")
    texts = private.text.drop_duplicates().head(arguments.texts).tolist()
    one, two = Int8Encoder(artefact, threads=1), Int8Encoder(artefact, threads=2)
    if arguments.length is not None:
        texts = of_length(one, texts, arguments.length)
    tokens = float(one.token_counts(texts).mean())
    few = texts[:500]
    print(f"{artefact.total_bytes:,} bytes, {len(texts):,} texts, {tokens:.1f} tokens each")
    for name, encoder in (("1 thread ", one), ("2 threads", two)):
        wall, processor = _best(partial(encoder.vectors, texts))
        each = f"{processor / len(texts) * 1e6:5.0f} us of processor each"
        print(f"batches of one length, {name}: {len(texts) / wall:8,.0f} texts/s, {each}")
    if not one.pooled:
        _say_known(one, texts)
    wall, processor = (seconds / len(few) * 1e3 for seconds in _best(lambda: [one.vectors([t]) for t in few]))
    print(f"one text at a time, 1 thread    : {wall:8.3f} ms, {processor:.3f} ms of processor each")


if __name__ == "__main__":
    main()
