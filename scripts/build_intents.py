"""Build the benchmark sets: `python scripts/build_intents.py DATA_FOLDER` writes fedbert/data/intents/.

DATA_FOLDER has the published files unchanged: clinc150/data_full.json, hwu64/kfold1_{train,test}.csv and
banking77/banking_data/{train,test}.csv, each with its LICENSE. A set becomes one Parquet file of columns
`text`, `label`, `split` (train, validation or test), rows in the published order. CLINC150's out-of-scope
texts are no label's: they go to fedbert/data/out_of_scope/clinc150.parquet, of columns `text` and `split`.
HWU64's label is its (scenario, intent) pair.
"""

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fedbert.paths import data_folder
from fedbert.table_files import rows_of

Row = tuple[str, str, str]
_PARTS = {"train": "train", "val": "validation", "test": "test"}
"""CLINC150's names of the splits."""


def main(source: Path) -> None:
    """Write the three sets and their licences."""
    output = data_folder() / "intents"
    output.mkdir(parents=True, exist_ok=True)
    for name, rows in (
        ("clinc150", _clinc150(source)),
        ("banking77", _banking77(source)),
        ("hwu64", _hwu64(source)),
    ):
        text, label, split = (list(column) for column in zip(*rows, strict=True))
        columns = {"text": pa.array(text), "label": pa.array(label), "split": pa.array(split)}
        table = pa.table(
            {key: value.dictionary_encode() if key != "text" else value for key, value in columns.items()}
        )
        pq.write_table(table, output / f"{name}.parquet", compression="zstd", compression_level=19)
        shutil.copyfile(source / name / "LICENSE", output / f"LICENSE-{name}.txt")
        print(f"{name}: {len(rows)} texts, {len(set(label))} labels")
    _out_of_scope(source)


def _out_of_scope(source: Path) -> None:
    whole = json.loads((source / "clinc150" / "data_full.json").read_text("utf-8"))
    output = data_folder() / "out_of_scope"
    output.mkdir(exist_ok=True)
    rows = [(text, split) for part, split in _PARTS.items() for text, _ in whole[f"oos_{part}"]]
    text, split = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"text": pa.array(text), "split": pa.array(split).dictionary_encode()})
    pq.write_table(table, output / "clinc150.parquet", compression="zstd", compression_level=19)
    shutil.copyfile(source / "clinc150" / "LICENSE", output / "LICENSE-clinc150.txt")
    print(f"out of scope: {len(rows)} texts")


def _clinc150(source: Path) -> list[Row]:
    whole = json.loads((source / "clinc150" / "data_full.json").read_text("utf-8"))
    return [(text, label, split) for part, split in _PARTS.items() for text, label in whole[part]]


def _banking77(source: Path) -> list[Row]:
    return [
        (row["text"].strip(), row["category"], part)
        for part in ("train", "test")
        for row in rows_of(source / "banking77" / "banking_data" / f"{part}.csv")
    ]


def _hwu64(source: Path) -> list[Row]:
    return [
        (row["text"].strip(), f"{row['scenario']}/{row['intent']}", part)
        for part in ("train", "test")
        for row in rows_of(source / "hwu64" / f"kfold1_{part}.csv")
    ]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
