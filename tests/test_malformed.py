"""A hundred malformed inputs, over every flag that names a file and every kind of value, and what is said.

Each is a command, and what lies in the working folder as `FILES` makes it. All end with exit code 2 and one
line that names the fault, write nothing, and wait for nothing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reporting.example_run import example_run

from fedbert.cli.main import call
from fedbert.paths import models_folder, profiles_folder

ROOT = Path(__file__).parent.parent
COMMAND = "from fedbert.cli.main import main; main()"
LONGEST_S = 20.0
"""Far above what a refusal takes (a fraction of a second), so that a busy machine does not decide."""

ITEMS = "item,text\n" + "".join(f"i{number},dish {number}\n" for number in range(30))
LOG = "user,item,timestamp\n" + "".join(
    f"u{row % 5},i{row % 30},{1_600_000_000 + 3_600 * row}\n" for row in range(200)
)
TEXTS = "text,label\n" + "".join(
    f"text {row} about {name}s,{name}\n" for row in range(10) for name in ("cat", "dog")
)
TRACE = "device_id,start,end,state\n1,0,8,charging\n"

Maker = str | bytes | Callable[[Path], None]


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(path.name)


def _nested(path: Path) -> None:
    texts = [["a", "b"]] * 30
    pq.write_table(pa.table({"item": [f"i{n}" for n in range(30)], "text": texts}), path)


def _cut(path: Path) -> None:
    pd.DataFrame({"item": ["a"], "text": ["b"]}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])


def _run(**changes: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        (path / "run.json").write_text(json.dumps(example_run() | changes))

    return make


def _folder(**files: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        for name, content in files.items():
            (path / name.replace("__", ".")).write_text(content)

    return make


def _profiles(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        shutil.copytree(profiles_folder(), path)
        (path / name).unlink(missing_ok=True)
        make(path / name)

    return made


def _model(name: str, content: bytes | None) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        shutil.copytree(models_folder() / "tiny", path)
        (path / name).unlink()
        if content is not None:
            (path / name).write_bytes(content)

    return made


WORLD = "run --world interactions --items {} --interactions log.csv"
CLICKS = "run --world interactions --items items.csv --interactions {}"
ROWS = LOG.splitlines()[1:]

Row = tuple[str, Maker | None, str]
"""A command, `{}` for the file F in it; what F is (None: it is not there); what the line says."""

CASES: dict[str, Row] = {
    # -- numbers and words of flags
    "number as a word": ("run --devices ten", None, "devices(='ten') must be a valid integer"),
    "zero phones": ("run --devices 0", None, "devices(='0') must be greater"),
    "minus zero rounds": ("run --rounds -0", None, "rounds(='-0') must be greater"),
    "fraction of a phone": ("run --devices 1.5", None, "devices(='1.5') must be a valid integer"),
    "infinite epsilon": ("run --epsilon inf", None, "epsilon(='inf') must be"),
    "epsilon past a double": ("run --epsilon 1e400", None, "epsilon(='1e400') must be"),
    "epsilon NaN": ("run --epsilon nan", None, "epsilon(='nan') must be a finite number"),
    "negative delta": ("run --epsilon 2 --delta -1e-6", None, "delta(='-1e-6') must be greater than 0"),
    "seed beyond its range": ("run --seed 2147483648", None, "seed(='2147483648') must be less"),
    "noise seed of 70 bits": ("run --noise-seed 999999999999999999999", None, "noise_seed(="),
    "number with a unit": ("run --deadline-ms 300ms", None, "deadline_ms(='300ms') must be a valid number"),
    "decimal comma": ("run --non-iid 0,5", None, "non_iid(='0,5') must be a valid number"),
    "empty number": ("run --devices=", None, "devices(='') must be a valid integer"),
    "blank name": ("run --world=", None, "world(='') must"),
    "100,000 threads": ("run --threads 100000", None, "threads(='100000') must be less"),
    "switch with a value": ("run --overwrite=yes", None, "does not take a value"),
    "flag without its value": ("run --devices", None, "requires an argument"),
    "flag of another command": ("run --epsilons 1", None, "No such option"),
    "argument that no flag takes": ("run 12", None, "unexpected extra argument"),
    "unknown choice": ("run --metered weekly", None, "metered(='weekly') must be 'never'"),
    "two that exclude each other": (
        "run --availability always --availability-trace {}",
        TRACE,
        "availability(='always') must be left out",
    ),
    "items without their world": ("run --items {}", ITEMS, "add --world interactions"),
    "world without items": ("run --world interactions", None, "must come with items and interactions"),
    "address without its backend": ("run --ray-address 127.0.0.1:1", None, "must come with backend 'ray'"),
    "more reports than remembered": ("run --clicks-per-report 20", None, "must be <= history_length"),
    "unknown signal": ("run --signal votes", None, "signal(='votes') must be one of"),
    "unknown tracker": ("run --tracker paper", None, "tracker"),
    "resume and a setting": ("run --resume {} --devices 5", _folder(scenario__toml=""), "must be left out"),
    # -- scenario files
    "config that is not there": ("run --config {}", None, "config(='F') must exist"),
    "config that is a folder": ("run --config {}", Path.mkdir, "must be a regular file"),
    "config that is a pipe": ("run --config {}", os.mkfifo, "must be a regular file"),
    "config without an end": ("run --config {}", _link("/dev/zero"), "must be a regular file"),
    "config of a terabyte": ("run --config {}", _sparse, "must be at most 1,000,000 bytes"),
    "link to itself": ("run --config {}", _link("F"), "must be readable"),
    "link to nowhere": ("run --config {}", _link("nowhere"), "must exist"),
    "UTF-16": ("run --config {}", "devices = 5\n".encode("utf-16"), "must be UTF-8 text (line 1 is not)"),
    "key given twice": ("run --config {}", "devices = 5\ndevices = 6\n", "must be TOML"),
    "mistyped key": ("run --config {}", "devicess = 5\n", "unknown key 'devicess'"),
    "table for a number": ("run --config {}", "[devices]\na = 1\n", "devices"),
    "list for a number": ("run --config {}", "devices = [5]\n", "devices(=[5]) must be"),
    "true for a number": ("run --config {}", "epsilon = true\n", "must be a value, not true or false"),
    "date for a number": ("run --config {}", "devices = 2013-04-03\n", "devices(="),
    "NaN in TOML": ("run --config {}", "deadline_ms = nan\n", "deadline_ms(=nan) must be a finite number"),
    "5,000 digits": ("run --config {}", "devices = " + "9" * 5_000, "digits"),
    "deep TOML": ("run --config {}", "a = " + "[" * 3_000 + "]" * 3_000, "not nested so deeply"),
    "impossible date": ("run --config {}", "a = 2013-02-30\n", "must be TOML"),
    "NUL in a path": ("run --config {}", 'output = "a\\u0000b"\n', "hold no NUL"),
    "JSON for TOML": ("run --config {}", '{"devices": 5}', "must be TOML"),
    # -- the user's tables
    "items that are a folder": (WORLD.replace("{}", "{}.csv"), Path.mkdir, "must be a file"),
    "items that are a socket": (WORLD.replace("{}", "{}.csv"), _socket, "must be a file"),
    "items of a terabyte": (WORLD.replace("{}", "{}.csv"), _sparse, "must be at most 8,000,000,000 bytes"),
    "spreadsheet": (WORLD.replace("{}", "{}.xlsx"), b"PK\3\4", "must end in .csv, .tsv or .parquet"),
    "empty CSV": (WORLD.replace("{}", "{}.csv"), "", "must not be empty"),
    "header alone": (WORLD.replace("{}", "{}.csv"), "item,text\n", "must have at least one row"),
    "no such column": (WORLD.replace("{}", "{}.csv"), "item,name\n1,a\n", "must have a column 'text'"),
    "column twice": (WORLD.replace("{}", "{}.csv"), "item,text,text\n1,a,b\n", "one column 'text'"),
    "quote that stays open": (WORLD.replace("{}", "{}.csv"), 'item,text\n1,"a\n2,b\n', "quote"),
    "row too long": (WORLD.replace("{}", "{}.csv"), "item,text\n1,a,b\n", "row 1"),
    "NUL in a cell": (WORLD.replace("{}", "{}.csv"), "item,text\n1,a\0b\n", "must hold no NUL (line 2 has"),
    "Latin-1": (WORLD.replace("{}", "{}.csv"), "item,text\n1,caf\xe9\n".encode("latin-1"), "UTF-8 text"),
    "item twice": (WORLD.replace("{}", "{}.csv"), ITEMS + "i3,again\n", "F.csv row"),
    "two items": (WORLD.replace("{}", "{}.csv"), "item,text\na,b\nc,d\n", "items"),
    "CSV called Parquet": (WORLD.replace("{}", "{}.parquet"), ITEMS, "must be a readable table"),
    "Parquet cut short": (WORLD.replace("{}", "{}.parquet"), _cut, "must be a readable table"),
    "lists in Parquet": (WORLD.replace("{}", "{}.parquet"), _nested, "must have plain values"),
    "clicks and items swapped": (CLICKS.replace("{}", "items.csv"), None, "must have a column 'user'"),
    "time as a word": (CLICKS.replace("{}", "{}.csv"), LOG + "u1,i1,noon\n", "timestamp(='noon') must"),
    "time past a double": (CLICKS.replace("{}", "{}.csv"), LOG + "u1,i1,1e400\n", "timestamp"),
    "time in two units": (CLICKS.replace("{}", "{}.csv"), LOG + "u1,i1,1600000000000\n", "timestamp"),
    "time before 1990": (CLICKS.replace("{}", "{}.csv"), LOG.replace(",16", ",1"), "199"),
    "rating as a word": (
        CLICKS.replace("{}", "{}.csv") + " --min-rating 3",
        "user,item,timestamp,rating\n" + "".join(f"{row},good\n" for row in ROWS),
        "rating",
    ),
    "no rating to compare": (CLICKS.replace("{}", "log.csv") + " --min-rating 3", None, "rating"),
    "trace that ends before it begins": (
        "run --availability-trace {}.csv",
        TRACE + "1,9,8,idle\n",
        "F.csv row 2, end(=8.0) must be after start(=9.0)",
    ),
    "trace of no known state": ("run --availability-trace {}.csv", TRACE + "1,8,9,asleep\n", "state"),
    "trace at minus infinity": ("run --availability-trace {}.csv", TRACE + "1,-inf,9,idle\n", "start"),
    # -- profiles, models, keys, own parts
    "profiles that are a file": ("run --profiles {}", "x", "must be a folder of TOML files"),
    "no profile in the folder": ("run --profiles {}", Path.mkdir, "must hold at least one .toml"),
    "pipe among profiles": ("run --profiles {}", _profiles("zz.toml", os.mkfifo), "must be a regular file"),
    "terabyte among profiles": ("run --profiles {}", _profiles("zz.toml", _sparse), "bytes"),
    "links that lead nowhere": ("run --profiles {}", _profiles("links.toml", _link("x")), "links.toml"),
    "fleet that adds up to 2": (
        "profiles list --fleet {}.toml",
        'description = "a"\nsource = "b"\n[shares]\n01_mt6580 = 1.0\n02_snapdragon_410 = 1.0\n',
        "shares must add up to 1",
    ),
    "profile's name that is none": ("profiles show toaster", None, "it is none"),
    "nothing to check": ("profiles check {}", Path.mkdir, "must hold at least one .toml"),
    "measuring for no time": ("profiles calibrate-host --seconds 0", None, "seconds"),
    "measuring into a file": ("profiles calibrate-host --output {}/host.toml", "x", "must be a folder"),
    "model without a manifest": ("run --model ./{}", _model("manifest.json", None), "manifest.json"),
    "model of a list": ("run --model ./{}", _model("manifest.json", b"[1]"), "not a manifest of fedbert"),
    "model with other words": ("run --model ./{}", _model("vocab.txt", b"a\n"), "vocab.txt has SHA-256"),
    "key of other content": ("run --signing-key {}", "secret", "be an Ed25519 private key in PEM"),
    "key that is a pipe": ("run --signing-key {}", os.mkfifo, "must be a regular file"),
    "own signal that fails": ("run --signal {}.py:A", "1 / 0", "ZeroDivisionError"),
    "own world without its name": ("run --world {}.py:A", "b = 1", "must name something in F.py"),
    # -- outputs
    "output that is a file": ("run --output {}", "x", "output(='F') must be a folder, not a file"),
    "output in /proc": ("run --output /proc/x", None, "must be a folder that can be made and written"),
    "output of the user's": ("run --output {} --overwrite", _folder(letter__txt="dear"), "run folder"),
    "grid over a letter": ("tradeoff --output {} --overwrite", _folder(letter__txt="a"), "'letter.txt'"),
    "forecast over a letter": ("capacity --output {} --overwrite", _folder(letter__txt="a"), "'letter.txt'"),
    # -- grids, forecasts, reports
    "epsilon of a grid": ("tradeoff --epsilons 1 zero", None, "epsilons(='zero') must be > 0"),
    "no seeds": ("tradeoff --seeds 0", None, "seeds(='0') must be greater"),
    "seeds past the last": ("tradeoff --seeds 9 --seed 2147483645", None, "seed"),
    "forecast from nothing": ("capacity --from {}", Path.mkdir, "must exist"),
    "forecast from half a run": ("capacity --from {}", _run(status="interrupted"), "must be finished"),
    "run.json of a list": ("report {}", _folder(run__json="[1]"), "schema"),
    "run.json of a string": ("report {}", _run(rounds="x"), "rounds must be as a run writes it"),
    "run.json with NaN": ("report {}", _folder(run__json='{"schema": NaN}'), "NaN is no number"),
    "deep run.json": ("report {}", _folder(run__json="[" * 100_000), "not nested so deeply"),
    "run.json of tomorrow": ("report {}", _run(schema=99), "schema(=99) must be"),
    "no round is whole": (
        "report {}",
        _folder(rounds__jsonl="junk\n", scenario__toml="devices = 5\n"),
        "must hold a whole round",
    ),
    "report of nothing": ("report {}", Path.mkdir, "must hold run.json"),
    "nothing was begun": ("run --resume {}", _folder(scenario__toml=""), "none was begun there"),
    # -- compressions and keys
    "set of one label": ("compress --data {}.csv", "text,label\na,x\nb,x\n", "at least 2 classes"),
    "text that is empty": ("compress --data {}.csv", TEXTS + ",cat\n", "must not be empty"),
    "split of no known name": ("compress --data {}.csv", "text,label,split\na,x,later\nb,y,train\n", "split"),
    "folder without a set": ("compress --data {}", Path.mkdir, "no .csv, .tsv or .parquet file"),
    "budget of nothing": ("compress --data d.csv --budget-bytes 0", None, "budget_bytes(='0') must be"),
    "flag of the other goal": ("compress --seeds 3", None, "needs tasks; give --data FILE"),
    "teacher that is nowhere": ("compress --data d.csv --teacher ./{}", None, "neither exists"),
    "teacher of a list": ("compress --data d.csv --teacher ./{}", _folder(config__json="[]"), "JSON object"),
    "teacher of NaN": (
        "compress --data d.csv --teacher ./{}",
        _folder(config__json='{"model_type": "bert", "hidden_size": NaN}'),
        "NaN is no number",
    ),
    "no sentence": ("compress --data d.csv --general-text {}", "\n \n", "must hold a sentence"),
    "search into a folder": ("compress search --data d.csv --output {}", Path.mkdir, "must be a file, not a"),
    "probe into /proc": ("compress probe --data d.csv --output /proc/x.json", None, "output(="),
    "head on a model in place": ("compress add-head --data d.csv --model tiny", None, "must be given"),
    "keys for nobody": ("keys {} --supernodes 0", None, "supernodes(=0) must be between 1 and"),
    "host with a port": ("keys {} --supernodes 1 --host a.org:9091", None, "must be a DNS name or an IP"),
    "keys of no days": ("keys {} --supernodes 1 --valid-days 0", None, "valid_days(=0) must be between"),
}


def _prepared(case: Row) -> list[str]:
    """Make what a case needs in the working folder and return its command, by words."""
    command, make, _ = case
    for name, text in (("items.csv", ITEMS), ("log.csv", LOG), ("d.csv", TEXTS)):
        Path(name).write_text(text)
    words = command.replace("{}", "F").split()
    if make is not None:
        named = [word.split("=")[-1].removeprefix("./").partition(":")[0].partition("/")[0] for word in words]
        path = Path(next(name for name in named if name == "F" or name.startswith("F.")))
        if isinstance(make, str):
            path.write_bytes(make.encode())
        elif isinstance(make, bytes):
            path.write_bytes(make)
        else:
            make(path)
    return words


def _there() -> list[tuple[str, int]]:
    paths = sorted(Path().rglob("*"))
    return [(str(path), path.lstat().st_size if path.is_file() else -1) for path in paths]


def test_there_are_a_hundred() -> None:
    """The table has a hundred rows, and each command of fedbert that takes anything stands in it."""
    assert len(CASES) >= 100
    commands = {command.split()[0] for command, _, _ in CASES.values()}
    assert commands == {"run", "tradeoff", "capacity", "compress", "report", "profiles", "keys"}


@pytest.mark.parametrize("name", CASES)
def test_it_is_one_line_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line on standard error that says what is wrong, and a folder as it was before."""
    monkeypatch.chdir(tmp_path)
    words = _prepared(CASES[name])
    before, begun = _there(), time.monotonic()
    code = call(words[0], words[1:])
    seconds = time.monotonic() - begun
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("error: ")
    assert CASES[name][2] in lines[0]
    assert "Traceback" not in lines[0]
    assert _there() == before
    assert seconds < LONGEST_S


@pytest.mark.parametrize("name", ["config that is a pipe", "deep run.json", "keys for nobody"])
def test_it_is_so_in_a_process_of_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the command's own process: exit code 2 and one line."""
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *_prepared(CASES[name])],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert CASES[name][2] in done.stderr
