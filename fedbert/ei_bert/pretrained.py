"""`EiBert`: a released student for anyone's program. Texts to vectors and labels in numpy and ONNX Runtime,
without torch; a new task is a head fitted on frozen vectors, saved beside the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import BUDGET_BYTES, Artefact, load_artefact, save_artefact, with_heads
from fedbert.ei_bert.artefact.heads import Head, fit_head, head_bytes, read_head, softmax
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.artefact.unknown import (
    UNKNOWN,
    Threshold,
    read_thresholds,
    scores,
    write_thresholds,
)
from fedbert.ei_bert.artefact.wide import Wide, buckets_within, read_wide
from fedbert.ei_bert.artefact.wide import wide_bytes as bytes_of
from fedbert.ei_bert.artefact.wide_fit import fit_head_and_wide
from fedbert.errors import FedbertError, invalid
from fedbert.paths import models_folder
from fedbert.units import format_bytes


class EiBert:
    """A released student and the heads of its tasks."""

    def __init__(
        self,
        artefact: Artefact,
        threads: int = 1,
        budget_bytes: int = BUDGET_BYTES,
        thresholds: Mapping[str, Threshold] | None = None,
    ) -> None:
        """Start the encoder of `artefact`; `budget_bytes` bounds all of its files when a head is added.

        `thresholds`, by task, tell texts of no label.

        Raises FedbertError for a graph or a head that cannot be used, and for `threads` < 1.
        """
        self._encoder = Int8Encoder(artefact, threads)
        self._budget_bytes = budget_bytes
        self._thresholds = dict(thresholds or {})
        self._heads = {task: read_head(body, task) for task, body in artefact.heads.items()}
        self._wide = {task: read_wide(body, task) for task, body in artefact.wide.items()}
        self.artefact = artefact
        for task, head in self._heads.items():
            if head.dim != self.dim:
                raise FedbertError(f"head {task}: reads vectors of {head.dim}, the encoder makes {self.dim}")
        for task, wide in self._wide.items():
            _check_wide(wide, self._heads[task])

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, threads: int = 1, budget_bytes: int = BUDGET_BYTES
    ) -> "EiBert":
        """Load the artefact in `folder`, or the shipped model of that name, checked against its manifest.

        Raises FedbertError in one line if it is missing, changed or over `budget_bytes`.
        """
        place = model_folder(folder)
        artefact = load_artefact(place, budget_bytes)
        return cls(artefact, threads, budget_bytes, read_thresholds(place, artefact))

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._encoder.dim

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have a head, sorted."""
        return tuple(sorted(self._heads))

    def labels(self, task: str) -> tuple[str, ...]:
        """Return the label names of `task`, in the order of its probabilities."""
        return self.head(task).labels

    def head(self, task: str) -> Head:
        """Return the head of `task`; raises FedbertError, naming the tasks there are, if it has none."""
        if task not in self._heads:
            there = f"be one of {', '.join(self.tasks)}" if self._heads else "have a head, and none is here"
            raise invalid("task", task, there, "add it with add_head")
        return self._heads[task]

    def wide(self, task: str) -> Wide | None:
        """Return the wide part of the head of `task`, None if it has none; raises as `head`."""
        self.head(task)
        return self._wide.get(task)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of `texts`, `[text, dim]`: the same bits alone and in any batch.

        They are the mean hidden states of a pooled student, else of unit length. Raises FedbertError, by its
        place, for what is no text.
        """
        return self._encoder.vectors(_checked(texts, "texts"))

    def logits(self, texts: Sequence[str], task: str) -> NDArray[np.float32]:
        """Return the logits of `task`, `[text, class]`: its head's on the vectors, plus those of its wide
        part if it has one.
        """
        head, wide, texts = self.head(task), self._wide.get(task), _checked(texts, "texts")
        deep = head.logits(self._encoder.vectors(texts))
        return deep if wide is None else deep + wide.logits(texts)

    def probabilities(self, texts: Sequence[str], task: str) -> NDArray[np.float64]:
        """Return the probabilities of the labels of `task`, `[text, class]`; each row sums to 1."""
        return softmax(self.logits(texts, task))

    def classify(self, texts: Sequence[str], task: str, unknown: str | None = None) -> list[str]:
        """Return the most probable label of each text; of equal ones, the first.

        With `unknown` that word stands for a text whose score is under the task's threshold: it has none of
        the labels. Raises FedbertError if the task has no threshold.
        """
        head, logits = self.head(task), self.logits(texts, task)
        found = [head.labels[index] for index in logits.argmax(1).tolist()]
        if unknown is None:
            return found
        kept = scores(logits) >= self.threshold(task)
        return [label if known else unknown for label, known in zip(found, kept.tolist(), strict=True)]

    def threshold(self, task: str) -> float:
        """Return the least score of a text that has a label of `task`; raises FedbertError if it has none."""
        self.head(task)
        if task not in self._thresholds:
            raise FedbertError(
                f"head {task}: has no threshold for unknown texts; choose one with compress.py unknown"
            )
        return self._thresholds[task].threshold

    def set_threshold(self, task: str, threshold: Threshold) -> None:
        """Let `threshold` tell texts of no label of `task`; raises FedbertError if that has no head."""
        self.head(task)
        self._thresholds[task] = threshold

    def fit_head(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        task: str,
        seed: int = 0,
        strength: float | None = None,
        wide_bytes: int = 0,
    ) -> Head:
        """Fit the head of `task` on `texts` and their `labels`, add it and return it; the encoder stays.

        With `wide_bytes` a wide part of at most that size is fitted too, and added if it helps on texts that
        are held out (`wide_fit`). See `heads.fit_head` for `strength` and the errors, `encode` for what is no
        text or label, `add_head` for the budget.
        """
        texts, labels = _checked(texts, "texts"), _checked(labels, "labels")
        if len(texts) != len(labels):
            raise FedbertError(f"head {task}: {len(texts)} texts must have as many labels, not {len(labels)}")
        names = sorted(set(labels))
        place = {name: index for index, name in enumerate(names)}
        wanted = np.array([place[label] for label in labels], np.int64)
        vectors = self.encode(texts)
        if not wide_bytes:
            head, wide = fit_head(vectors, wanted, names, task, seed, strength), None
        else:
            buckets = buckets_within(wide_bytes, {task: len(names)})
            head, wide = fit_head_and_wide(vectors, texts, wanted, (task, names), buckets, seed, strength)
        self.add_head(head, wide)
        return head

    def add_head(self, head: Head, wide: Wide | None = None) -> None:
        """Add `head` with its `wide` part, or put them in place of its task's older ones.

        Raises FedbertError, and adds nothing, if the head is of another width, the wide part of other
        classes, the task is no file name, or all files together would be over the budget.
        """
        if head.dim != self.dim:
            raise FedbertError(f"head {head.task}: reads vectors of {head.dim}, the encoder makes {self.dim}")
        if wide is not None:
            _check_wide(wide, head)
        heads = {**self._heads, head.task: head}
        parts = {task: each for task, each in self._wide.items() if task != head.task}
        parts |= {} if wide is None else {head.task: wide}
        whole = _with(self.artefact, heads, parts)
        if whole.total_bytes > self._budget_bytes:
            raise FedbertError(
                f"head {head.task}: with it the artefact is {whole.total_bytes} bytes "
                f"({format_bytes(whole.total_bytes)}), must be at most {self._budget_bytes}; "
                "raise budget_bytes or leave out a head"
            )
        self._heads, self._wide, self.artefact = heads, parts, whole
        self._thresholds.pop(head.task, None)

    def remove_head(self, task: str) -> None:
        """Take out the head of `task` and its wide part; raises FedbertError if it has no head."""
        self.head(task)
        self._thresholds.pop(task, None)
        self._heads = {name: head for name, head in self._heads.items() if name != task}
        self._wide = {name: wide for name, wide in self._wide.items() if name != task}
        self.artefact = _with(self.artefact, self._heads, self._wide)

    def save(self, folder: Path | str) -> None:
        """Write encoder, heads and manifest into `folder`, each whole or not at all, then thresholds if there
        are any.
        """
        save_artefact(self.artefact, Path(folder))
        if self._thresholds:
            write_thresholds(Path(folder) / UNKNOWN, self._thresholds)


def _with(artefact: Artefact, heads: Mapping[str, Head], wide: Mapping[str, Wide]) -> Artefact:
    return with_heads(
        artefact,
        {task: head_bytes(each) for task, each in heads.items()},
        {task: bytes_of(each) for task, each in wide.items()},
    )


def _check_wide(wide: Wide, head: Head) -> None:
    if wide.task != head.task or len(wide.scale) != len(head.labels):
        raise FedbertError(
            f"wide part of {wide.task}: its {len(wide.scale)} classes must be the {len(head.labels)} of head "
            f"{head.task}; add the one that was made for it"
        )


def _checked(texts: Iterable[str], name: str) -> list[str]:
    """Return `texts` as a list; raises FedbertError, naming place and type, for the first that is no text."""
    one = name.removesuffix("s")
    if isinstance(texts, str | bytes | Mapping | AbstractSet) or not isinstance(texts, Iterable):
        kind = type(texts).__name__
        raise FedbertError(f"{name} (a {kind}) must be a list of {name}; put a single {one} into a list")
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise FedbertError(f"{name}[{place}] (a {type(text).__name__}) must be a {one} (str); correct it")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise FedbertError(f"{name}[{place}] must be Unicode, and has half a surrogate pair; correct it")
    return found


def model_folder(model: Path | str) -> Path:
    """Return the folder of `model`: the name of a shipped model such as ``default``, or a path.

    Raises FedbertError if it is neither.
    """
    shipped, path = models_folder() / str(model), Path(model).expanduser()
    if path.name == str(model) and (shipped / "manifest.json").is_file():
        return shipped
    if path.is_dir():
        return path
    names = sorted(p.parent.name for p in models_folder().glob("*/manifest.json"))
    raise invalid("model", str(model), f"be a folder or one of {', '.join(names)}")
