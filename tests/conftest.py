"""What tests of several folders share."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# No example may fail for its time. Where CI is set, as build servers do, the examples are always the same.
settings.register_profile(
    "fedbert", deadline=None, max_examples=50, database=None, derandomize="CI" in os.environ
)
settings.register_profile("fuzz", deadline=None, max_examples=5_000, database=None)
settings.load_profile("fuzz" if os.environ.get("FEDBERT_FUZZ") == "1" else "fedbert")

APART = ("tests/faults/test_faults.py", "tests/faults/test_writes.py", "tests/test_malformed.py")
"""Files whose tests share nothing: two workers may have a half each."""

LONGEST_FIRST = ("deployment", "tests/federation/test_kills.py", "tests/federation/test_worlds_end_to_end.py")
"""Groups that begin first, so that no worker is left alone with one at the end."""

PAGES = Path(__file__).parent.parent / "docs" / "how-to"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker: they share fixtures, and deployments share ports."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: groups[item] not in LONGEST_FIRST)


def _group(item: pytest.Item) -> str | None:
    file = item.nodeid.partition("::")[0]
    if item.get_closest_marker("deployment") is not None:
        return "deployment"
    return None if file in APART else file


@pytest.fixture(scope="session")
def worked_example() -> Callable[[str], str]:
    """A function that returns the Python of a page of docs/how-to, by what it makes: "A signal"."""

    def example(part: str) -> str:
        page = (PAGES / f"{part.removeprefix('A ')}.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
        assert isinstance(code, str)
        return code

    return example
