"""What each student that gives pooled states has: its shape, no head of its own, its teacher's states."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fedbert.ei_bert.compression.plan import Architecture
from fedbert.ei_bert.model.bert import best_device
from fedbert.ei_bert.model.student import StudentShape
from fedbert.ei_bert.teaching.progress import TaskProgress
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import pooled_states

# Texts whose states are computed between two lines of progress. The bits of a state depend on its neighbours.
_CHUNK_TEXTS = 4_000


def teacher_states(teacher: Teacher, texts: Sequence[str], precision: str, progress: TaskProgress) -> Tensor:
    """Return a teacher's pooled states of `texts`, float16 `[text, width]`."""
    parts = []
    teacher.body.to(best_device())
    for low in range(0, len(texts), _CHUNK_TEXTS):
        some = texts[low : low + _CHUNK_TEXTS]
        parts.append(pooled_states(teacher, some, precision=precision).half())
        progress(low + len(some), len(texts), 0.0, None)
    teacher.body.cpu()
    return torch.cat(parts)


def pooled_shape(architecture: Architecture, vocabulary: int, teacher_width: int) -> StudentShape:
    """Return the shape of a student that gives pooled states to heads which are plugged in."""
    return StudentShape(
        **architecture.sizes(),
        vocabulary=vocabulary,
        adapter=0,
        dim=architecture.width,
        teacher_width=teacher_width,
        pooled=True,
    )


def no_head(teacher_width: int) -> nn.Parameter:
    """Return the head of a student that has none: each task brings its own."""
    return nn.Parameter(torch.zeros(teacher_width, 0), requires_grad=False)
