"""Pairs of texts out of a set of intents: `python benchmarks/intent_pairs.py SET.parquet OUTPUT.parquet`.

No set of pairs is shipped; this makes one of `text,text_b,label,split` out of a shipped set of
`text,label,split`. A pair is `same` if both texts have one label, else `different`. Half of the pairs are
`same`. Of the others half are any two texts of two labels, and half are hard: the second text is the one, of
fifty of other labels, that shares most words with the first. Pairs of a split have texts of that split alone.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fedbert.files import write_bytes
from fedbert.table_files import parquet_bytes

SEED, TRIED = 0, 50
PAIRS = {"train": 8_000, "test": 2_000}


def pairs_of(texts: list[str], labels: list[str], count: int, draw: np.random.Generator) -> pd.DataFrame:
    """Return `count` pairs of `texts` with columns text, text_b and label, in a random order."""
    by_label = pd.Series(range(len(texts))).groupby(labels).agg(list).to_dict()
    words = [set(text.lower().split()) for text in texts]
    rows = []
    for place in range(count):
        first = int(draw.integers(len(texts)))
        if place % 2:
            others = [row for row in by_label[labels[first]] if row != first]
            second = others[int(draw.integers(len(others)))]
        else:
            some = draw.integers(len(texts), size=TRIED if place % 4 else 1).tolist()
            others = [row for row in some if labels[row] != labels[first]]
            if not others:
                continue
            second = max(others, key=lambda row: len(words[first] & words[row]) / len(words[row]))
        rows.append((texts[first], texts[second], "same" if place % 2 else "different"))
    order = draw.permutation(len(rows))
    return pd.DataFrame([rows[row] for row in order], columns=["text", "text_b", "label"])


def main(source: Path, output: Path) -> None:
    """Write the pairs of a set's training and test texts."""
    table = pd.read_parquet(source)
    parts = []
    for index, (split, count) in enumerate(PAIRS.items()):
        own = table[table["split"] == split]
        draw = np.random.default_rng([SEED, index])
        found = pairs_of(own["text"].tolist(), own["label"].astype(str).tolist(), count, draw)
        parts.append(found.assign(split=split))
        print(f"{split}: {len(found)} pairs, {(found['label'] == 'same').mean():.1%} same")
    write_bytes(output, parquet_bytes(pd.concat(parts)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
