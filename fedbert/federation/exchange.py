"""Ask every shard, and take only what answers the question: replies have a schema, bounds and a deadline.

A shard whose reply is missing, late, doubled, strayed, unreadable or impossible is asked again; its work is a
pure function, so it gives the same answer. One that fails every time is named. In a simulation, where all
shards are the user's own, the run then stops and can be taken up again; in a deployment it is left out of the
round, and its devices are counted as missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fedbert.errors import FedbertError, RunStopped
from fedbert.federation.protocol import Arrays, Member, Sign, from_records, to_records
from fedbert.federation.signing import content_sha256
from fedbert.results import EventRow

LostShards = Literal["stop", "leave-out"]

ATTEMPTS = 3
"""Times that a shard is asked for one answer."""


@dataclass(frozen=True)
class Event:
    """One thing that went wrong with a shard in a round, for terminal and report."""

    round: int
    shard: int
    """Index of the shard; -1 for a node outside the run."""
    text: str

    def row(self) -> EventRow:
        """Return it as it stands in results and checkpoints."""
        return {"round": self.round, "shard": self.shard, "text": self.text}


def ignore(event: Event) -> None:
    """Take no note of an event."""


Check = Callable[[Member, Arrays], Any]
"""Takes a member's answer; returns what is made of it, or raises FedbertError to refuse it."""

Question = Callable[[Member], tuple[dict[str, Any], Arrays]]
"""Header and arrays of the message to one member."""


@dataclass
class Exchange:
    """All messages of a run on one grid, between fixed members."""

    grid: Any
    members: tuple[Member, ...]
    lost_shards: LostShards = "stop"
    timeout_s: float | None = None
    note: Callable[[Event], None] = ignore
    sign: Callable[[int, int, str], Sign] | None = None
    """Makes what signs an order, from its node, round and kind."""
    lost: list[Member] = field(default_factory=list)
    """Members that gave no usable answer to the last question."""

    def ask(self, kind: str, round_: int, question: Question, check: Check) -> Iterator[tuple[Member, Any]]:
        """Yield (member, what `check` made of its answer) as answers come; who is left stands in `lost`.

        Raises RunStopped if a member fails every time and `lost_shards` is "stop", or if nobody answers.
        """
        waiting = {member.node: member for member in self.members}
        last: dict[int, str] = {}
        for attempt in range(ATTEMPTS):
            if not waiting:
                break
            for member, result in self._once(kind, round_, attempt, waiting, question, check, last):
                del waiting[member.node]
                yield member, result
        self.lost = list(waiting.values())
        if not self.lost:
            return
        everyone = len(self.lost) == len(self.members)
        if self.lost_shards == "stop" or everyone:
            member = self.lost[0]
            more = f" (and {len(self.lost) - 1} more shards)" if len(self.lost) > 1 else ""
            raise RunStopped(f"round {round_}: {member} {last.get(member.node, 'gave no answer')}{more}")
        for member in self.lost:
            self.note(Event(round_, member.index, f"{member} is left out: {last.get(member.node)}"))

    def _once(
        self,
        kind: str,
        round_: int,
        attempt: int,
        waiting: dict[int, Member],
        question: Question,
        check: Check,
        last: dict[int, str],
    ) -> Iterator[tuple[Member, Any]]:
        asked = dict(waiting)  # `ask` takes members off `waiting` while answers still come
        messages = []
        for member in asked.values():
            header, arrays = question(member)
            header |= {"round": round_, "first": member.first, "count": member.count}
            signer = self.sign(member.node, round_, kind) if self.sign else None
            messages.append(
                self.grid.create_message(
                    content=to_records(header, arrays, signer),
                    message_type=kind,
                    dst_node_id=member.node,
                    group_id=f"{round_}",
                )
            )
        # Flower gives a message its id when it is sent, so on its grids the sender alone tells who answers.
        sent = {message.metadata.message_id: message.metadata.dst_node_id for message in messages}
        by_id = "" not in sent
        answered: set[int] = set()
        refused: set[int] = set()

        def refuse(member: Member, why: str) -> None:
            last[member.node] = why
            refused.add(member.node)
            again = "; asked again" if attempt + 1 < ATTEMPTS else ""
            self.note(Event(round_, member.index, f"{member} {why}{again}"))

        for reply in self.grid.send_and_receive(messages, timeout=self.timeout_s):
            node = reply.metadata.src_node_id
            if node not in asked or (by_id and sent.get(reply.metadata.reply_to_message_id) != node):
                self._drop(round_, node, "sent a reply that nobody waits for")
            elif node in answered:
                self._drop(round_, node, "answered twice")
            elif reply.has_error():
                refuse(asked[node], f"failed: {_one_line(reply.error.reason)}")
            else:
                try:
                    result = check(asked[node], _arrays_of(reply, asked[node], round_))
                except FedbertError as error:
                    refuse(asked[node], f"is refused: {_one_line(error)}")
                    continue
                except Exception as error:  # a hostile answer may be what no check has thought of
                    what = f"{type(error).__name__}: {_one_line(error)}"
                    refuse(asked[node], f"is refused: its answer cannot be used ({what})")
                    continue
                answered.add(node)
                yield asked[node], result
        for member in asked.values():
            if member.node not in answered | refused:
                within = f" within {self.timeout_s:g} s" if self.timeout_s is not None else ""
                refuse(member, f"gave no answer{within}")

    def _drop(self, round_: int, node: int, what: str) -> None:
        """Say that a reply is dropped."""
        member = next((member for member in self.members if member.node == node), None)
        who, index = (str(member), member.index) if member else (f"node {node}", -1)
        self.note(Event(round_, index, f"{who} {what}; it is dropped"))


def _one_line(reason: object) -> str:
    """Return the last line of a reason, which names the exception where it is a traceback."""
    lines = [line for line in str(reason).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no reason given"


def _arrays_of(reply: Any, member: Member, round_: int) -> Arrays:
    """Return the arrays of a reply; raises FedbertError if it is not `member`'s answer for the round."""
    try:
        header, arrays = from_records(reply.content)
        echoed = {name: header[name] for name in ("round", "first", "count")}
        damaged = header["sha256"] != content_sha256("", arrays).hex()
    except Exception as error:  # hostile bytes may raise anything
        raise FedbertError(f"its reply cannot be read ({type(error).__name__})") from None
    expected = {"round": round_, "first": member.first, "count": member.count}
    for name, value in expected.items():
        if echoed[name] != value:
            raise FedbertError(f"{name}(={echoed[name]!r}) must be {value}, as asked")
    if damaged:
        raise FedbertError("its arrays differ from their SHA-256")
    return arrays
