"""Vectors of any encoder in place of a teacher: the file's rules, and a Chinese student from such a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ei_bert_fakes import Silent
from small_encoders import CASED, CHINESE, CHINESE_TEXTS

from fedbert.cli.main import call
from fedbert.ei_bert.compression.general_compression import compress_general
from fedbert.ei_bert.compression.general_goal import GeneralGoal
from fedbert.ei_bert.compression.general_sources import general_texts
from fedbert.ei_bert.compression.plan import Architecture, GeneralPlan
from fedbert.ei_bert.compression.token_pruning import importance
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.outside_vectors import OutsideTeacher, load_outside_teacher
from fedbert.errors import FedbertError

TEXTS = [*CHINESE_TEXTS, "打开客厅灯", "怎么冻结银行卡？", "今天天气如何", "播放音乐"]
PLAN = GeneralPlan(
    budget_bytes=300_000,
    architecture=Architecture(layers=1, width=32, heads=2, inner=32, embedding=16),
    pretrain_steps=60,
)


def write_vectors(path: Path, vector: object = None, text: object = TEXTS, **more: object) -> Path:
    """Write a file of `text` and `vector`, by default 8 random numbers a text."""
    made = np.random.default_rng(0).normal(size=(len(TEXTS), 8)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(made.ravel(), 8) if vector is None else vector
    pq.write_table(pa.table({"text": text, "vector": column, **more}), path)
    return path


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """The Chinese tokens, a line each."""
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(CHINESE) + "\n", "utf-8")
    return path


@pytest.fixture
def teacher(tmp_path: Path, vocabulary: Path) -> OutsideTeacher:
    """Eight Chinese texts with random vectors."""
    return load_outside_teacher(write_vectors(tmp_path / "v.parquet"), vocabulary)


def test_a_chinese_student_from_vectors_alone(tmp_path: Path, teacher: OutsideTeacher) -> None:
    """The student reads every character of the texts, its vectors follow the given ones, and each text has
    the same bits alone and in a batch.
    """
    goal = GeneralGoal(teacher, general_texts((), None, teacher), PLAN)
    made = compress_general(goal, tmp_path / "m", tmp_path / "w", Silent(), threads=1)
    assert made.artefact.manifest["trained_on"]["sentences"] == len(TEXTS)
    assert made.artefact.manifest["trained_on"]["made_texts"] == [0]
    assert made.artefact.manifest["teacher"] == {"name": "v.parquet", "sha256": teacher.sha256}
    bert = EiBert.from_pretrained(tmp_path / "m")
    assert made.artefact.manifest["unknown_token_share"] == 0
    together = bert.encode(TEXTS)
    assert len(np.unique(together, axis=0)) == len(TEXTS)
    assert np.array_equal(together, np.concatenate([bert.encode([text]) for text in TEXTS]))
    assert made.artefact.manifest["scores"]["student, int8"]["correlation of cosines"] > 0.5


def test_ideographs_are_words_and_case_follows_the_vocabulary(tmp_path: Path, vocabulary: Path) -> None:
    """Each ideograph is a token, Latin words are in small letters; a vocabulary with capitals keeps them."""
    teacher = load_outside_teacher(write_vectors(tmp_path / "v.parquet"), vocabulary)
    (row,) = teacher.tokens.rows(["打开APP。"])
    assert [teacher.vocabulary[token] for token in row] == ["[CLS]", "打", "开", "app", "。", "[SEP]"]
    vocabulary.write_text("\n".join([*CHINESE, "<S>"]) + "\n", "utf-8")
    assert load_outside_teacher(tmp_path / "v.parquet", vocabulary).rules.lowercase is True
    vocabulary.write_text("\n".join(CASED) + "\n", "utf-8")
    assert load_outside_teacher(tmp_path / "v.parquet", vocabulary).rules.lowercase is False


def test_vectors_are_those_of_the_file_at_unit_length(tmp_path: Path, vocabulary: Path) -> None:
    """In the order that is asked for, of any length in the file, the largest and smallest float32 too."""
    given = np.tile(np.array([[3.0, 4.0]], np.float32), (len(TEXTS), 1))
    given[1] *= 1e37
    given[2] *= 1e-37
    file = write_vectors(tmp_path / "v.parquet", given.tolist())
    teacher = load_outside_teacher(file, vocabulary)
    assert teacher.width == 2
    found = teacher.vectors_of([TEXTS[2], TEXTS[0], TEXTS[1]]).float().numpy()
    assert np.allclose(found, [[0.6, 0.8]] * 3, atol=1e-3)


def test_words_start_as_the_mean_of_their_texts(teacher: OutsideTeacher) -> None:
    """Against a plain loop over texts and tokens; a token of no text starts in the middle."""
    ids = padded(teacher.tokens.rows(TEXTS))
    middle = teacher.vectors.mean(0)
    for token in (teacher.vocabulary.index(word) for word in ("开", "app", "？", "[CLS]")):
        found = [
            vector - middle
            for row, vector in zip(ids, teacher.vectors, strict=True)
            for one in row
            if one == token
        ]
        assert len(found) > 0
        assert np.allclose(teacher.word_vectors()[token], np.mean(found, axis=0), atol=1e-6)
    assert not teacher.word_vectors()[teacher.vocabulary.index("q")].any()


def test_tokens_are_ranked_by_frequency_alone(teacher: OutsideTeacher) -> None:
    """A teacher of vectors has no attention: frequency counts, attention is refused in one line."""
    found = importance("frequency", teacher, ["打开app", "打开"])
    ranked = {teacher.vocabulary[place]: found[place] for place in np.flatnonzero(found)}
    assert ranked == {"打": 2, "开": 2, "app": 1}
    with pytest.raises(FedbertError, match=r"pruning\(='attention'\) must be frequency"):
        importance("attention", teacher, TEXTS)


def test_a_text_without_a_vector_is_named(tmp_path: Path, teacher: OutsideTeacher) -> None:
    """Before any stage, with the number of such texts."""
    more = tmp_path / "more.txt"
    more.write_text("打开app\n转给妈妈\n", "utf-8")
    with pytest.raises(FedbertError, match=r"each text \(1 of 2 have none, the first '转给妈妈'\)"):
        GeneralGoal(teacher, general_texts((), more, teacher), PLAN)


ROWS = [[float(place), 1.0] for place in range(len(TEXTS))]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vector": [*ROWS[:-1], [1.0]]}, "vectors of one width (row 1 has 2, row 8 has 1)"),
        ({"vector": [*ROWS[:-1], None]}, "have a vector in each row (row 8 has none)"),
        ({"vector": [*ROWS[:-1], [1.0, float("nan")]]}, "finite numbers (row 8 has another; 1 rows in all)"),
        ({"vector": [*ROWS[:-1], [1.0, None]]}, "have finite numbers (row 8 has another"),
        ({"vector": [*ROWS[:-1], [float("inf"), 1.0]]}, "have finite numbers (row 8 has another"),
        ({"vector": [*ROWS[:-1], [0.0, 0.0]]}, "have vectors with a direction (row 8 is all zeros)"),
        ({"vector": [[1.0]] * len(TEXTS)}, "have vectors of 2 features or more (has 1)"),
        ({"vector": ["1 2"] * len(TEXTS)}, "have lists of float32 in column 'vector' (has string)"),
        ({"vector": [[1, 2]] * len(TEXTS)}, "have lists of float32 in column 'vector'"),
        ({"text": [*TEXTS[:-1], None]}, "have a text in each row (row 8 has none)"),
        ({"text": [*TEXTS[:-1], TEXTS[0]]}, "have each text once (1 rows repeat one)"),
        ({"text": list(range(len(TEXTS)))}, "have text in column 'text' (has int64)"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_one_line(
    changes: dict[str, object], words: str, tmp_path: Path, vocabulary: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Each fault is named with its row, exit code 2, and no folder is made."""
    file = write_vectors(tmp_path / "v.parquet", **changes)
    output = tmp_path / "m"
    flags = [
        "--general",
        "--teacher-vectors",
        str(file),
        "--vocabulary",
        str(vocabulary),
        "--output",
        str(output),
    ]
    assert call("compress", flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\n".join([*CHINESE, "我"]) + "\n", "hold each token once ('我' stands twice)"),
        ("[PAD]\n我\n", "vocabulary must hold the token [UNK]"),
        ("我\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "must begin with [PAD]"),
    ],
)
def test_a_vocabulary_that_cannot_be_used_is_one_line(
    content: str, words: str, tmp_path: Path, vocabulary: Path
) -> None:
    """Repeated tokens and missing specials are named."""
    vocabulary.write_text(content, "utf-8")
    with pytest.raises(FedbertError) as caught:
        load_outside_teacher(write_vectors(tmp_path / "v.parquet"), vocabulary)
    assert words in str(caught.value)


def test_columns_are_named(tmp_path: Path, vocabulary: Path) -> None:
    """A file without the column `vector` says which columns it has; what is no Parquet says so."""
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table({"text": ["打开"], "vec": [[1.0, 2.0]]}), path)
    with pytest.raises(FedbertError, match=r"have one column 'vector' \(has text, vec\)"):
        load_outside_teacher(path, vocabulary)
    path.write_text("打开", "utf-8")
    with pytest.raises(FedbertError, match="be a Parquet file"):
        load_outside_teacher(path, vocabulary)
