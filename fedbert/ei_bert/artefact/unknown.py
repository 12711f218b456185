"""Texts of no label of a task: a threshold under which a student says that it does not know.

A text's score is the highest logit of the task's head and its wide part. Thresholds lie in `unknown.json`
beside the manifest, each tied by a hash to the encoder, vocabulary, head and wide part that it was chosen
with: the files of the model stay as they are, and another head makes its threshold void.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import MODEL, VOCABULARY, Artefact, head_file, wide_file
from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile, encoded, read_json, write_bytes

UNKNOWN = "unknown.json"
_KEPT = 0.95
"""Share of known texts that are kept where the rate of false alarms is given (FPR at 95 % TPR)."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Figures:
    """How texts of no label are told from others, on test texts; shares of 1.

    `auroc` is the chance that a known text scores higher than an unknown one, `false_kept_at_95` the share of
    unknown texts kept where 95 % of the known ones are. At the threshold: `known_right` are the known texts
    that are kept and labelled rightly, `unknown_caught` the unknown ones that are not kept, `joint` the right
    ones of both together. `accuracy` is that on known texts without a threshold.
    """

    known: int
    unknown: int
    auroc: float
    false_kept_at_95: float
    accuracy: float
    known_right: float
    unknown_caught: float
    joint: float


@dataclass(frozen=True)
class Threshold:
    """The least score of a text that has a label; `sha256` is of the files that it was chosen with.

    `figures` are of test texts, which chose nothing.
    """

    threshold: float
    sha256: str
    figures: Figures


def scores(logits: Floats) -> NDArray[np.float64]:
    """Return the score of each text, `[text]`, from `logits` `[text, class]`: the highest one."""
    return np.asarray(logits.max(1), np.float64)


def choose(known: Floats, right: NDArray[np.bool_], unknown: Floats) -> float:
    """Return the threshold of the highest mean of two shares on validation texts.

    These are known texts that are kept and `right`, and unknown ones that are not kept; either counts alike,
    however many there are. `known`, `unknown` are scores `[text]`. Of equal thresholds the lowest is
    returned: it keeps the most.
    """
    tried = np.unique(np.concatenate([known, unknown]))
    kept = np.sort(known[right])
    caught = np.searchsorted(np.sort(unknown), tried, side="left") / len(unknown)
    shares = (len(kept) - np.searchsorted(kept, tried, side="left")) / len(known)
    return float(tried[int((caught + shares).argmax())])


def figures(known: Floats, right: NDArray[np.bool_], unknown: Floats, threshold: float) -> Figures:
    """Return what a threshold comes to on test texts; the arguments are those of `choose`."""
    from sklearn.metrics import roc_auc_score

    is_known = np.concatenate([np.ones(len(known), bool), np.zeros(len(unknown), bool)])
    # The greatest threshold that keeps 95 % of the known texts.
    least = np.sort(known)[::-1][math.ceil(_KEPT * len(known)) - 1]
    kept, caught = right & (known >= threshold), unknown < threshold
    return Figures(
        known=len(known),
        unknown=len(unknown),
        auroc=float(roc_auc_score(is_known, np.concatenate([known, unknown]))),
        false_kept_at_95=float((unknown >= least).mean()),
        accuracy=float(right.mean()),
        known_right=float(kept.mean()),
        unknown_caught=float(caught.mean()),
        joint=float((kept.sum() + caught.sum()) / (len(known) + len(unknown))),
    )


def digest(artefact: Artefact, task: str) -> str:
    """Return SHA-256 over the files that decide the logits of `task`, in hexadecimal."""
    whole = hashlib.sha256()
    wide = [wide_file(task)] if task in artefact.wide else []
    for name in (MODEL, VOCABULARY, head_file(task), *wide):
        whole.update(hashlib.sha256(artefact.files[name]).digest())
    return whole.hexdigest()


def read_thresholds(folder: Path, artefact: Artefact) -> dict[str, Threshold]:
    """Return the thresholds in `folder` that were chosen with the files of `artefact`, by task.

    None if there is no file of them. Raises FedbertError for a file that is none.
    """
    path = folder / UNKNOWN
    if not path.is_file():
        return {}
    try:
        found = {
            str(task): Threshold(float(row["threshold"]), str(row["sha256"]), Figures(**row["figures"]))
            for task, row in read_json(path)["tasks"].items()
        }
    except (UnreadableFile, KeyError, TypeError, ValueError, AttributeError):
        raise FedbertError(f"{path} holds no thresholds; make it again with compress.py unknown") from None
    heads = artefact.heads
    return {
        task: each
        for task, each in found.items()
        if task in heads and math.isfinite(each.threshold) and each.sha256 == digest(artefact, task)
    }


def write_thresholds(path: Path, found: Mapping[str, Threshold], command: str = "") -> None:
    """Write thresholds by task to the file `path`, whole or not at all."""
    tasks = {task: asdict(each) for task, each in sorted(found.items())}
    write_bytes(path, encoded(json.dumps({"command": command, "tasks": tasks}, indent=1) + "\n"))
