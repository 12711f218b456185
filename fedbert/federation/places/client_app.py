"""The Flower ClientApp: one SuperNode is a shard of devices.

The app keeps nothing of its own between messages: the phones' memory, the releases and the last answer lie in
Flower's `Context.state`, a large shard's memory in files beside the checkpoints
(`shard_memory.py`), so any process may answer for any shard. They are changed only once an answer is
whole, so a question that failed can be asked again, and one that was answered gets the same answer.
What follows from the scenario alone (world, profiles, encoded texts) is shared by all shards that meet in a
process.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp import ClientApp

from fedbert.ei_bert.artefact.family import unpack
from fedbert.errors import FedbertError
from fedbert.federation.checkpoint import Kept, read_phones
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment, keep_releases, shared_environment
from fedbert.federation.places.shard_memory import Memory, new_folder, recalled, remember, seen, written
from fedbert.federation.protocol import (
    Arrays,
    array_record,
    from_records,
    header_text,
    signature,
    to_records,
)
from fedbert.federation.shard import Shard
from fedbert.federation.shard_work import RELEASE, first_arrivals, replayed, round_worked, started
from fedbert.federation.signing import (
    Accepted,
    OrderId,
    accept,
    content_sha256,
    public_key_from_text,
    verify,
)
from fedbert.run_folder import CHECKPOINT
from fedbert.scenario import Scenario

app = ClientApp()

SERVER_KEY = "server-key"
"""Key of a SuperNode's configuration: the server's public key; with it, unsigned orders are refused."""

STATE_DIR = "state-dir"
"""Key of a SuperNode's configuration: the folder where its phones' memory is kept, to be resumed from."""


def _take(message: Message, context: Context) -> tuple[dict[str, Any], Arrays, bool]:
    """Return an order's header and arrays, and whether it is new; raises FedbertError for one to refuse.

    A SuperNode that knows the server's key takes signed orders only; none takes an older one again.
    """
    header, arrays = from_records(message.content)
    digest = content_sha256(header_text(message.content), arrays)
    key = context.node_config.get(SERVER_KEY)
    if key:
        kind = message.metadata.message_type
        order = OrderId(context.run_id, context.node_id, int(header["round"]), kind)
        verify(public_key_from_text(str(key)), order, digest, signature(message.content))
    last = context.state.config_records.get("accepted")
    before = Accepted(int(last["round"]), bytes(last["sha256"])) if last is not None else None
    accepted, is_new = accept(before, int(header["round"]), digest)
    # Set once the work is done: an order that failed can be asked again.
    header["accepted"] = accepted
    return header, arrays, is_new


def _done(context: Context, header: dict[str, Any]) -> None:
    accepted: Accepted = header["accepted"]
    context.state["accepted"] = ConfigRecord({"round": accepted.round, "sha256": accepted.content_sha256})


def _load(context: Context) -> tuple[Environment, Shard]:
    header = context.state.config_records.get("shard")
    if header is None:
        raise FedbertError("it has not been started in this run")
    scenario = Scenario.model_validate_json(str(header["scenario"]))
    release_0 = context.state.array_records["releases"]["0"].numpy().tobytes()
    environment = shared_environment(scenario, release_0, float(header["noise_multiplier"]))
    return environment, Shard(environment, int(header["first"]), int(header["count"]))


def _releases(context: Context, environment: Environment) -> dict[int, EncodedRelease]:
    return {
        int(number): environment.encoded(unpack(blob.numpy().tobytes()))
        for number, blob in context.state.array_records["releases"].items()
    }


def _answer(message: Message, header: dict[str, Any], arrays: Arrays) -> Message:
    """Return the reply: its arrays and their SHA-256, and whose answer to what it is."""
    echo = {name: header[name] for name in ("round", "first", "count")}
    echo["sha256"] = content_sha256("", arrays).hex()
    return Message(to_records(echo, arrays), reply_to=message)


def _place(context: Context, named: str | None) -> Path | None:
    """Return where this shard keeps its phones' memory: its own folder, or in a simulation the run's.

    A SuperNode of a deployment never writes where a server tells it to.
    """
    own = context.node_config.get(STATE_DIR)
    if named is None:
        return None
    if own:
        return Path(str(own)) / hashlib.sha256(named.encode()).hexdigest()[:16] / CHECKPOINT
    return Path(named) if "simulation" in context.node_config else None


@app.query("start")  # type: ignore[untyped-decorator]
def start(message: Message, context: Context) -> Message:
    """Take over a range of devices: histories and release 0, or the memory that a checkpoint kept."""
    header, arrays, _ = _take(message, context)
    config = {key: header[key] for key in ("scenario", "noise_multiplier", "first", "count")}
    context.state["shard"] = ConfigRecord(config)
    context.state["releases"] = array_record(
        {name.removeprefix(RELEASE): array for name, array in arrays.items() if name.startswith(RELEASE)}
    )
    _, shard = _load(context)
    place, devices = _place(context, header["folder"]), shard.devices
    working = new_folder(place, devices)
    if header["kept"]:
        if place is None:
            raise FedbertError(f"this SuperNode keeps no memory of its phones; start it with {STATE_DIR!r}")
        parts = [Kept(**each) for each in header["kept"]]
        state = read_phones(place, parts, devices.first, devices.count, working)
    else:
        state = shard.start(working)
    memory = Memory(state, working)
    written(memory, None, devices, int(header["round"]))
    remember(context, memory, kept=False)
    newest = len(context.state.array_records["releases"]) - 1
    _done(context, header)
    return _answer(message, header, started(state, newest))


@app.query("arrivals")  # type: ignore[untyped-decorator]
def arrivals(message: Message, context: Context) -> Message:
    """Say when the first of the shard's devices would report in a round; nothing changes."""
    header, _, _ = _take(message, context)
    _, shard = _load(context)
    return _answer(message, header, first_arrivals(shard, seen(context), header))


@app.train("round")  # type: ignore[untyped-decorator]
def run_round(message: Message, context: Context) -> Message:
    """Run one round for the shard's devices; the sum of signals leaves the shard masked."""
    header, arrays, is_new = _take(message, context)
    if not is_new:
        last = context.state.array_records["answer"]
        return _answer(message, header, {name: value.numpy() for name, value in last.items()})
    for name, array in arrays.items():
        if name.startswith(RELEASE):
            releases = context.state.array_records["releases"]
            releases[name.removeprefix(RELEASE)] = FlowerArray(array)
    environment, shard = _load(context)
    memory = recalled(context, shard.devices, int(header["round"]))
    answer = round_worked(shard, memory.state, header, arrays, _releases(context, environment))
    kept = written(memory, _place(context, header["keep"]), shard.devices, int(header["round"]))
    if kept is not None:
        answer["kept"] = np.frombuffer(bytes.fromhex(kept.sha256), np.uint8)
    # All or nothing: what was kept before goes last, and a round worked on a copy of it.
    kept_answer = array_record(answer)
    remember(context, memory, kept is not None)
    context.state["answer"] = kept_answer
    _done(context, header)
    return _answer(message, header, answer)


@app.evaluate("replay")  # type: ignore[untyped-decorator]
def run_replay(message: Message, context: Context) -> Message:
    """Rank every evaluation session of the run again with each system, and give the pooled click sums."""
    header, arrays, _ = _take(message, context)
    _, shard = _load(context)
    environment = shard.environment
    # The rounds are over: the comparison brings its own releases, and only release 0 serves again.
    keep_releases({environment.release_0.sha256})
    names = ("pooled_sums", "pooled_clicks") if header.get("pooled") else ()
    devices = context.state.array_records["devices"]
    answer = replayed(shard, header, arrays, {name: devices[name].numpy() for name in names})
    _done(context, header)
    return _answer(message, header, answer)
