"""Chapter of a compression's report: where the bytes are."""

from typing import Any

from fedbert.reporting.compression.axes import horizontal_bars
from fedbert.reporting.compression.numbers import REST, parts
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.compression.sentences import share
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Section, figure_html


def bytes_figure(record: CompressionRecord) -> Any:
    """Bytes by part, largest at the top."""
    listed = parts(record)
    total = sum(size for _, size in listed) or 1.0
    rows = [
        (
            name,
            size,
            f"{text.size(size)} · {share(size / total)}",
            theme.GREY if name == REST else theme.ACCENT,
        )
        for name, size in listed
    ]
    figure = horizontal_bars(rows, "bytes", 124)
    figure.update_xaxes(tickformat="~s")
    return figure


def bytes_by_part(record: CompressionRecord) -> Section | None:
    """Where the bytes are."""
    listed = parts(record)
    if not listed:
        return None
    covered = text.size(sum(size for _, size in listed))
    return Section(
        "Where the bytes are",
        "measured",
        figure_html(bytes_figure(record), "Bytes by part.", 80 + 34 * len(listed)),
        f"{covered} on disk in total.",
    )
