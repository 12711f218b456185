"""The ClientApp of `run_flower.py`, in a file of its own: Ray's actors import it by name."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from phone import Work, dense, phone, read_work

app = ClientApp()


@lru_cache(maxsize=1)
def work_at(folder: str) -> Work:
    """Return the phones' work; each process reads it once."""
    return read_work(Path(folder))


@app.train()  # type: ignore[untyped-decorator]
def work(message: Message, context: Context) -> Message:
    """Be the phone of the node's partition: answer with what it did, and its report."""
    asked = message.content["asked"]
    own = work_at(str(asked["work"]))
    sessions, clicks, report = phone(own, int(context.node_config["partition-id"]))
    records: dict[str, Any] = {"counts": ConfigRecord({"sessions": sessions, "clicks": clicks})}
    if report is not None:
        sent = dense(own, report) if asked["dense"] else report
        records["report"] = ArrayRecord({"report": Array(sent)})
    return Message(RecordDict(records), reply_to=message)
