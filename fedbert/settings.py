"""Settings: frozen models whose fields are checked once, and whose mistakes are one clear line.

A command's flags are the fields of such a model (`fedbert.cli.options`), so that name, default, range and
meaning are said in one place.
"""

import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fedbert.errors import FedbertError, invalid
from fedbert.files import path_problem


class Settings(BaseModel):
    """A frozen model; it refuses unknown keys, numbers that are not finite, and true for a value.

    Raises FedbertError for the first mistake, in the same words for a flag, a file's key and Python.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise FedbertError(one_line(error)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where no switch is meant, and texts that no file or name can have."""
        if isinstance(value, bool) and not is_switch(cls, str(info.field_name)):
            raise PydanticCustomError("not_bool", "Input should be a value, not true or false")
        if isinstance(value, str | Path) and (problem := path_problem(str(value))) is not None:
            raise PydanticCustomError("text", "Input should {problem}", {"problem": problem})
        return value


def folders_of(value: Any) -> tuple[Any, ...]:
    """Return the folders of a setting that takes one or several, each once; for a validator.

    Raises PydanticCustomError for a name that no folder can have.
    """
    folders = tuple(dict.fromkeys([value] if isinstance(value, str | Path) else value))
    for folder in folders:
        if (problem := path_problem(str(folder))) is not None:
            raise PydanticCustomError("text", "Input should {problem}", {"problem": problem})
    return folders


def is_switch(model: type[Settings], name: str) -> bool:
    """Return whether the field `name` is on or off rather than a value."""
    return model.model_fields[name].annotation in (bool, bool | None)


def one_line(error: ValidationError) -> str:
    """Return the first mistake as one line: the setting, its value, the rule that it breaks."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    if first["type"] == "missing":
        return f"{where} must be given; see --help for its meaning"
    rule = message[0].lower() + message[1:]
    value = first.get("input")
    if isinstance(value, float) and not math.isfinite(value):
        rule = "be a finite number"
    elif first["type"] == "text":
        rule, value = rule.removeprefix("input should "), str(value)
    else:
        rule = "be " + rule.removeprefix("input should be ").removeprefix("input should have ")
    return str(invalid(where, value, rule, "see --help for its meaning"))
