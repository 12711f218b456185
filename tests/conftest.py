"""What tests of several folders share."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"


@pytest.fixture(scope="session")
def worked_example() -> Callable[[str], str]:
    """A function that returns the Python of a section of docs/extending.md, by its heading."""
    page = PAGE.read_text(encoding="utf-8")

    def example(heading: str) -> str:
        section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.S)
        assert isinstance(code, str)
        return code

    return example
