"""A deployment on the loopback interface with a hostile SuperNode: each kind is named, totals are right."""

import contextlib
import json
import shutil
from pathlib import Path

import loopback
import pytest
from faults.stub import stubbed
from hostile import OTHER_KINDS, ROUND_KINDS

from fedbert.scenario import Execution, Scenario
from fedbert.simulation import run

pytestmark = pytest.mark.deployment

TRY = "On one machine, for a try"
ASKED_AGAIN = (
    *("devices that are not its own", "another round", "signal of NaN", "no signal", "an unknown name"),
    *("a negative count", "10**15 reports", "a release that does not exist", "truth of other reports"),
    *("a header that is no JSON", "an array of ten terabytes", "bytes lost on the way", "an error"),
)
"""Kinds that the SuperNode shows once, in rounds 1, 2, ...; asked again it answers truly."""

LEFT_OUT = ("a value that no clipped cohort can reach",)
"""What shows only when the sum is opened, in the last round: it costs the SuperNode that round."""

SCENARIO = Scenario(
    devices=60,
    rounds=len(ASKED_AGAIN) + len(LEFT_OUT),
    availability="always",
    epsilon=20,
    delta=1e-3,
    sampling_probability=0.5,
    min_reports=2,
    seed=3,
    noise_seed=5,
    model="tiny",
)

CLIENT = """
from flwr.app import ConfigRecord
from flwr.clientapp import ClientApp

from fedbert.federation.client_app import app as true_app
from fedbert.hostile import OTHER_KINDS, ROUND_KINDS, hostile_app

KINDS = {kinds!r}


def choose(message, context, header):
    number = header["round"] - 1
    if not context.node_config.get("hostile") or not 0 <= number < len(KINDS):
        return None
    done = context.state.config_records.get("spoilt")
    if done is not None and done["number"] == number:
        return None
    context.state["spoilt"] = ConfigRecord({{"number": number}})
    return (ROUND_KINDS | OTHER_KINDS)[KINDS[number]][0]


app = ClientApp()
answer = hostile_app(true_app, choose)
app.query("start")(answer)
app.train("round")(answer)
app.evaluate("replay")(true_app)
"""

SERVER = """
from fedbert.federation.deployment import server_app
from fedbert.flower_app import serve
from fedbert.stub import stubbed


def stubbed_serve(grid, config):
    with stubbed():
        serve(grid, config)


app = server_app(stubbed_serve)
"""


def _checkout(place: Path) -> Path:
    """Return a copy of the checkout with a hostile ClientApp, and a ServerApp that trains a stub."""
    copy = place / "checkout"
    for name in ("fedbert", "device_profiles"):
        skip = shutil.ignore_patterns("__pycache__", "*.onnx*", "*.safetensors", "*.parquet")
        shutil.copytree(loopback.ROOT / name, copy / name, ignore=skip)
    for name in ("LICENSE", "README.md"):
        shutil.copy(loopback.ROOT / name, copy / name)
    settings = (loopback.ROOT / "pyproject.toml").read_text("utf-8")
    for old, new in (
        ('"fedbert.flower_app:app"', '"fedbert.stubbed_server:app"'),
        ('"fedbert.federation.client_app:app"', '"fedbert.hostile_client:app"'),
    ):
        assert old in settings
        settings = settings.replace(old, new)
    (copy / "pyproject.toml").write_text(settings, "utf-8")
    shutil.copy(Path(__file__).with_name("hostile.py"), copy / "fedbert" / "hostile.py")
    shutil.copy(Path(__file__).parents[1] / "faults" / "stub.py", copy / "fedbert" / "stub.py")
    client = CLIENT.format(kinds=(*ASKED_AGAIN, *LEFT_OUT))
    (copy / "fedbert" / "hostile_client.py").write_text(client, "utf-8")
    (copy / "fedbert" / "stubbed_server.py").write_text(SERVER, "utf-8")
    return copy


def test_a_hostile_supernode_is_named_and_changes_no_total(tmp_path: Path) -> None:
    """One of three SuperNodes answers wrongly in 14 ways: each is named, and no figure is touched.

    Until it is left out the figures equal an undisturbed run's to the bit; then its devices are missing.
    """
    place = loopback.make_place(tmp_path)
    checkout, output = _checkout(tmp_path), tmp_path / "deployed"
    port, *own = loopback.free_ports(4)
    superlink, supernode, _ = (line for line in loopback.documented(TRY) if line.startswith("flower-"))
    loopback.connect(place, TRY, address=f"9091|{port}")
    words = {
        **SCENARIO.model_dump(mode="json", exclude_defaults=True),
        "shards": 3,
        "checkpoint_every": 0,
        "output": str(output),
    }
    config = " ".join(
        f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in words.items()
    )
    with contextlib.ExitStack() as stack:
        start = superlink.replace("9091", str(port))
        stack.enter_context(loopback.started(place, start, tmp_path / "superlink.log"))
        loopback.wait_for_port(port)
        for number, its_port in enumerate(own):
            line = supernode.replace("9091", str(port)).replace("9094", str(its_port))
            if number == 1:
                line += " --node-config 'hostile=true'"
            stack.enter_context(loopback.started(place, line, tmp_path / f"{number}.log"))
        loopback.wait_for_online(place, "loop", 3)
        loopback.ask(place, f"flwr run {checkout} loop --run-config '{config}'")
        logs = (tmp_path / "superlink.log", *(tmp_path / f"{number}.log" for number in range(3)))
        try:
            loopback.wait_until((output / "report.html").is_file, "the run has not ended", patience_s=900)
        except AssertionError as error:
            raise AssertionError(
                "\n".join([str(error), *(log.read_text()[-3000:] for log in logs)])
            ) from None
    result = json.loads((output / "run.json").read_text())
    with stubbed():
        undisturbed = json.loads(json.dumps(run(SCENARIO, Execution(shards=3)).result))
    for row in (*result["rounds"], *undisturbed["rounds"]):
        del row["wall_s"]
    whole = len(ASKED_AGAIN) + 1
    assert result["rounds"][:whole] == undisturbed["rounds"][:whole]
    (shard,) = {event["shard"] for event in result["events"]}
    said = {
        round_: [event["text"] for event in result["events"] if event["round"] == round_]
        for round_ in range(SCENARIO.rounds + 1)
    }
    assert said[0] == []
    for round_, kind in enumerate(ASKED_AGAIN, 1):
        why = (ROUND_KINDS | OTHER_KINDS)[kind][1].replace("must be 1", f"must be {round_}")
        assert len(said[round_]) == 1, said[round_]
        assert why in said[round_][0]
        assert said[round_][0].endswith("; asked again")
    for round_, kind in enumerate(LEFT_OUT, whole):
        assert OTHER_KINDS[kind][1] in "\n".join(said[round_])
        assert "is left out" in said[round_][-1]
        assert f"shard {shard} " in said[round_][-1]
        assert result["rounds"][round_]["missing"] == 20
        assert result["rounds"][round_]["round_status"] == "updated"
    assert result["totals"]["missing_device_rounds"] == 20 * len(LEFT_OUT)
