"""Classification sets for compression: tables of `text,label[,split]`, one task a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.teaching.splits import Split, held_out
from fedbert.errors import FedbertError
from fedbert.files import sha256_of
from fedbert.user_tables import TableFacts, UserTable, is_table, read_table

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_SPLIT_NAMES: dict[str, Split] = {split: split for split in SPLITS}
_SPLIT_NAMES |= {"val": "validation", "valid": "validation", "dev": "validation"}


@dataclass(frozen=True)
class Part:
    """Texts and their labels, `[text]`, as indices into the task's sorted label names."""

    texts: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Task:
    """One classification set. `labels` are its label names, sorted; `validation` may be empty.

    `read` is what was read of its file; None for a set of no file.
    """

    name: str
    labels: tuple[str, ...]
    train: Part
    validation: Part
    test: Part
    sha256: str
    read: TableFacts | None = None

    def part(self, split: Split) -> Part:
        """Return the texts of `split`."""
        return dict(self.parts())[split]

    def parts(self) -> tuple[tuple[Split, Part], ...]:
        """Return the three splits by name."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))


def load_tasks(paths: Sequence[Path]) -> tuple[Task, ...]:
    """Read one task from each file; a folder stands for its .csv, .tsv and .parquet files.

    Raises FedbertError in one line for a file, column, label or split that cannot be used.
    """
    return tuple(load_task(file) for file in set_files(paths))


def set_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of `paths`; a folder stands for its .csv, .tsv and .parquet files.

    Raises FedbertError for a folder without one, and for two files of one name.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if is_table(file))
            if not inside:
                raise FedbertError(f"data {path}: no .csv, .tsv or .parquet file in this folder; give files")
            files += inside
        else:
            files.append(path)
    names = [file.stem for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FedbertError(f"data: two files are named {twice[0]}; a task's name is its file's, rename one")
    return files


def load_task(path: Path) -> Task:
    """Read the task of one file; see `load_tasks`."""
    table = read_table("data", path, ("text", "label"), ("split",))
    texts = [text.strip() for text in table.text("text").to_pylist()]
    labels = table.ids("label").values.to_pylist()
    for name, values in (("text", texts), ("label", labels)):
        if "" in values:
            rule = f"not be empty ({values.count('')} of {len(values)} rows are)"
            raise table.bad(values.index(""), name, "", rule, "fill it in or drop the row")
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        rule = f"have labels of at least 2 classes (has {len(names)})"
        raise table.refused(rule, "check column label")
    splits = _splits(table, texts, labels)
    place = {name: index for index, name in enumerate(names)}
    parts = {
        split: Part(
            tuple(text for text, own in zip(texts, splits, strict=True) if own == split),
            np.array([place[n] for n, own in zip(labels, splits, strict=True) if own == split], np.int64),
        )
        for split in SPLITS
    }
    for split in SPLITS:
        missing = sorted(set(range(len(names))) - set(parts[split].labels.tolist()))
        if missing and (split != "validation" or len(parts[split])):
            rule = f"have a text of label {names[missing[0]]!r} in split {split} ({len(missing)} such labels)"
            raise table.refused(rule, "add texts or drop the label")
    return Task(
        path.stem, names, parts["train"], parts["validation"], parts["test"], sha256_of(path), table.facts
    )


def _splits(table: UserTable, texts: list[str], labels: list[str]) -> list[Split]:
    if "split" in table:
        return named_splits(table)
    return held_out(texts, labels)


def named_splits(table: UserTable) -> list[Split]:
    """Return the split that each row names; raises FedbertError, by its row, for another name."""
    found: list[Split] = []
    for row, value in enumerate(table.text("split").to_pylist()):
        split = _SPLIT_NAMES.get(value.strip())
        if split is None:
            raise table.bad(row, "split", value, "be train, validation or test", "mend the row")
        found.append(split)
    return found
