"""How a student learns its tasks: EI-BERT's cross-distillation, its two halves alone, and what it is
compared with.

Cross-distillation has two parts. *Parameter integration*: the teacher's task heads stay inside the student,
which learns to feed them. *Dynamic interplay*: the teacher goes on learning at a small rate and follows the
student, with mean squared error between states and KL divergence between choices in both directions. A
method is data; all methods start from the same pre-distilled student and get the same texts and steps.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Method:
    """Weights of the losses, and which parts of cross-distillation are used.

    `cross_entropy` is against the labels, `divergence` (KL, at `temperature`) against the teacher's choices,
    `states` (squared error, relative to the teacher's norm) against its sentence vectors, `hidden` against
    its hidden states and attentions, layer by layer (TinyBERT). `warm` starts the student's own head as the
    teacher's; `integrate` keeps it the teacher's; `interplay` lets the teacher learn too.
    """

    name: str
    cross_entropy: float = 0.5
    divergence: float = 1.0
    states: float = 0.25
    hidden: float = 0.0
    temperature: float = 2.0
    warm: bool = True
    integrate: bool = False
    interplay: bool = False

    @property
    def reads_teacher(self) -> bool:
        """Whether the teacher reads each batch along, so that its states cannot be made beforehand."""
        return self.interplay or self.hidden > 0

    def frozen(self) -> "Method":
        """Return the same method without interplay."""
        return replace(self, interplay=False)


INTEGRATION = Method("parameter integration", integrate=True)
FULL = Method("cross-distillation", integrate=True, interplay=True)
WARM_KD = Method("plain KD, warm head", states=0.0)

METHODS = {
    method.name: method
    for method in (
        Method("cross-entropy only", cross_entropy=1.0, divergence=0.0, states=0.0, warm=False),
        Method("plain KD", states=0.0, warm=False),
        WARM_KD,
        Method("TinyBERT losses", states=0.0, hidden=1.0),
        INTEGRATION,
        Method("dynamic interplay", interplay=True),
        FULL,
    )
}
"""Every method by name, in the order in which a report shows them."""
