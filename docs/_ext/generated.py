"""Parts of pages that are made from code, ``{commands}`` and ``{dictionary}``, and the links of notebooks."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fedbert.cli.main import fedbert
from fedbert.dictionary import FILES, File

EXAMPLES = "examples"
"""Folder of the notebooks, beside docs/ in the repository and in it on the site."""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it, groups before what is in them."""

    def inner(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=words)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                if found is not None and not found.hidden:
                    yield from inner(f"{words} {name}", found)

    yield from inner("fedbert", fedbert)


def _cell(text: str) -> str:
    """Return a text as one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def command_lines(words: str, command: click.Command) -> list[str]:
    """Return a command's usage, help and flags as Markdown."""
    context = click.Context(command, info_name=words)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {words}", "", f"`{words} {usage}`", "", *(command.help or "").splitlines(), ""]
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return lines
    heading = None
    for each in command.get_params(context):
        found = each.get_help_record(context)
        if found is None:
            continue
        group = str(getattr(each, "group", None) or "options").capitalize()
        if group != heading:
            lines += ["", f"**{group}**", "", "| flag | meaning |", "|---|---|"]
            heading = group
        lines.append(f"| `{_cell(found[0])}` | {_cell(found[1])} |")
    return [*lines, ""]


class Commands(SphinxDirective):
    """Every command with its flags, as its ``--help`` has them."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        lines = [line for words, command in commands() for line in command_lines(words, command)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def file_lines(file: File) -> list[str]:
    """Return a file of the data dictionary as Markdown."""
    lines = [f"### {file.name}", "", f"`fedbert {file.written_by}`: {_cell(file.text)}.", ""]
    if file.columns:
        lines += ["| name | type | unit | label | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{_cell(column.name)}` | {column.kind}{' or null' * column.optional} | {column.unit} "
            f"| {column.label} | {_cell(column.text)} |"
            for column in file.columns
        ]
    return [*lines, ""]


class Dictionary(SphinxDirective):
    """Every file that a command writes, with its keys and columns."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        lines = [line for file in FILES for line in file_lines(file)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _copy_notebooks(app: Sphinx, _: object) -> None:
    """Copy the notebooks of examples/ to where Sphinx finds pages, with links that fit the site."""
    folder = Path(app.srcdir) / EXAMPLES
    folder.mkdir(exist_ok=True)
    for path in (Path(app.srcdir).parent / EXAMPLES).glob("*.ipynb"):
        text = path.read_text("utf-8").replace("](../docs/", "](../")
        copy = folder / path.name
        if not copy.exists() or copy.read_text("utf-8") != text:
            copy.write_text(text, "utf-8")


def _links_to_notebooks(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead a page's links to notebooks to their copies: one folder less up."""
    source[0] = re.sub(rf"\]\(((?:\.\./)*)\.\./{EXAMPLES}/", rf"](\1{EXAMPLES}/", source[0])


def _plain_metrics(
    app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]
) -> None:
    """Keep names as ndcg@10 in docstrings from being taken for addresses."""
    lines[:] = [re.sub(r"(?<![`\w])(ndcg@\d+|hit@1)(?![`\w])", r"`\1`", line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("commands", Commands)
    app.add_directive("dictionary", Dictionary)
    app.connect("config-inited", _copy_notebooks)
    app.connect("autodoc-process-docstring", _plain_metrics)
    app.connect("source-read", _links_to_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
