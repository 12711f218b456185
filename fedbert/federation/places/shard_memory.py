"""Where a shard keeps its phones' memory between two messages: in Flower's state, a large one's in files."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from flwr.app import ConfigRecord, Context

from fedbert.device_range import DeviceRange
from fedbert.federation import phone_files
from fedbert.federation.checkpoint import Kept, keep_phones
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import array_record

_ARRAYS, _FILES = "devices", "memory"


@dataclass(frozen=True)
class Memory:
    """The phones' memory while a message is worked on; `working` is the folder of its files, if there are."""

    state: PhoneState
    working: Path | None


def new_folder(place: Path | None, devices: DeviceRange) -> Path | None:
    """Return the folder in `place` where the memory of a shard's phones is made; None: in the process."""
    if place is None or not phone_files.in_files(devices.count):
        return None
    return place / f"phones/.start-{devices.first}-{devices.count}"


def seen(context: Context) -> PhoneState:
    """Return what `remember` kept last, to be read only."""
    files = context.state.config_records.get(_FILES)
    if files is not None:
        return phone_files.opened(Path(str(files["folder"])))
    arrays = context.state.array_records[_ARRAYS]
    return PhoneState.from_arrays({name: value.numpy() for name, value in arrays.items()})


def recalled(context: Context, devices: DeviceRange, round_: int) -> Memory:
    """Return a copy of what `remember` kept last, to be changed by `round_`."""
    files = context.state.config_records.get(_FILES)
    if files is None:
        return Memory(seen(context), None)
    before = Path(str(files["folder"]))
    working = before.with_name(f".{round_:05d}-{devices.first}-{devices.count}")
    return Memory(phone_files.copied(before, working), working)


def written(memory: Memory, place: Path | None, devices: DeviceRange, round_: int) -> Kept | None:
    """Make files whole; with `place` make the memory a part of a checkpoint there, and return its record."""
    first, count = devices.first, devices.count
    if memory.working is not None:
        final = _final(memory.working)
        sha256 = phone_files.finished(memory.state, memory.working, final, durable=place is not None)
        return Kept(round_, first, count, sha256) if place is not None else None
    return keep_phones(place, round_, first, count, memory.state) if place is not None else None


def remember(context: Context, memory: Memory, kept: bool) -> None:
    """Keep what was `written`; what was kept before goes, unless it is a part of a checkpoint."""
    before = context.state.config_records.get(_FILES)
    if memory.working is None:
        context.state[_ARRAYS] = array_record(memory.state.arrays())
        return
    sums = {name: getattr(memory.state, name) for name in ("pooled_sums", "pooled_clicks")}
    context.state[_ARRAYS] = array_record(sums)
    context.state[_FILES] = ConfigRecord({"folder": str(_final(memory.working)), "kept": kept})
    if before is not None and not before["kept"]:
        shutil.rmtree(str(before["folder"]), ignore_errors=True)


def _final(working: Path) -> Path:
    return working.with_name(working.name.removeprefix("."))
