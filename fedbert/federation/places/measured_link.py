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
CHECK_INS = 150
"""Polls of one measurement."""
IDLE_S, SETTLING, SETTLED = 2.0, 10, 0.05
"""How long idling is looked at, how often, and the CPU seconds a second below which it is idling."""

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
class LinkMeasured:
    """What the SuperLink and its ServerApp spent."""

    check_in_cpu_s: tuple[float, ...]  # of the SuperLink, a poll with nothing to say
    phase_cpu_s: tuple[float, ...]  # of a phase's messages, polls and idling taken off
    memory_before_bytes: int  # largest of the SuperLink's processes together, before the first phase
    memory_after_bytes: int


def measure_link(folder: Path, phases: list[tuple[int, int]], check_in_repeats: int) -> LinkMeasured:
    """Return what a SuperLink spends on polls and on `phases` of (answers, bytes of each).

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
                idle = _idle(pid)
                check_ins = tuple(_polls(pid, connection[1], idle) for _ in range(check_in_repeats))
                memory = _memory(pid)
                a_check_in = sum(check_ins) / len(check_ins)
                # One more phase ends the last.
                asked = ",".join(f"{count}x{size}" for count, size in [*phases, (1, 1)])
                _submit(folder, env, asked)
                spent = _answered(pid, connection, len(phases), a_check_in, idle)
                found.append(LinkMeasured(check_ins, spent, memory, _memory(pid)))
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


def _submit(folder: Path, env: dict[str, str], asked: str) -> None:
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


def _idle(pid: int) -> float:
    """Return the CPU seconds a second of a SuperLink that nobody asks."""
    for _ in range(SETTLING):
        before, began = _cpu_s(pid), time.monotonic()
        time.sleep(IDLE_S)
        rate = (_cpu_s(pid) - before) / (time.monotonic() - began)
        if rate < SETTLED:
            break  # what it starts beside itself is there
    return rate


def _polls(pid: int, receive: Callable[[], Any], idle: float) -> float:
    """Return the CPU seconds of the SuperLink for one poll."""
    before, began = _cpu_s(pid), time.monotonic()
    for _ in range(CHECK_INS):
        receive()
    return (_cpu_s(pid) - before - idle * (time.monotonic() - began)) / CHECK_INS


def _answered(pid: int, connection: Any, phases: int, a_check_in: float, idle: float) -> tuple[float, ...]:
    """Answer every question; return what each phase cost, from its first question to the next one's.

    The same number of questions of one size are put into the SuperLink before and within that time.
    """
    receive = connection[1]
    marks: list[tuple[float, float, int]] = []
    polls, deadline = 0, time.monotonic() + PATIENCE_S
    while len(marks) <= phases:
        if time.monotonic() > deadline:
            raise FedbertError(f"a phase did not come within {PATIENCE_S:.0f} s; try again")
        found = receive()
        if found is None:
            polls += 1
            time.sleep(0.2)
            continue
        message, tree = found
        if int(message.metadata.group_id) == len(marks):
            marks.append((_cpu_s(pid), time.monotonic(), polls))
            deadline = time.monotonic() + PATIENCE_S
        if len(marks) <= phases:
            _answer(connection, message, tree)
    return tuple(
        after[0] - before[0] - (after[2] - before[2]) * a_check_in - idle * (after[1] - before[1])
        for before, after in pairwise(marks)
    )


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
