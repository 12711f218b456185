"""The record of a compression, ``compression.json``, by name and type: what makers write and reports read.

Shares and accuracies are 0..1; `seconds` are wall-clock; `accuracy` is by task, a list of it over seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict


class TaskRow(TypedDict):
    """A task: its name, its labels and texts by split, and how many of the test texts are in train, its own
    and that of any task.
    """

    name: str
    labels: int
    train: int
    validation: int
    test: int
    test_in_train: NotRequired[int]
    test_in_any_train: NotRequired[int]


class TeacherRow(TypedDict):
    """The teacher as float: who it is, its size, and its accuracy on test texts once tuned.

    Of several teachers `accuracy` is of all as one, `each` of one alone. With seeds that have teachers of
    their own it is the mean over seeds, and `each` are the first seed's.
    """

    name: str
    sha256: str
    parameters: int
    bytes: int
    accuracy: Mapping[str, float]
    each: NotRequired[list[Mapping[str, float]]]


class StageRow(TypedDict):
    """What a stage left: the bytes of teacher or student after it, and what that one gets right.

    `validation` is the accuracy on validation texts of the tasks that have some: what options are chosen by.
    `seconds` are of the clock, `cpu_seconds` of all processors together, if these were counted.
    """

    stage: str
    bytes: int
    accuracy: NotRequired[Mapping[str, Sequence[float]]]
    validation: NotRequired[Mapping[str, Sequence[float]]]
    seconds: NotRequired[float]
    cpu_seconds: NotRequired[float]
    note: NotRequired[str]


class FormRow(TypedDict):
    """One trained student in one form of quantisation; float has no download of its own."""

    form: str
    bytes: int
    memory_bytes: int
    download_bytes: NotRequired[int]
    accuracy: Mapping[str, float]


class ProbeRow(TypedDict):
    """Linear probes of student and teacher on one set; `retention` with its 95 % interval."""

    set: str
    teacher: float
    student: float
    retention: float
    low: float
    high: float


class ConfusionRow(TypedDict):
    """A pair of labels, and how often teacher and student took the one for the other."""

    true: str
    predicted: str
    teacher: int
    student: int


class CoverageRow(TypedDict):
    """The share of the occurrences of the tasks' tokens that a vocabulary of `size` tokens keeps whole.

    `unread` kept tokens are in no training text, `split` tokens of training texts are not kept.
    """

    size: int
    train: float
    validation: NotRequired[float]
    unread: int
    split: int
    chosen: bool


class VocabularyRow(TypedDict):
    """How the kept tokens write the test texts; `agreement` with what other rankings would keep; `coverage`
    of training and validation texts by size.
    """

    size: int
    unknown_share: float
    tokens_per_text: float
    tokens_per_text_teacher: float
    agreement: Mapping[str, float]
    coverage: NotRequired[list[CoverageRow]]


class ArmRow(TypedDict):
    """One method of the ablation: its accuracy and its training time over seeds."""

    arm: str
    accuracy: Mapping[str, Sequence[float]]
    seconds: Sequence[float]


class DifferenceRow(TypedDict):
    """A method's mean difference to the reference on one task; no interval with one seed."""

    arm: str
    task: str
    mean: float
    low: NotRequired[float]
    high: NotRequired[float]
    p: NotRequired[float | None]


class Ablation(TypedDict):
    """All methods from one start, on so many labelled texts, for so many steps."""

    steps: int
    texts: int
    arms: list[ArmRow]
    reference: str
    differences: list[DifferenceRow]


class AimRow(TypedDict):
    """What was asked for and what was reached; with `at_most`, less is better."""

    what: str
    asked: float
    reached: float
    at_most: NotRequired[bool]


class ShapeRow(TypedDict):
    """A student shape that fits the budget: bytes, loss (1 - mean cosine), speed, and CPU seconds."""

    shape: Mapping[str, Any]
    bytes: int
    loss: float
    texts_per_s: int
    seconds: float
    chosen: bool


class MarginRow(TypedDict):
    """The student's accuracy minus a rival's on the same test texts, with its 95 % interval."""

    mean: float
    low: float
    high: float


class RivalRow(TypedDict):
    """The student or a rival: bytes, speed from text to label on one thread, and figures by task.

    `accuracy` has Wilson's 95 % interval over test texts; `accuracy_unseen` leaves out the test texts that a
    training set holds. `ahead` is missing where the student is the row. `seconds` are of processor time.
    """

    rival: str
    bytes: int
    texts_per_s: int
    accuracy: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    accuracy_unseen: Mapping[str, float | None]
    ahead: NotRequired[Mapping[str, MarginRow]]
    seconds: NotRequired[float]
    note: NotRequired[str]


class Rivals(TypedDict):
    """The student and its rivals on the same test texts; the student is the first row.

    `taught_by` names who taught those that are taught; `made_texts` are those that had no label. `parts` are
    a widened student's parts, each alone, and students that were named to stand beside it. `command` is there
    if the rivals were added to a record.
    """

    taught_by: str
    made_texts: int
    rows: list[RivalRow]
    parts: NotRequired[list[RivalRow]]
    command: NotRequired[str]


class UnknownRow(TypedDict):
    """How texts of no label are told on one task: `artefact.unknown.Figures`, the threshold, the command."""

    task: str
    threshold: float
    known: int
    unknown: int
    auroc: float
    false_kept_at_95: float
    accuracy: float
    known_right: float
    unknown_caught: float
    joint: float
    command: str


class KindRow(TypedDict):
    """A head on the frozen student beside the same head on the frozen teacher, on one set's test texts.

    `kind` is labels, tags or pairs, `metric` what `teacher` and `student` are. `share` is the student's over
    the teacher's, with its 95 % interval, bootstrapped over texts; `bytes` are of the student's head.
    """

    name: str
    kind: str
    metric: str
    test: int
    teacher: float
    student: float
    share: float
    low: float
    high: float
    bytes: int


class Described(TypedDict):
    """What was compressed, by which stages; `losses` are points (step, loss) by stage.

    `whole_seeds` says that each seed has its own teachers and pre-distillation.
    """

    title: str
    command: str
    seeds: list[int]
    whole_seeds: NotRequired[bool]
    cpu_seconds: NotRequired[float]
    budget_bytes: int
    tasks: list[TaskRow]
    teacher: TeacherRow
    stages: list[StageRow]
    losses: Mapping[str, Sequence[Sequence[float]]]
    plan: Mapping[str, Any]


class Compared(TypedDict):
    """What is in a record if it was asked for, and what is added once the rest is known."""

    probe: NotRequired[list[ProbeRow]]
    ablation: NotRequired[Ablation]
    search: NotRequired[list[ShapeRow]]
    rivals: NotRequired[Rivals]
    unknown: NotRequired[list[UnknownRow]]
    kinds: NotRequired[list[KindRow]]
    targets: NotRequired[list[AimRow]]
    environment: NotRequired[Mapping[str, Any]]


class SizesRow(TypedDict):
    """What an artefact takes; `parts` are bytes by part of it."""

    total_bytes: int
    download_bytes: int
    memory_bytes: int
    sha256: str
    parts: Mapping[str, int]
    latency: Sequence[Mapping[str, Any]]


class CompressionRecord(Described, Compared, SizesRow):
    """A whole compression for tasks."""

    quantisation: list[FormRow]
    confusion: Mapping[str, list[ConfusionRow]]
    vocabulary: VocabularyRow
    seconds: float
