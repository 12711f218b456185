"""A Grid over the in-process one that loses, delays, doubles and damages replies, as it is told."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from fedbert.federation.places.client_app import app
from fedbert.federation.places.inprocess import InProcessGrid
from fedbert.federation.protocol import Arrays, array_record, from_records
from fedbert.federation.signing import content_sha256

ReplyKind = Literal[
    *("lost", "unsent", "late", "doubled", "doubled later", "raises", "stranger"),
    *("bytes", "dtype", "shape", "name", "missing", "garbage", "no header", "range", "round", "replayed"),
]
REPLY_KINDS: tuple[ReplyKind, ...] = ReplyKind.__args__  # type: ignore[attr-defined]
HARMLESS = ("doubled", "doubled later", "stranger")
"""Kinds that leave the true reply as it is."""


@dataclass(frozen=True)
class ReplyFault:
    """What happens to the replies of `node` to the `ask`-th question of a run (0 starts the shards).

    So many `attempts` at that question are disturbed; a lasting fault disturbs all later questions too.
    """

    ask: int
    node: int
    kind: ReplyKind
    attempts: int = 1
    lasting: bool = False


class _Inline(Executor):
    """Does the work at once, where it is asked for."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(do(*args, **named))
        except BaseException as error:  # as a pool keeps it
            future.set_exception(error)
        return future


class LossyGrid(InProcessGrid):
    """Runs the shards one after another, so that a case is a function of its faults."""

    def __init__(
        self, nodes: int, faults: tuple[ReplyFault, ...], random: np.random.Generator, client_app: Any = app
    ) -> None:
        super().__init__(client_app, nodes)
        self._pool.shutdown()
        self._pool = _Inline()
        self._faults, self._random = faults, random
        self._asks: list[tuple[str, str]] = []
        self._tries: dict[tuple[int, int], int] = {}
        self._late: list[Message] = []
        self._answers: dict[int, dict[int, Message]] = {}
        self.clean: dict[tuple[str, int], dict[int, Message]] = {}
        """The true answers that arrived whole and in time, by (kind, round) and node."""
        self.hit: list[ReplyFault] = []

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Iterator[Message]:
        """Send all, and yield what is left of the replies."""
        late, self._late = self._late, []
        yield from late
        sent = list(messages)
        if not sent:
            return
        key = (sent[0].metadata.message_type, sent[0].metadata.group_id)
        if key not in self._asks:
            self._asks.append(key)
        ask = self._asks.index(key)
        chosen: dict[int, ReplyFault] = {}
        for message in sent:
            node = message.metadata.dst_node_id
            tries = self._tries[ask, node] = self._tries.get((ask, node), 0) + 1
            for fault in self._faults:
                now = fault.ask == ask and tries <= fault.attempts
                if fault.node == node and (now or (fault.lasting and ask > fault.ask)):
                    chosen[node] = fault
        go = [
            message
            for message in sent
            if message.metadata.dst_node_id not in chosen
            or chosen[message.metadata.dst_node_id].kind not in ("unsent", "raises")
        ]
        for message in sent:
            if message not in go and chosen[message.metadata.dst_node_id].kind == "raises":
                self.hit.append(chosen[message.metadata.dst_node_id])
                yield Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "boom"), reply_to=message)
            elif message not in go:
                self.hit.append(chosen[message.metadata.dst_node_id])
        by_id = {message.metadata.message_id: message for message in sent}
        for reply in super().send_and_receive(go, timeout=timeout):
            node = reply.metadata.src_node_id
            fault = chosen.get(node)
            question = by_id[reply.metadata.reply_to_message_id]
            whole = fault is None or fault.kind in HARMLESS
            if whole and not reply.has_error():
                answers = self.clean.setdefault((key[0], int(key[1])), {})
                answers[node] = reply
            if fault is None:
                yield reply
            else:
                self.hit.append(fault)
                yield from self._disturbed(fault.kind, reply, question)
            if not reply.has_error():
                self._answers.setdefault(node, {})[ask] = reply

    def _disturbed(self, kind: ReplyKind, reply: Message, question: Message) -> list[Message]:
        """Return what arrives in place of a reply."""
        if kind == "lost":
            return []
        if kind == "late":
            self._late.append(reply)
            return []
        if kind == "doubled":
            return [reply, reply]
        if kind == "doubled later":
            self._late.append(reply)
            return [reply]
        if reply.has_error():
            return [reply]
        if kind == "stranger":
            stray = Message(reply.content, reply_to=question)
            stray.metadata.__dict__["_src_node_id"] = 10**9 + 7
            return [stray, reply]
        if kind == "replayed":
            now = self._asks.index((question.metadata.message_type, question.metadata.group_id))
            of_node = self._answers.get(reply.metadata.src_node_id, {})
            older = [ask for ask in of_node if ask < now]
            return [Message(of_node[max(older)].content, reply_to=question)] if older else []
        header, arrays = from_records(reply.content)
        if kind == "garbage":
            return [_message('{"round": \x00\xff', arrays, question)]
        if kind == "no header":
            return [Message(RecordDict({"arrays": array_record(arrays)}), reply_to=question)]
        if kind == "bytes":
            return [self._with_flipped_bytes(reply, question)]
        return [self._with_other_meaning(kind, header, arrays, question)]

    def _with_flipped_bytes(self, reply: Message, question: Message) -> Message:
        """Return the reply with one byte of one array changed; its header stays."""
        header, arrays = from_records(reply.content)
        names = sorted(name for name, array in arrays.items() if array.size)
        name = names[int(self._random.integers(len(names)))]
        flat = np.ascontiguousarray(arrays[name]).copy()
        view = flat.reshape(-1).view(np.uint8)
        view[int(self._random.integers(len(view)))] ^= np.uint8(1 << int(self._random.integers(8)))
        return _message(json.dumps(header), arrays | {name: flat}, question)

    def _with_other_meaning(
        self, kind: ReplyKind, header: dict[str, Any], arrays: Arrays, question: Message
    ) -> Message:
        """Return a reply that is whole, with its right digest, and wrong."""
        name = sorted(arrays)[int(self._random.integers(len(arrays)))]
        if kind == "dtype":
            arrays[name] = arrays[name].astype(np.float64)
        elif kind == "shape":
            arrays[name] = np.concatenate([arrays[name].ravel(), np.ones(1, arrays[name].dtype)])
        elif kind == "name":
            arrays[f"{name}x"] = arrays.pop(name)
        elif kind == "missing":
            # What a shard may leave out is no fault.
            optional = ("check", "kept")
            del arrays[next(each for each in (name, *sorted(arrays)) if each not in optional)]
        elif kind == "range":
            header["first"] += 1
        elif kind == "round":
            header["round"] += 1
        header["sha256"] = content_sha256("", arrays).hex()
        return _message(json.dumps(header), arrays, question)


def _message(text: str, arrays: Arrays, question: Message) -> Message:
    records = RecordDict({"header": ConfigRecord({"json": text}), "arrays": array_record(arrays)})
    assert all(isinstance(value, FlowerArray) for value in records.array_records["arrays"].values())
    return Message(records, reply_to=question)
