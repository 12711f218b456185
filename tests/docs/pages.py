"""What stands in the pages for a reader to follow: links, headings and commands."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_PROGRAMS = ("fedbert", "python", "make", "pip", "flwr")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Command:
    """A command of a page, its words as a shell would split them."""

    page: str
    words: tuple[str, ...]


def pages() -> list[Path]:
    """Return all pages that people write: those of docs, README and CONTRIBUTING."""
    written = [path for path in (ROOT / "docs").rglob("*.md") if "compression" not in path.parts]
    return sorted([*written, ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


def notebooks() -> list[Path]:
    """Return the notebooks."""
    return sorted((ROOT / "examples").glob("*.ipynb"))


def text_of(page: Path) -> str:
    """Return a page's Markdown; of a notebook that of its cells of text."""
    text = page.read_text("utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def _tokens(text: str) -> Iterator[Token]:
    for token in _MARKDOWN.parse(text):
        yield token
        yield from token.children or ()


def links(text: str) -> list[str]:
    """Return the targets of all links and pictures, in order."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _tokens(text)]
    return [str(target) for target in found if target]


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as a repository's own view of Markdown makes them."""
    tokens, found = _MARKDOWN.parse(text), list[str]()
    for heading, inside in pairwise(tokens):
        if heading.type == "heading_open":
            plain = "".join(child.content for child in inside.children or ())
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def commands(page: str, text: str) -> list[Command]:
    """Return the commands of all blocks and of all code within a line."""
    found = []
    for token in _tokens(text):
        if token.type in ("fence", "code_block", "code_inline"):
            for line in token.content.replace("\\\n", " ").splitlines():
                if (words := _words(line)) is not None:
                    found.append(Command(page, words))
    return found


def _words(line: str) -> tuple[str, ...] | None:
    """Return the words of a line that calls one of the programs, None for any other."""
    plain = line.strip().removeprefix("$ ").removeprefix("time ")
    if plain.split(" ")[0] not in _PROGRAMS or " " not in plain:
        return None
    try:
        words = tuple(shlex.split(plain, comments=True))
    except ValueError:  # a sentence with an apostrophe, no command
        return None
    return None if "|" in words else words  # alternatives, not a command
