"""Chinese from end to end: a small random teacher, a pruned vocabulary, a student, int8, vectors."""

from pathlib import Path

import numpy as np
import torch
from small_encoders import CHINESE, CHINESE_TEXTS, save_encoder
from torch import nn

from fedbert.ei_bert.artefact.artefact import build_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.token_pruning import (
    importance,
    pruned_vocabulary,
    smallest_size,
    spelling,
    teacher_rows,
)
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import calibrate
from fedbert.ei_bert.model.student import StudentShape, start_student
from fedbert.ei_bert.model.tokenizer import Tokens, padded
from fedbert.ei_bert.teaching.teacher import load_teacher


def test_a_chinese_student_reads_every_character_seen(tmp_path: Path) -> None:
    """Pruned to its characters and one word, the int8 student knows all characters, alone and in a batch."""
    save_encoder(tmp_path, vocabulary=CHINESE)
    teacher = load_teacher(str(tmp_path))
    found = importance("attention", teacher, CHINESE_TEXTS)
    size = smallest_size(teacher.vocabulary, CHINESE_TEXTS, teacher.rules) + 1
    kept = pruned_vocabulary(teacher.vocabulary, found, CHINESE_TEXTS, size, teacher.rules)
    assert len(kept) == size < len(CHINESE)
    assert spelling(kept, CHINESE_TEXTS, teacher.rules)[0] == 0.0

    words = teacher.word_vectors()[torch.from_numpy(teacher_rows(teacher.vocabulary, kept))]
    shape = StudentShape(len(kept), 2, 16, 2, 32, adapter=16, dim=8, teacher_width=teacher.width)
    student = start_student(shape, words, nn.Parameter(torch.eye(teacher.width, 8)), seed=0).eval()
    ids = torch.from_numpy(padded(Tokens(kept, rules=teacher.rules).rows(CHINESE_TEXTS)))
    model = onnx_bytes(student, calibrate(student, [ids]))
    encoder = Int8Encoder(build_artefact(model, kept, {"shape": shape.as_dict()}))

    assert encoder.unknown_counts(CHINESE_TEXTS).tolist() == [0, 0, 0, 0]
    assert encoder.unknown_counts(["我喜欢你"]).tolist() == [3]  # none of the last three was seen
    together = encoder.encode(CHINESE_TEXTS)
    assert len(np.unique(together, axis=0)) == len(CHINESE_TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in CHINESE_TEXTS])
    assert np.array_equal(together, alone)
    with torch.inference_mode():
        exact = student(ids)[1].numpy()
    assert float((exact * together / 127.0).sum(1).min()) > 0.98
