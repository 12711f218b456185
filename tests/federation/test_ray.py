"""Runs on Ray: a cluster of three nodes that loses one, and clusters that cannot be used."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
from ray_nodes import HOLDING_SIGNAL, SOON, hold, kill_one_at_work, three_nodes
from small_runs import TINY

from fedbert.federation.checkpoint import read_phones
from fedbert.federation.places.backends import inprocess, opened
from fedbert.federation.round_step import step
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.scenario import Execution


def said(state: RunState) -> tuple[str, dict[str, Any]]:
    """Return all that a state is, without times."""
    plain = state.plain()
    rows = [{name: value for name, value in row.items() if name != "wall_s"} for row in plain["rows"]]
    return json.dumps(dict(plain, rows=rows)), state.arrays()


def same(one: RunState, other: RunState) -> bool:
    """Return whether two states are equal to the bit."""
    (text, arrays), (other_text, others) = said(one), said(other)
    equal = all(np.array_equal(array, others[name]) for name, array in arrays.items())
    return text == other_text and arrays.keys() == others.keys() and equal


def test_a_node_killed_in_the_middle_of_a_round_changes_no_bit(tmp_path: Path) -> None:
    """Three nodes, the one killed that holds a shard of round 2: every state equals the in-process one's.

    The signal is the user's own, and its file is gone before a worker could read it. The phones' memory that
    a checkpoint keeps is the same.
    """
    own = tmp_path / "own.py"
    own.write_text(HOLDING_SIGNAL.format(place=str(tmp_path)))
    scenario = TINY.model_copy(update={"signal": f"{own}:Holding"})
    loaded = Session.open(scenario)
    own.unlink()
    plain, kept = run(loaded, inprocess(2), tmp_path / "plain")
    notes: list[str] = []
    with three_nodes(**SOON) as cluster:
        execution = Execution(backend="ray", ray_address=cluster.address, shards=6)

        def kill(round_: int) -> None:
            if round_ == 2:
                hold(tmp_path)
                threading.Thread(target=kill_one_at_work, args=(cluster, tmp_path)).start()

        on_ray = opened(execution, scenario.devices, notes.append)
        states, kept_on_ray = run(loaded, on_ray, tmp_path / "ray", kill)
        assert len(cluster.worker_nodes) == 1, "the node must have been killed"
    assert all(same(one, other) for one, other in zip(plain, states, strict=True))
    here = read_phones(tmp_path / "plain", kept.values(), 0, scenario.devices).arrays()
    there = read_phones(tmp_path / "ray", kept_on_ray.values(), 0, scenario.devices).arrays()
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert len(notes) == 1 and "was lost; its shards were run again" in notes[0]
    assert states[-1].events == ()


def run(loaded: Session, place: Any, folder: Path, before: Any = lambda round_: None) -> Any:
    """Return the states of a run on the grid that `place` gives; `before` is told of each round."""
    session = Session(loaded.scenario, loaded.environment, loaded.server)
    with place as grid:
        states = [session.start(grid)]
        for round_ in range(session.scenario.rounds + 1):
            before(round_)
            states.append(step(session, states[-1], str(folder))[0])
    return states, session.kept
