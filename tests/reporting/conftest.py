"""What the tests of pages share: a browser, and forecasts of which best guesses alone count."""

from collections.abc import Iterator

import pytest
from browser import PATH, Page, browser

from fedbert.planning.capacity import draws


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One browser for all tests of a file."""
    assert PATH is not None
    with browser(PATH) as found:
        yield found


@pytest.fixture
def one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only best guesses are compared: one draw of intervals, and no account that the page lacks."""
    monkeypatch.setattr(draws, "DRAWS", 1)
    for name in ("poisson.Poisson", "once_a_day.Allocated"):
        monkeypatch.setattr(f"fedbert.privacy.{name}.amplified", lambda *_: 1.0)
