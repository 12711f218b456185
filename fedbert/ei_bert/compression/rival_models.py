"""Rivals of a student at its bytes: a linear layer on hashed n-grams, and pooled static token vectors.

Both read a text as a bag: a sparse row of features, times a table. The n-grams are those of scikit-learn's
`HashingVectorizer`: words and pairs of words, and 2 to 4 characters within words. The static student is
fastText's form (Joulin et al. 2017, "Bag of tricks for efficient text classification") with the teacher's
token vectors to begin with. Weights are int8, one scale a class or a token.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.artefact.heads import Head, head_bytes, quantise_head
from fedbert.ei_bert.artefact.n_grams import Bags, n_grams
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.tokenizer import SPECIALS, Tokens
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import invalid
from fedbert.randomness import Purpose, generator

Lesson = tuple[Sequence[str], NDArray[np.float32]]
"""Texts of a task and what each is taught to be: probabilities `[text, class]`."""

# Chosen on CLINC150's validation texts, the only set that has some.
_BATCH, _RATE, _PASSES = 256, 0.03, 8
# Taught ones read several times as many texts.
_PASSES_TAUGHT = 4
_STATIC_RATE, _STATIC_PASSES = 0.01, 8
_WIDTH_STEP, _LEAST_WIDTH = 4, 64
_LIMIT = 127
_SCALE_BYTES = 4


@dataclass(frozen=True)
class Rival:
    """A classifier beside the student: its bytes, what its training took, and its choice of labels.

    `answer` takes texts and a task's name, and gives indices of labels `[text]`.
    """

    name: str
    total_bytes: int
    seconds: float
    answer: Callable[[Sequence[str], str], NDArray[np.int64]]
    note: str = ""


def buckets_within(budget_bytes: int, tasks: Sequence[Task]) -> int:
    """Return how many hashed features fit: each takes a byte for every class of every task.

    Raises FedbertError if not one does.
    """
    classes = sum(len(task.labels) for task in tasks)
    fixed = sum(_head_bytes(0, task) for task in tasks)
    found = (budget_bytes - fixed) // classes
    # The header names sizes in digits: a longer one may take some bytes more.
    while found > 0 and sum(_head_bytes(found, task) for task in tasks) > budget_bytes:
        found -= 1
    if found < 1:
        raise invalid("budget_bytes", budget_bytes, f"have room for a rival, {fixed + classes} bytes or more")
    return found


def _head_bytes(width: int, task: Task) -> int:
    zero = np.zeros((width, len(task.labels)), np.int8)
    flat = np.zeros(len(task.labels), np.float32)
    return len(head_bytes(Head(task.name, task.labels, zero, flat, flat)))


def hard(task: Task) -> Lesson:
    """Return the training texts of `task`, each taught to be its label."""
    return task.train.texts, np.eye(len(task.labels), dtype=np.float32)[task.train.labels]


def linear_rival(
    name: str, tasks: Sequence[Task], lessons: Mapping[str, Lesson] | None, budget_bytes: int, seed: int
) -> Rival:
    """Return hashed n-grams with an int8 linear layer a task, trained on `lessons` (by task), or on the
    labelled training texts.

    Raises FedbertError for a budget in which no bucket has room.
    """
    begun = time.process_time()
    passes = _PASSES if lessons is None else _PASSES_TAUGHT
    lessons = lessons or {task.name: hard(task) for task in tasks}
    buckets, heads = buckets_within(budget_bytes, tasks), {}
    for task in tasks:
        texts, wanted = lessons[task.name]
        bags = n_grams(texts, buckets)
        weight = torch.zeros(buckets, len(task.labels), requires_grad=True)
        bias = torch.zeros(len(task.labels), requires_grad=True)
        goal = torch.from_numpy(wanted)

        def loss(
            rows: NDArray[np.intp],
            bags: Bags = bags,
            weight: Tensor = weight,
            bias: Tensor = bias,
            goal: Tensor = goal,
        ) -> Tensor:
            return functional.cross_entropy(pooled(bags[rows], weight) + bias, goal[rows])

        learn([weight, bias], loss, len(texts), (_RATE, passes), seed)
        heads[task.name] = quantise_head(
            weight.detach().numpy(), bias.detach().numpy(), task.labels, task.name
        )
    tables = {task: head.weight.astype(np.float32) * head.scale for task, head in heads.items()}

    def answer(some: Sequence[str], task: str) -> NDArray[np.int64]:
        logits = n_grams(some, buckets) @ tables[task] + heads[task].bias
        return np.asarray(logits.argmax(1), np.int64)

    size = sum(len(head_bytes(head)) for head in heads.values())
    return Rival(name, size, time.process_time() - begun, answer, f"{buckets:,} buckets")


def static_rival(
    name: str,
    teacher: Teacher,
    tasks: Sequence[Task],
    lessons: Mapping[str, Lesson],
    budget_bytes: int,
    seed: int,
) -> Rival:
    """Return the mean of token vectors with an int8 head a task, taught by `lessons` (by task).

    The tokens are those of the training texts, most frequent first; all that fit at 64 features are kept, and
    the features are as many as these leave room for. The vectors begin as the leading singular directions of
    the teacher's.
    """
    begun = time.process_time()
    vocabulary, width = static_shape(teacher, tasks, budget_bytes)
    tokens = teacher.tokens_of(vocabulary)
    place = {token: index for index, token in enumerate(teacher.vocabulary)}
    known = (
        teacher.word_vectors()
        .detach()
        .cpu()
        .float()[[place[token] for token in vocabulary if token in place]]
    )
    known = known - known.mean(0)
    _, _, directions = torch.linalg.svd(known.T @ known)
    table = torch.zeros(len(vocabulary), width)
    there = [index for index, token in enumerate(vocabulary) if token in place]
    table[there] = functional.normalize(known @ directions[:width].T, dim=-1)
    table.requires_grad_(True)
    weights = [torch.zeros(width, len(task.labels), requires_grad=True) for task in tasks]
    biases = [torch.zeros(len(task.labels), requires_grad=True) for task in tasks]
    texts = [text for task in tasks for text in lessons[task.name][0]]
    counts = [len(lessons[task.name][0]) for task in tasks]
    which = torch.from_numpy(np.repeat(np.arange(len(tasks)), counts))
    inside = torch.from_numpy(np.concatenate([np.arange(count) for count in counts]))
    goals = [torch.from_numpy(lessons[task.name][1]) for task in tasks]
    bags = token_bags(tokens, texts, len(vocabulary))

    def loss(rows: NDArray[np.intp]) -> Tensor:
        vectors = pooled(bags[rows], table)
        total = vectors.new_zeros(())
        for index, (weight, bias, goal) in enumerate(zip(weights, biases, goals, strict=True)):
            mine = which[rows] == index
            if bool(mine.any()):
                wanted = goal[inside[rows][mine]]
                total = total + functional.cross_entropy(
                    vectors[mine] @ weight + bias, wanted, reduction="sum"
                )
        return total / len(rows)

    learn([table, *weights, *biases], loss, len(texts), (_STATIC_RATE, _STATIC_PASSES), seed)
    exact = table.detach().numpy()
    scale = (np.maximum(np.abs(exact).max(1, keepdims=True), 1e-8) / _LIMIT).astype(np.float32)
    whole = np.rint(exact / scale).clip(-_LIMIT, _LIMIT).astype(np.int8)
    heads = {
        task.name: quantise_head(weight.detach().numpy(), bias.detach().numpy(), task.labels, task.name)
        for task, weight, bias in zip(tasks, weights, biases, strict=True)
    }
    used = whole.astype(np.float32) * scale

    def answer(some: Sequence[str], task: str) -> NDArray[np.int64]:
        vectors = np.asarray(token_bags(tokens, some, len(vocabulary)) @ used)
        return np.asarray(heads[task].logits(vectors).argmax(1), np.int64)

    size = _table_bytes(vocabulary, width) + sum(len(head_bytes(head)) for head in heads.values())
    note = f"{len(vocabulary):,} tokens of {width} features"
    return Rival(name, size, time.process_time() - begun, answer, note)


def static_shape(teacher: Teacher, tasks: Sequence[Task], budget_bytes: int) -> tuple[tuple[str, ...], int]:
    """Return the tokens and the width of a static student of at most `budget_bytes`; see `static_rival`."""
    rows = teacher.tokens.rows([text for task in tasks for text in task.train.texts])
    seen = np.bincount([token for row in rows for token in row], minlength=len(teacher.vocabulary))
    specials = [token for token in SPECIALS if token in teacher.vocabulary]
    order = [teacher.vocabulary[index] for index in np.argsort(-seen, kind="stable")[: int((seen > 0).sum())]]
    ranked = [*specials, *(token for token in order if token not in specials)]

    def size(count: int, width: int) -> int:
        return _table_bytes(ranked[:count], width) + sum(_head_bytes(width, task) for task in tasks)

    widths = range(_LEAST_WIDTH, teacher.width + 1, _WIDTH_STEP)
    fitting = [width for width in widths if size(len(ranked), width) <= budget_bytes]
    width, count = (fitting[-1] if fitting else _LEAST_WIDTH), len(ranked)
    if not fitting:
        sizes = np.array([size(count, width) for count in range(len(specials), len(ranked))])
        count = len(specials) + int((sizes <= budget_bytes).sum()) - 1
    if count < len(specials):
        raise invalid("budget_bytes", budget_bytes, "have room for the tokens of a static rival")
    return tuple(ranked[:count]), width


def _table_bytes(vocabulary: Sequence[str], width: int) -> int:
    return len(vocabulary) * (width + _SCALE_BYTES) + sum(len(token.encode()) + 1 for token in vocabulary)


def token_bags(tokens: Tokens, texts: Sequence[str], size: int) -> Bags:
    """Return the share of each token in each text, specials included, `[text, token]`."""
    rows = tokens.rows(texts)
    lengths = np.array([len(row) for row in rows])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    found = np.array([token for row in rows for token in row], np.int64)
    shares = np.repeat(1.0 / lengths, lengths).astype(np.float32)
    return sparse.csr_matrix((shares, found, starts), shape=(len(rows), size))


def pooled(bags: Bags, table: Tensor) -> Tensor:
    """Return `bags @ table`, `[text, width]`, through which `table` learns."""
    where, starts = (torch.from_numpy(part.astype(np.int64)) for part in (bags.indices, bags.indptr[:-1]))
    shares = torch.from_numpy(bags.data)
    return functional.embedding_bag(where, table, starts, mode="sum", per_sample_weights=shares)


def learn(
    values: Sequence[Tensor],
    loss: Callable[[NDArray[np.intp]], Tensor],
    count: int,
    course: tuple[float, int],
    seed: int,
) -> None:
    """Train `values` by Adam, in place, on `count` texts. `course` is (rate, which falls to 0; passes)."""
    rate, passes = course
    optimiser = torch.optim.Adam(list(values), lr=rate)
    steps, step = passes * -(-count // _BATCH), 0
    for epoch in range(passes):
        order = generator(seed, Purpose.TRAINING, streams.RIVAL_EPOCH + epoch).permutation(count)
        for low in range(0, count, _BATCH):
            optimiser.param_groups[0]["lr"] = rate * (1.0 - step / steps)
            optimiser.zero_grad(set_to_none=True)
            loss(order[low : low + _BATCH]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
