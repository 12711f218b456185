"""Whole runs with faults of shards' replies and of files: the cases of `simulate.py`, by their seeds.

`make faults` runs 5,000.
"""

from pathlib import Path

import pytest
from faults.simulate import Case, simulate

SEEDS, PARTS = 200, 20


@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_costs_no_run_and_no_right_figure(part: int, tmp_path: Path) -> None:
    """A run with a fault gives the figures of an undisturbed one to the bit, at once or when it is resumed.

    Or it leaves shards out, says which, and counts their devices as missing. It says what is wrong in one
    line, loses no round that it told of, and never ends with an exception that nobody foresaw.
    """
    for seed in range(part, SEEDS, PARTS):
        place = tmp_path / str(seed)
        place.mkdir()
        simulate(seed, place)


def test_a_case_follows_from_its_seed_and_the_seeds_reach_every_kind() -> None:
    """A seed gives one case only; the 200 have faults of every kind, also lasting ones and two at once."""
    cases = [Case.of(seed) for seed in range(SEEDS)]
    assert cases == [Case.of(seed) for seed in range(SEEDS)]
    files = [fault for case in cases for life in case.files for fault in life]
    replies = [fault for case in cases for fault in case.replies]
    assert {fault.kind for fault in files} == {"ENOSPC", "EACCES", "EIO", "interrupt", "power"}
    assert len({fault.kind for fault in replies}) == 17
    assert {fault.ask for fault in replies} == set(range(7))
    assert {fault.lasting for fault in files} == {fault.lasting for fault in replies} == {True, False}
    assert {case.lost_shards for case in cases} == {"stop", "leave-out"}
    assert any(len(files) + len(case.replies) > 1 for case in cases for files in case.files)
