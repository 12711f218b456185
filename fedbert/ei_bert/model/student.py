"""The student: a narrow BERT whose sentence vectors go through the teacher's own head.

"Parameter integration" (EI-BERT, cross-distillation 1): the teacher's fine-tuned head stays part of the
student. The pooled state is projected to the teacher's width and then meets the teacher's matrix; at export
both fold into one. An item's written name (a row that begins with `[ITEM]`) also passes a small adapter, so
that item vectors can follow what users say while the vectors of users' texts stay where they are.
"""

import copy
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedbert.ei_bert.model.bert import Body, Observe, Shape, mean_pool
from fedbert.ei_bert.model.tokenizer import MAX_TOKENS

# Standard deviations at the start. Matrices start larger than BERT's .02, since the layers are narrow and a
# sum over fewer features has less spread; word embeddings start as the teacher's, scaled to this.
_MATRIX_STD, _PLACE_STD, _WORD_STD = 0.04, 0.02, 0.1


@dataclass(frozen=True)
class StudentShape:
    """Sizes of a student; `dim` is the width of its vectors, `adapter` the item adapter's (0: none).

    A `pooled` student's vector is the mean hidden state itself (`dim` is then `width`), for heads that are
    plugged in; else it is the unit vector of the head's shared space. `embedding` (0: `width`) and `shared`
    are those of `bert.Shape`.
    """

    vocabulary: int = 7_000
    layers: int = 4
    width: int = 128
    heads: int = 4
    inner: int = 512
    adapter: int = 512
    dim: int = 96
    item_token: int = 4
    teacher_width: int = 384
    embedding: int = 0
    shared: bool = False
    pooled: bool = False

    def as_dict(self) -> dict[str, int]:
        """Return the sizes by name, as they stand in the manifest."""
        return asdict(self)


class Student(nn.Module):
    """The student in float. Its head `[teacher width, dim]` is the teacher's parameter, not a copy."""

    def __init__(self, shape: StudentShape, head: nn.Parameter) -> None:
        super().__init__()
        self.shape = shape
        self.body = Body(
            Shape(
                vocabulary=shape.vocabulary,
                layers=shape.layers,
                width=shape.width,
                heads=shape.heads,
                inner=shape.inner,
                positions=MAX_TOKENS,
                activation="relu",
                embedding=shape.embedding,
                shared=shape.shared,
            )
        )
        self.project = nn.Linear(shape.width, shape.teacher_width)
        if shape.adapter:
            self.adapter_in = nn.Linear(shape.width, shape.adapter)
            self.adapter_out = nn.Linear(shape.adapter, shape.teacher_width, bias=False)
            nn.init.zeros_(self.adapter_out.weight)
        self.head = head

    def pooled(self, ids: Tensor, observe: Observe | None = None) -> Tensor:
        """Return the mean hidden state of each row of `ids`, `[row, width]`."""
        return mean_pool(self.body(ids, observe), ids)

    def finish(
        self, pooled: Tensor, is_item: Tensor, observe: Observe | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (state in the teacher's width, vector `[row, dim]`) from pooled states, both float32.

        Their products may have been in bfloat16 (`fast_math`), but heads and losses outside are float32.
        """
        if observe is not None:
            observe("pooled", pooled)
        state = self.project(pooled).float()
        if self.shape.adapter:
            inner = functional.relu(self.adapter_in(pooled))
            if observe is not None:
                observe("adapter", inner)
            state = state + self.adapter_out(inner).float() * is_item.to(pooled.dtype).unsqueeze(-1)
        if self.shape.pooled:
            return state, pooled
        return state, functional.normalize((state @ self.head).float(), dim=-1)

    def forward(self, ids: Tensor, observe: Observe | None = None) -> tuple[Tensor, Tensor]:
        """Return (state in the teacher's width `[row, 384]`, vector `[row, dim]`) of token ids."""
        return self.finish(self.pooled(ids, observe), ids[:, 0] == self.shape.item_token, observe)


def facing(student: Student, teachers: int) -> Student:
    """Return a copy of `student` whose states face those of so many teachers side by side.

    Its projection stands there once for each of them: states `[row, width]` become `[row, teachers * width]`.
    """
    if teachers == 1:
        return copy.deepcopy(student)
    state = student.state_dict()
    for name in [name for name in state if name.startswith(("project.", "adapter_out."))]:
        state[name] = torch.cat([state[name]] * teachers)
    shape = replace(student.shape, teacher_width=teachers * student.shape.teacher_width)
    head = nn.Parameter(student.head.detach().repeat(teachers, 1), student.head.requires_grad)
    state["head"] = head.detach()
    wider = Student(shape, head)
    wider.load_state_dict(state)
    return wider.train(student.training)


def start_student(shape: StudentShape, words: Tensor, head: nn.Parameter, seed: int) -> Student:
    """Return a new student; `words` `[vocabulary, teacher width]` are the teacher's embeddings of its tokens.

    The word embeddings start as the leading singular directions of `words`, scaled: a factorised embedding
    whose second factor is learnt, by the first layer or by a matrix of its own if the embedding is narrower.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(shape, head)
        for module in student.body.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_MATRIX_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(student.body.places.weight, std=_PLACE_STD)
        if student.body.widen is not None:
            nn.init.orthogonal_(student.body.widen.weight)
    _, _, directions = torch.linalg.svd(words - words.mean(0), full_matrices=False)
    start = (words - words.mean(0)) @ directions[: shape.embedding or shape.width].T
    # Fewer tokens than features have fewer directions: the features left over start at 0.
    start = functional.pad(start, (0, (shape.embedding or shape.width) - start.shape[1]))
    with torch.no_grad():
        student.body.words.weight.copy_(start / start.std() * _WORD_STD)
    return student
