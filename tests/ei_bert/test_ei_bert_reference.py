"""Both compressions against a plain reference: the same functions, called one after the other by hand.

The shipped artefacts were made by this order of draws, batches and sums. Whoever changes the pipeline must
come out at the same bytes.
"""

import copy
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from ei_bert_fakes import Silent
from torch import nn

from fedbert.ei_bert.artefact.artefact import MODEL, VOCABULARY, load_artefact
from fedbert.ei_bert.artefact.heads import head_bytes, quantise_head
from fedbert.ei_bert.compression import catalogue_compression
from fedbert.ei_bert.compression.catalogue_compression import compress_catalogue
from fedbert.ei_bert.compression.catalogue_goal import CatalogueGoal
from fedbert.ei_bert.compression.plan import Architecture, CataloguePlan, TaskPlan
from fedbert.ei_bert.compression.public_text import PublicText, load_public_text, varied
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.compression.tasks_compression import Places, compress_tasks
from fedbert.ei_bert.compression.tasks_goal import Inputs, TasksGoal
from fedbert.ei_bert.compression.token_pruning import importance, pruned_vocabulary, teacher_rows
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import calibrate
from fedbert.ei_bert.model.student import StudentShape, start_student
from fedbert.ei_bert.model.tokenizer import Tokens, padded
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.course import Course, batches
from fedbert.ei_bert.teaching.cross_distillation import Lesson, cross_distil
from fedbert.ei_bert.teaching.methods import METHODS
from fedbert.ei_bert.teaching.pretraining import Reading, pretrain
from fedbert.ei_bert.teaching.task_distillation import Rates, TaskLesson, distil, folded
from fedbert.ei_bert.teaching.tasks import load_tasks
from fedbert.ei_bert.teaching.teacher import load_teacher, sentence_vectors
from fedbert.ei_bert.teaching.tuning import Tuning, fine_tune, pooled_states
from fedbert.randomness import Purpose, generator

NAMES = ("Alarm: set an alarm", "Bank: freeze an account", "Music: play a song")
REQUESTS = ("wake me at six", "block my bank account", "play a song for me")
SENTENCES = ("a song about an alarm", "the bank and the music")


@pytest.fixture
def public(tmp_path: Path) -> PublicText:
    """Three services with a request each, five times over; two general sentences."""
    folder = tmp_path / "data" / "services"
    folder.mkdir(parents=True)
    splits = ("train", "validation")
    rows = [(text, item, split) for item, text in enumerate(REQUESTS) for split in splits] * 5
    rows += [(text, -1, "general") for text in SENTENCES]
    columns = dict(zip(("text", "item", "split"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "public.parquet")
    items = {"item": [0, 1, 2], "text": list(NAMES), "public": [True, True, True]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    return load_public_text(tmp_path / "data")


def test_the_catalogues_model_is_that_of_a_plain_sequence(
    tmp_path: Path, public: PublicText, small_teacher: str
) -> None:
    """Rank, read, pre-distil, cross-distil, round, export: the model file has the same bytes."""
    plan = CataloguePlan(
        architecture=Architecture(layers=1, width=64, heads=4, inner=64, embedding=0),
        pruning="attention",
        embedding_bits=8,
        dim=8,
        adapter=32,
        varied_texts=40,
        remixed_texts=0,
        word_texts=0,
        asked_texts=0,
        pretrain_steps=12,
        cross_steps=3,
        cross_texts=20,
        seed=3,
        precision="float32",
    )
    goal = CatalogueGoal(public, load_teacher(small_teacher), plan)
    places = catalogue_compression.Places(*(tmp_path / name for name in "msw"))
    made = compress_catalogue(goal, places, Silent(), threads=1)
    vocabulary = tuple(made.artefact.files[VOCABULARY].decode().splitlines())

    teacher = load_teacher(small_teacher)
    texts = [*public.requests, *public.sentences, *public.names]
    found = importance("attention", teacher, texts, [1.0] * 17 + [20.0] * 3)
    assert vocabulary == pruned_vocabulary(teacher.vocabulary, found, texts, len(vocabulary), teacher.rules)
    common = pruned_vocabulary(teacher.vocabulary, found, texts, len(teacher.vocabulary), teacher.rules)
    words = [token for token in common if token.isalpha() and len(token) > 2]
    basis = [*public.requests, *public.requests, *public.sentences, *public.names * 10]
    pool = [*public.requests, *public.sentences, *public.names * 8, *words]
    pool += varied(basis, public.names, words, 40, 3)
    share = np.full(len(pool), 0.2)
    share[17 : 17 + 24] = 0.75
    targets = sentence_vectors(teacher, pool).half().float()
    spread = torch.cat([targets[:15], targets[17:20].repeat(10, 1)])
    directions = torch.linalg.svd(spread, full_matrices=False)[2][:8]
    shape = StudentShape(len(vocabulary), 1, 64, 4, 64, adapter=32, dim=8, teacher_width=128)
    rows = torch.from_numpy(teacher_rows(teacher.vocabulary, vocabulary))
    head = nn.Parameter(directions.T.contiguous())
    student = start_student(shape, teacher.word_vectors()[rows], head, 3)
    tokens = Tokens(vocabulary)
    pretrain(student, Reading(tokens.rows(pool), targets, share), Course(12, 3, "float32"), 2e-3)
    chosen = np.concatenate(
        [np.arange(20), 20 + generator(3, Purpose.SAMPLE, 1).permutation(len(pool) - 20)[:20]]
    )
    some = [pool[index] for index in chosen]
    lesson = Lesson(
        rows=tokens.rows(some),
        teacher_layers=CachedLayers(teacher.body, teacher.tokens.rows(some), 1),
        stock=targets[torch.from_numpy(chosen)],
        request_items=public.request_items,
        names=17,
        choices=np.arange(3),
        item_share=share[chosen],
    )
    cross_distil(student, teacher, lesson, Course(3, 3, "float32"))
    with torch.no_grad():
        for value in student.state_dict().values():
            value.copy_(value.half().float())
    texts_at, names_at = tokens.rows([public.requests[0], public.sentences[0]]), tokens.rows(NAMES, "item")
    ranges = calibrate(student, [torch.from_numpy(padded(part)) for part in (texts_at, names_at)])
    assert made.artefact.files[MODEL] == onnx_bytes(student, ranges)


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_the_tasks_model_is_that_of_a_plain_sequence(
    weight: float, tmp_path: Path, small_teacher: str
) -> None:
    """Tune, rank, read, pre-distil, distil, export: the model file and the head have the same bytes."""
    rows = [(f"{text} {end}", text.split()[0]) for text in REQUESTS for end in "abcde"]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "one.csv", index=False)
    tasks = load_tasks([tmp_path / "one.csv"])
    plan = TaskPlan(
        budget_bytes=120_000,
        architecture=Architecture(layers=1, width=32, heads=4, inner=32, embedding=16),
        tune_epochs=2,
        tune_layers=1,
        remixed_texts=20,
        cross_texts=20,
        pretrain_steps=6,
        cross_steps=8,
        task_weight=weight,
        precision="float32",
    )
    goal = TasksGoal(Inputs(load_teacher(small_teacher), tasks, SENTENCES, {}), plan)
    compress_tasks(goal, Places(tmp_path / "m", tmp_path / "w"), Silent(), threads=1)
    made = load_artefact(tmp_path / "m")
    vocabulary = tuple(made.files[VOCABULARY].decode().splitlines())

    teacher, train = load_teacher(small_teacher), tasks[0].train
    basis = [*train.texts, *SENTENCES]
    # The shipped models were made with a weight of 1, by which the weights are left out.
    found = importance("attention", teacher, basis, [weight] * len(train) + [1.0] * len(SENTENCES))
    assert vocabulary == pruned_vocabulary(teacher.vocabulary, found, basis, len(vocabulary), teacher.rules)
    groups = np.array([0] * len(train) + [-1] * len(SENTENCES))
    pool = [*basis, *remixed(basis, groups, 20, 0)[0]]
    targets = pooled_states(teacher, pool, precision="float32").half().float()
    shape = StudentShape(
        len(vocabulary), 1, 32, 4, 32, adapter=0, dim=32, teacher_width=128, embedding=16, pooled=True
    )
    ids = torch.from_numpy(teacher_rows(teacher.vocabulary, vocabulary))
    head = nn.Parameter(torch.zeros(128, 0), requires_grad=False)
    student, tokens = start_student(shape, teacher.word_vectors()[ids], head, 0), Tokens(vocabulary)
    pretrain(student, Reading(tokens.rows(pool), targets, np.zeros(len(pool))), Course(6, 0, "float32"), 2e-3)
    tuned = copy.deepcopy(teacher)
    heads = fine_tune(tuned, tasks, Tuning(epochs=2, trained_layers=1, precision="float32"))
    made_texts, source = remixed(
        train.texts, np.zeros(len(train), int), 20, 0, neighbours(teacher, train.texts)
    )
    texts = [*train.texts, *made_texts]
    lesson = TaskLesson(
        rows=tokens.rows(texts),
        task=np.zeros(len(texts), np.int64),
        label=np.concatenate([train.labels, np.full(len(source), -1)]),
        states=(pooled_states(tuned, texts, precision="float32").half(),),
        teacher_ids=ids.numpy(),
    )
    method, course = METHODS["parameter integration"], Course(8, 0, "float32")
    own = distil(student, heads, tuned, lesson, method, course, Rates(student=3e-3, word_dropout=0.1))
    ranges = calibrate(student, [torch.from_numpy(padded(tokens.rows(train.texts)))])
    assert made.files[MODEL] == onnx_bytes(student, ranges)
    weight, bias = folded(student, own["one"])  # type: ignore[arg-type]
    assert made.heads["one"] == head_bytes(
        quantise_head(weight.numpy(), bias.detach().numpy(), tasks[0].labels, "one")
    )


def test_draws_that_decide_the_shipped_bits_are_as_recorded() -> None:
    """Texts that are made, and the order of batches, by each stream: recorded when the artefacts were made.

    They are whole numbers and words alone, so they are the same on every processor.
    """
    words = ["zebra", "alarm"]
    made = varied(REQUESTS, NAMES, words, 50, 0)
    mixed, source = remixed([*REQUESTS, *NAMES], np.array([0, 0, 0, 1, 1, 1]), 50, 0)
    rows = [[1] * (2 + index % 5) for index in range(60)]
    order = [
        part.tolist()
        for first in (streams.PRETRAINING_EPOCH, streams.TUNING_EPOCH, streams.TASK_EPOCH)
        for epoch in range(2)
        for part in batches(rows, 24, generator(0, Purpose.TRAINING, first + epoch))
    ]
    steps = [
        generator(0, Purpose.TRAINING, first + step).integers(0, 100, 8).tolist()
        for first in (streams.CROSS_STEP, streams.TASK_STEP, streams.SERVER_ANCHORS, streams.SERVER_ROUND)
        for step in range(2)
    ]
    whole = repr((made, mixed, source.tolist(), order, steps))
    assert (
        hashlib.sha256(whole.encode()).hexdigest()
        == "25c9197b42bd0de565e881ec1bca612198574e18b9d972a75b6f2e60390f7d39"
    )
