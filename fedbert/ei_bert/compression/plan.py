"""What shapes a student and its training, data and teacher apart: presets by size, for either goal.

Nothing here needs torch: the command line reads its presets from this file.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

from fedbert.ei_bert.artefact.artefact import BUDGET_BYTES
from fedbert.ei_bert.teaching.methods import INTEGRATION, METHODS, Method
from fedbert.errors import invalid
from fedbert.machine import Precision, checked_precision, precision_used

Ranking = Literal["attention", "frequency", "attention_per_occurrence"]
"""What a token's importance is: attention received, occurrences, or the first over the second."""
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
BITS = (4, 8)
"""Bits that a value of an embedding or of a weight may take."""
LAYERS, WIDTHS, INNERS = (1, 24), (16, 1024), (16, 8192)
"""Fewest and most layers, features of hidden states, and features inside a feed-forward part."""
# One attention head must hold whole vectors of the processor.
_HEAD_MULTIPLE = 8
MAX_TASK_WEIGHT, MAX_TEACHERS = 1e6, 8
_SMALL_BYTES, _TINY_BYTES = 1_000_000, 500_000


@dataclass(frozen=True)
class Architecture:
    """A student's sizes without its vocabulary, which takes what the budget leaves; see `StudentShape`."""

    layers: int = 2
    width: int = 192
    heads: int = 6
    inner: int = 640
    embedding: int = 128
    shared: bool = False

    def __post_init__(self) -> None:
        """Check the sizes; raises FedbertError."""
        for name, (low, high) in {"layers": LAYERS, "width": WIDTHS, "inner": INNERS}.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise invalid(name, value, f"be within {low}..{high}")
        if self.heads < 1 or self.width % self.heads or (self.width // self.heads) % _HEAD_MULTIPLE:
            raise invalid(
                "heads",
                self.heads,
                f"divide width {self.width} into heads of a multiple of {_HEAD_MULTIPLE}",
                "try width / 32",
            )
        if not 0 <= self.embedding <= self.width:
            raise invalid("embedding", self.embedding, f"be within 0..{self.width}, 0 for the layers' width")

    def sizes(self) -> dict[str, Any]:
        """Return the sizes as a `StudentShape` takes them: an embedding as wide as the layers is 0."""
        return asdict(self) | {"embedding": 0 if self.embedding == self.width else self.embedding}


@dataclass(frozen=True)
class Plan:
    """What a student has whatever it is for, and what its pre-distillation takes.

    `budget_bytes` is the limit of all files together. `precision` is that of `fast_math`.
    """

    budget_bytes: int = BUDGET_BYTES
    architecture: Architecture = Architecture()
    pruning: Ranking = "attention"
    embedding_bits: int = 8
    weight_bits: int = 8
    pretrain_steps: int = 2_500
    pretrain_rate: float = 2e-3
    cross_steps: int = 9_000
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Check the values; raises FedbertError."""
        if self.pruning not in RANKINGS:
            raise invalid("pruning", self.pruning, f"be one of {', '.join(RANKINGS)}")
        checked_precision(self.precision)
        for name in ("embedding_bits", "weight_bits"):
            if getattr(self, name) not in BITS:
                raise invalid(name, getattr(self, name), "be 4 or 8")

    def decided(self) -> Self:
        """Return the plan with what `precision` comes to here: stages and records name what was computed in,
        not who left it to the processor.
        """
        return replace(self, precision=precision_used(self.precision))

    def at_most(self, **limits: int) -> Self:
        """Return the plan with none of these numbers above its limit."""
        return replace(self, **{name: min(getattr(self, name), most) for name, most in limits.items()})


@dataclass(frozen=True)
class CataloguePlan(Plan):
    """The plan of a student that ranks a catalogue: unit vectors of `dim` features, an item adapter.

    Made for the pre-distillation are `varied_texts` and `remixed_texts` of the public texts, and `word_texts`
    of near words. The cross-distillation reads `cross_texts` of them beside requests and names, and
    `asked_texts` that ask for names which no request asks for. With `word_texts` each word of the teacher's
    table is a text, else the common ones are. `seed` decides every draw.
    """

    architecture: Architecture = Architecture(layers=4, width=128, heads=4, inner=512, embedding=0)
    dim: int = 96
    adapter: int = 512
    varied_texts: int = 120_000
    remixed_texts: int = 0
    word_texts: int = 0
    pretrain_steps: int = 4_000
    cross_steps: int = 400
    cross_texts: int = 12_000
    asked_texts: int = 0
    seed: int = 0

    def fast(self) -> Self:
        """Return the plan of a trial run: the same stages in some minutes, and a poor student."""
        made = {"varied_texts": 2_000, "remixed_texts": 1_000, "word_texts": 1_000}
        return self.at_most(**made, pretrain_steps=300, cross_steps=30, cross_texts=2_000)

    def record(self) -> dict[str, Any]:
        """Return the plan as it stands in the manifest: the sizes beside the rest, and no `weight_bits`,
        which are 8 for this goal.
        """
        whole = asdict(self)
        del whole["weight_bits"]
        return {**whole.pop("architecture"), **whole}


@dataclass(frozen=True)
class TaskPlan(Plan):
    """The plan of a student of classification tasks.

    `kept_share` of the teacher's accuracy and `rival_points` above the best rival are what the report holds
    the student to; they change no training. Of the budget `wide_bytes` are for the wide part (0: none).
    `remixed_texts` are made for the pre-distillation, `cross_texts` for the cross-distillation. A text of a
    task counts `task_weight` times as much as a general sentence where tokens are ranked. `teachers` tuned
    teachers are one guide; the student's weights are the mean over its last `average_steps` steps (0: the
    last ones); `label_smoothing` is that of its loss against labels.
    """

    kept_share: float = 0.995
    rival_points: float = 2.0
    wide_bytes: int = 0
    tune_epochs: int = 3
    tune_layers: int = 4
    remixed_texts: int = 56_000
    cross_texts: int = 150_000
    method: str = INTEGRATION.name
    cross_rate: float = 3e-3
    word_dropout: float = 0.1
    task_weight: float = 10.0
    teachers: int = 1
    average_steps: int = 0
    label_smoothing: float = 0.0
    ablation_steps: int = 120
    entropy_coded: bool = False

    def __post_init__(self) -> None:
        """Check the values; raises FedbertError."""
        super().__post_init__()
        if self.method not in METHODS:
            raise invalid("method", self.method, f"be one of {', '.join(METHODS)}")
        if not 0 <= self.word_dropout < 1:
            raise invalid("word_dropout", self.word_dropout, "be within 0..1, below 1")
        if not 0 <= self.label_smoothing < 1:
            raise invalid("label_smoothing", self.label_smoothing, "be within 0..1, below 1")
        if not 0 < self.task_weight <= MAX_TASK_WEIGHT:
            raise invalid("task_weight", self.task_weight, f"be above 0 and at most {MAX_TASK_WEIGHT:g}")
        if not 1 <= self.teachers <= MAX_TEACHERS:
            raise invalid("teachers", self.teachers, f"be within 1..{MAX_TEACHERS}")
        if self.average_steps < 0:
            raise invalid("average_steps", self.average_steps, "be at least 0")
        if not 0 <= self.wide_bytes < self.budget_bytes:
            rule = f"be at least 0 and below budget_bytes {self.budget_bytes}"
            raise invalid("wide_bytes", self.wide_bytes, rule)
        if self.teachers > 1 and self.how.reads_teacher:
            raise invalid(
                "teachers",
                self.teachers,
                f"be 1 with the method {self.method}, which has its teacher read along",
            )

    @property
    def how(self) -> Method:
        """The method by its name."""
        return METHODS[self.method]

    def later_options(self) -> dict[str, Any]:
        """Return the options of cross-distillation that are on; none, for what was made before they were."""
        found = {"average_steps": self.average_steps, "label_smoothing": self.label_smoothing}
        return {name: value for name, value in found.items() if value}

    def fast(self) -> Self:
        """Return a plan of about a sixth of the work, for a usable student in a quarter of an hour."""
        return self.at_most(
            tune_epochs=1, remixed_texts=12_000, cross_texts=12_000, pretrain_steps=500, cross_steps=700
        )


@dataclass(frozen=True)
class GeneralPlan(Plan):
    """The plan of a general encoder, which learns no task.

    `general_sentences` are drawn of those that are given, `remixed_texts` made of them, `word_texts` made of
    words of the teacher's vocabulary; `seed` decides every draw. There is no cross-distillation.
    """

    architecture: Architecture = Architecture(layers=2, width=256, heads=8, inner=768, embedding=128)
    pruning: Ranking = "frequency"
    embedding_bits: int = 4
    weight_bits: int = 4
    pretrain_steps: int = 5_000
    cross_steps: int = 0
    general_sentences: int = 60_000
    remixed_texts: int = 30_000
    word_texts: int = 40_000
    seed: int = 0

    def fast(self) -> Self:
        """Return the plan of a trial run: the same stages in some minutes, and a poor student."""
        return self.at_most(
            general_sentences=4_000, remixed_texts=2_000, word_texts=2_000, pretrain_steps=300
        )

    def record(self) -> dict[str, Any]:
        """Return the plan as it stands in the manifest: the sizes beside the rest."""
        whole = asdict(self)
        del whole["cross_steps"]
        return {**whole.pop("architecture"), **whole}


CATALOGUE_PLANS = {
    "default": CataloguePlan(),
    "small": CataloguePlan(
        budget_bytes=_SMALL_BYTES,
        architecture=Architecture(layers=2, width=128, heads=4, inner=512, embedding=80),
        adapter=256,
        varied_texts=30_000,
        pretrain_steps=1_500,
        cross_steps=300,
    ),
    "tiny": CataloguePlan(
        budget_bytes=_TINY_BYTES,
        architecture=Architecture(layers=2, width=80, heads=5, inner=320, embedding=48),
        adapter=128,
        varied_texts=30_000,
        pretrain_steps=1_500,
        cross_steps=300,
    ),
}
TASK_PLANS = {
    "default": TaskPlan(embedding_bits=4, wide_bytes=400_000),
    "small": TaskPlan(
        budget_bytes=_SMALL_BYTES,
        kept_share=0.992,
        embedding_bits=4,
        wide_bytes=200_000,
        architecture=CATALOGUE_PLANS["small"].architecture,
        cross_steps=6_000,
    ),
    "tiny": TaskPlan(
        budget_bytes=_TINY_BYTES,
        kept_share=0.985,
        rival_points=1.5,
        embedding_bits=4,
        wide_bytes=104_000,
        architecture=CATALOGUE_PLANS["tiny"].architecture,
        pretrain_steps=1_200,
        cross_steps=5_000,
    ),
}
_HEAD_BYTES = 90_000
"""What a general encoder of the whole budget leaves to a head of some labels and its wide part."""
GENERAL_PLANS = {
    "default": GeneralPlan(budget_bytes=BUDGET_BYTES - _HEAD_BYTES),
    "small": GeneralPlan(
        budget_bytes=_SMALL_BYTES,
        architecture=Architecture(layers=2, width=192, heads=6, inner=512, embedding=96),
    ),
    "tiny": GeneralPlan(
        budget_bytes=_TINY_BYTES,
        architecture=Architecture(layers=2, width=128, heads=4, inner=256, embedding=64),
    ),
}
