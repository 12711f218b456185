"""What a server of static files spends on the download of a release: Python's own, on loopback.

It copies a file through its own memory, a connection each: a plain baseline, and no CDN.
A server that hands the file to the kernel spends less for a byte.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from fedbert.errors import FedbertError
from fedbert.machine import process_cpu_s, process_memory_bytes
from fedbert.planning.capacity.calibration import CheckRow
from fedbert.planning.measuring.samples import (
    Measurements,
    Sample,
    each_and_fixed_memory,
    fixed_and_each,
    grown,
)

SMALL_BYTES = 1_000
DOWNLOADS, RATE_PER_S = 40, 30.0
"""Spaced out, as phones come: one right after the other finds the server's caches warm, and costs less."""
RATES_PER_S = (10, 30, 90)
"""Downloads a second of the check."""
CHECK_DOWNLOADS = 60

OPEN = (20, 50, 100, 200)
"""Downloads open at a time, ascending: the first and third are fitted to, the others are checks."""
STALLED, STALLED_BYTES = "stalled", 32_000_000
"""More than the buffers of a connection take: a download that nobody reads stays open."""

PATIENCE_S = 60.0
BLOCK_BYTES = 1 << 18

HOW = "GET of a file from `python -m http.server` on loopback, a connection each; no TLS, no CDN"


def download_samples(release: bytes, folder: Path) -> Measurements:
    """Return what downloads of `release` cost, and the check at three rates and two sizes.

    `folder` is an empty one that the server serves.
    """
    half = len(release) // 2
    sizes = {"small": SMALL_BYTES, "half": half, "release": len(release)}
    for name, size in sizes.items():
        (folder / name).write_bytes(release[:size])
    (folder / STALLED).write_bytes(bytes(STALLED_BYTES))
    pairs: list[tuple[float, float]] = []
    loads: list[tuple[float, str, float]] = []
    with _serving(folder) as (pid, port):
        _fetched(pid, port, "release", DOWNLOADS // 4)
        # In turns: what else the machine does in the meantime bears on figures and check alike.
        for rate in RATES_PER_S:
            for name in ("half", "release"):
                small, _ = _fetched(pid, port, "small", DOWNLOADS, RATE_PER_S)
                large, _ = _fetched(pid, port, "release", DOWNLOADS, RATE_PER_S)
                pairs.append((small / DOWNLOADS, large / DOWNLOADS))
                loads.append((rate, name, _fetched(pid, port, name, CHECK_DOWNLOADS, rate)[0]))
        extra = tuple(float(_fetched(pid, port, name, 1)[1] - size) for name, size in sizes.items())
        peaks = _open_memory(pid, port)
    fixed, each = fixed_and_each(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], SMALL_BYTES, len(release)
    )
    a_download, a_byte = (max(0.0, float(np.mean(values))) for values in (fixed, each))
    checks: list[CheckRow] = [
        {
            "part": "downloads",
            "rate_per_s": float(rate),
            "count": CHECK_DOWNLOADS,
            "bytes_each": sizes[name],
            "predicted_cpu_s": CHECK_DOWNLOADS * (a_download + sizes[name] * a_byte),
            "measured_cpu_s": spent,
        }
        for rate, name, spent in loads
    ]
    few, _, many, _ = OPEN
    each_memory, fixed_memory = each_and_fixed_memory(peaks, few, many)
    how = f"peak of the server's process, {few} and {many} downloads at a time that stall"
    found = (
        Sample("download_cpu_s", fixed, f"{HOW}: whatever the size"),
        Sample("download_byte_cpu_s", each, f"{HOW}: for each byte, {SMALL_BYTES:,} to {len(release):,}"),
        Sample("download_extra_bytes", extra, "headers of the answer, as received"),
        Sample("download_memory_bytes", (fixed_memory,), f"{how}: without any"),
        Sample("download_open_memory_bytes", (each_memory,), f"{how}: for each"),
    )
    held = grown("downloads", peaks, (few, many), each_memory, STALLED_BYTES)
    return Measurements(found, tuple(checks), tuple(held))


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[int, int]]:
    """Serve `folder` from a process of its own; give its pid and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = [
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder),
        str(port),
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(server, port)
            yield server.pid, port
        finally:
            server.terminate()
            server.wait()


def _wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise FedbertError("the server of static files did not start on the loopback interface; try again")


def _fetched(
    pid: int, port: int, name: str, count: int, rate_per_s: float | None = None
) -> tuple[float, int]:
    """Return the server's CPU seconds for `count` downloads, and the bytes of the last as received."""
    before, received = process_cpu_s(pid), 0
    began = time.monotonic()
    for number in range(count):
        if rate_per_s is not None:
            time.sleep(max(0.0, began + number / rate_per_s - time.monotonic()))
        received = _get(port, name)
    return process_cpu_s(pid) - before, received


def _open_memory(pid: int, port: int, counts: Sequence[int] = OPEN) -> dict[int, float]:
    """Return the largest memory of the server by how many downloads were open so far: `counts`, ascending."""
    peaks: dict[int, float] = {}
    with ExitStack() as stack:
        opened = 0
        for count in counts:
            for _ in range(count - opened):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
                connection.sendall(f"GET /{STALLED} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
                connection.recv(1)  # it is being served
            opened = count
            time.sleep(0.5)  # until the server has filled the buffers
            peaks[count] = float(process_memory_bytes(pid))
    return peaks


def _get(port: int, name: str) -> int:
    """Return the bytes received for one request, headers included."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(f"GET /{name} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        received, start = 0, b""
        while block := connection.recv(BLOCK_BYTES):
            start = start or block
            received += len(block)
    if b" 200 " not in start.partition(b"\r\n")[0]:
        raise FedbertError("the server of static files did not serve the measured file; try again")
    return received
