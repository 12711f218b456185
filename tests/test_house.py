"""Rules of the code's shape that no linter holds."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fedbert"
MOST_PARAMETERS = 8


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Return each function of the package with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}", node


def parameters(function: ast.FunctionDef) -> list[str]:
    """Return the names of what a function takes, without self and cls."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def test_no_function_takes_more_than_eight_things() -> None:
    """What belongs together is a value of its own; a function takes eight of them at most."""
    long = [place for place, function in functions() if len(parameters(function)) > MOST_PARAMETERS]
    assert long == []
