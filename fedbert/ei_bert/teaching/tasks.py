"""Classification sets for compression: CSV or Parquet files of `text,label[,split]`, one task a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fedbert.ei_bert.teaching.teacher import sha256_of
from fedbert.errors import FedbertError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_SPLIT_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}
_TEST_EVERY = 5
"""Without a split column every fifth text of a label is held out as test."""


@dataclass(frozen=True)
class Part:
    """Texts and their labels, `[text]`, as indices into the task's sorted label names."""

    texts: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Task:
    """One classification set. `labels` are its label names, sorted; `validation` may be empty."""

    name: str
    labels: tuple[str, ...]
    train: Part
    validation: Part
    test: Part
    sha256: str

    def part(self, split: Split) -> Part:
        """Return the texts of `split`."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


def load_tasks(paths: Sequence[Path]) -> tuple[Task, ...]:
    """Read one task from each file; a folder stands for its .csv and .parquet files.

    Raises FedbertError in one line for a file, column, label or split that cannot be used.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix in (".csv", ".parquet"))
            if not inside:
                raise FedbertError(f"data {path}: no .csv or .parquet file in this folder; give files")
            files += inside
        else:
            files.append(path)
    tasks = tuple(load_task(file) for file in files)
    names = [task.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FedbertError(f"data: two files are named {twice[0]}; a task's name is its file's, rename one")
    return tasks


def load_task(path: Path) -> Task:
    """Read the task of one file; see `load_tasks`."""
    table = _table(path)
    for column in ("text", "label"):
        if column not in table.columns:
            found = ", ".join(map(str, table.columns[:6]))
            raise FedbertError(
                f"{path}: column {column} is missing (found {found}); name it in the first line"
            )
    rows = table[["text", "label"]].astype(object).where(table[["text", "label"]].notna(), "")
    texts = [str(text).strip() for text in rows["text"]]
    labels = [str(label).strip() for label in rows["label"]]
    for name, values in (("text", texts), ("label", labels)):
        empty = next((index for index, value in enumerate(values) if not value), None)
        if empty is not None:
            raise FedbertError(
                f"{path}: {name} is empty in row {empty + 1} ({values.count('')} in all); fill or remove it"
            )
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise FedbertError(
            f"{path}: labels must be of at least 2 classes, found {len(names)}; check column label"
        )
    splits = _splits(path, table, labels)
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
            raise FedbertError(
                f"{path}: label {names[missing[0]]!r} has no text in split {split} "
                f"({len(missing)} such); add texts or drop the label"
            )
    return Task(path.stem, names, parts["train"], parts["validation"], parts["test"], sha256_of(path))


def _table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FedbertError(
            f"{path}: byte {error.start} is not UTF-8; save the file in that encoding"
        ) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FedbertError(f"{path} cannot be read ({str(error).splitlines()[0][:100]})") from error
    raise FedbertError(f"data {path}: must be a .csv or .parquet file of text,label[,split]")


def _splits(path: Path, table: pd.DataFrame, labels: list[str]) -> list[str]:
    if "split" in table.columns:
        found = [_SPLIT_NAMES.get(str(value).strip(), str(value).strip()) for value in table["split"]]
        wrong = next((value for value in found if value not in SPLITS), None)
        if wrong is not None:
            raise FedbertError(f"{path}: split {wrong!r} must be train, validation or test")
        return found
    seen: dict[str, int] = {}
    out = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append("test" if seen[label] % _TEST_EVERY == 0 else "train")
    return out
