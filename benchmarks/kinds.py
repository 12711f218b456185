"""Heads of every kind on frozen students, beside the same heads on the frozen teacher.

    python benchmarks/kinds.py --data SET.parquet --model intents-small --model intents-default

The kind of a set follows from its columns: text,label, text,tags or text,text_b,label. Each head is fitted on
the training texts and scored on the test texts; nothing is chosen on these. The teacher is the installed one.
"""

import argparse
from pathlib import Path

from fedbert.cli.kinds import show_kinds
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.compression.kind_rows import kind_row, teacher_counts
from fedbert.ei_bert.model.bert import use_threads
from fedbert.ei_bert.pretrained import EiBert, model_folder
from fedbert.ei_bert.teaching.sets import load_set
from fedbert.ei_bert.teaching.teacher import load_teacher

_UNBOUNDED_BYTES = 10**12


def main() -> None:
    """Print a table for each set and model, as it is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    use_threads(1)
    teacher = load_teacher()
    for path in asked.data:
        found = load_set(path)
        theirs = teacher_counts(teacher, found, asked.seed)
        for name in asked.model:
            bert = EiBert(load_artefact(model_folder(name)), budget_bytes=_UNBOUNDED_BYTES)
            show_kinds([kind_row(bert, found, theirs, asked.seed)], name)


if __name__ == "__main__":
    main()
