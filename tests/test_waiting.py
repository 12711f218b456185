"""Threads that wait sleep: beside other work a run must not burn the cores that the others need."""

import os
import subprocess
import sys
from ast import literal_eval

import pytest

from fedbert.planning.tradeoff.grid import WORKER_ENVIRONMENT
from fedbert.waiting import BLAS, OPENMP, sleep_when_waiting

LOADED = "import fedbert, os, sys; print({*sys.modules} & {'numpy', 'torch'}, dict(os.environ))"
IDLE = """
import fedbert, time
import numpy, torch
torch.set_num_threads(2)
ones, left, right = torch.ones(1 << 16), numpy.ones((600, 96), "f"), numpy.ones((96, 300), "f")
def burnt(work):
    work()
    before = time.process_time()
    for _ in range(10):
        work()
        time.sleep(0.03)
    return time.process_time() - before
print(burnt(lambda: ones.add_(1)), burnt(lambda: left @ right))
"""


def _printed(code: str, **variables: str) -> str:
    """What a fresh Python prints whose environment says nothing of waiting, but for `variables`."""
    known = {name: value for name, value in os.environ.items() if name not in OPENMP | BLAS}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=known | variables
    )
    return done.stdout


def test_importing_fedbert_says_how_to_wait_before_any_library_is_loaded() -> None:
    """Each library reads its variable when it is loaded. Every way in, a worker's and a shard's too, imports
    `fedbert` first; that sets all of them, and loads neither.
    """
    loaded, _, variables = _printed(LOADED).partition(" ")
    assert loaded == "set()"
    assert literal_eval(variables).items() >= (OPENMP | BLAS).items()


def test_threads_that_wait_burn_no_core() -> None:
    """Between ten small products with 30 ms of rest after each, torch's and numpy's threads use less than
    half of the 10 ms of processor a product that they burn when left to themselves.
    """
    for seconds in map(float, _printed(IDLE).split()):
        assert seconds < 0.05


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has set one of OpenMP's variables has decided how it waits: the others of it are not set."""
    for name in OPENMP | BLAS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    sleep_when_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ
    assert os.environ.items() >= BLAS.items()


def test_workers_of_a_grid_sleep_at_once() -> None:
    """A worker has others beside it: it is told all that OpenMP runtimes know of waiting, and to do none."""
    assert WORKER_ENVIRONMENT.keys() >= OPENMP.keys()
    assert WORKER_ENVIRONMENT["OMP_WAIT_POLICY"] == "PASSIVE"
    assert WORKER_ENVIRONMENT["GOMP_SPINCOUNT"] == WORKER_ENVIRONMENT["KMP_BLOCKTIME"] == "0"
