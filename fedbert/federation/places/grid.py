"""What the grids of a simulation share: messages, and replies that say what failed."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from flwr.app import DEFAULT_TTL, Error, Message, Metadata, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from fedbert.errors import FedbertError


class SimulationGrid(Grid):  # type: ignore[misc]
    """A Flower Grid of `nodes` nodes, numbered from 1, that all belong to this run."""

    def __init__(self, nodes: int) -> None:
        self._nodes = list(range(1, nodes + 1))
        self._run: Any = None
        self._sent = 0

    def set_run(self, run: Any) -> None:
        """Keep Flower's description of the run; nothing here needs it."""
        self._run = run

    @property
    def run(self) -> Any:
        """Flower's description of the run, as it was set."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to `dst_node_id`."""
        self._sent += 1
        metadata = Metadata(
            run_id=0,
            message_id=str(self._sent),
            src_node_id=0,
            dst_node_id=dst_node_id,
            reply_to_message_id="",
            group_id=group_id,
            created_at=time.time(),
            ttl=ttl or DEFAULT_TTL,
            message_type=message_type,
        )
        return Message(content=content, metadata=metadata)

    def get_node_ids(self) -> list[int]:
        """Return the node numbers."""
        return list(self._nodes)

    @abstractmethod
    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Send the messages and yield each reply when it is ready, so that sums can be added as they come."""

    @abstractmethod
    def close(self) -> None:
        """End what the grid has started."""


def failed(message: Message, error: BaseException) -> Message:
    """Return the reply to `message` of a shard that raised `error`, as Flower's runtimes give it."""
    reason = f"{type(error).__name__}: {error}" if not isinstance(error, FedbertError) else str(error)
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
