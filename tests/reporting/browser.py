"""A headless Chromium for tests of pages, over the pipe of its DevTools protocol: no port, no driver."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 60.0
"""A browser that says nothing for so long is broken, however slow the machine."""

Scheme = Literal["light", "dark"]


def chromium() -> str | None:
    """Return the path of an installed Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


PATH = chromium()
needs_browser = pytest.mark.skipif(PATH is None, reason="no Chromium is installed to open the pages")


class Page:
    """One tab: its size and colour scheme can be set, its scripts run, its picture taken."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._number, self._rest, self._session = 0, b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a command of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._write, rest) :]
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"Chromium said nothing for {PATIENCE_S:g} s"
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def show(self, width: int, scheme: Scheme, media: str = "screen") -> None:
        """Lay the page out `width` pixels wide in a colour scheme, on screen or for print."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def open(self, file: Path, fragment: str = "") -> None:
        """Load a file, at a fragment of its address, and wait until its scripts have run."""
        self.call("Page.navigate", url="about:blank")  # an address that differs in its fragment loads nothing
        while self._next().get("method") != "Page.loadEventFired":
            pass
        self.call("Page.navigate", url=file.as_uri() + fragment)
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def saved(self, script: str, file: Path) -> bytes:
        """Return what a click by `script` downloads, as `file` in an empty folder."""
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(file.parent))
        self.run(script)
        until = time.monotonic() + PATIENCE_S
        while not file.exists():  # it gets its name once it is whole
            assert time.monotonic() < until, f"nothing was saved as {file.name}"
            time.sleep(0.01)
        return file.read_bytes()

    def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


@contextmanager
def browser(path: str) -> Iterator[Page]:
    """Start the Chromium at `path` without a window or network; end it afterwards."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    def inherit() -> None:
        # The protocol's pipe is on 3 and 4; first out of the way, since a pipe may have got those numbers.
        read, write = os.dup(theirs_in), os.dup(theirs_out)
        read, write = os.dup2(read, 103), os.dup2(write, 104)
        os.dup2(read, 3)
        os.dup2(write, 4)

    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        flags = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ]
        flags += ["--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"]
        command = [path, *flags, f"--user-data-dir={home}"]
        process = subprocess.Popen(
            command,
            preexec_fn=inherit,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        page = None
        try:
            page = Page(ours_out, ours_in)
            yield page
        finally:
            if page is not None and process.poll() is None:
                page._session = ""
                page.call("Browser.close")
            else:
                process.kill()
            process.wait(PATIENCE_S)
            os.close(ours_in)
            os.close(ours_out)
