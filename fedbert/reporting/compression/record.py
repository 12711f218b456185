"""The shape of ``compression.json`` as reports read it, whoever wrote it and whatever is missing.

What is written now is `fedbert.ei_bert.compression.rows`. Here every key but ``title`` and ``command`` may be
missing. Accuracies are in [0, 1], one figure or one per seed; sizes are in bytes, times in seconds unless
their name says otherwise.
"""

from typing import Any, Required

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.records import RecordKind

COMPRESSION_FILE = "compression.json"
LIMIT_BYTES = 50_000_000

Accuracy = dict[str, float | list[float]]
"""Accuracy by task: one figure, or one per seed."""


class Measured(TypedDict, total=False):
    """Something whose accuracy was measured."""

    accuracy: Accuracy


class TaskRow(TypedDict, total=False):
    """A task: how many labels it has, texts in each split, and test texts that are in train."""

    name: str
    labels: int
    train: int
    validation: int
    test: int
    test_in_train: int
    test_in_any_train: int


class TeacherRow(Measured, total=False):
    """The teacher, tuned to the tasks."""

    name: str
    sha256: str
    parameters: int
    bytes: float
    each: list[Accuracy]  # accuracy of each of several teachers alone, by task


class StageRow(Measured, total=False):
    """A stage of the pipeline, in order; the last one with an accuracy is what is shipped."""

    stage: str
    bytes: float
    validation: Accuracy
    seconds: float | None
    cpu_seconds: float | None  # of all threads together
    note: str


class ArmRow(Measured, total=False):
    """A method of the ablation."""

    arm: Required[str]
    seconds: list[float]  # one per seed
    bytes: float
    note: str


class DifferenceRow(TypedDict, total=False):
    """An arm's accuracy minus the reference's on one task; no interval and no p with one seed."""

    arm: Required[str]
    task: Required[str]
    mean: float | None
    low: float | None
    high: float | None
    p: float | None  # two-sided, not corrected for the number of comparisons


class Ablation(TypedDict, total=False):
    """Every method from the same pre-distilled student, with the same texts and steps."""

    steps: int
    texts: int
    reference: str
    arms: list[ArmRow]
    differences: list[DifferenceRow]
    verdict: str


class FormRow(Measured, total=False):
    """A quantised form: its sizes and its accuracy."""

    form: str
    bytes: float
    download_bytes: float
    memory_bytes: float


class Shape(TypedDict, total=False):
    """A student's shape."""

    layers: int
    width: int
    heads: int
    inner: int
    embedding: int
    shared: bool
    vocabulary: int


class SearchRow(TypedDict, total=False):
    """A shape that was tried."""

    shape: Shape
    bytes: float
    loss: float | None
    texts_per_s: float
    seconds: float
    chosen: bool


class LatencyRow(TypedDict, total=False):
    """A timing on the machine that made the student; `ms` is per text."""

    length: int
    batch: int
    threads: int
    ms: float
    texts_per_s: float


class ConfusionRow(TypedDict):
    """How often texts of one label are taken for another, by the teacher and by the student."""

    true: str
    predicted: str
    teacher: float
    student: float


class CoverageRow(TypedDict, total=False):
    """The share of the tasks' tokens that a vocabulary of `size` tokens keeps whole."""

    size: int
    train: float
    validation: float
    unread: int  # its tokens that no training text has
    split: int  # tokens of training texts that it lacks
    chosen: bool


class Vocabulary(TypedDict, total=False):
    """What pruning the vocabulary did to the texts."""

    size: int
    unknown_share: float
    tokens_per_text: float
    tokens_per_text_teacher: float
    coverage: list[CoverageRow]
    agreement: dict[str, float]  # share of tokens that another ranking keeps too


class ProbeRow(TypedDict, total=False):
    """A linear probe on a set held out of distillation."""

    set: str
    teacher: float
    student: float
    retention: float
    low: float
    high: float


class MarginRow(TypedDict, total=False):
    """The student's accuracy minus a rival's, paired by test text."""

    mean: float
    low: float
    high: float


class RivalRow(TypedDict, total=False):
    """The student, or a simpler model of its bytes; accuracies by task are one figure each."""

    rival: str
    bytes: float
    texts_per_s: float
    accuracy: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    accuracy_unseen: dict[str, float | None]
    ahead: dict[str, MarginRow]
    seconds: float
    note: str


class Rivals(TypedDict, total=False):
    """The student, first, and simpler models of its bytes on the same test texts."""

    taught_by: str
    made_texts: int
    rows: list[RivalRow]
    parts: list[RivalRow]
    command: str


class UnknownRow(TypedDict, total=False):
    """How texts that have no label are told on one task."""

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


class KindRow(TypedDict, total=False):
    """A head on the frozen student beside the same head on the frozen teacher, on one set."""

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


class TargetRow(TypedDict, total=False):
    """What was aimed at; at least `asked` is wanted, or at most that if `at_most`."""

    what: str
    asked: float | None
    reached: float | None
    at_most: bool


class CompressionRecord(TypedDict, total=False):
    """The whole of ``compression.json``."""

    title: Required[str]
    command: Required[str]
    seconds: float
    cpu_seconds: float  # of all threads together
    seeds: list[int]
    whole_seeds: bool  # each seed has its own teachers and pre-distillation
    budget_bytes: int
    total_bytes: int
    download_bytes: int
    memory_bytes: int
    sha256: str
    environment: dict[str, Any]
    plan: dict[str, Any]
    tasks: list[TaskRow]
    teacher: TeacherRow
    stages: list[StageRow]
    ablation: Ablation
    quantisation: list[FormRow]
    search: list[SearchRow]
    parts: dict[str, float]
    latency: list[LatencyRow]
    confusion: dict[str, list[ConfusionRow]]
    vocabulary: Vocabulary
    losses: dict[str, list[list[float]]]  # [step, loss] by training
    probe: list[ProbeRow]
    rivals: Rivals
    unknown: list[UnknownRow]
    kinds: list[KindRow]
    targets: list[TargetRow]


COMPRESSION: RecordKind[CompressionRecord] = RecordKind(
    file=COMPRESSION_FILE,
    whose="a compression's",
    folder="a compression's report (NAME-report)",
    again="run `fedbert compress` again",
    shape=CompressionRecord,
    schema=None,
    limit_bytes=LIMIT_BYTES,
)
