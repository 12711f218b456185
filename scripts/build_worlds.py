"""Build the shipped worlds: `python scripts/build_worlds.py DATA_FOLDER` writes fedbert/data/WORLD/.

DATA_FOLDER has the published files unchanged: clinc150/data_full.json, domains.json and all_wiki_sents.txt,
hwu64/kfold1_{train,test}.csv, banking77/banking_data/{train,test}.csv, movietweetings/latest_2013/*.dat, and
a LICENSE in each folder. The same files give the same bytes (with the pinned pyarrow).
"""

import hashlib
import json
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fedbert.paths import data_folder
from fedbert.recommendation.names import nearest_by_name
from fedbert.recommendation.text import normalise
from fedbert.table_files import rows_of

VALIDATION_TEXTS_PER_INTENT = 10
ZIPF_EXPONENT = 0.8
ZIPF_OFFSET = 10
POPULARITY_ORDER_SEED = 291
LEARNING_SHARE = 0.8
FILM_COUNT_PRIOR = 0.5

# Services that are one under two names: the second becomes the first.
MERGES = (
    (("clinc150", "utility", "weather"), ("hwu64", "weather", "query")),
    (("clinc150", "utility", "alarm"), ("hwu64", "alarm", "set")),
    (("clinc150", "utility", "definition"), ("hwu64", "qa", "definition")),
    (("clinc150", "utility", "calculator"), ("hwu64", "qa", "maths")),
    (("clinc150", "travel", "exchange_rate"), ("hwu64", "qa", "currency")),
    (("clinc150", "kitchen_and_dining", "recipe"), ("hwu64", "cooking", "recipe")),
    (("clinc150", "home", "play_music"), ("hwu64", "play", "music")),
    (("clinc150", "home", "what_song"), ("hwu64", "music", "query")),
    (("clinc150", "home", "calendar"), ("hwu64", "calendar", "query")),
    (("clinc150", "auto_and_commute", "traffic"), ("hwu64", "transport", "traffic")),
    (("clinc150", "small_talk", "tell_joke"), ("hwu64", "general", "joke")),
    (("clinc150", "meta", "repeat"), ("hwu64", "general", "repeat")),
    (("clinc150", "banking", "pin_change"), ("banking77", "bank", "change_pin")),
)

# Near pairs that stay apart, because one is wider than the other or belongs to one bank.
KEPT_APART = (
    "clinc150 auto_and_commute/uber and hwu64 transport/taxi",
    "clinc150 utility/time and date, and hwu64 datetime/query (both in one)",
    "clinc150 travel/timezone and hwu64 datetime/convert",
    "clinc150 meta/change_volume and hwu64 audio/volume_up, volume_down, volume_mute",
    "clinc150 meta/yes and no, and hwu64 general/affirm and negate",
    "clinc150 meta/cancel and hwu64 general/commandstop",
    "clinc150 home/todo_list, shopping_list and hwu64 lists/query",
    "clinc150 home/calendar_update and hwu64 calendar/set, remove",
    "clinc150 travel/exchange_rate and banking77 exchange_rate",
    "clinc150 credit_cards/report_lost_card and banking77 lost_or_stolen_card",
    "clinc150 credit_cards/card_declined and banking77 declined_card_payment",
)

Service = tuple[str, str, str]


@dataclass(frozen=True)
class Row:
    """One published text with its service and the split it comes from ('train', 'val' or 'test')."""

    text: str
    service: Service
    part: str


def main(source: Path) -> None:
    """Write both worlds."""
    build_services(source, data_folder() / "services")
    build_films(source, data_folder() / "movietweetings")


def read_rows(source: Path) -> list[Row]:
    """Return every in-scope text of the three data sets."""
    clinc = json.loads((source / "clinc150/data_full.json").read_text(encoding="utf-8"))
    domains = json.loads((source / "clinc150/domains.json").read_text(encoding="utf-8"))
    domain = {intent: name for name, intents in domains.items() for intent in intents}
    rows = [
        Row(text, ("clinc150", domain[intent], intent), part)
        for part in ("train", "val", "test")
        for text, intent in clinc[part]
    ]
    for part in ("train", "test"):
        for line in rows_of(source / f"hwu64/kfold1_{part}.csv"):
            rows.append(Row(line["text"], ("hwu64", line["scenario"], line["intent"]), part))
        for line in rows_of(source / f"banking77/banking_data/{part}.csv"):
            rows.append(Row(line["text"], ("banking77", "bank", line["category"]), part))
    return [Row(" ".join(row.text.split()), row.service, row.part) for row in rows]


def build_services(source: Path, folder: Path) -> None:
    """Write the world `services`."""
    names: dict[Service, str] = {
        (line["source"], line["scenario"], line["intent"]): line["name"]
        for line in rows_of(folder / "names.csv")
    }
    rows = read_rows(source)
    if set(names) != {row.service for row in rows}:
        raise SystemExit("names.csv and the data sets name different services")
    merged = {second: first for first, second in MERGES}
    services = [service for service in names if service not in merged]
    item_of = {service: services.index(merged.get(service, service)) for service in names}
    intents = sorted(service[2] for service in names if service[0] == "clinc150")
    public_intents = intents[0::2]

    evaluation, dropped = _unambiguous(
        [(row.text, item_of[row.service]) for row in rows if row.part == "test"]
    )
    taken = {normalise(row.text) for row in rows if row.part == "test"}
    general = _fresh([(line, -1) for line in _lines(source / "clinc150/all_wiki_sents.txt")], taken)
    public, private = [], []
    for row in rows:
        if row.part == "test":
            continue
        is_public = row.service[0] == "clinc150" and row.service[2] in public_intents and row.part == "train"
        (public if is_public else private).append((row.text, item_of[row.service]))
    public_kept = _fresh(public, taken)
    learning, dropped_learning = _unambiguous(private)
    learning = _fresh(learning, taken)
    validation = _held_out(public_kept)

    shares = zipf_popularity(len(services))
    public_items = {
        item_of[("clinc150", s[1], s[2])] for s in services if s[0] == "clinc150" and s[2] in public_intents
    }
    areas = sorted({service[:2] for service in services})
    items = {
        "item": pa.array(range(len(services)), pa.int32()),
        "text": [names[service] for service in services],
        "public": [index in public_items for index in range(len(services))],
        "source": [service[0] for service in services],
        "domain": [service[1] for service in services],
        "intent": [service[2] for service in services],
        "popularity": pa.array(shares, pa.float64()),
        "tier_tilt": pa.array([1 - 2 * (areas.index(service[:2]) % 2) for service in services], pa.int8()),
        "neighbours": _neighbours([names[service] for service in services]),
    }
    _write(folder / "items.parquet", items)
    _write(
        folder / "public.parquet",
        _texts(
            [(text, item, "validation" if text in validation else "train") for text, item in public_kept]
            + [(text, item, "general") for text, item in general]
        ),
    )
    _write(
        folder / "private.parquet",
        _texts(
            [(text, item, "learning") for text, item in learning]
            + [(text, item, "evaluation") for text, item in evaluation]
        ),
    )
    manifest = {
        "world": "services",
        "items": len(services),
        "published_services": len(names),
        "public_intents": public_intents,
        "merges": [{"kept": "/".join(first), "merged": "/".join(second)} for first, second in MERGES],
        "kept_apart": list(KEPT_APART),
        "texts": {
            "general": len(general),
            "train": len(public_kept) - len(validation),
            "validation": len(validation),
            "learning": len(learning),
            "evaluation": len(evaluation),
        },
        "dropped": {
            "evaluation, repeated or under two services": dropped,
            "learning, repeated or under two services": dropped_learning,
            "public and learning, also in a test split or in public text": len(public)
            - len(public_kept)
            + len(private)
            - dropped_learning
            - len(learning),
        },
        "validation_texts_per_intent": VALIDATION_TEXTS_PER_INTENT,
        "popularity": {
            "kind": "modelled",
            "formula": "(rank + offset)^-exponent over a shuffled order",
            "exponent": ZIPF_EXPONENT,
            "offset": ZIPF_OFFSET,
            "seed": POPULARITY_ORDER_SEED,
        },
        "tier_tilt": "modelled: +1 or -1 for all services of a (data set, scenario), in turn by name",
        "not_used": ["the out-of-scope texts of clinc150"],
        "sources": _hashes(
            source,
            "clinc150/data_full.json",
            "clinc150/domains.json",
            "clinc150/all_wiki_sents.txt",
            "hwu64/kfold1_train.csv",
            "hwu64/kfold1_test.csv",
            "banking77/banking_data/train.csv",
            "banking77/banking_data/test.csv",
        ),
    }
    _finish(folder, manifest, source, "clinc150", "hwu64", "banking77")


def build_films(source: Path, folder: Path) -> None:
    """Write the world `movietweetings`."""
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = source / "movietweetings/latest_2013"
    films = [line.split("::") for line in _lines(snapshot / "movies.dat")]
    texts = [f"{title}. {', '.join(genres.split('|'))}" if genres else title for _, title, genres in films]
    index = {film[0]: item for item, film in enumerate(films)}
    ratings = [line.split("::") for line in _lines(snapshot / "ratings.dat")]
    user = np.array([int(row[0]) for row in ratings], np.int64)
    item = np.array([index[row[1]] for row in ratings], np.int64)
    time = np.array([int(row[3]) for row in ratings], np.int64)
    order = np.lexsort((item, time, user))
    user, item, time = user[order], item[order], time[order]
    cut = int(np.sort(time)[int(LEARNING_SHARE * len(time))])
    learning = time < cut
    count = np.bincount(item[learning], minlength=len(films)) + FILM_COUNT_PRIOR
    _write(
        folder / "items.parquet",
        {
            "item": pa.array(range(len(films)), pa.int32()),
            "text": texts,
            "public": [True] * len(films),
            "popularity": pa.array(count / count.sum(), pa.float64()),
            "neighbours": _neighbours(texts),
        },
    )
    _write(folder / "public.parquet", _texts([(text, -1, "general") for text in texts]))
    _write(
        folder / "interactions.parquet",
        {
            "user": pa.array(np.unique(user, return_inverse=True)[1], pa.int32()),
            "item": pa.array(item, pa.int32()),
            "time": pa.array(time, pa.int64()),
            "split": pa.array(np.where(learning, "learning", "evaluation")).dictionary_encode(),
        },
    )
    manifest = {
        "world": "movietweetings",
        "items": len(films),
        "users": len(np.unique(user)),
        "interactions": {"learning": int(learning.sum()), "evaluation": int((~learning).sum())},
        "cut": {
            "unix_time": cut,
            "rule": f"the first {LEARNING_SHARE:.0%} of all ratings by time are learning",
        },
        "popularity": {"kind": "measured", "formula": f"learning ratings of the film + {FILM_COUNT_PRIOR}"},
        "not_used": ["the ratings' values"],
        "sources": _hashes(
            source, "movietweetings/latest_2013/movies.dat", "movietweetings/latest_2013/ratings.dat"
        ),
    }
    _finish(folder, manifest, source, "movietweetings")


def zipf_popularity(items: int) -> np.ndarray:
    """Return the modelled popularity of each item, which sums to 1: Zipf-like over a fixed shuffled order."""
    rank = np.random.Generator(np.random.Philox(POPULARITY_ORDER_SEED)).permutation(items)
    weight = (rank + 1.0 + ZIPF_OFFSET) ** -ZIPF_EXPONENT
    return np.asarray(weight / weight.sum())


def _unambiguous(pairs: list[tuple[str, int]]) -> tuple[list[tuple[str, int]], int]:
    """Return each text once, without those that stand under two items, and how many rows were dropped."""
    items: dict[str, set[int]] = defaultdict(set)
    for text, item in pairs:
        items[normalise(text)].add(item)
    kept: dict[str, tuple[str, int]] = {}
    for text, item in pairs:
        key = normalise(text)
        if key and len(items[key]) == 1:
            kept.setdefault(key, (text, item))
    return list(kept.values()), len(pairs) - len(kept)


def _fresh(pairs: Iterable[tuple[str, int]], taken: set[str]) -> list[tuple[str, int]]:
    """Return the texts whose normalised form is not `taken`, and add them to it."""
    kept = []
    for text, item in pairs:
        key = normalise(text)
        if key and key not in taken:
            taken.add(key)
            kept.append((text, item))
    return kept


def _held_out(pairs: list[tuple[str, int]]) -> set[str]:
    """Return the public validation texts: of each item, those whose hashes come first."""
    by_item: dict[int, list[str]] = defaultdict(list)
    for text, item in pairs:
        by_item[item].append(text)
    return {
        text
        for texts in by_item.values()
        for text in sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[
            :VALIDATION_TEXTS_PER_INTENT
        ]
    }


def _texts(rows: list[tuple[str, int, str]]) -> dict[str, Any]:
    return {
        "text": [row[0] for row in rows],
        "item": pa.array([row[1] for row in rows], pa.int32()),
        "split": pa.array([row[2] for row in rows]).dictionary_encode(),
    }


def _neighbours(texts: list[str]) -> pa.Array:
    nearest = nearest_by_name(texts)
    return pa.FixedSizeListArray.from_arrays(pa.array(nearest.ravel(), pa.int32()), nearest.shape[1])


def _write(path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)


def _finish(folder: Path, manifest: dict[str, Any], source: Path, *data_sets: str) -> None:
    for name in data_sets:
        shutil.copyfile(source / name / "LICENSE", folder / f"LICENSE-{name}.txt")
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    files = Counter({path.name: path.stat().st_size for path in folder.iterdir()})
    print(folder.name, {name: files[name] for name in sorted(files)})


def _hashes(source: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in names}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
