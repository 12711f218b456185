"""Standard output and standard error as a display: if nobody reads it any more, the work goes on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

COLUMNS = 80
"""Width of tables where there is no terminal: what a log or a mail can be trusted to show."""


class Display:
    """A text stream whose errors are nobody's loss: closed by its reader, full disk, letters it cannot show.

    After the first error of the system it is silent. Everything else is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._silent = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text` if anybody can see it; return its length."""
        if not self._silent:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    encoding = self._stream.encoding or "ascii"
                    self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError):
                self._silence()
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream if anybody can see it."""
        if not self._silent:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._silence()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def _silence(self) -> None:
        self._silent = True
        # What is still in the stream's buffer would be tried again, and complained of, when Python ends.
        with suppress(OSError, ValueError):
            descriptor = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def display(stream: TextIO | None) -> TextIO:
    """Return `stream` as a `Display`; None, a stream closed before the start, shows nothing."""
    if isinstance(cast(Any, stream), Display):
        return cast(TextIO, stream)
    if stream is None:
        # Its descriptor number must not go to a file that the program opens.
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    return cast(TextIO, Display(stream))


@contextmanager
def standard_streams_as_display() -> Iterator[None]:
    """Make standard output and standard error displays inside the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = display(sys.stdout), display(sys.stderr)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
