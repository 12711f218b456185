"""What a round's update wants of the student and of the teacher: two losses over one batch of vectors.

All vectors are of unit length, in the shared space. The terms are sums of squared distances, which for unit
vectors are twice 1 - cosine, and Kullback-Leibler divergences between choices.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.teaching.cross_distillation import TEMPERATURE, divergence

# The student. Its items go to where users' words lie, and are told apart there a little; an item of little
# trust stays where it was, and near the teacher's. The teacher's choices count for little: the signal is the
# news.
_ITEMS, _APART, _STAY, _CHOICES, _LIKE_TEACHER = 4.0, 0.1, 1.0, 0.05, 0.2
# Texts must hold far more firmly than items move: the vectors of users' texts are what the next signal is
# made of.
_ANCHORS = 40.0
# The teacher follows the same words half as hard, and is held half as hard.
_TEACHER_ITEMS, _TEACHER_CHOICES, _LIKE_STUDENT, _TEACHER_ANCHORS = 2.0, 0.05, 0.2, 20.0


@dataclass(frozen=True)
class Views:
    """A step's vectors: the student's items `[item, dim]` and anchors `[anchor, dim]`, and the teacher's of
    some of these items `[some, dim]`.
    """

    items: Tensor
    anchors: Tensor
    teacher_items: Tensor


@dataclass(frozen=True)
class Aims:
    """Where vectors should be: `items` `[item, dim]` by users' words, trusted by `trust` `[item]` in 0..1.

    `shared` `[some]` are the places of the teacher's items among the student's. The others are the vectors of
    release 0, in the order of `Views`.
    """

    items: Tensor
    trust: Tensor
    shared: Tensor
    item_start: Tensor
    anchor_start: Tensor


def student_losses(views: Views, aims: Aims) -> tuple[Tensor, Tensor]:
    """Return the student's loss, and the part of it that holds its anchors; the teacher is held fixed.

    Items weigh by trust; a batch of little trust in all moves less, since its sum is divided by 1 at least.
    """
    mine, trust = views.items, aims.trust
    scale = 1.0 / trust.sum().clamp_min(1.0)
    near_trust = trust[aims.shared]
    choice = functional.cross_entropy(
        aims.items @ mine.T / TEMPERATURE, torch.arange(len(mine)), reduction="none"
    )
    own, other = _choices(views, aims)
    theirs = views.teacher_items.detach()
    held = _ANCHORS * ((views.anchors - aims.anchor_start) ** 2).sum(-1).mean()
    # The shared items are picked again in each term: the order in which gradients are added decides the bits.
    student = (
        _ITEMS * (trust * ((mine - aims.items) ** 2).sum(-1)).sum() * scale
        + _APART * (trust * choice).sum() * scale
        + _STAY * ((1 - trust) * ((mine - aims.item_start) ** 2).sum(-1)).mean()
        + _CHOICES * divergence(own, other.detach())
        + _LIKE_TEACHER * ((1 - near_trust) * ((mine[aims.shared] - theirs) ** 2).sum(-1)).mean()
        + held
    )
    return student, held


def teacher_loss(views: Views, aims: Aims, anchors: Tensor, anchor_start: Tensor) -> Tensor:
    """Return the loss of a teacher that learns; the student is held fixed.

    `anchors` `[near, dim]` are the teacher's vectors of anchors, `anchor_start` those of release 0.
    """
    theirs, near_aim, near_trust = views.teacher_items, aims.items[aims.shared], aims.trust[aims.shared]
    near_scale = 1.0 / near_trust.sum().clamp_min(1.0)
    own, other = _choices(views, aims)
    return (
        _TEACHER_ITEMS * (near_trust * ((theirs - near_aim) ** 2).sum(-1)).sum() * near_scale
        + _TEACHER_CHOICES * divergence(other, own.detach())
        + _LIKE_STUDENT * ((theirs - views.items[aims.shared].detach()) ** 2).sum(-1).mean()
        + _TEACHER_ANCHORS * ((anchors - anchor_start) ** 2).sum(-1).mean()
    )


def _choices(views: Views, aims: Aims) -> tuple[Tensor, Tensor]:
    """Return the logits `[some, some]` of student and teacher, for which item users' words are of."""
    near_aim = aims.items[aims.shared]
    own = near_aim @ views.items[aims.shared].T / TEMPERATURE
    return own, near_aim @ views.teacher_items.T / TEMPERATURE
