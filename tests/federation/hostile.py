"""A ClientApp that answers wrongly on purpose: each kind of wrong answer by its name.

It imports nothing of the tests, so that a deployment's bundle can carry it.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict

from fedbert.federation.protocol import Arrays, array_record, from_records
from fedbert.federation.signing import content_sha256


@dataclass
class Answer:
    """A true answer, to be spoilt."""

    header: dict[str, Any]
    arrays: Arrays


Spoil = Callable[[Answer], Any]
"""Changes an answer in place, or returns the content to send, or raises."""


def _set(name: str, value: Any) -> Spoil:
    def spoil(answer: Answer) -> None:
        answer.arrays[name] = np.asarray(value)

    return spoil


def _change(name: str, change: Callable[[Any], Any]) -> Spoil:
    def spoil(answer: Answer) -> None:
        answer.arrays[name] = np.ascontiguousarray(change(answer.arrays[name].copy()))

    return spoil


def _at(index: int, value: int) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array.reshape(-1)[index] = value
        return array

    return change


def _shorter(*names: str) -> Spoil:
    def spoil(answer: Answer) -> None:
        for name in names:
            answer.arrays[name] = answer.arrays[name][:-1].copy()

    return spoil


def _remove(name: str) -> Spoil:
    def spoil(answer: Answer) -> None:
        del answer.arrays[name]

    return spoil


def _head(name: str, value: Any) -> Spoil:
    def spoil(answer: Answer) -> None:
        answer.header[name] = value

    return spoil


def _fail(answer: Answer) -> None:
    raise RuntimeError("boom\nTraceback (most recent call last):\n  the shard's own: 17 lines")


def _text(text: str) -> Spoil:
    def spoil(answer: Answer) -> RecordDict:
        header = ConfigRecord({"json": text})
        return RecordDict({"header": header, "arrays": array_record(answer.arrays)})

    return spoil


def _headless(answer: Answer) -> RecordDict:
    return RecordDict({"arrays": array_record(answer.arrays)})


def _raw(dtype: str, shape: str, data: bytes, name: str = "server.signal") -> Spoil:
    def spoil(answer: Answer) -> RecordDict:
        file = io.BytesIO()
        file.write(b"\x93NUMPY\x01\x00")
        head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        file.write(len(head).to_bytes(2, "little") + head.encode() + data)
        forged = FlowerArray(dtype=dtype, shape=(1,), stype="numpy.ndarray", data=file.getvalue())
        record = ArrayRecord(dict(array_record(answer.arrays)) | {name: forged})
        if shape == "()":
            answer.arrays[name] = np.frombuffer(data, dtype).reshape(())
            answer.header["sha256"] = content_sha256("", answer.arrays).hex()
        return RecordDict({"header": ConfigRecord({"json": json.dumps(answer.header)}), "arrays": record})

    return spoil


def _damaged(answer: Answer) -> RecordDict:
    answer.arrays["server.signal"] = _at(5, 7)(answer.arrays["server.signal"].copy())
    return RecordDict(
        {
            "header": ConfigRecord({"json": json.dumps(answer.header)}),
            "arrays": array_record(answer.arrays),
        }
    )


REFUSED = "is refused: "
ROUND_KINDS: dict[str, tuple[Spoil, str]] = {
    "devices that are not its own": (_head("first", 0), "first(=0) must be"),
    "more devices than it has": (_head("count", 10**6), "count(=1000000) must be"),
    "another round": (_head("round", 7), "round(=7) must be 1"),
    "a round that is no number": (_head("round", "1"), "round(='1') must be 1"),
    "signal too short": (_change("server.signal", lambda a: a[:-1]), "server.signal must have"),
    "signal of one number": (_set("server.signal", np.array([12345], np.uint32)), "server.signal must have"),
    "signal in two dimensions": (_change("server.signal", lambda a: a[None]), "server.signal must be uint32"),
    "signal of NaN": (
        _change("server.signal", lambda a: np.full(a.shape, np.nan)),
        "server.signal must be uint32",
    ),
    "signal of signed numbers": (
        _change("server.signal", lambda a: a.view(np.int32)),
        "server.signal must be uint32",
    ),
    "NaN in the truth": (
        _change("truth.latency", lambda a: np.full(a.shape, np.nan)),
        "truth.latency must be int64",
    ),
    "no signal": (_remove("server.signal"), "server.signal must be there"),
    "no truth": (_remove("truth.ranks"), "truth.ranks must be there"),
    "an unknown name": (_set("evil.x", np.ones(1)), "evil.x must not be there"),
    "a negative count": (_change("server.completed", _at(0, -5_000)), "server.completed must be counts"),
    "10**15 reports": (_change("server.reported", _at(0, 10**15)), "server.reported must be counts"),
    "more reports than devices": (_change("server.reported", _at(0, 999)), "server.reported must be <="),
    "a release that does not exist": (
        _change("server.installed", lambda a: np.append(a, 0)),
        "server.installed must count each",
    ),
    "more installed than it has devices": (
        _change("server.installed", lambda a: a + 1),
        "server.installed must count each",
    ),
    "negative ranks": (_change("truth.ranks", lambda a: a - 1), "truth.ranks must be >= 0"),
    "ranks that wrap": (
        _change("truth.ranks", lambda a: np.full(a.shape, 2**62)),
        "truth.ranks must add up to at most",
    ),
    "10**15 joules": (_change("truth.session_uj", _at(0, 10**15)), "truth.session_uj must add up"),
    "truth of other sessions": (_change("truth.cluster_ranks", _at(0, 3)), "truth.cluster_ranks must count"),
    "truth of other scored sessions": (_change("truth.arm_ranks", _at(0, 3)), "truth.arm_ranks must count"),
    "truth of other texts": (_change("truth.text_sessions", _at(0, 3)), "truth.text_sessions must count"),
    "truth of users that do not exist": (
        _set("truth.user_sessions", np.ones(3, np.int64)),
        "truth.cluster_ranks must have 3 clusters",
    ),
    "truth of other reports": (_change("truth.counts", _at(3, 0)), "truth.counts must be of"),
    "truth of other devices": (_change("truth.devices", lambda a: a + 1), "truth.devices must add up to"),
    "a number for a table": (
        _raw("<i4", "()", b"1234", "truth.text_sessions"),
        "truth.cluster_ranks must have 0 clusters",
    ),
    "a table of other texts": (
        _shorter("truth.text_sessions", "truth.cluster_ranks", "truth.arm_ranks"),
        "truth.text_sessions must have",
    ),
    "more masks than phones": (_set("check", np.array([10**6, 0, 1])), "check must be of at most"),
    "a check of words": (_set("check", np.array([1.0, 0.0, 1.0])), "check must be three whole"),
    "a checkpoint of three bytes": (_set("kept", np.zeros(3, np.uint8)), "kept must be 32 bytes"),
    "a header that is no JSON": (_text('{"round": \x00'), "its reply cannot be read"),
    "a header that is a list": (_text("[1, 2, 3]"), "its reply cannot be read"),
    "no header": (_headless, "its reply cannot be read"),
    "an array of objects": (_raw("|O", "(1,)", b"cos\nsystem\n."), "its reply cannot be read"),
    "an array of ten terabytes": (_raw("<u4", "(2500000000000,)", b"1234"), "its reply cannot be read"),
    "bytes lost on the way": (_damaged, "its arrays differ from their SHA-256"),
}
"""What can be wrong with an answer to a round, and what the server says of it."""

OTHER_KINDS: dict[str, tuple[Spoil, str]] = {
    "an error": (_fail, "failed: "),
    "a value that no clipped cohort can reach": (
        _change("server.signal", lambda a: a + np.uint32(2**29)),
        "is left out: its sum is out of the reach of its clipped reports",
    ),
}

START_KINDS: dict[str, tuple[Spoil, str]] = {
    "no installed": (_remove("installed"), "installed must be there"),
    "no releases": (_set("installed", np.zeros(0, np.int64)), "installed must count each"),
    "a release more": (_change("installed", lambda a: np.append(a, 0)), "installed must count each"),
    "negative devices": (_change("installed", lambda a: a + np.array([-9, 9])), "installed must count each"),
    "half devices": (_change("installed", lambda a: a * 0.5), "installed must be there"),
}

REPLAY_KINDS: dict[str, tuple[Spoil, str]] = {
    "an unknown name": (_set("evil.x", np.ones(1)), "its arrays must be"),
    "a tier more": (
        lambda answer: _change(
            "tier_ranks" if "tier_ranks" in answer.arrays else "pooled_clicks", lambda a: a[..., :-1]
        )(answer),
        "must be int64",
    ),
    "too many": (
        lambda answer: _change(
            "ranks" if "ranks" in answer.arrays else "pooled_clicks", lambda a: a + a.dtype.type(10**6)
        )(answer),
        "must",
    ),
    "negative counts": (
        lambda answer: _change("ranks" if "ranks" in answer.arrays else "pooled_clicks", lambda a: a - 1)(
            answer
        ),
        "must be counts >= 0",
    ),
}


def spoilt(reply: Message, question: Message, spoil: Spoil) -> Message:
    """Return the answer to `question` that `spoil` makes of the true `reply`."""
    header, arrays = from_records(reply.content)
    answer = Answer(header, dict(arrays))
    content = spoil(answer)
    if content is None:
        answer.header["sha256"] = content_sha256("", answer.arrays).hex()
        header_record = ConfigRecord({"json": json.dumps(answer.header)})
        content = RecordDict({"header": header_record, "arrays": array_record(answer.arrays)})
    return Message(content, reply_to=question)


def hostile_app(
    app: Callable[[Message, Context], Message],
    choose: Callable[[Message, Context, Mapping[str, Any]], Spoil | None],
) -> Callable[[Message, Context], Message]:
    """Return an app that does `app`'s work and spoils the answers for which `choose` returns how."""

    def run(message: Message, context: Context) -> Message:
        reply = app(message, context)
        header, _ = from_records(message.content)
        spoil = choose(message, context, header)
        return reply if spoil is None else spoilt(reply, message, spoil)

    return run
