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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import members, pack, unpack
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment, TokenCounts, share
from fedbert.federation.pooled import Pooled
from fedbert.federation.server import Server
from fedbert.kept_work import KeptWork, Shapes, texts_digest
from fedbert.scenario import Scenario

if TYPE_CHECKING:
    from fedbert.ei_bert.teaching.server_models import ServerModels


def share_kept(work: KeptWork, environment: Environment) -> None:
    """Let the shards of this process use `environment`, with what is kept of its texts."""
    keys = [_texts_key(work, environment, each) for each in members(environment.release_0)]
    found = [_counts(work, environment, key) for key in keys]
    if found[0] is not None:
        environment.token_counts = found[0]
    smaller = [each for each in found[1:] if each is not None]
    if smaller and len(smaller) == len(keys) - 1:
        environment.smaller_counts = tuple(smaller)
    share(environment)
    counted = (environment.token_counts, *environment.smaller_counts)
    for key, old, counts in zip(keys, found, counted, strict=True):
        if old is None:
            parts = [part for pair in counts for part in pair]
            work.write_arrays("tokens", key, dict(zip(_COUNTS, parts, strict=True)))
    # Only now: encoders that were made before are dropped when another environment is shared.
    for key, release in zip(keys, environment.encoded_0.sizes, strict=True):
        kept = _encodings(work, key, release)
        if kept is not None:
            release.take(kept["vectors"], kept["known"])


_COUNTS = ("text_tokens", "text_unknown", "item_tokens", "item_unknown")


def _counts(work: KeptWork, environment: Environment, key: str) -> TokenCounts | None:
    """Return the counts of tokens that are kept under `key`."""
    lengths = len(environment.world.texts), len(environment.world.public.catalogue.texts)
    shapes: Shapes = {name: ((lengths[place // 2],), np.int64) for place, name in enumerate(_COUNTS)}
    found = work.read_arrays("tokens", key, shapes)
    if found is None:
        return None
    given = [found[name] for name in _COUNTS]
    return (given[0], given[1]), (given[2], given[3])


def keep_encodings(work: KeptWork, environment: Environment) -> None:
    """Keep the vectors of release 0 that are new, with those that are kept."""
    for each, release in zip(members(environment.release_0), environment.encoded_0.sizes, strict=True):
        key = _texts_key(work, environment, each)
        found = _encodings(work, key, release)
        if found is not None:
            if found["known"][release.known].all():
                continue
            release.take(found["vectors"], found["known"])
        known = release.known.copy()
        vectors = np.where(known[:, None], release.vectors, np.int8(0))
        work.write_arrays("texts", key, {"vectors": vectors, "known": known})


def _encodings(work: KeptWork, key: str, release: EncodedRelease) -> dict[str, NDArray[Any]] | None:
    vectors = release.vectors
    shapes: Shapes = {"vectors": (vectors.shape, np.int8), "known": ((len(vectors),), np.bool_)}
    return work.read_arrays("texts", key, shapes)


def _texts_key(work: KeptWork, environment: Environment, artefact: Artefact) -> str:
    world = environment.world
    return work.key(
        {
            "artefact": artefact.sha256,
            "texts": texts_digest(world.texts),
            "items": texts_digest(world.public.catalogue.texts),
        }
    )


def take_server(work: KeptWork, server: Server) -> None:
    """Give the server's models and release 0 what is kept of public texts, or make and keep it."""
    first = server.first.artefact
    sizes = zip(members(first), server.encoded(first).sizes, server.models_by_size, strict=True)
    for artefact, encoded, models in sizes:
        _take_size(work, server, artefact, encoded, models)


def _take_size(
    work: KeptWork, server: Server, artefact: Artefact, encoded: Any, models: "ServerModels"
) -> None:
    texts = server.aligned_texts
    shapes: Shapes = {"vectors": ((len(texts), models.dim), np.int8)}
    key = work.key({"artefact": artefact.sha256, "texts": texts_digest(texts)})
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
    # That of the largest size, where there are several.
    models = server.models_by_size[0]
    if not models.teacher_stays:
        return make()
    shapes: Shapes = {"vectors": ((len(texts), models.dim), np.int8)}
    key = work.key({"teacher": models.teacher_digest, "texts": texts_digest(texts)})
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
        "teacher": [models.teacher_digest for models in server.models_by_size],
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
