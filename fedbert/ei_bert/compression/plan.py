"""What shapes a student of classification tasks and its training: presets by size, data and teacher apart."""

from dataclasses import dataclass, field, replace

from fedbert.ei_bert.compression.token_pruning import METHODS as RANKINGS
from fedbert.ei_bert.compression.token_pruning import Method as Ranking
from fedbert.ei_bert.model.student import StudentShape
from fedbert.ei_bert.teaching.methods import INTEGRATION, METHODS, Method
from fedbert.errors import invalid
from fedbert.machine import Precision, checked_precision


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
        for name, low, high in (("layers", 1, 24), ("width", 16, 1024), ("inner", 16, 8192)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise invalid(name, value, f"be within {low}..{high}")
        if self.heads < 1 or self.width % self.heads or (self.width // self.heads) % 8:
            raise invalid(
                "heads",
                self.heads,
                f"divide width {self.width} into heads of a multiple of 8",
                "try width / 32",
            )
        if not 0 <= self.embedding <= self.width:
            raise invalid("embedding", self.embedding, f"be within 0..{self.width}, 0 for the layers' width")

    def shape(self, vocabulary: int, teacher_width: int) -> StudentShape:
        """Return the shape of a student that gives pooled states to plug-in heads."""
        return StudentShape(
            vocabulary=vocabulary,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            inner=self.inner,
            adapter=0,
            dim=self.width,
            teacher_width=teacher_width,
            embedding=0 if self.embedding == self.width else self.embedding,
            shared=self.shared,
            pooled=True,
        )


@dataclass(frozen=True)
class TaskPlan:
    """Everything that shapes a student of tasks and its training, data and teacher apart.

    `kept_share` of the teacher's accuracy is what the report holds the student to; it changes no training.
    """

    budget_bytes: int = 1_910_000
    kept_share: float = 0.993
    architecture: Architecture = field(default_factory=Architecture)
    pruning: Ranking = "attention"
    tune_epochs: int = 3
    tune_layers: int = 4
    remixed_texts: int = 56_000
    cross_texts: int = 150_000
    pretrain_steps: int = 2_500
    pretrain_rate: float = 2e-3
    method: str = INTEGRATION.name
    cross_steps: int = 9_000
    cross_rate: float = 3e-3
    word_dropout: float = 0.1
    ablation_steps: int = 120
    embedding_bits: int = 8
    weight_bits: int = 8
    entropy_coded: bool = False
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Check the values; raises FedbertError."""
        if self.method not in METHODS:
            raise invalid("method", self.method, f"be one of {', '.join(METHODS)}")
        if self.pruning not in RANKINGS:
            raise invalid("pruning", self.pruning, f"be one of {', '.join(RANKINGS)}")
        checked_precision(self.precision)
        if not 0 <= self.word_dropout < 1:
            raise invalid("word_dropout", self.word_dropout, "be within 0..1, below 1")
        for name in ("embedding_bits", "weight_bits"):
            if getattr(self, name) not in (4, 8):
                raise invalid(name, getattr(self, name), "be 4 or 8")

    @property
    def how(self) -> Method:
        """The method by its name."""
        return METHODS[self.method]

    def fast(self) -> "TaskPlan":
        """Return a plan of about a sixth of the work, for a usable student in a quarter of an hour."""
        return replace(
            self,
            tune_epochs=1,
            remixed_texts=min(self.remixed_texts, 12_000),
            cross_texts=min(self.cross_texts, 12_000),
            pretrain_steps=min(self.pretrain_steps, 500),
            cross_steps=min(self.cross_steps, 700),
        )


PRESETS = {
    "default": TaskPlan(),
    "small": TaskPlan(
        budget_bytes=1_000_000,
        kept_share=0.985,
        architecture=Architecture(layers=2, width=128, heads=4, inner=512, embedding=80),
        cross_steps=6_000,
    ),
    "tiny": TaskPlan(
        budget_bytes=500_000,
        kept_share=0.96,
        architecture=Architecture(layers=2, width=80, heads=5, inner=320, embedding=48),
        pretrain_steps=1_200,
        cross_steps=5_000,
    ),
}
