"""Sets of pairs: tables of `text,text_b,label[,split]`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.teaching.splits import Split, held_out
from fedbert.ei_bert.teaching.tasks import SPLITS, named_splits
from fedbert.files import sha256_of
from fedbert.user_tables import TableFacts, read_table


@dataclass(frozen=True)
class PairPart:
    """Pairs of texts and their labels, `[pair]`, as indices into the set's sorted label names."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def texts(self) -> list[str]:
        """Return both texts of each pair as one."""
        return [f"{one} {other}" for one, other in zip(self.first, self.second, strict=True)]


@dataclass(frozen=True)
class PairSet:
    """One set of pairs. `labels` are its label names, sorted; a part may be empty.

    `read` is what was read of its file.
    """

    name: str
    labels: tuple[str, ...]
    train: PairPart
    validation: PairPart
    test: PairPart
    sha256: str
    read: TableFacts

    def parts(self) -> tuple[tuple[Split, PairPart], ...]:
        """Return the three splits by name."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))


def load_pair_set(path: Path) -> PairSet:
    """Read the pairs of one file.

    Without a split column every fifth pair of a label is for the test. Raises FedbertError in one line for a
    file, column, label or split that cannot be used.
    """
    table = read_table("data", path, ("text", "text_b", "label"), ("split",))
    first, second = ([text.strip() for text in table.text(name).to_pylist()] for name in ("text", "text_b"))
    labels = table.ids("label").values.to_pylist()
    for name, values in (("text", first), ("text_b", second), ("label", labels)):
        if "" in values:
            rule = f"not be empty ({values.count('')} of {len(values)} rows are)"
            raise table.bad(values.index(""), name, "", rule, "fill it in or drop the row")
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise table.refused(f"have labels of at least 2 classes (has {len(names)})", "check column label")
    whole = [f"{one}\n{other}" for one, other in zip(first, second, strict=True)]
    splits = named_splits(table) if "split" in table else held_out(whole, labels)
    parts: dict[Split, PairPart] = {}
    for split in SPLITS:
        rows = [row for row, own in enumerate(splits) if own == split]
        found = np.array([names.index(labels[row]) for row in rows], np.int64)
        parts[split] = PairPart(tuple(first[r] for r in rows), tuple(second[r] for r in rows), found)
    if missing := sorted(set(range(len(names))) - set(parts["train"].labels.tolist())):
        rule = f"have a pair of label {names[missing[0]]!r} in split train"
        raise table.refused(rule, "add pairs or drop the label")
    train, validation, test = (parts[split] for split in SPLITS)
    return PairSet(path.stem, names, train, validation, test, sha256_of(path), table.facts)
