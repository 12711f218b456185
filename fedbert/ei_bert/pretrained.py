"""`EiBert`: a released student for anyone's program. Texts to vectors, labels and tags in numpy and ONNX
Runtime, without torch; a new task is a head fitted on frozen vectors, saved beside the others. (Fitting one
that tags words takes torch.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.any_heads import (
    AnyHead,
    any_head_bytes,
    kind_of_head,
    names_of_head,
    read_any_head,
)
from fedbert.ei_bert.artefact.any_wide import AnyWide, any_wide_bytes, read_any_wide
from fedbert.ei_bert.artefact.artefact import (
    BUDGET_BYTES,
    Artefact,
    is_general,
    load_artefact,
    save_artefact,
    with_heads,
)
from fedbert.ei_bert.artefact.bio import OUTSIDE, misplaced
from fedbert.ei_bert.artefact.heads import Head, fit_head, softmax
from fedbert.ei_bert.artefact.kinds import Kind
from fedbert.ei_bert.artefact.pair_heads import PairHead, encoded_once, fit_pair_head
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.artefact.tag_heads import TagHead
from fedbert.ei_bert.artefact.unknown import (
    UNKNOWN,
    Threshold,
    read_thresholds,
    scores,
    write_thresholds,
)
from fedbert.ei_bert.artefact.wide_fit import fit_head_and_wide
from fedbert.errors import FedbertError, invalid
from fedbert.files import read_json
from fedbert.paths import models_folder
from fedbert.units import format_bytes

HeadKind = TypeVar("HeadKind", Head, TagHead, PairHead)
_METHODS = {"labels": "classify", "tags": "tag", "pairs": "classify_pairs"}


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
        self._heads = {task: read_any_head(body, task) for task, body in artefact.heads.items()}
        self.artefact = artefact
        self._wide = {task: read_any_wide(body, task) for task, body in artefact.wide.items()}
        for head in self._heads.values():
            self._check_width(head)
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
        """Return the label names of `task`, in the order of its probabilities, or its tags."""
        return names_of_head(self._any_head(task))

    def kind(self, task: str) -> Kind:
        """Return the kind of `task`: labels (of texts), tags (of words) or pairs (of texts)."""
        return kind_of_head(self._any_head(task))

    def _any_head(self, task: str) -> AnyHead:
        if task not in self._heads:
            there = f"be one of {', '.join(self.tasks)}" if self._heads else "have a head, and none is here"
            raise invalid("task", task, there, "add it with add_head")
        return self._heads[task]

    def _head_of(self, task: str, kind: type[HeadKind]) -> HeadKind:
        found = self._any_head(task)
        if not isinstance(found, kind):
            own = kind_of_head(found)
            raise invalid("task", task, f"be of another kind, it is of {own}", f"use {_METHODS[own]}")
        return found

    def head(self, task: str) -> Head:
        """Return the head of `task`; raises FedbertError, naming the tasks there are, if it has none.

        A task of tags or pairs is refused.
        """
        return self._head_of(task, Head)

    def wide(self, task: str) -> AnyWide | None:
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

    def tag(self, texts: Sequence[str], task: str) -> list[list[str]]:
        """Return a BIO tag for each word of each text; words are what blanks separate.

        `O` stands for no entity, and for words beyond the 64 tokens that are read.
        """
        head, words = self._head_of(task, TagHead), [text.split() for text in _checked(texts, "texts")]
        return head.tagged(self._encoder.word_states(words), words)

    def classify_pairs(self, first: Sequence[str], second: Sequence[str], task: str) -> list[str]:
        """Return the most probable label of each pair of a text of `first` and one of `second`."""
        head = self._head_of(task, PairHead)
        logits = head.logits(*self._pairs(first, second, task))
        return [head.labels[index] for index in logits.argmax(1).tolist()]

    def _pairs(
        self, first: Sequence[str], second: Sequence[str], task: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        one, other = _checked(first, "texts"), _checked(second, "texts")
        if len(one) != len(other):
            raise FedbertError(f"head {task}: {len(one)} texts must pair with as many, not {len(other)}")
        return encoded_once(self.encode, one, other)

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
        texts = _checked(texts, "texts")
        wanted, names = _places(labels, len(texts), task)
        vectors = self.encode(texts)
        if not wide_bytes:
            head, wide = fit_head(vectors, wanted, names, task, seed, strength), None
        else:
            named = (task, names)
            head, wide = fit_head_and_wide(vectors, texts, wanted, named, wide_bytes, seed, strength)
        self.add_head(head, wide)
        return head

    def fit_tags(
        self, texts: Sequence[str], tags: Sequence[Sequence[str]], task: str, seed: int = 0
    ) -> TagHead:
        """Fit a head that tags words, add it and return it; the encoder stays.

        `tags` are the BIO tags of each text's words, which blanks separate. Raises FedbertError for a text
        with too few or too many, or whose tags do not fit each other.
        """
        from fedbert.ei_bert.artefact.tag_fit import fit_tag_head  # needs torch

        words = [text.split() for text in _checked(texts, "texts")]
        wanted = [_checked(own, "tags") for own in tags]
        if len(words) != len(wanted):
            raise FedbertError(f"head {task}: {len(words)} texts must have as many tags, not {len(wanted)}")
        for place, (own_words, own_tags) in enumerate(zip(words, wanted, strict=True)):
            if len(own_words) != len(own_tags):
                raise FedbertError(
                    f"head {task}: texts[{place}] of {len(own_words)} words must have as many tags, "
                    f"not {len(own_tags)}"
                )
            if (wrong := misplaced(own_tags)) is not None:
                raise invalid(f"tags[{place}][{wrong[0]}]", own_tags[wrong[0]], wrong[1], "correct it")
        names = sorted({tag for own in wanted for tag in own} | {OUTSIDE})
        if len(names) < 2:
            raise FedbertError(f"head {task}: tags must name at least one entity")
        head = fit_tag_head(self._encoder.word_states(words), words, wanted, names, task, seed)
        self.add_head(head)
        return head

    def fit_pairs(
        self, first: Sequence[str], second: Sequence[str], labels: Sequence[str], task: str, seed: int = 0
    ) -> PairHead:
        """Fit a head that labels pairs of a text of `first` and one of `second`, add it and return it."""
        vectors = self._pairs(first, second, task)
        wanted, names = _places(labels, len(vectors[0]), task)
        head = fit_pair_head(*vectors, wanted, names, task, seed)
        self.add_head(head)
        return head

    def _check_width(self, head: AnyHead) -> None:
        what, width = "vectors", self.dim
        if isinstance(head, TagHead):
            what, width = "states of words", self._encoder.word_dim
        if head.dim != width:
            raise FedbertError(f"head {head.task}: reads {what} of {head.dim}, the encoder makes {width}")

    def add_head(self, head: AnyHead, wide: AnyWide | None = None) -> None:
        """Add `head` with its `wide` part, or put them in place of its task's older ones.

        Raises FedbertError, and adds nothing, if the head is of another width, the wide part of other
        classes, the task is no file name, or all files together would be over the budget.
        """
        self._check_width(head)
        files = {task: body for task, body in self.artefact.wide.items() if task != head.task}
        parts = {task: each for task, each in self._wide.items() if task != head.task}
        if wide is not None:
            _check_wide(wide, head)
            files[head.task], parts[head.task] = any_wide_bytes(wide), wide
        whole = with_heads(self.artefact, {**self.artefact.heads, head.task: any_head_bytes(head)}, files)
        if whole.total_bytes > self._budget_bytes:
            raise FedbertError(
                f"head {head.task}: with it the artefact is {whole.total_bytes} bytes "
                f"({format_bytes(whole.total_bytes)}), must be at most {self._budget_bytes}; "
                "raise budget_bytes or leave out a head"
            )
        self._heads, self._wide, self.artefact = {**self._heads, head.task: head}, parts, whole
        self._thresholds.pop(head.task, None)

    def remove_head(self, task: str) -> None:
        """Take out the head of `task` and its wide part; raises FedbertError if it has no head."""
        self._any_head(task)
        self._thresholds.pop(task, None)
        self._heads = {name: head for name, head in self._heads.items() if name != task}
        self._wide = {name: wide for name, wide in self._wide.items() if name != task}
        heads, wide = (
            {name: body for name, body in files.items() if name != task}
            for files in (self.artefact.heads, self.artefact.wide)
        )
        self.artefact = with_heads(self.artefact, heads, wide)

    def save(self, folder: Path | str) -> None:
        """Write encoder, heads and manifest into `folder`, each whole or not at all, then thresholds if there
        are any.
        """
        save_artefact(self.artefact, Path(folder))
        if self._thresholds:
            write_thresholds(Path(folder) / UNKNOWN, self._thresholds)


def _check_wide(wide: AnyWide, head: AnyHead) -> None:
    if not isinstance(head, Head) or wide.task != head.task or wide.classes != len(head.labels):
        raise FedbertError(
            f"wide part of {wide.task}: its {wide.classes} classes must be the "
            f"{len(names_of_head(head))} of head {head.task}; add the one that was made for it"
        )


def _places(labels: Sequence[str], count: int, task: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return each label's place among their sorted names, and these; raises FedbertError for a wrong
    count.
    """
    labels = _checked(labels, "labels")
    if count != len(labels):
        raise FedbertError(f"head {task}: {count} texts must have as many labels, not {len(labels)}")
    names = sorted(set(labels))
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[label] for label in labels], np.int64), names


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


def encoder_for(
    sha256: str, head_bytes: Callable[[int], int] = lambda _: 0, budget_bytes: int = BUDGET_BYTES
) -> str:
    """Return the name of the shipped model to which a head for the set of that hash is best added.

    It is a model that learnt the set, the largest of these, else the largest general encoder that has room
    for the head within the budget: the vectors of a model of tasks are about its tasks. `head_bytes` are
    those of a head on vectors of a width. Where none has room it is the smallest.
    """
    own: dict[str, int] = {}
    general: dict[str, int] = {}
    roomy: dict[str, int] = {}
    for path in sorted(models_folder().glob("*/manifest.json")):
        manifest = read_json(path)
        size = sum(int(entry["bytes"]) for entry in manifest["files"].values())
        trained = manifest.get("trained_on", {})
        if sha256 in trained.get("tasks", {}).values():
            own[path.parent.name] = size
        elif is_general(manifest):
            general[path.parent.name] = size
            if size + head_bytes(int(manifest["shape"]["dim"])) <= budget_bytes:
                roomy[path.parent.name] = size
    if not (own or general):
        raise FedbertError("model must be given: no general encoder is installed; add --model NAME")
    found = own or roomy
    return max(found, key=lambda name: found[name]) if found else min(general, key=lambda name: general[name])
