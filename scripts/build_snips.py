"""Build the sets of SNIPS: `python scripts/build_snips.py DATA_FOLDER` writes fedbert/data/snips/.

DATA_FOLDER/snips has the published files unchanged, `train_INTENT_full.json` and `validate_INTENT.json`, and
LICENSE. Two Parquet files come of them: `snips.parquet` of columns `text`, `tags`, `split`, whose words are
separated by blanks, and `snips_intents.parquet` of `text`, `label`, `split`. The published validation texts
are the test texts, as in the literature; the last 100 training texts of each intent are for validation.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers.pre_tokenizers import BertPreTokenizer

from fedbert.paths import data_folder

_VALIDATION_TEXTS = 100


def main(source: Path) -> None:
    """Write both sets and the licence."""
    output = data_folder() / "snips"
    output.mkdir(parents=True, exist_ok=True)
    rows = [row for path in sorted((source / "snips").glob("train_*_full.json")) for row in _intent(path)]
    whole, tagged, tags, intents, splits = (list(column) for column in zip(*rows, strict=True))
    _write(output / "snips.parquet", text=tagged, tags=tags, split=splits)
    _write(output / "snips_intents.parquet", text=whole, label=intents, split=splits)
    shutil.copyfile(source / "snips" / "LICENSE", output / "LICENSE-snips.txt")
    names = {tag for row in tags for tag in row.split()}
    print(f"{len(rows)} texts, {len(set(intents))} intents, {len(names)} tags")


def _write(path: Path, **columns: list[str]) -> None:
    table = pa.table(
        {
            name: pa.array(values).dictionary_encode() if name in ("label", "split") else pa.array(values)
            for name, values in columns.items()
        }
    )
    pq.write_table(table, path, compression="zstd", compression_level=19)


def _intent(train: Path) -> list[tuple[str, str, str, str, str]]:
    """Return (text, words, tags, intent, split) of all texts of an intent."""
    name = train.name.removeprefix("train_").removesuffix("_full.json")
    parts = {path: _pieces(path, name) for path in (train, train.with_name(f"validate_{name}.json"))}
    learnt, test = parts.values()
    split = ["train"] * (len(learnt) - _VALIDATION_TEXTS) + ["validation"] * _VALIDATION_TEXTS
    split += ["test"] * len(test)
    out = []
    for pieces, part in zip([*learnt, *test], split, strict=True):
        text = " ".join("".join(piece["text"] for piece in pieces).split())
        words, tags = _tagged(pieces)
        out.append((text, words, tags, name, part))
    return out


def _pieces(path: Path, name: str) -> list[list[dict[str, Any]]]:
    content = path.read_bytes()
    try:
        whole = json.loads(content.decode())
    except UnicodeDecodeError:  # some of the published files are Latin-1
        whole = json.loads(content.decode("latin-1"))
    return [row["data"] for row in whole[name]]


def _tagged(pieces: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the words of a text, split as BERT splits them, in the case they have, and the tag of each."""
    words: list[str] = []
    tags: list[str] = []
    for piece in pieces:
        found = _words(piece["text"])
        slot = piece.get("entity")
        words += found
        tags += [f"{'I' if place else 'B'}-{slot}" if slot else "O" for place in range(len(found))]
    return " ".join(words), " ".join(tags)


def _words(text: str) -> list[str]:
    """Return the words and the signs of `text`."""
    return [word for word, _ in BertPreTokenizer().pre_tokenize_str(text)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
