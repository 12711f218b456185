"""What a run would read of a user's files: each is known by its columns, and read as a run reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fedbert.errors import FedbertError, invalid
from fedbert.user_tables import in_words, read_headers

SETTING = "file"


class _Kind(NamedTuple):
    """A kind of table: what it is, its key in a scenario ('' if no run reads it), and its columns."""

    what: str
    key: str
    columns: tuple[str, ...]


LOG = _Kind("a log", "interactions", ("user", "item", "timestamp"))
CATALOGUE = _Kind("a catalogue", "items", ("item", "text"))
TRACE = _Kind("a trace of phones", "availability_trace", ("device_id", "start", "end", "state"))
TEXTS = _Kind("texts for compression", "", ("text", "label"))
KINDS = (LOG, CATALOGUE, TRACE, TEXTS)


def lines_on(files: Sequence[Path], settings: Mapping[str, object]) -> list[str]:
    """Return lines on what a run would read of `files`, with the scenario's other `settings`.

    Raises FedbertError as the run, or the compression, would.
    """
    lines: list[str] = []
    found: dict[_Kind, Path] = {}
    for file in files:
        if file.is_dir() or file.suffix.lower() == ".toml":
            lines += _profile_lines(file)
            continue
        kind = kind_of(file)
        if kind is TEXTS:
            lines += _text_lines(file)
        elif kind in found:
            rule = f"be the only file that is {kind.what} (so is {str(found[kind])!r})"
            raise invalid(SETTING, str(file), rule, "check one world at a time")
        else:
            found[kind] = file
    return lines + _run_lines(found, settings)


def kind_of(file: Path) -> _Kind:
    """Return what a table is by its columns; raises FedbertError if it is nothing, or two things."""
    headers = read_headers(SETTING, file)
    fitting = [kind for kind in KINDS if any(set(kind.columns) <= set(header) for header in headers)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        rule = f"be one thing (its columns are those of {' and of '.join(kind.what for kind in fitting)})"
        raise invalid(SETTING, str(file), rule, "leave out the columns that are not meant")
    wanted = ", or ".join(f"{','.join(kind.columns)} of {kind.what}" for kind in KINDS)
    has = ", ".join(in_words(name) for name in max(headers, key=len, default=[])[:12])
    raise invalid(SETTING, str(file), f"have the columns {wanted} (has: {has})", "rename or add them")


def _profile_lines(path: Path) -> list[str]:
    from fedbert.devices.fleet_shares import check_folder, notes
    from fedbert.devices.profiles import DeviceProfile, raise_first, read_table

    if path.is_dir():
        raise_first(check_folder(path), path)
        return [
            f"{path.name}: all profiles, links and fleets are good",
            *(f"note: {note}" for note in notes(path)),
        ]
    profile, problems = read_table(path, DeviceProfile)
    if profile is None:
        raise FedbertError(problems[0])
    return [f"{path.name}: profile of {profile.name}, tier {profile.tier}; a run takes the whole folder"]


def _text_lines(file: Path) -> list[str]:
    from fedbert.cli.task_files import task_line
    from fedbert.ei_bert.teaching.tasks import load_task

    line = task_line(load_task(file))
    return [line] if line else []


def _run_lines(found: Mapping[_Kind, Path], settings: Mapping[str, object]) -> list[str]:
    """Return a run's lines on its world and trace; a catalogue or a trace alone is read alone."""
    if LOG in found:
        if CATALOGUE not in found:
            raise invalid(SETTING, str(found[LOG]), "come with its catalogue", "name the items file as well")
        return _world_lines(found, settings)
    lines: list[str] = []
    if CATALOGUE in found:
        from fedbert.recommendation.tables import read_catalogue

        lines += [read_catalogue(found[CATALOGUE]).line(), "a run needs a log of interactions beside it"]
    if TRACE in found:
        from fedbert.devices.availability_trace import read_trace

        lines += read_trace(found[TRACE]).facts.lines()
    return lines


def _world_lines(found: Mapping[_Kind, Path], settings: Mapping[str, object]) -> list[str]:
    from fedbert.federation.environment import Environment
    from fedbert.federation.server import starting_artefact
    from fedbert.scenario import build
    from fedbert.simulation.world_facts import lines_read

    files = {kind.key: file for kind, file in found.items()}
    given = {key: value for key, value in settings.items() if value is not None}
    scenario, _ = build({"world": "interactions", **files, **given})
    return list(lines_read(Environment.create(scenario, starting_artefact(scenario.model))))
