"""The Flower ClientApp: one SuperNode is a shard of devices.

The app keeps nothing of its own between messages: the phones' state and the releases lie in Flower's
`Context.state`, so any process may answer for any shard. What follows from the scenario alone (world,
profiles, encoded texts) is shared by all shards that meet in a process.
"""

from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp import ClientApp

from fedbert.ei_bert.artefact import unpack
from fedbert.federation import wire
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment, keep_releases, shared_environment
from fedbert.federation.protocol import MASK_DEGREE, RoundOrder
from fedbert.federation.replay import replay
from fedbert.federation.shard import Shard, ShardState
from fedbert.federation.wire import Arrays
from fedbert.privacy.secure_sum import masked_vector, neighbour_graph
from fedbert.scenario import Scenario

app = ClientApp()


def _load(context: Context) -> tuple[Environment, Shard]:
    header = context.state.config_records["shard"]
    scenario = Scenario.model_validate_json(str(header["scenario"]))
    release_0 = context.state.array_records["releases"]["0"].numpy().tobytes()
    environment = shared_environment(scenario, release_0)
    return environment, Shard(environment, int(header["first"]), int(header["count"]))


def _releases(context: Context, environment: Environment) -> dict[int, EncodedRelease]:
    return {
        int(number): environment.encoded(unpack(blob.numpy().tobytes()))
        for number, blob in context.state.array_records["releases"].items()
    }


@app.query("start")  # type: ignore[untyped-decorator]
def start(message: Message, context: Context) -> Message:
    """Take over a range of devices: histories, release 0 where it could be fetched."""
    header, arrays = wire.from_records(message.content)
    context.state["shard"] = ConfigRecord(
        {key: header[key] for key in ("scenario", "first", "count", "index", "shards")}
    )
    context.state["releases"] = wire.array_record({"0": arrays["release"]})
    _, shard = _load(context)
    state = shard.start()
    context.state["devices"] = wire.array_record(state.arrays())
    installed = np.bincount(state.installed.astype(np.int64) + 1, minlength=2)
    return Message(wire.to_records({}, {"installed": installed}), reply_to=message)


@app.train("round")  # type: ignore[untyped-decorator]
def run_round(message: Message, context: Context) -> Message:
    """Run one round for the shard's devices; the sum of signals leaves the shard masked."""
    header, arrays = wire.from_records(message.content)
    if "release" in arrays:
        number = str(header["newest_release"])
        context.state.array_records["releases"][number] = FlowerArray(arrays["release"])
    environment, shard = _load(context)
    state = ShardState.from_arrays(
        {name: value.numpy() for name, value in context.state.array_records["devices"].items()}
    )
    order = RoundOrder(
        header["round"], header["signal_release"], header["newest_release"], header["sample_contributions"]
    )
    report, samples = shard.run_round(state, order, _releases(context, environment))
    context.state["devices"] = wire.array_record(state.arrays())
    answer: dict[str, Any] = report.arrays() | {f"sample.{name}": array for name, array in samples.items()}
    answer["server.signal"] = _mask(report.server["signal"], context, header["round"], shard.scenario.seed)
    return Message(wire.to_records({}, answer), reply_to=message)


def _mask(signal: np.ndarray, context: Context, round_: int, seed: int) -> np.ndarray:
    config = context.state.config_records["shard"]
    index, shards = int(config["index"]), int(config["shards"])
    graph = neighbour_graph(seed, round_, range(shards), MASK_DEGREE)
    return masked_vector(signal, index, graph[index], seed, round_)


@app.evaluate("replay")  # type: ignore[untyped-decorator]
def run_replay(message: Message, context: Context) -> Message:
    """Rank every evaluation session of the run again with each system, and give the pooled click sums."""
    header, arrays = wire.from_records(message.content)
    environment, shard = _load(context)
    # The rounds are over: the comparison brings its own releases, and only release 0 serves again.
    keep_releases({environment.release_0.sha256})
    answer: Arrays = {}
    if header.get("oracle"):
        devices = context.state.array_records["devices"]
        answer |= {name: devices[name].numpy() for name in ("oracle", "oracle_clicks")}
    if header.get("systems"):
        answer |= replay(environment, shard, header["systems"], arrays)
    return Message(wire.to_records({}, answer), reply_to=message)
