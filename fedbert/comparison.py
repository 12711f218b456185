"""The systems that a run's comparison ranks by: one name and one id each, said once.

Every system scores the same evaluation sessions, none left unscored. `inputs` is what it sees of a session.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, NotRequired, TypedDict

from fedbert.results import ComparisonRow, Metrics, RunResult

TEXT_ONLY: Final = "text only"
FULL = "text, history and user model"
USER_ONLY: Final = "user model only"

Inputs = Literal["text only", "full", "user model only"]
"""What a system scores by, as its header says it (`federation.replay.WEIGHTS`)."""


class SystemHeader(TypedDict):
    """How shards rank by a system; `artefact`, `texts` and `items` name arrays of the same message."""

    kind: Literal["popularity", "tfidf", "release", "vectors"]
    inputs: NotRequired[Inputs]
    artefact: NotRequired[str]  # of a release
    texts: NotRequired[str]  # of vectors that a phone could not make
    items: NotRequired[str]


@dataclass(frozen=True)
class System:
    """One row of the comparison: an id for programs, name and inputs for people, how shards rank by it."""

    id: str
    name: str
    inputs: str
    header: SystemHeader


RELEASE_0, FINAL, UNRELEASED, POOLED = "release_0", "final", "unreleased", "pooled"
"""Artefacts of the student: the first release, the last that phones were given, the server's own at the end
where that is another, and the pooled-data bound."""

STUDENTS = {
    RELEASE_0: "int8 student, release 0",
    FINAL: "int8 student, final",
    UNRELEASED: "int8 student, unreleased",
    POOLED: "int8 student, pooled-data bound",
}


def _vectors(id_: str, name: str, inputs: str) -> System:
    header: SystemHeader = {
        "kind": "vectors",
        "texts": f"{id_}_texts",
        "items": f"{id_}_items",
        "inputs": TEXT_ONLY,
    }
    return System(id_, name, inputs, header)


def systems(unreleased: bool, pooled: bool = True, popularity: bool = True) -> list[System]:
    """Return the systems of a run.

    Args:
        unreleased: whether the server's student differs from the last release.
        pooled: whether the pooled-data bound was trained.
        popularity: whether it is known which items are popular.
    """
    left_out = ({UNRELEASED} if not unreleased else set()) | ({POOLED} if not pooled else set())
    by_popularity = System("popularity", "popularity", "popularity of the item", {"kind": "popularity"})
    found = [
        *([by_popularity] if popularity else []),
        System("tfidf", "TF-IDF", "text of the session, name of the item", {"kind": "tfidf"}),
        System(
            "user",
            USER_ONLY,
            "what this phone clicked before",
            {"kind": "release", "artefact": RELEASE_0, "inputs": USER_ONLY},
        ),
        _vectors("student", "unquantised student", "text only; the server's student before int8"),
        _vectors("teacher", "teacher", "text only; final teacher on the server"),
    ]
    for artefact, name in STUDENTS.items():
        if artefact in left_out:
            continue
        shorts: tuple[tuple[str, Inputs], ...] = ((TEXT_ONLY, TEXT_ONLY), (FULL, "full"))
        for inputs, short in shorts:
            header: SystemHeader = {"kind": "release", "artefact": artefact, "inputs": short}
            found.append(System(ranked_by(artefact, inputs == TEXT_ONLY), name, inputs, header))
    return found


def ranked_by(artefact: str, text_only: bool = False) -> str:
    """Return the id of the system that ranks by a student, from all that it sees or from the text alone."""
    return f"{artefact}_{'text_only' if text_only else 'full'}"


@cache
def _ids() -> dict[tuple[str, bool], str]:
    """Return ids by name and by whether everything is seen."""
    return {(system.name, system.inputs == FULL): system.id for system in systems(unreleased=True)}


def system_id(row: ComparisonRow) -> str:
    """Return the id of a row of a comparison; rows from before ids were kept have it by their name."""
    known = row.get("id") or _ids().get((row["system"], row["inputs"] == FULL))
    return known or row["system"]


EVERY_SESSION = {
    "release 0": ranked_by(RELEASE_0),
    "final release": ranked_by(FINAL),
    "pooled-data bound": ranked_by(POOLED),
}
"""Systems that are shown by tier, with every evaluation session scored: ids by short name."""


TIER_COLUMNS = ("as users saw it", "scored sessions", *(f"all scored: {name}" for name in EVERY_SESSION))
"""Headings of the figures of `tier_ndcg`."""


def tier_ndcg(result: RunResult, tier: str) -> list[float | None]:
    """Return nDCG@10 of one tier in the order of `TIER_COLUMNS`; None for what the run lacks."""
    row = result["tiers"][tier]
    found: list[Metrics | None] = [row.get("quality"), row.get("scored_quality")]
    found += [_every_session(result, system, tier) for system in EVERY_SESSION.values()]
    return [metrics["ndcg@10"] if metrics else None for metrics in found]


def _every_session(result: RunResult, system: str, tier: str) -> Metrics | None:
    for row in result["comparison"]:
        if system_id(row) == system:
            return row.get("tiers", {}).get(tier)
    return None
