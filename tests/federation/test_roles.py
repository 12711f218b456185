"""Who is handed what: canaries are planted, and everything that a role can reach is searched for them."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import canaries
import numpy as np
import pytest
from canaries import Canary, found, reachable
from faults.stub import StubModels, stubbed
from numpy.typing import NDArray
from small_runs import SMALL

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.federation.aggregator import Aggregator, Opened
from fedbert.federation.environment import Environment, forget
from fedbert.federation.places.client_app import app
from fedbert.federation.places.inprocess import InProcessGrid
from fedbert.federation.protocol import from_records
from fedbert.federation.round_step import step
from fedbert.federation.server import Server, ServerState
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.privacy.mechanisms import decode, wrap
from fedbert.scenario import Scenario

NOISE_SEED = 6_180_339_887_498_948_482
SECRET = bytes(range(101, 133))
SHARD_DEVICES = 59
SCENARIO = SMALL.model_copy(
    update={
        "devices": 3 * SHARD_DEVICES,
        "seed": 1_618_033_988,
        "noise_seed": NOISE_SEED,
        "verify_masks": 23,
    }
)


@dataclass
class Seen:
    """What a short run showed."""

    session: Session
    state: Any = None
    server: list[tuple[str, Any]] = field(default_factory=list)
    """All that the server was handed, call by call, and what it returned."""
    aggregator: list[tuple[str, Any]] = field(default_factory=list)
    replies: list[tuple[int, dict[str, NDArray[Any]]]] = field(default_factory=list)
    """(newest release, arrays) of each message from a shard."""
    sums: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """The shards' signals as they were before masks, added up by round."""
    reported: dict[int, int] = field(default_factory=dict)
    completed: dict[int, int] = field(default_factory=dict)

    def secrets(self) -> list[Canary]:
        """Return the canaries that no server may hold: seeds, the masks' secret and the sums before noise."""
        planted = [
            canaries.number("the noise's seed", NOISE_SEED),
            canaries.count("the run's seed", SCENARIO.seed),
            canaries.secret("the masks' secret", SECRET),
        ]
        layout = self.session.environment.layout
        for round_, total in self.sums.items():
            for name, part in zip(("sum", "sum of ranks"), layout.split(total), strict=True):
                planted += [
                    canaries.vector(f"the {name} of round {round_} in steps", part.astype(np.float64)),
                    canaries.vector(f"the {name} of round {round_}", decode(wrap(part), layout.scale)),
                ]
        return planted

    def counts(self) -> list[Canary]:
        """Return the canaries of the rounds' exact counts."""
        return [
            canaries.count(f"{name} of round {round_}", value)
            for name, by_round in (("reports", self.reported), ("completed", self.completed))
            for round_, value in by_round.items()
        ]


class _Grid(InProcessGrid):
    """Keeps what shards answer."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(app, 3)
        self._seen = seen

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Iterator[Any]:
        sent = list(messages)
        newest = {m.metadata.dst_node_id: from_records(m.content)[0].get("newest_release", 0) for m in sent}
        for reply in super().send_and_receive(sent, timeout=timeout):
            arrays = from_records(reply.content)[1]
            self._seen.replies.append((newest[reply.metadata.src_node_id], arrays))
            yield reply


def _watched(role: type, names: tuple[str, ...], into: list[tuple[str, Any]]) -> Iterator[Any]:
    """Yield patches that note all arguments and results of a role's methods."""
    for name in names:
        plain = getattr(role, name)

        @functools.wraps(plain)
        def noted(self: Any, *args: Any, _plain: Any = plain, _name: str = name, **named: Any) -> Any:
            into.append((f"{_name}(...)", (args, named)))
            result = _plain(self, *args, **named)
            into.append((f"result of {_name}", result))
            return result

        yield mock.patch.object(role, name, noted)


def watch(scenario: Scenario = SCENARIO) -> Seen:
    """Run all rounds and keep what each role was handed."""
    seen = Seen(session=None)  # type: ignore[arg-type]
    run_round = Shard.run_round

    def noted(self: Shard, state: Any, order: Any, releases: Any) -> Any:
        report, check = run_round(self, state, order, releases)
        if order.round:
            signal = report.server["signal"].view(np.int32).astype(np.int64)
            seen.sums[order.round] = seen.sums.get(order.round, 0) + signal
            for name, into in (("reported", seen.reported), ("completed", seen.completed)):
                into[order.round] = into.get(order.round, 0) + int(report.server[name][0])
        return report, check

    patches = [
        *_watched(Server, ("__init__", "start", "order", "finish"), seen.server),
        *_watched(Aggregator, ("__init__", "deal", "open"), seen.aggregator),
        mock.patch.object(Shard, "run_round", noted),
        mock.patch("fedbert.federation.aggregator.os.urandom", lambda size: SECRET),
    ]
    with stubbed():
        for patch in patches:
            patch.start()
        grid = _Grid(seen)
        try:
            seen.session = Session.open(scenario)
            seen.state = seen.session.start(grid)
            for _ in range(scenario.rounds + 1):
                seen.state, update = step(seen.session, seen.state)
                seen.server.append(("update", update))
        finally:
            grid.close()
            for patch in patches:
                patch.stop()
            forget()
    return seen


@pytest.fixture(scope="module")
def seen() -> Seen:
    """A run of two rounds with canaries in it."""
    return watch()


def _server_holds(seen: Seen) -> list[str]:
    """Return the secrets that the server can reach."""
    return found((seen.session.server, seen.state.server, seen.server), seen.secrets())


def _counts_at_the_server(seen: Seen) -> list[str]:
    """Return the exact counts in what the server is handed from round to round."""
    public = seen.session.server
    # What it was made of cannot hold a count of a later round, and numbers of its texts are no counts.
    before = {id(value) for _, value in reachable((public.public, public.models, public._encoded))}
    changing = [(name, value) for name, value in seen.server if name != "__init__(...)"]
    return found((seen.state.server, changing), seen.counts(), lambda value: id(value) in before)


def test_the_canaries_are_there(seen: Seen) -> None:
    """The secrets exist, and who must hold them does: else nothing that follows would mean anything."""
    assert seen.sums.keys() == {1, 2} == seen.reported.keys()
    assert [row["round_status"] for row in seen.state.rows[1:]] == ["updated", "updated"]
    held = "\n".join(found(seen.session.aggregator, seen.secrets()))
    assert "the noise's seed" in held
    assert "the masks' secret" in held
    for round_, total in seen.sums.items():
        (noisy,) = [
            value[0][3][0]
            for name, value in seen.server
            if name == "finish(...)" and value[0][1].round == round_
        ]
        exact = decode(wrap(seen.session.environment.layout.split(total)[0]), _scale(seen))
        spread = float(np.std(noisy.values - exact))
        assert spread == pytest.approx(noisy.sigma, rel=0.05)


def _scale(seen: Seen) -> float:
    return seen.session.environment.layout.scale


def test_the_server_reaches_no_secret(seen: Seen) -> None:
    """No seed, no key, no sum before its noise: in its arguments, its results, its state, or behind them."""
    assert _server_holds(seen) == []


def test_the_server_is_told_no_count_of_a_round(seen: Seen) -> None:
    """How many took part or reported stands in nothing that the server is handed from round to round."""
    assert _counts_at_the_server(seen) == []


def test_a_held_round_tells_no_count() -> None:
    """A round that is held for too few reports says so without saying how few."""
    seen = watch(SCENARIO.model_copy(update={"min_reports": 150, "rounds": 1}))
    assert seen.state.rows[1]["round_status"] == "held: fewer than 150 reports (min_reports)"
    assert 0 < seen.reported[1] < 150
    assert _counts_at_the_server(seen) == []
    assert _server_holds(seen) == []


def test_the_server_reaches_no_private_text(seen: Seen) -> None:
    """No text that is only on phones, no world and no environment is behind the server."""
    world = seen.session.world
    public = {*world.public.texts, *world.public.catalogue.texts}
    # A short one may well be a word of the public manifest.
    private = {text for text in world.texts if text not in public and len(text) > 20}
    assert len(private) > 1_000
    server = (seen.session.server, seen.state.server, seen.server)
    wrong = [
        path
        for path, value in reachable(server)
        if (isinstance(value, str) and value in private)
        or isinstance(value, (type(world), Environment, Shard))
    ]
    assert wrong == []


def test_the_aggregator_reaches_no_text_and_no_model(seen: Seen) -> None:
    """The aggregator holds masks, counts and the noise; no text, no release, no model, no server."""
    texts = {*seen.session.world.texts, *seen.session.world.public.texts}
    files = set(seen.session.environment.release_0.files.values())
    models = (Artefact, Int8Encoder, StubModels, Server, ServerState, type(seen.session.world), Environment)
    weights = [canaries.vector("weights", seen.state.server.models["items"].astype(np.float64))]
    handed = (seen.session.aggregator, seen.aggregator)
    wrong = [
        path
        for path, value in reachable(handed)
        if (isinstance(value, str) and value in texts)
        or (isinstance(value, bytes) and value in files)
        or isinstance(value, models)
    ]
    assert wrong == []
    assert found(handed, weights) == []


def test_no_array_of_a_single_phone_leaves_a_shard(seen: Seen) -> None:
    """No array in any answer has a dimension of devices, so its shape does not change with the fleet."""
    larger = watch(SCENARIO.model_copy(update={"devices": 3 * (SHARD_DEVICES + 2)}))
    assert len(seen.replies) == len(larger.replies) == 3 * 4

    def shapes(of: Seen) -> set[tuple[str, tuple[int, ...]]]:
        return {
            (name, array.shape)
            for _, arrays in of.replies
            for name, array in arrays.items()
            if name not in ("server.installed", "installed")
        }

    assert shapes(seen) == shapes(larger)
    for run, devices in ((seen, SHARD_DEVICES), (larger, SHARD_DEVICES + 2)):
        for newest, arrays in run.replies:
            for name, array in arrays.items():
                assert not {devices, 3 * devices, SCENARIO.verify_masks} & set(array.shape), name
                if name.endswith("installed"):
                    assert array.shape == (newest + 2,)


def _give_sum(seen: Seen) -> None:
    total = decode(wrap(seen.sums[2]), _scale(seen))
    object.__setattr__(seen.state.server, "memory", dict(seen.state.server.memory) | {"kept": total})


def _give_closure(seen: Seen) -> None:
    aggregator = seen.session.aggregator
    seen.session.server.again = lambda: aggregator  # type: ignore[attr-defined]


def _give_view(seen: Seen) -> None:
    seen.session.server.part = seen.sums[1][:2]  # type: ignore[attr-defined]


def _give_seed(seen: Seen) -> None:
    seen.session.server.settings = replace(seen.session.server.settings, update_steps=NOISE_SEED)


def _give_scenario(seen: Seen) -> None:
    seen.session.server.scenario = SCENARIO.model_dump_json()  # type: ignore[attr-defined]


def _give_secret(seen: Seen) -> None:
    seen.server.append(("finish(...)", np.frombuffer(b"...." + SECRET, np.uint8)))


@pytest.mark.parametrize(
    ("give", "what"),
    [
        (_give_sum, "the sum of round 2"),
        (_give_closure, "the masks' secret"),
        (_give_view, "the sum of round 1 in steps"),
        (_give_seed, "the noise's seed"),
        (_give_scenario, "the run's seed"),
        (_give_secret, "the masks' secret"),
    ],
)
def test_the_search_finds_what_is_handed_over(give: Callable[[Seen], None], what: str) -> None:
    """Whatever a server is given that is not its own, and however it is wrapped, is found."""
    seen = watch()
    give(seen)
    assert what in "\n".join(_server_holds(seen))


def test_an_aggregator_that_hands_on_its_sum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregator that opens a sum without noise, or tells a count in its words, fails the search."""
    plain = Aggregator.open

    def telling(self: Aggregator, order: Any, reports: Any, state: Any) -> Any:
        opened, refusals, after = plain(self, order, reports, state)
        assert opened.signal is not None
        exact = self._total(order.round, reports)[: len(opened.signal.values)]
        told = sum(report.reported for report in reports.values())
        return (
            Opened(replace(opened.signal, values=exact), opened.ranks, f"held: {told} reports"),
            refusals,
            after,
        )

    monkeypatch.setattr(Aggregator, "open", telling)
    seen = watch()
    assert "the sum of round 1 at" in "\n".join(_server_holds(seen))
    assert "reports of round 1 at" in "\n".join(_counts_at_the_server(seen))
