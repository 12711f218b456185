"""Files of published sets: the folder that holds them, and tables without a header."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fedbert.errors import FedbertError, invalid
from fedbert.files import UnreadableFile, path_problem, read_bytes, reason
from fedbert.user_tables import TABLE_LIMIT_BYTES, TableFacts, UserTable

FOLDER, FILE = "folder", "file"
"""What messages call the folder of a set, and a file in it."""

_ROWS_AT_A_TIME = 65_536
_PACKED = (".zip", ".gz", ".tgz", ".tar", ".7z", ".bz2", ".xz")


def published_file(folder: Path, sets: Sequence[Sequence[str]]) -> tuple[Path, ...]:
    """Return the files of the one of `sets`, names that belong together, that lies in `folder`.

    Raises:
        FedbertError: if `folder` is none, or holds none of them, a part of one, or two of them.
    """
    problem = path_problem(str(folder))
    if problem is not None:
        raise invalid(FOLDER, str(folder), problem, "check the path")
    try:
        _refuse_no_folder(folder)
        present = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise invalid(FOLDER, str(folder), f"be readable ({reason(error)})", "check its rights") from None
    begun = [names for names in sets if set(names) & set(present)]
    whole = [names for names in begun if set(names) <= set(present)]
    if len(whole) == 1:
        return tuple(folder / name for name in whole[0])
    if len(whole) > 1:
        rule = f"hold one set (has {whole[0][0]} and {whole[1][0]})"
        raise invalid(FOLDER, str(folder), rule, "move one of them to a folder of its own")
    if begun:
        missing = next(name for name in begun[0] if name not in present)
        rule = f"hold {' and '.join(begun[0])} (has no {missing})"
        raise invalid(FOLDER, str(folder), rule, "unpack the set again")
    wanted = ", or ".join(" and ".join(names) for names in sets)
    raise invalid(FOLDER, str(folder), f"hold {wanted}", _where_else(folder, present, sets))


def _refuse_no_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.is_file():
        packed = folder.suffix.lower() in _PACKED
        hint = "unpack it first, and name the folder" if packed else "name the folder that it lies in"
        raise invalid(FOLDER, str(folder), "be a folder, not a file", hint)
    raise invalid(FOLDER, str(folder), "be a folder", "check the path")


def _where_else(folder: Path, present: Sequence[str], sets: Sequence[Sequence[str]]) -> str:
    if not present:
        return "it is empty"
    for name in present:
        inside = folder / name
        if any((inside / names[0]).is_file() for names in sets):
            return f"its folder {name!r} does: name that one"
        if inside.is_file() and inside.suffix.lower() in _PACKED:
            return f"unpack {name!r} first"
    return "check the path"


def read_fields(path: Path, separator: str, columns: Sequence[str]) -> UserTable:
    """Return the lines of a file without a header as a table of text; nothing in it is a quote.

    UTF-8, or ISO 8859-1 as the older sets have. Raises FedbertError naming a line with more or fewer fields
    than `columns`.
    """
    try:
        content = read_bytes(path, TABLE_LIMIT_BYTES)
    except UnreadableFile as error:
        raise error.of(FILE, str(path)) from None
    lines = _text(path, content).split("\n")
    del content
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise invalid(FILE, str(path), "not be empty", "unpack the set again")
    chunks: list[list[pa.Array]] = [[] for _ in columns]
    for start in range(0, len(lines), _ROWS_AT_A_TIME):
        rows = [line.removesuffix("\r").split(separator) for line in lines[start : start + _ROWS_AT_A_TIME]]
        for place, row in enumerate(rows):
            if len(row) != len(columns):
                raise _ragged(path, separator, columns, start + place, len(row))
        for chunk, values in zip(chunks, zip(*rows, strict=True), strict=True):
            chunk.append(pa.array(values, pa.large_string()))
    found = [pa.chunked_array(chunk, pa.large_string()) for chunk in chunks]
    data = pa.Table.from_arrays(found, names=list(columns))
    return UserTable(FILE, path, data, TableFacts(path.name, data.num_rows, None, 0, ()))


def _text(path: Path, content: bytes) -> str:
    if (place := content.find(b"\0")) >= 0:
        line = content[:place].count(b"\n") + 1
        raise invalid(FILE, str(path), f"hold no NUL (line {line} has one)", "unpack the set again")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _ragged(path: Path, separator: str, columns: Sequence[str], row: int, count: int) -> FedbertError:
    shown = {"\t": "a tab", "::": "'::'", "|": "'|'"}[separator]
    rule = (
        f"have {len(columns)} fields in each line, separated by {shown} (line {row + 1} has {count}): "
        f"{', '.join(columns[:8])}{', ...' if len(columns) > 8 else ''}"
    )
    return invalid(FILE, str(path), rule, "mend the line, or unpack the set again")
