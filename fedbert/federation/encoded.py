"""One release with the vectors of the texts it has met: each is encoded once, then looked up."""

import threading

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.known_texts import KnownTexts
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.federation.sizes import by_size
from fedbert.machine import cores
from fedbert.recommendation.scorer import ScoreWeights, TextScorer
from fedbert.recommendation.sessions import Requests, Sessions


class EncodedRelease:
    """The int8 student of one release, its item vectors, and text vectors filled in as texts are met.

    The int8 encoder gives a text the same bits alone and in any batch, so what other texts were asked for,
    and by which shard, cannot change a vector.
    """

    def __init__(self, artefact: Artefact, texts: KnownTexts, items: KnownTexts) -> None:
        self.smaller: tuple[EncodedRelease, ...] = ()
        """The same release in its other sizes, where it has several: this is the largest then."""
        self.encoder = Int8Encoder(artefact, threads=cores())
        self.items = items.encode(self.encoder)
        self._texts = texts
        self.known = np.zeros(len(texts), np.bool_)
        self.vectors = np.zeros((len(texts), self.encoder.dim), np.int8)
        self.scorer = TextScorer(self.vectors, self.items)
        self._lock = threading.Lock()

    @property
    def sizes(self) -> "tuple[EncodedRelease, ...]":
        """The release in each of its sizes, the largest first."""
        return (self, *self.smaller)

    def scores(
        self, size: NDArray[np.integer], sessions: Sessions, history: Requests, weights: ScoreWeights
    ) -> NDArray[np.int64]:
        """Return the scores `[session, candidate]` of `sessions`, each by the `size` [session] of its phone.

        `history` has the remembered clicks of their phones, a row a session. Texts that are new are encoded.
        """
        out = np.zeros(sessions.candidates.shape, np.int64)
        for place, at in by_size(size, len(self.sizes)):
            if not len(at):
                continue
            # Where all phones have one size, as in most runs, nothing is copied.
            rows: slice | NDArray[np.int64] = slice(None) if len(at) == len(sessions) else at
            sized, text, past = self.sizes[place], sessions.text[rows], history.text[rows]
            sized.ensure(*([text] if weights.text else []), *([past] if weights.history else []))
            out[rows] = sized.scorer.scores(
                text, past, history.item[rows], sessions.candidates[rows], weights
            )
        return out

    def take(self, vectors: NDArray[np.int8], there: NDArray[np.bool_] | None = None) -> None:
        """Take `vectors` `[text, dim]` of all texts, or of those that are `there` `[text]`, which another
        process has encoded from this artefact.
        """
        with self._lock:
            new = np.flatnonzero(~self.known if there is None else there & ~self.known)
            if len(new):
                self.vectors[new] = vectors[new]
                self.known[new] = True

    def ensure(self, *ids: NDArray[np.integer]) -> None:
        """Encode those of the given text ids that are new; negative ids are skipped."""
        with self._lock:
            wanted = np.zeros(len(self._texts), np.bool_)
            for part in ids:
                wanted[part[part >= 0]] = True
            new = np.flatnonzero(wanted & ~self.known)
            if len(new):
                self.vectors[new] = self._texts.encode(self.encoder, new)
                self.known[new] = True
