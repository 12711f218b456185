"""The parts of a run that runs of one world, model or seed share, as `fedbert.kept_work` keeps them.

- tokens: how many each text has, by world and model;
- texts: release 0's int8 vectors of the private texts that runs met, by world and model;
- public: release 0's int8 vectors of the public texts that releases are aligned by;
- items: vectors of the catalogue by a teacher that stays, which the student learns from;
- teacher: vectors of evaluation texts by such a teacher, by the texts that a run's sessions met;
- pooled: the pooled-data bound, by clicks, models at their start, and the training's settings and draws. It
  does not depend on signal, mechanism or epsilon.

Not kept: a later release's states below its last layer, since reading 6 kB a text saves little, and the
student's own lower layers, a tenth of a second.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact, pack, unpack
from fedbert.federation.environment import Environment, share
from fedbert.federation.pooled import Pooled
from fedbert.federation.server import Server
from fedbert.kept_work import KeptWork, Shapes, texts_digest
from fedbert.scenario import Scenario


def share_kept(work: KeptWork, environment: Environment) -> None:
    """Let the shards of this process use `environment`, with what is kept of its texts."""
    texts, items = environment.world.texts, environment.world.public.catalogue.texts
    shapes: Shapes = {
        name: ((len(read),), np.int64)
        for of, read in (("text", texts), ("item", items))
        for name in (f"{of}_tokens", f"{of}_unknown")
    }
    names, key = tuple(shapes), _texts_key(work, environment)
    found = work.read_arrays("tokens", key, shapes)
    if found is not None:
        given = [found[name] for name in names]
        environment.token_counts = (given[0], given[1]), (given[2], given[3])
    share(environment)
    if found is None:
        counted = [part for pair in environment.token_counts for part in pair]
        work.write_arrays("tokens", key, dict(zip(names, counted, strict=True)))
    # Only now: encoders that were made before are dropped when another environment is shared.
    kept = _encodings(work, environment)
    if kept is not None:
        environment.encoded_0.take(kept["vectors"], kept["known"])


def keep_encodings(work: KeptWork, environment: Environment) -> None:
    """Keep the vectors of release 0 that are new, with those that are kept."""
    release, found = environment.encoded_0, _encodings(work, environment)
    if found is not None:
        if found["known"][release.known].all():
            return
        release.take(found["vectors"], found["known"])
    known = release.known.copy()
    vectors = np.where(known[:, None], release.vectors, np.int8(0))
    work.write_arrays("texts", _texts_key(work, environment), {"vectors": vectors, "known": known})


def _encodings(work: KeptWork, environment: Environment) -> dict[str, NDArray[Any]] | None:
    vectors = environment.encoded_0.vectors
    shapes: Shapes = {"vectors": (vectors.shape, np.int8), "known": ((len(vectors),), np.bool_)}
    return work.read_arrays("texts", _texts_key(work, environment), shapes)


def _texts_key(work: KeptWork, environment: Environment) -> str:
    world = environment.world
    return work.key(
        {
            "artefact": environment.release_0.sha256,
            "texts": texts_digest(world.texts),
            "items": texts_digest(world.public.catalogue.texts),
        }
    )


def take_server(work: KeptWork, server: Server) -> None:
    """Give the server's models and release 0 what is kept of public texts, or make and keep it."""
    texts, models = server.aligned_texts, server.models
    shapes: Shapes = {"vectors": ((len(texts), models.dim), np.int8)}
    key = work.key({"artefact": server.first.artefact.sha256, "texts": texts_digest(texts)})
    encoded = server.encoded(server.first.artefact)
    encoded.aligned = work.arrays("public", key, shapes, lambda: {"vectors": encoded.aligned})["vectors"]
    if models.teacher_stays and models.items_together:
        items = server.public.catalogue.texts
        shapes = {"vectors": ((len(items), models.dim), np.float32)}
        key = work.key({"teacher": models.teacher_digest, "items": texts_digest(items)})
        made = work.arrays("items", key, shapes, lambda: {"vectors": models.teacher_items()})
        models.take_teacher_items(made["vectors"])


def teacher_vectors(
    work: KeptWork, server: Server, texts: Sequence[str], make: Callable[[], NDArray[np.int8]]
) -> NDArray[np.int8]:
    """Return the teacher's int8 vectors of evaluation `texts`, kept, or those of `make`."""
    if not server.models.teacher_stays:
        return make()
    shapes: Shapes = {"vectors": ((len(texts), server.models.dim), np.int8)}
    key = work.key({"teacher": server.models.teacher_digest, "texts": texts_digest(texts)})
    return work.arrays("teacher", key, shapes, lambda: {"vectors": make()})["vectors"]


def bound_key(work: KeptWork, server: Server, scenario: Scenario, pooled: Pooled) -> str:
    """Return the digest of all that decides the bound, as 64 hexadecimal digits."""
    public = server.public
    plain = {
        "settings": vars(server.settings),
        "rounds": pooled.rounds,
        "of": scenario.rounds,
        "seed": scenario.seed,
        "devices": pooled.devices,
        "teacher": server.models.teacher_digest,
        "artefact": server.first.artefact.sha256,
        "texts": [public.catalogue.texts, public.texts, public.item.tolist(), public.split],
    }
    arrays: dict[str, NDArray[Any]] = {
        **server.models.start,
        "sums": pooled.vector_sums,
        "clicks": pooled.clicks,
    }
    return work.key(plain, arrays)


def kept_or_trained(work: KeptWork, key: str, train: Callable[[], Artefact]) -> Artefact:
    """Return the bound kept under `key`, or that of `train`, which is kept then."""
    blob = work.read("pooled", key)
    if blob is not None:
        return unpack(blob)
    made = train()
    work.write("pooled", key, pack(made))
    return made
