"""What a real SuperLink spends on check-ins and report uploads, measured on the loopback interface.

SuperLink and ServerApp run as in a deployment, in processes of their own. The SuperNode is Flower's own
connection in this process, without the ClientApp that a SuperNode would start: phones' work is not measured.
A SuperNode carries a shard, not a phone, so what is measured is a message and its bytes.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fedbert.errors import FedbertError
from fedbert.machine import process_cpu_s, process_memory_bytes

PATIENCE_S = 180.0
SETTLING_S, SETTLING, SETTLED = 2.0, 10, 0.05
"""How long a start is looked at, how often, and the CPU seconds a second below which it is over."""
IDLE_S = 10.0
"""How long idling is looked at, before the polls and after them."""

APP = """
[project]
name = "measured"
version = "1.0.0"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41,<2"]

[tool.flwr.app]
publisher = "fedbert"
fab-format-version = 1
flwr-version-target = "1.41.0"

[tool.flwr.app.components]
serverapp = "measured_app:app"
clientapp = "measured_app:client"

[tool.flwr.app.config]
phases = ""
"""
CONNECTION = """
[superlink.measured]
address = "127.0.0.1:{port}"
insecure = true
"""


@dataclass(frozen=True)
class Polls:
    """Check-ins that find nothing, at a rate."""

    count: int
    rate_per_s: float


@dataclass(frozen=True)
class Phase:
    """A round: questions put at once, and answered at a rate, or as fast as it goes."""

    answers: int
    bytes_each: int
    rate_per_s: float | None = None


OPENER = Phase(1, 1)
"""Comes before every phase: the questions of a phase are put at once, while the one before it ends."""


@dataclass(frozen=True)
class LinkMeasured:
    """What the SuperLink and its ServerApp spent, all their processes together; idling is taken off."""

    polls_cpu_s: tuple[float, ...]  # of each series of polls
    phase_cpu_s: tuple[float, ...]  # of each phase with its opener, what it polled taken off
    memory_bytes: tuple[int, ...]  # largest so far: before the first phase, and after each


def measure_link(folder: Path, phases: list[Phase], polls: list[Polls]) -> LinkMeasured:
    """Return what a SuperLink spends on series of polls, and then on phases.

    `folder` is an empty one for Flower's home and the app. Raises FedbertError if the deployment does not
    start.
    """
    from flwr.supernode.fleet_http_connection import http_request_response

    (folder / "home").mkdir()
    (folder / "app").mkdir()
    env = os.environ | {
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    port = _free_port()
    (folder / "app" / "pyproject.toml").write_text(APP)
    (folder / "app" / "LICENSE").write_text("Apache-2.0\n")
    source = Path(__file__).with_name("measured_app.py").read_text("utf-8")
    (folder / "app" / "measured_app.py").write_text(source)
    (folder / "home" / "config.toml").write_text(CONNECTION.format(port=port))
    words = ["flower-superlink", "--insecure", "--disable-runtime-dependency-installation"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    found: list[LinkMeasured] = []
    wrong = FedbertError("the measured SuperLink refused the SuperNode; try again on a quieter machine")
    with _started(words, folder, env) as pid:
        _wait_for_port(port)
        with http_request_response(f"127.0.0.1:{port}", True, max_retries=5) as connection:
            # Flower's connection logs what goes wrong within it, and goes on.
            try:
                _settle(pid)
                before = _idle(pid)
                polled = [_polls(pid, connection[1], each) for each in polls]
                idle = (before + _idle(pid)) / 2
                spent = tuple(cpu_s - idle * wall_s for cpu_s, wall_s in polled)
                a_poll = sum(spent) / sum(each.count for each in polls)
                rounds = [OPENER, *(each for phase in phases for each in (phase, OPENER))]
                _submit(folder, env, rounds)
                found.append(LinkMeasured(spent, *_answered(pid, connection, rounds, a_poll, idle)))
            except FedbertError as error:
                wrong = error
    if not found:
        raise wrong
    return found[0]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _started(words: list[str], folder: Path, env: dict[str, str]) -> Iterator[int]:
    """Run a command in a session of its own; end it and all that it started on leaving."""
    with (folder / "superlink.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        time.sleep(0.1)
    raise FedbertError(f"the SuperLink did not start within {PATIENCE_S:.0f} s; try again")


def _submit(folder: Path, env: dict[str, str], phases: list[Phase]) -> None:
    asked = ",".join(f"{phase.answers}x{phase.bytes_each}" for phase in phases)
    words = ["flwr", "run", str(folder / "app"), "measured", "--run-config", f'phases="{asked}"']
    done = subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[-300:]
        raise FedbertError(f"the measured app was not taken by the SuperLink ({said})")


def _processes(pid: int) -> list[Any]:
    import psutil

    own = psutil.Process(pid)
    return [own, *own.children(recursive=True)]


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of the SuperLink and of what it started."""
    total = 0.0
    for process in _processes(pid):
        with suppress(ProcessLookupError):
            total += process_cpu_s(process.pid)
    return total


def _memory(pid: int) -> int:
    total = 0
    for process in _processes(pid):
        with suppress(ProcessLookupError):
            total += process_memory_bytes(process.pid)
    return total


def _settle(pid: int) -> None:
    """Wait until what the SuperLink starts beside itself is there."""
    for _ in range(SETTLING):
        if _idle(pid, SETTLING_S) < SETTLED:
            return


def _idle(pid: int, seconds: float = IDLE_S) -> float:
    """Return the CPU seconds a second of a SuperLink that nobody asks."""
    before, began = _cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu_s(pid) - before) / (time.monotonic() - began)


def _polls(pid: int, receive: Callable[[], Any], polls: Polls) -> tuple[float, float]:
    """Return CPU seconds of the SuperLink and seconds for a series of polls."""
    before, began = _cpu_s(pid), time.monotonic()
    for number in range(polls.count):
        _wait_until(began + number / polls.rate_per_s)
        receive()
    return _cpu_s(pid) - before, time.monotonic() - began


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _answered(
    pid: int, connection: Any, rounds: list[Phase], a_poll: float, idle: float
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Answer every question; return what each phase cost, and the largest memory before and after each.

    `rounds` are openers with a phase between each two. A phase counts from its opener's question to that of
    the next: its questions and answers, and one more of an opener.
    """
    receive = connection[1]
    marks: list[tuple[float, float, int]] = []
    memory: list[int] = []
    polls, answered, deadline = 0, 0, time.monotonic() + PATIENCE_S
    while len(marks) < len(rounds):
        if time.monotonic() > deadline:
            raise FedbertError(f"a question did not come within {PATIENCE_S:.0f} s; try again")
        found = receive()
        if found is None:
            polls += 1
            time.sleep(0.2)
            continue
        message, tree = found
        if int(message.metadata.group_id) == len(marks):
            marks.append((_cpu_s(pid), time.monotonic(), polls))
            memory.append(_memory(pid))
            answered = 0
        rate = rounds[len(marks) - 1].rate_per_s
        if rate is not None:
            _wait_until(marks[-1][1] + answered / rate)
        if len(marks) < len(rounds):
            _answer(connection, message, tree)
            answered += 1
        deadline = time.monotonic() + PATIENCE_S
    spent = tuple(
        after[0] - before[0] - (after[2] - before[2]) * a_poll - idle * (after[1] - before[1])
        for before, after in pairwise(marks[::2])
    )
    return spent, tuple(memory[::2])


def _answer(connection: Any, message: Any, tree: Any) -> None:
    """Take a question and send the answer of the size that it wants, as a SuperNode does."""
    import numpy as np
    from flwr.app import Array as FlowerArray
    from flwr.app import ArrayRecord, Message, RecordDict
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        iterate_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import (
        inflate_object_from_contents,
        pull_objects,
        push_objects,
    )

    _, _, send, _, _, pull_object, push_object, confirm = connection
    run_id, question_id = message.metadata.run_id, message.metadata.message_id
    contents = pull_objects(
        [each.object_id for each in iterate_object_tree(tree)],
        pull_object_fn=lambda object_id: pull_object(run_id, object_id),
    )
    confirm(run_id, question_id)
    question: Any = inflate_object_from_contents(question_id, contents)
    size = int(question.content["asked"]["bytes"])
    # Random bytes: the same ones twice would be one object to Flower.
    vector = np.random.default_rng().integers(0, 256, size, np.uint8)
    message.metadata.__dict__["_message_id"] = question_id
    record = RecordDict({"report": ArrayRecord({"signal": FlowerArray(vector)})})
    answer = Message(record, reply_to=message)
    with no_object_id_recompute():
        answer.metadata.__dict__["_message_id"] = answer.object_id
        objects = get_all_nested_objects(answer)
        wanted, session = send(answer, get_object_tree(answer), 0.0)
        push_objects(
            objects,
            push_object_fn=lambda object_id, content: push_object(run_id, session, object_id, content),
            object_ids_to_push=wanted,
        )
