"""What release 0 of a run could win by text alone: python benchmarks/text_room.py [--model small ...].

Ranks the candidates of evaluation sessions of the world `services` (10,000 phones, first round, seeds 0 to
2, a third of the phones of each tier) by the session's text alone, as release 0 does: with shipped students;
with the published teacher, whole and through the directions that a student's vectors have room for; and with
each of these plus the cosine of TF-IDF vectors of words or characters. *Named* services have public requests,
the others have a written name and nothing else. Prints a Markdown table of nDCG@10: means with 95 % intervals
over sessions, and each row paired with the first one.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from fedbert.device_range import DeviceRange
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.catalogue_goal import principal_directions
from fedbert.ei_bert.compression.plan import CATALOGUE_PLANS
from fedbert.ei_bert.compression.public_text import PublicText, load_public_text
from fedbert.ei_bert.model.bert import fast_math
from fedbert.ei_bert.pretrained import model_folder
from fedbert.ei_bert.teaching.teacher import load_teacher, sentence_vectors
from fedbert.intervals import t_interval
from fedbert.machine import precision_used
from fedbert.paths import data_folder
from fedbert.recommendation.metrics import metric_by_rank
from fedbert.recommendation.scorer import ranks
from fedbert.recommendation.sessions import Block, Kind, WorldSettings
from fedbert.recommendation.world import World, load_world
from fedbert.results import TIERS

_PHONES, _ROUND = 10_000, 1
# Scores are integers where ranks are made of them, so that equal ones are ties.
_STEPS = 1e9
_LEXICAL = {
    "characters": {"analyzer": "char_wb", "ngram_range": (3, 5)},
    "words": {"analyzer": "word", "ngram_range": (1, 1)},
}

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Evaluation sessions: text, wanted item, candidates, and whether that item has public requests."""

    text: NDArray[np.int32]
    item: NDArray[np.int32]
    candidates: NDArray[np.int32]
    named: NDArray[np.bool_]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["default", "small", "tiny"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weight", type=float, default=0.2, help="of the lexical cosine")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    world = load_world("services")
    catalogue = world.public.catalogue
    public = load_public_text(data_folder())
    asked = _sessions(world, public, range(arguments.seeds))
    reference: Scores | None = None
    print("| ranked by | all sessions | services with public requests | the others | minus the first |")
    print("|---|---:|---:|---:|---:|")
    lexical = dict(_lexical(world.texts, catalogue.texts, world.public.texts))
    for name, scores in _ways(arguments.model, world.texts, public):
        rows = {name: scores}
        rows |= {f"{name} and {how}": scores + arguments.weight * more for how, more in lexical.items()}
        for row, found in rows.items():
            gained = _worth(found, asked, catalogue.default_rank)
            reference = gained if reference is None else reference
            parts = (gained, gained[asked.named], gained[~asked.named])
            cells = [_interval(part) for part in parts] + [_interval(gained - reference, "+")]
            print(f"| {row} | {' | '.join(cells)} |", flush=True)


def _sessions(world: World, public: PublicText, seeds: Sequence[int]) -> Asked:
    found = []
    for seed in seeds:
        tier = (np.arange(_PHONES) % len(TIERS)).astype(np.int8)
        block = Block(DeviceRange(seed, 0, _PHONES), tier, WorldSettings(), _PHONES)
        found.append(world.sessions(block, _ROUND, Kind.EVALUATION))
    item = np.concatenate([each.item for each in found])
    named = np.isin(item, public.public_items)
    text = np.concatenate([each.text for each in found])
    candidates = np.concatenate([each.candidates for each in found])
    return Asked(text, item, candidates, named)


def _ways(models: Sequence[str], texts: Sequence[str], public: PublicText) -> Iterator[tuple[str, Scores]]:
    """Yield scores `[text, item]` of each way to rank, with its name: cosines."""
    for model in models:
        encoder = Int8Encoder(load_artefact(model_folder(model)))
        yield f"`{model}`", _cosines(encoder.vectors(texts), encoder.vectors(public.names, "item"))
    teacher, dim = load_teacher(), CATALOGUE_PLANS["default"].dim
    with fast_math(precision_used("auto")):
        asking, names, requests = (
            sentence_vectors(teacher, list(some)).float() for some in (texts, public.names, public.requests)
        )
    yield "teacher", _cosines(asking.numpy(), names.numpy())
    for title, basis in (("a student's directions", requests), ("those of names alone", requests[:0])):
        head = principal_directions(basis, names, dim)
        yield f"teacher, {title}", _cosines((asking @ head).numpy(), (names @ head).numpy())


def _lexical(
    texts: Sequence[str], names: Sequence[str], public: Sequence[str]
) -> Iterator[tuple[str, Scores]]:
    for how, options in _LEXICAL.items():
        counted = TfidfVectorizer(sublinear_tf=True, **options).fit([*public, *names])
        yield how, (counted.transform(texts) @ counted.transform(names).T).toarray()


def _cosines(texts: NDArray[np.floating], names: NDArray[np.floating]) -> Scores:
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (texts, names)]
    return np.asarray(unit[0] @ unit[1].T, np.float64)


def _worth(scores: Scores, asked: Asked, tie_order: NDArray[np.int32]) -> Scores:
    """Return nDCG@10 of each session."""
    some = np.rint(_STEPS * scores[asked.text[:, None], asked.candidates]).astype(np.int64)
    return metric_by_rank("ndcg@10")[ranks(some, asked.candidates, asked.item, tie_order) - 1]


def _interval(values: Scores, sign: str = "") -> str:
    found = t_interval(values)
    return f"{found.value:{sign}.4f} ({found.low:{sign}.4f} to {found.high:{sign}.4f})"


if __name__ == "__main__":
    main()
