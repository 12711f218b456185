"""How far the ways to rank tokens agree, and what pruning costs: python benchmarks/pruning.py [--every N].

Importance over the training texts of the three intent sets (every N-th), by the default teacher; tokens per
text and [UNK] on their test texts. Prints two Markdown tables.
"""

import argparse
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from fedbert.ei_bert.compression.token_pruning import (
    agreement,
    importance,
    pruned_vocabulary,
    rescored,
    smallest_size,
    spelling_report,
)
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.paths import data_folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, help="take every N-th training text")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1500, 2500, 4000, 7000])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sets = [pd.read_parquet(path) for path in sorted((data_folder() / "intents").glob("*.parquet"))]
    whole = pd.concat(sets)
    train = whole[whole.split == "train"].text.tolist()[:: arguments.every]
    test = whole[whole.split == "test"].text.tolist()
    teacher = load_teacher()

    attention, frequency = (importance(way, teacher, train) for way in ("attention", "frequency"))
    ratio = np.divide(attention, frequency, out=np.zeros_like(attention), where=frequency > 0)
    ways = {"attention": attention, "frequency": frequency, "attention per occurrence": ratio}
    least = smallest_size(teacher.vocabulary, train)
    print(f"{len(train):,} training texts, {(frequency > 0).sum():,} tokens used, at least {least} kept\n")

    print(f"| both keep | {' | '.join(f'{size:,}' for size in arguments.sizes)} |")
    print("|---|" + "---|" * len(arguments.sizes))
    for first, second in combinations(ways, 2):
        shares = (f"{agreement(ways[first], ways[second], size):.1%}" for size in arguments.sizes)
        print(f"| {first}, {second} | {' | '.join(shares)} |")

    print("\n| kept | by | tokens per text | before | [UNK] | attention kept |\n|---|---|---|---|---|---|")
    for size in arguments.sizes:
        again = rescored(frequency, "frequency", teacher, train, size)
        for name, found in {**ways, "frequency, second round": again}.items():
            kept = pruned_vocabulary(teacher.vocabulary, found, train, size, teacher.rules)
            report = spelling_report(teacher, kept, test, attention)
            print(
                f"| {size:,} | {name} | {report.tokens_per_text:.2f} | {report.tokens_per_text_before:.2f} "
                f"| {report.unknown_share:.4%} | {report.kept_attention_share:.2%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
