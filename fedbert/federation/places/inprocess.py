"""A Flower Grid inside one process: the same apps, no start-up cost, threads for the shards."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Lock

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedbert.federation.places.grid import SimulationGrid, failed
from fedbert.machine import cores


class InProcessGrid(SimulationGrid):
    """Runs `client_app` once a message, for `nodes` nodes numbered from 1; replies come as they are ready."""

    def __init__(self, client_app: ClientApp, nodes: int) -> None:
        super().__init__(nodes)
        self._app = client_app
        self._contexts = {
            node: Context(
                run_id=0, node_id=node, node_config={"simulation": True}, state=RecordDict(), run_config={}
            )
            for node in self._nodes
        }
        self._at_work = {node: Lock() for node in self._contexts}
        self._pool = ThreadPoolExecutor(max_workers=min(nodes, cores()), thread_name_prefix="shard")
        self._pending: dict[str, Future[Message]] = {}

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Start the ClientApp for each message and return their ids."""
        ids = []
        for message in messages:
            context = self._contexts[message.metadata.dst_node_id]
            number = message.metadata.message_id
            self._pending[number] = self._pool.submit(self._work, message, context)
            ids.append(number)
        return ids

    def _work(self, message: Message, context: Context) -> Message:
        # A question may be asked again while the first one is still worked on.
        with self._at_work[context.node_id]:
            return self._app(message, context)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are ready among `message_ids`."""
        ready = [number for number in message_ids if number in self._pending and self._pending[number].done()]
        return [self._pending.pop(number).result() for number in ready]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Send the messages and yield each reply when it is ready, so that sums can be added as they come."""
        sent = list(messages)
        futures = {
            self._pending.pop(number): message
            for number, message in zip(self.push_messages(sent), sent, strict=True)
        }
        try:
            for done in as_completed(futures, timeout=timeout):
                yield _reply(done, futures.pop(done))
        except TimeoutError:
            return  # as Flower's own grid: what has not come by then is missing
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the threads, once what they are at is done."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _reply(done: "Future[Message]", message: Message) -> Message:
    """Return what the ClientApp answered, or the error that it raised."""
    try:
        return done.result()
    except Exception as error:
        return failed(message, error)
