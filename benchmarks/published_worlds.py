"""Ratings and impressions as published: python benchmarks/published_worlds.py FOLDER [--devices 400].

MovieLens and MIND may not be passed on. This script makes files of their formats from the shipped
world `movietweetings`, real ratings of films by real users. FOLDER/movielens has the layout of the 1M set,
and users with 20 ratings or more, as MovieLens has. The shipped world has no stars: each rating is
written as 5.

In FOLDER/mind a user's ratings within an hour are the clicks of one impression. Beside them are shown films
that others rated in the seven days before and this user never: 5 to 60 draws, each film as likely as it was
rated. So the lists are drawn; the clicks and their times are real. The first three ratings are the history.

Then it calls fedbert's own commands: `fedbert data`, and `fedbert run` for each seed. It prints nDCG@10 of
each system with the run's 95 % interval.
"""

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.server import starting_artefact
from fedbert.paths import data_folder
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.recommendation.sessions import Kind
from fedbert.scenario import Scenario

ROOT = Path(__file__).parent.parent
KINDS = ("movielens", "mind")
LEAST_RATINGS = 20
HISTORY = 3
ONE_SITTING_S = 3_600
SHOWN_DAYS_S = 7 * 86_400
SHOWN = (5, 60)
SEED = 17

RUN = "--rounds 4 --availability always --min-reports 10 --sessions-per-day 24"


@dataclass(frozen=True)
class Films:
    """The shipped world: texts `[film]`, and user, film and time of each rating, in the order of time."""

    texts: list[str]
    user: NDArray[np.int64]
    film: NDArray[np.int64]
    time_s: NDArray[np.int64]


def read_films() -> Films:
    """Return the films and the ratings of users with `LEAST_RATINGS` or more."""
    folder = data_folder() / "movietweetings"
    texts = pq.read_table(folder / "items.parquet")["text"].to_pylist()
    table = pq.read_table(folder / "interactions.parquet")
    user, film, time = (np.asarray(table[name], np.int64) for name in ("user", "item", "time"))
    kept = np.bincount(user)[user] >= LEAST_RATINGS
    order = np.flatnonzero(kept)[np.argsort(time[kept], kind="stable")]
    return Films(texts, user[order], film[order], time[order])


def write_movielens(films: Films, folder: Path) -> None:
    """Write ratings.dat and movies.dat; the films are those that somebody rated."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for film in np.unique(films.film).tolist():
        title, _, genres = films.texts[film].partition("). ")
        name = f"{title})" if genres else title
        lines.append(f"{film + 1}::{name}::{'|'.join(genres.split(', ')) or '(no genres listed)'}\n")
    (folder / "movies.dat").write_text("".join(lines), encoding="utf-8")
    rows = zip(films.user.tolist(), films.film.tolist(), films.time_s.tolist(), strict=True)
    ratings = [f"{user + 1}::{film + 1}::5::{time}\n" for user, film, time in rows]
    (folder / "ratings.dat").write_text("".join(ratings), encoding="utf-8")


def write_mind(films: Films, folder: Path) -> None:
    """Write news.tsv and behaviors.tsv, see the module."""
    folder.mkdir(parents=True, exist_ok=True)
    news = []
    for film in np.unique(films.film).tolist():
        genre = films.texts[film].partition("). ")[2].partition(",")[0].lower() or "other"
        news.append(f"N{film + 1}\tfilms\t{genre}\t{films.texts[film]}\t\t\t[]\t[]\n")
    (folder / "news.tsv").write_text("".join(news), encoding="utf-8")
    generator = np.random.Generator(np.random.Philox(SEED))
    impressions: list[tuple[int, int, str, str]] = []
    for user in np.unique(films.user).tolist():
        own = np.flatnonzero(films.user == user)
        rated = set(films.film[own].tolist())
        history = " ".join(f"N{film + 1}" for film in films.film[own[:HISTORY]].tolist())
        rest = own[HISTORY:]
        sittings = np.split(rest, np.flatnonzero(np.diff(films.time_s[rest]) > ONE_SITTING_S) + 1)
        for sitting in sittings:
            time = int(films.time_s[sitting[0]])
            chosen = list(dict.fromkeys(films.film[sitting].tolist()))
            begin, end = np.searchsorted(films.time_s, [time - SHOWN_DAYS_S, time])
            if begin == end:  # the first rating of all
                continue
            drawn = films.film[generator.integers(begin, end, generator.integers(*SHOWN, endpoint=True))]
            shown = [film for film in dict.fromkeys(drawn.tolist()) if film not in rated]
            words = [f"N{film + 1}-1" for film in chosen] + [f"N{film + 1}-0" for film in shown]
            impressions.append((time, user, history, " ".join(generator.permutation(words).tolist())))
    impressions.sort(key=lambda row: row[0])
    lines = [
        f"{number}\tU{user + 1}\t{_time(time)}\t{history}\t{words}\n"
        for number, (time, user, history, words) in enumerate(impressions, 1)
    ]
    (folder / "behaviors.tsv").write_text("".join(lines), encoding="utf-8")


def _time(unix_s: int) -> str:
    """Return a time as MIND writes it: 11/15/2019 8:55:22 AM."""
    at = datetime.fromtimestamp(unix_s, UTC)
    return f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S %p}"


def _fedbert(*words: str) -> None:
    print("$ fedbert " + shlex.join(words), flush=True)
    script = "import sys; from fedbert.cli.main import main; sys.argv[0] = 'fedbert'; main()"
    subprocess.run([sys.executable, "-c", script, *words], check=True, cwd=ROOT)


def main() -> None:
    """Make the files, turn them into worlds, run, and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--devices", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=KINDS, help="one of the two")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    films = read_films()
    write_movielens(films, folder / "movielens")
    write_mind(films, folder / "mind")
    for kind in KINDS if arguments.only is None else (arguments.only,):
        world = folder / f"{kind}-world"
        _fedbert(
            "data", kind, str(folder / kind), "--output", str(world), "--public-users", "0.2", "--overwrite"
        )
        files = ["--items", str(world / "items.csv"), "--interactions", str(world / "interactions.parquet")]
        for seed in range(arguments.seeds):
            output = folder / f"{kind}-run-{seed}"
            flags = [*RUN.split(), "--devices", str(arguments.devices), "--seed", str(seed)]
            _fedbert("run", "--world", "interactions", *files, *flags, "--output", str(output), "--overwrite")
            _print_table(f"{kind}, seed {seed}", json.loads((output / "run.json").read_text("utf-8")))


def _print_table(title: str, result: dict[str, Any]) -> None:
    sessions, users = _evaluated(Scenario.model_validate(result["scenario"]))
    print(f"\n{title}: {sessions:,} evaluation sessions of {users:,} users")
    print("| system | inputs | nDCG@10 | 95 % interval |\n|---|---|---|---|")
    for row in result["comparison"]:
        interval = "none" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        print(f"| {row['system']} | {row['inputs']} | {row['quality']['ndcg@10']:.3f} | {interval} |")
    print(flush=True)


def _evaluated(scenario: Scenario) -> tuple[int, int]:
    """Return how many sessions the comparison ranks, and of how many users: both follow from the scenario."""
    environment = Environment.create(scenario, starting_artefact(scenario.model))
    world = environment.world
    assert isinstance(world, SequenceWorld)
    block = Phones(environment, DeviceRange(scenario.seed, 0, scenario.devices)).block
    user = world.user_of(block)
    rounds = range(1, scenario.rounds + 1)
    found = [user[world.sessions(block, round_, Kind.EVALUATION).device] for round_ in rounds]
    return sum(len(part) for part in found), len(np.unique(np.concatenate(found)))


if __name__ == "__main__":
    main()
