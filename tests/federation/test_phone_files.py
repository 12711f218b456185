"""A large shard's memory lies in files: the same bits, never half a round, no array larger than needed."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.federation import phone_files, phone_state
from fedbert.federation.environment import Environment
from fedbert.federation.phone_state import COLUMNS, PhoneState
from fedbert.federation.places import shard_memory
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.shard import Shard

DEVICES = DeviceRange(0, 100, 12)


def equal(one: PhoneState, other: PhoneState) -> bool:
    """Return whether two states hold the same bits."""
    pairs = [(array, other.arrays()[name]) for name, array in one.arrays().items()]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def context() -> Context:
    """Return the empty context of a shard in a simulation."""
    return Context(run_id=0, node_id=1, node_config={}, state=RecordDict(), run_config={})


def test_a_shard_works_alike_on_files_and_in_memory(environment: Environment, tmp_path: Path) -> None:
    """Start and two rounds give the same reports and the same memory, which the files then hold."""
    shard, releases = Shard(environment, 0, 48), {0: environment.encoded_0}
    plain, mapped = shard.start(), shard.start(tmp_path / "phones")
    assert isinstance(mapped.text, np.memmap)
    assert equal(plain, mapped)
    for order in (RoundOrder(0, 0, 0), RoundOrder(1, 0, 0)):
        one, other = (shard.run_round(state, order, releases)[0].arrays() for state in (plain, mapped))
        assert all(np.array_equal(one[name], other[name]) for name in one)
    digest = phone_files.finished(mapped, tmp_path / "phones", tmp_path / "kept", durable=True)
    assert equal(plain, phone_files.opened(tmp_path / "kept"))
    assert phone_files.digest(tmp_path / "kept") == digest


def test_a_folder_that_differs_in_a_byte_has_another_digest(tmp_path: Path) -> None:
    """Any file of it counts, and a file that is no array is refused in one line."""
    state = phone_files.new_state(tmp_path / "a", 3, 2, 4, 5)
    digest = phone_files.finished(state, tmp_path / "a", tmp_path / "b", durable=True)
    path = tmp_path / "b/rank.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert phone_files.digest(tmp_path / "b") != digest
    path.write_bytes(b"no array")
    with pytest.raises(FedbertError, match="phones' memory in b cannot be read"):
        phone_files.opened(tmp_path / "b")


def test_a_round_that_fails_leaves_the_memory_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round changes a copy; only when it is remembered does the copy take the place of what was before."""
    monkeypatch.setattr(phone_files, "LARGEST_IN_MEMORY", 10)
    here, first = context(), shard_memory.new_folder(tmp_path, DEVICES)
    assert first is not None
    memory = shard_memory.Memory(phone_files.new_state(first, 12, 2, 4, 5), first)
    shard_memory.written(memory, None, DEVICES, -1)
    shard_memory.remember(here, memory, kept=False)
    shard_memory.recalled(here, DEVICES, 0).state.installed[:] = 7  # and then the round fails
    again = shard_memory.recalled(here, DEVICES, 0)
    assert (again.state.installed == -1).all()
    again.state.installed[3] = 2
    kept = shard_memory.written(again, tmp_path, DEVICES, 0)
    shard_memory.remember(here, again, kept=True)
    assert [path.name for path in (tmp_path / "phones").iterdir()] == ["00000-100-12"]
    assert kept is not None
    assert kept.sha256 == phone_files.digest(tmp_path / kept.name)
    # A part of a checkpoint stays when the next round is done.
    after = shard_memory.recalled(here, DEVICES, 1)
    assert after.state.installed[3] == 2
    shard_memory.written(after, None, DEVICES, 1)
    shard_memory.remember(here, after, kept=False)
    assert sorted(path.name for path in (tmp_path / "phones").iterdir()) == ["00000-100-12", "00001-100-12"]


def test_only_large_shards_with_a_place_use_files(tmp_path: Path) -> None:
    """Up to a million devices, or without a folder, the memory stays in the process."""
    million = phone_files.LARGEST_IN_MEMORY
    assert shard_memory.new_folder(tmp_path, DeviceRange(0, 0, million)) is None
    assert shard_memory.new_folder(None, DeviceRange(0, 0, million + 1)) is None
    assert shard_memory.new_folder(tmp_path, DeviceRange(0, 0, million + 1)) is not None


def test_installed_devices_are_counted_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of four devices count what all ten count at once."""
    state = PhoneState.empty(10, 1, 1, 1)
    state.installed[:] = [-1, 0, 0, 2, 2, 2, 2, 0, -1, 1]
    monkeypatch.setattr(phone_state, "_ROWS_PER_PART", 4)
    assert state.installed_counts(3).tolist() == [2, 3, 1, 4, 0]


def test_every_column_has_a_row_per_device() -> None:
    """What is cut by devices is what `COLUMNS` names; the rest are sums."""
    state = PhoneState.empty(3, 2, 4, 5)
    assert {name for name, array in state.arrays().items() if len(array) == 3} == set(COLUMNS)
