"""The data dictionary: every file that a command writes, and every key and column in it.

Each column has a type, a unit, a label and a meaning. A name is a path: ``rounds[].outcomes.*`` is any key of
``outcomes`` in each entry of the list ``rounds``; a ``*`` stands for one or more characters. The reference
page is made from these tables, and a test holds them against what the commands write.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from fedbert.dictionary import models, planning, run
from fedbert.dictionary.columns import Column, Label, parse
from fedbert.scenario import Execution, Scenario

LABELS: tuple[str, ...] = get_args(Label)


@dataclass(frozen=True)
class File:
    """A file, or files alike, that a command writes into its folder."""

    name: str
    written_by: str
    text: str
    columns: tuple[Column, ...] = ()


def _scenario_columns() -> tuple[Column, ...]:
    """Return the keys of a scenario file: each is a flag of `fedbert run`, described there."""
    fields = Scenario.model_fields | Execution.model_fields
    return tuple(Column(name, "value", "", "setting", str(fields[name].description)) for name in fields)


def _file(name: str, written_by: str, text: str, table: str = "") -> File:
    return File(name, written_by, text, parse(table))


_RUN, _GRID, _BUDGET, _CAPACITY, _COMPRESS = "run", "tradeoff", "budget", "capacity", "compress"

FILES: tuple[File, ...] = (
    _file("run.json", _RUN, "the whole result; every other file of a run follows from it", run.RESULT),
    _file("rounds.jsonl", _RUN, "one round per line, written as it ends", run.LINE),
    _file("rounds.parquet", _RUN, "one row per round; counts by name are columns", run.ROUNDS_TABLE),
    _file("devices.parquet", _RUN, "the first 1,000 devices of the fleet, one row each", run.DEVICES),
    File("scenario.toml", _RUN, "the settings of the run; --config reads it again", _scenario_columns()),
    _file(
        "report.html",
        "run, tradeoff, budget, capacity, compare, compress",
        "the report for people; works without network",
    ),
    _file("cells.parquet", _GRID, "one row per run of the grid", planning.CELLS),
    _file(
        "frontier.parquet", _GRID, "one row per budget: means over seeds, with intervals", planning.FRONTIER
    ),
    _file("frontier.csv", _GRID, "the same as frontier.parquet", planning.FRONTIER),
    _file("tradeoff.json", _GRID, "what the tables do not say, for `fedbert report`", planning.TRADEOFF),
    File("grid.toml", _GRID, "the scenario of the grid, without epsilon and seed", _scenario_columns()),
    _file("budget.json", _BUDGET, "the plan, and the measured arms that it reads", planning.BUDGET),
    _file("capacity.json", _CAPACITY, "the forecast with the plan and the run it is from", planning.CAPACITY),
    _file("forecast.csv", _CAPACITY, "one row per figure of the forecast", planning.FORECAST),
    _file("backtest.json", "capacity backtest", "forecast against simulated figures", planning.BACKTEST),
    _file(
        "servers.json", "capacity measure", "what servers spend, measured on one machine", planning.SERVERS
    ),
    _file("compare.json", "compare", "what differs, and each difference's verdict", planning.COMPARE),
    _file(
        "model.onnx, vocab.txt",
        _COMPRESS,
        "the int8 student, its vocabulary; heads/ has a file per task",
    ),
    _file("manifest.json", _COMPRESS, "what a model is, how it was made, a hash per file", models.MANIFEST),
    _file("server.json", _COMPRESS, "the server's part of a model that runs start from", models.SERVER),
    _file("unknown.json", "compress unknown", "when a model says that it does not know", models.UNKNOWN),
    _file("compression.json", _COMPRESS, "the record that the report is made of", models.COMPRESSION),
    _file("report.md", _COMPRESS, "the tables of the report as Markdown"),
    _file("search.json", "compress search", "the shapes that were tried", models.SEARCH),
    _file("probe.json", "compress probe", "accuracy of linear probes", models.PROBE),
    _file("host.toml", "profiles calibrate-host", "this machine as a class of phones; units are in the keys"),
    _file("host.csv", "profiles calibrate-host", "predicted and measured times, one row each", models.HOST),
)
"""Every file with keys or columns, in the order of the reference page."""


def file_named(name: str) -> File:
    """Return a file of `FILES`; raises KeyError if there is none of that name."""
    for file in FILES:
        if file.name == name:
            return file
    raise KeyError(name)


def matches(column: Column, path: Sequence[str]) -> bool:
    """Return whether `column` describes the key at `path`: one name a level, ``[]`` behind a list's."""
    pattern = column.name.split(".")
    return len(pattern) == len(path) and all(
        re.fullmatch(re.escape(part).replace(r"\*", ".+"), name)
        for part, name in zip(pattern, path, strict=True)
    )


def column_of(columns: Iterable[Column], path: Sequence[str]) -> Column | None:
    """Return the first of `columns` that describes `path`, or None."""
    return next((column for column in columns if matches(column, path)), None)
