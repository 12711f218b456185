"""How well vectors of requests find the written name they ask for."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Scores:
    """Top-1 accuracy and nDCG@10 over the whole catalogue, mean over texts, in 0..1."""

    top_1: float
    ndcg_at_10: float

    def as_dict(self) -> dict[str, float]:
        """Return the scores by name, rounded to four places."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def zero_shot(texts: ArrayLike, items: ArrayLike, wanted: NDArray[np.integer]) -> Scores:
    """Score `texts` `[text, dim]` against `items` `[item, dim]`; `wanted` `[text]` is the right item of each.

    With one right item the ideal gain is 1, so nDCG@10 is 1 / log2(rank + 1) for ranks to 10, else 0
    (Jarvelin and Kekalainen 2002). An item of equal score counts as ranked before the right one.
    """
    scores = np.asarray(texts, np.float32) @ np.asarray(items, np.float32).T
    right = scores[np.arange(len(wanted)), wanted]
    rank = (scores >= right[:, None]).sum(1)
    gain = np.where(rank <= 10, 1.0 / np.log2(rank + 1.0), 0.0)
    return Scores(float((rank == 1).mean()), float(gain.mean()))
