"""The pooled-data bound, kept on disk by all that decides it, so that runs of one seed train it once.

The bound depends on the clicks and on the training, not on signal, mechanism or epsilon. Its key is a digest
of everything that its bits may depend on: the clicks, the models at their start, the public texts, the
training's settings and draws, fedbert's own sources, the packages and the processor. A kept bound therefore
equals the one that would be trained, and anything else is trained anew.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact, pack, unpack
from fedbert.errors import FedbertError
from fedbert.federation.pooled import Pooled
from fedbert.federation.server import TRAINING_THREADS, Server
from fedbert.files import UnreadableFile, read_bytes, write_bytes
from fedbert.machine import machine_record
from fedbert.provenance import source_digest, versions
from fedbert.scenario import Scenario

LIMIT_BYTES = 16_000_000
"""Largest file that is taken for a kept artefact; one is 1.91 MB."""


def bound_key(server: Server, scenario: Scenario, pooled: Pooled) -> str:
    """Return the digest of all that decides the bound, as 64 hexadecimal digits."""
    public = server.public
    plain = {
        "settings": vars(server.settings),
        "rounds": pooled.rounds,
        "of": scenario.rounds,
        "seed": scenario.seed,
        "devices": pooled.devices,
        "sources": source_digest(),
        "versions": versions(),
        "machine": machine_record(scenario.precision, TRAINING_THREADS),
        "artefact": server.start().newest.artefact.sha256,
        "texts": [public.catalogue.texts, public.texts, public.item.tolist(), public.split],
    }
    found = hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode())
    arrays: dict[str, NDArray[Any]] = {
        **server.models.start,
        "sums": pooled.vector_sums,
        "clicks": pooled.clicks,
    }
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def kept_or_trained(folder: Path, key: str, train: Callable[[], Artefact]) -> Artefact:
    """Return the artefact kept in `folder` under `key`, or that of `train`, which is kept then.

    A file that is damaged is trained anew and replaced; raises FedbertError if it cannot be written.
    """
    path = folder / f"pooled-{key}.zip"
    try:
        blob = read_bytes(path, LIMIT_BYTES)
        return unpack(blob)
    except UnreadableFile:
        pass
    except FedbertError as error:
        sys.stderr.write(f"{path.name} is trained again: {error}\n")
    made = train()
    write_bytes(path, pack(made))
    return made
