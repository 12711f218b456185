"""The ServerApp that ``fedbert capacity measure`` submits to a real SuperLink: it asks, and takes answers.

Each phase asks for as many answers of a size as the run configuration says. What the deployment spends is
measured from outside (`measured_link.py`).
"""

from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

PHASES = "phases"
"""Key of the run configuration: ``COUNTxBYTES`` for each phase, with commas."""

app = ServerApp()
client = ClientApp()
"""Answers nothing: the SuperNodes that are measured answer themselves."""


def phases_of(text: str) -> list[tuple[int, int]]:
    """Return (answers, bytes of each) by phase."""
    return [(int(count), int(size)) for count, _, size in (part.partition("x") for part in text.split(","))]


@app.main()  # type: ignore[untyped-decorator]
def main(grid: Grid, context: Context) -> None:
    """Ask phase by phase, and wait for the answers of each."""
    import time

    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.1)
    for number, (count, size) in enumerate(phases_of(str(context.run_config[PHASES]))):
        questions = [_question(node, number, size) for node in (nodes * count)[:count]]
        answers: Any = grid.send_and_receive(questions)
        if len(list(answers)) != count:
            raise RuntimeError(f"phase {number}: answers are missing")


def _question(node: int, phase: int, size: int) -> Message:
    content = RecordDict({"asked": ConfigRecord({"bytes": size})})
    return Message(content, dst_node_id=node, message_type="query.report", group_id=str(phase))
