"""Reading what a command wrote as JSON: of the right shape, or one line that says what to do."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from fedbert.errors import FedbertError, shortened
from fedbert.files import UnreadableFile, parsed_json
from fedbert.run_folder import read_committed

T = TypeVar("T")


@dataclass(frozen=True)
class RecordKind(Generic[T]):
    """A kind of record: the file that it lies in, its shape, and the words about it."""

    file: str
    whose: str  # as in "a run's"
    folder: str  # as in "a finished run"
    again: str  # the next step, as in "run the scenario again"
    shape: Any  # the type that is T, for pydantic
    schema: int | None  # None where the record has no such key
    limit_bytes: int


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)  # built when a record is first read: --help needs none


def load_record(kind: RecordKind[T], folder: Path) -> T:
    """Return the record in `folder` as its last whole writing left it.

    Raises:
        FedbertError: if there is none, or it is damaged or of another schema.
    """
    path = folder / kind.file
    try:
        record = parsed_json(path, read_committed(folder, kind.file, kind.limit_bytes))
    except UnreadableFile as error:
        if error.rule == "exist":
            raise FedbertError(
                f"{path} must exist; name the folder of {kind.folder}, or {kind.again}"
            ) from None
        raise FedbertError(f"{path} must be {kind.whose} JSON: it must {error.rule}; {kind.again}") from None
    schema = record.get("schema") if isinstance(record, dict) else None
    if kind.schema is not None and schema != kind.schema:
        raise FedbertError(f"{path}: schema(={shortened(schema)}) must be {kind.schema}; {kind.again}")
    return checked_record(kind, record, path)


def checked_record(kind: RecordKind[T], record: Any, path: Path) -> T:
    """Return `record` if it has its kind's shape; raises FedbertError naming the first wrong key.

    Further keys are left in it: a later version may have written them.
    """
    try:
        _adapter(kind.shape).validate_python(record, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        if first["type"] == "missing":
            raise FedbertError(f"{path} lacks {where!r}; {kind.again}") from None
        writer = kind.whose.removesuffix("'s")
        raise FedbertError(
            f"{path}: {where} must be as {writer} writes it ({first['msg']}); {kind.again}"
        ) from None
    return cast(T, record)
