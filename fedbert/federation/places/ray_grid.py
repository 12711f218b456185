"""A Flower Grid on Ray: each message is a Ray task, and any worker may do any shard's.

A shard's answer and its phones' memory after it follow from the order and from the memory before, so a task
that dies with its machine is run again by Ray, elsewhere, and gives the same. The memory lies in Ray's object
store where it was made, with a copy at the driver's: of two machines one may be lost.
"""

import hashlib
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
from flwr.app import Message
from ray.exceptions import RayError, RayTaskError

from fedbert.errors import FedbertError
from fedbert.federation.checkpoint import Kept, keep_phones, read_phones
from fedbert.federation.environment import shared_environment
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.places.grid import SimulationGrid, failed
from fedbert.federation.places.ray_worker import Done, Shared, Task, encode, join, work
from fedbert.federation.protocol import REPLAY, START, Arrays, from_records, to_records
from fedbert.federation.shard_work import RELEASE
from fedbert.federation.signing import content_sha256
from fedbert.scenario import Scenario

RETRIES = 5
"""Times that Ray runs a task again whose worker or machine was lost."""

LEAST_TEXTS = 500
"""Texts that are worth a task of their own to be encoded."""

SHARED_BYTES = 10_000
"""Arrays of an order from this size on are looked for among those that went out already."""


@dataclass
class _Memory:
    """Ray's references to a shard's memory after `round`, and before it: a question may be asked again."""

    round: int
    before: Any
    after: Any
    held: Any
    """The copy on this machine; while it is held Ray keeps it."""


@dataclass(frozen=True)
class _Sent:
    """A task that is out."""

    message: Message
    header: dict[str, Any]
    keep: str | None
    before: Any
    done: Any
    memory: Any


class RayGrid(SimulationGrid):
    """Runs each message as a task on the cluster that is connected; `note` is told of lost machines."""

    def __init__(self, nodes: int, note: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(nodes)
        self._note = note
        self._work = ray.remote(num_cpus=1, num_returns=2, max_retries=RETRIES)(work)
        self._encode = ray.remote(num_cpus=1, max_retries=RETRIES)(encode)
        self._join = ray.remote(num_cpus=1, max_retries=RETRIES)(join)
        self._memory: dict[int, _Memory] = {}
        self._seconds: dict[int, float] = {}
        self._environment: Shared | None = None
        self._texts = 0
        """Of the world, where all of them are encoded ahead; 0 where workers encode those that they meet."""
        self._vectors: dict[str, Any] = {}
        self._releases: dict[int, Shared] = {}
        self._shared: dict[str, Shared] = {}
        self._pending: dict[str, _Sent] = {}
        self._alive = _alive()

    # -- out ----------------------------------------------------------------------------------------------

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Start a task for each message and return their ids; the longest begin first."""
        sent = list(messages)
        for message in sorted(sent, key=self._expected_seconds, reverse=True):
            self._pending[message.metadata.message_id] = self._submitted(message)
        # No session of this round meets a release that is new in it: its texts can wait until a CPU is idle.
        for packed in self._releases.values():
            self._encode_ahead(packed)
        return [message.metadata.message_id for message in sent]

    def _expected_seconds(self, message: Message) -> float:
        # By what the shard took last: a long task that begins last leaves all other workers waiting.
        return self._seconds.get(message.metadata.dst_node_id, 0.0)

    def _submitted(self, message: Message) -> _Sent:
        node, kind = message.metadata.dst_node_id, message.metadata.message_type
        header, arrays = from_records(message.content)
        self._take_releases(arrays)
        own = {name: each for name, each in arrays.items() if each.nbytes < SHARED_BYTES}
        shared = {name: self._put(each) for name, each in arrays.items() if name not in own}
        if kind == START:
            self._share_environment(header)
            del header["scenario"]
            memory = _resumed(header)
        else:
            memory = self._memory_for(node, kind, header)
        assert self._environment is not None
        keep = header.pop("keep", None)
        releases = dict(self._releases)
        if kind == START:
            wanted = [*releases.values()]
        elif kind == REPLAY:
            wanted = [shared[name] for name in _artefacts(header) if name in shared]
        else:
            wanted = [each for each in releases.values() if each.key in self._vectors]
        for packed in wanted:
            self._encode_ahead(packed)
        encoded = tuple(packed for packed in dict.fromkeys(wanted) if packed.key in self._vectors)
        task = Task(kind, header, self._environment, own, shared, releases, encoded)
        options = {"scheduling_strategy": "SPREAD"} if kind == START else {}
        vectors = [self._vectors[packed.key] for packed in encoded]
        done, after = self._work.options(**options).remote(task, memory, *vectors)
        return _Sent(message, header, keep, memory, done, after)

    def _take_releases(self, arrays: Arrays) -> None:
        """Move the releases of an order out of its arrays; each goes to the store once."""
        for name in [name for name in arrays if name.startswith(RELEASE)]:
            self._releases[int(name.removeprefix(RELEASE))] = self._put(arrays.pop(name))

    def _put(self, array: np.ndarray) -> Shared:
        key = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()
        if key not in self._shared:
            self._shared[key] = Shared(key, (ray.put(array),))
        return self._shared[key]

    def _share_environment(self, header: dict[str, Any]) -> None:
        if self._environment is not None:
            return
        blob = ray.get(self._releases[0].reference[0]).tobytes()
        scenario = Scenario.model_validate_json(header["scenario"])
        environment = shared_environment(scenario, blob, header["noise_multiplier"]).for_other_machines()
        here, texts = environment.scenario, len(environment.world.texts)
        # In a small fleet most texts are met nowhere, or by one worker; without a model all of them.
        if not here.timing_only and here.devices * here.history_length >= texts:
            self._texts = texts
        _send_own_parts()
        self._environment = Shared("environment", (ray.put(environment),))

    def _encode_ahead(self, packed: Shared) -> None:
        """Let every CPU encode a part of the texts by a packed artefact, once for all workers."""
        if not self._texts or packed.key in self._vectors:
            return
        parts = min(int(ray.cluster_resources().get("CPU", 1)) or 1, 1 + self._texts // LEAST_TEXTS)
        edges = [self._texts * number // parts for number in range(parts + 1)]
        encoded = [
            self._encode.remote(self._environment, packed, first, end - first)
            for first, end in itertools.pairwise(edges)
        ]
        self._vectors[packed.key] = self._join.remote(*encoded)

    def _memory_for(self, node: int, kind: str, header: dict[str, Any]) -> Any:
        """Return the memory that an order is worked with: for a round that is asked again, that before it."""
        if kind == REPLAY and not header.get("pooled"):
            return None
        memory = self._memory.get(node)
        if memory is None:
            raise FedbertError("it has not been started in this run")
        return memory.before if kind != REPLAY and header["round"] <= memory.round else memory.after

    # -- back ---------------------------------------------------------------------------------------------

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are ready among `message_ids`."""
        asked = {self._pending[each].memory: each for each in message_ids if each in self._pending}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0) if asked else ([], [])
        return [self._reply(self._pending.pop(asked[each])) for each in ready]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Send the messages and yield each reply when it is ready, so that sums can be added as they come."""
        deadline = None if timeout is None else time.monotonic() + timeout
        # The memory is what is waited for: it is fetched to this machine before it counts as ready.
        out = {self._pending[each].memory: each for each in self.push_messages(messages)}
        try:
            while out:
                left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                if not ray.wait(list(out), num_returns=1, timeout=left)[0]:
                    return
                for reference in ray.wait(list(out), num_returns=len(out), timeout=0)[0]:
                    yield self._reply(self._pending.pop(out.pop(reference)))
        finally:
            for reference, number in out.items():
                del self._pending[number]
                ray.cancel(reference, force=True)
            self._look_for_losses()

    def _reply(self, sent: _Sent) -> Message:
        node = sent.message.metadata.dst_node_id
        try:
            done: Done = ray.get(sent.done)
            memory: Arrays | None = ray.get(sent.memory)
            answer = dict(done.answer)
            if sent.keep is not None and memory is not None:
                answer["kept"] = _kept(Path(sent.keep), sent.header, memory)
        except RayTaskError as error:
            return failed(sent.message, error.cause)
        except RayError as error:
            text = str(error).strip().splitlines()
            return failed(sent.message, FedbertError(f"{type(error).__name__}: {text[0] if text else ''}"))
        except FedbertError as error:
            return failed(sent.message, error)
        if memory is not None:
            self._seconds[node] = done.seconds  # of its rounds, not of short questions between them
            self._memory[node] = _Memory(sent.header["round"], sent.before, sent.memory, memory)
        echo = {name: sent.header[name] for name in ("round", "first", "count")}
        echo["sha256"] = content_sha256("", answer).hex()
        return Message(to_records(echo, answer), reply_to=sent.message)

    def _look_for_losses(self) -> None:
        """Say which machines have left the cluster since the last look."""
        now = _alive()
        for node, address in self._alive.items():
            if node not in now:
                self._note(f"the Ray node at {address} was lost; its shards were run again on others")
        self._alive = now

    def close(self) -> None:
        """Let go of all that lies in the cluster for this run."""
        for each in self._pending.values():
            ray.cancel(each.memory, force=True)
        for held in (self._memory, self._shared, self._releases, self._vectors, self._pending):
            held.clear()
        self._environment = None


def _alive() -> dict[str, str]:
    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def _artefacts(header: dict[str, Any]) -> list[str]:
    """Return the names of the arrays of a comparison that are packed artefacts."""
    systems = header.get("systems") or ()
    return list(dict.fromkeys(each["artefact"] for each in systems if each["kind"] == "release"))


def _resumed(header: dict[str, Any]) -> Any:
    """Return a reference to the memory that a checkpoint kept of a shard's phones, None for a new run."""
    parts, folder = [Kept(**each) for each in header.pop("kept")], header.pop("folder")
    if not parts:
        return None
    return ray.put(read_phones(Path(folder), parts, header["first"], header["count"]).arrays())


def _kept(folder: Path, header: dict[str, Any], memory: Arrays) -> np.ndarray:
    """Write a shard's part of a checkpoint from this machine, whose folder it is; return its SHA-256."""
    state = PhoneState(**memory)
    kept = keep_phones(folder, header["round"], header["first"], header["count"], state)
    return np.frombuffer(bytes.fromhex(kept.sha256), np.uint8)


def _send_own_parts() -> None:
    """Let the parts of the user's own files travel as they are: the files need not lie on other machines."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fedbert.plugins."):
            ray.cloudpickle.register_pickle_by_value(module)
