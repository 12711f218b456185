"""Linear probes: accuracy, F1 and retention on small examples, intervals against resampling, the commands."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.metrics import f1_score

from fedbert.cli.add_head import add_head
from fedbert.cli.command import report_errors
from fedbert.cli.compress import compress
from fedbert.cli.probe import probe as probe_command
from fedbert.ei_bert.artefact.heads import STRENGTHS
from fedbert.ei_bert.compression.probe import (
    ProbeResult,
    compare,
    macro_f1,
    probe,
    retention,
    teacher_encoder,
)
from fedbert.ei_bert.model.tokenizer import SPECIALS
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.tasks import load_task
from fedbert.ei_bert.teaching.teacher import load_teacher, sentence_vectors
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

BANK = [
    "block my card",
    "freeze my account",
    "what is my balance",
    "send money to a friend",
    "my card is lost",
]
MUSIC = ["play a song", "next track please", "turn the music up", "who sings this song", "play some jazz"]


def one_hot(noise: float, seed: int = 0) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """An encoder that reads a text "3 17" as class 3, with noise that belongs to text 17."""

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.empty((len(texts), 3), np.float32)
        for row, text in enumerate(texts):
            label, index = map(int, text.split())
            out[row] = np.eye(3)[label] + noise * np.random.default_rng([seed, index]).normal(size=3)
        return out

    return encode


def texts_of(count: int, first: int) -> tuple[list[str], NDArray[np.int64]]:
    """Texts of three classes in turn."""
    labels = np.arange(count) % 3
    return [f"{label} {first + index}" for index, label in enumerate(labels.tolist())], labels


def probed(noise: float, seed: int = 0) -> ProbeResult:
    """A probe of 90 training and 300 test texts."""
    train, train_labels = texts_of(90, 0)
    test, test_labels = texts_of(300, 1_000)
    return probe(one_hot(noise), train, train_labels, test, test_labels, seed)


def test_clear_vectors_are_classified_and_noise_is_not() -> None:
    """Without noise every text is right; with much noise a third is, and the interval holds the accuracy."""
    clear, poor = probed(0.05), probed(30.0)
    assert (clear.accuracy, clear.macro_f1, clear.low, clear.high) == (1.0, 1.0, 1.0, 1.0)
    assert abs(poor.accuracy - 1 / 3) < 0.1
    assert poor.low < poor.accuracy < poor.high
    assert poor.accuracy == poor.correct.mean()
    assert {clear.strength, poor.strength} <= set(STRENGTHS)
    assert clear.dim == 3


def test_one_seed_gives_one_result() -> None:
    """All figures of two runs are equal; the interval follows the seed."""
    first, again, other = probed(1.0, 0), probed(1.0, 0), probed(1.0, 1)
    assert (first.accuracy, first.low, first.high) == (again.accuracy, again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)


def test_macro_f1_is_scikit_learns() -> None:
    """Also with a class that is never guessed."""
    wanted, guessed = np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 1, 1, 0, 0])
    expected = f1_score(wanted, guessed, average="macro", zero_division=0)
    assert macro_f1(wanted, guessed, 4) == pytest.approx(expected, abs=1e-12)


def test_retention_by_hand() -> None:
    """3 right of the teacher's 4 are .75; a student equal to its teacher keeps all, without doubt."""
    teacher = np.array([True, True, True, True, False])
    student = np.array([True, True, False, False, True])
    assert retention(student, teacher, 0)[0] == 0.75
    assert retention(teacher, teacher, 0) == (1.0, 1.0, 1.0)
    with pytest.raises(FedbertError, match="at least one test text"):
        retention(student, np.zeros(5, bool), 0)


def test_the_interval_is_that_of_plain_resampling() -> None:
    """Drawing from four kinds of text gives the quantiles of resampling texts one by one, to half a point."""
    draw = np.random.default_rng(0)
    teacher = draw.random(800) < 0.8
    student = np.where(draw.random(800) < 0.9, teacher, ~teacher)
    ratios = []
    for _ in range(4_000):
        chosen = draw.integers(0, 800, 800)
        ratios.append(student[chosen].mean() / teacher[chosen].mean())
    _, low, high = retention(student, teacher, 0)
    assert np.abs(np.array([low, high]) - np.percentile(ratios, [2.5, 97.5])).max() < 0.005


def test_vectors_that_are_no_numbers_are_refused() -> None:
    """A broken encoder is told, not probed."""
    texts, labels = texts_of(9, 0)
    with pytest.raises(FedbertError, match="must be finite"):
        probe(lambda texts: np.full((len(texts), 3), np.nan, np.float32), texts, labels, texts, labels, 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty texts of two topics, a quarter held out."""
    rows = [(f"{text} {word}", label) for word in ("now", "today", "please", "again")
            for texts, label in ((BANK, "bank"), (MUSIC, "music")) for text in texts]  # fmt: skip
    table = pd.DataFrame(rows, columns=["text", "label"])
    table["split"] = ["train"] * 30 + ["test"] * 10
    path = tmp_path / "topic.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BERT of one layer, 32 wide, with random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    words = [word for text in (*BANK, *MUSIC) for word in text.split()]
    letters = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz" for mark in ("", "##")]
    vocabulary = list(dict.fromkeys([*SPECIALS[:4], *letters, *words]))
    config = {"model_type": "bert", "vocab_size": len(vocabulary), "num_hidden_layers": 1, "hidden_size": 32,
              "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    names = {"word": len(vocabulary), "position": 64, "token_type": 2}
    state = {
        f"embeddings.{name}_embeddings.weight": torch.randn(n, 32, generator=draw)
        for name, n in names.items()
    }
    layer = "encoder.layer.0"
    sizes = {f"attention.self.{part}": (32, 32) for part in ("query", "key", "value")}
    sizes |= {"attention.output.dense": (32, 32), "intermediate.dense": (64, 32), "output.dense": (32, 64)}
    for name, size in sizes.items():
        state[f"{layer}.{name}.weight"] = torch.randn(size, generator=draw) * 0.1
        state[f"{layer}.{name}.bias"] = torch.zeros(size[0])
    for name in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        state[f"{name}.LayerNorm.weight"], state[f"{name}.LayerNorm.bias"] = torch.ones(32), torch.zeros(32)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return str(folder)


def test_a_comparison_reads_training_and_test_texts(data: Path, teacher: str) -> None:
    """Two equal encoders keep everything; the figures are those of the task."""
    stock = load_teacher(teacher)
    encode = teacher_encoder(stock)
    assert np.array_equal(encode(BANK), sentence_vectors(stock, BANK).numpy())
    made = compare(encode, encode, load_task(data))
    assert (made.task, made.classes, made.train_texts, made.test_texts) == ("topic", 2, 30, 10)
    assert (made.retention, made.low, made.high) == (1.0, 1.0, 1.0)
    assert made.as_dict()["retention_interval"] == [1.0, 1.0]
    assert made.student.accuracy == made.teacher.accuracy


def test_the_probe_command(
    data: Path, teacher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table with both accuracies, and the same figures as JSON with what they were measured on."""
    output = tmp_path / "out" / "probe.json"
    code = report_errors(
        probe_command, ["--data", str(data), "--teacher", teacher, "--output", str(output), "--seed", "1"]
    )
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    whole = json.loads(output.read_text())
    task = whole["tasks"][0]
    assert f"{100 * task['retention']:.1f} %" in shown.out
    assert f"{100 * task['student']['accuracy']:.1f}" in shown.out
    assert (whole["model"], whole["seed"], task["test_texts"]) == ("default", 1, 10)
    assert (task["student"]["dim"], task["teacher"]["dim"]) == (96, 32)
    assert task["student"]["accuracy"] == 1.0
    assert whole["data_sha256"]["topic"] == load_task(data).sha256


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--data", "DATA", "--model", "nowhere"], "model(='nowhere') must be a folder or one of"),
        (["--data", "DATA", "--teacher", "nowhere-at-all"], "nowhere-at-all"),
        (["--data", "DATA", "--seed", "-1"], "seed(='-1')"),
        (["--data", "DATA", "--threads", "0"], "threads(='0')"),
        (["--data", "DATA", "--output", "."], "output(='.') must be a file"),
        (["--data", "DATA", "--budget-bytes", "1000"], "must be at most 1000"),
        ([], "data must be given"),
    ],
)
def test_bad_probes_are_one_line(
    flags: list[str],
    words: str,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each mistake is one line on standard error with exit code 2, and nothing is written."""
    monkeypatch.chdir(data.parent)
    assert report_errors(probe_command, [data.name if flag == "DATA" else flag for flag in flags]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert [path.name for path in data.parent.iterdir()] == ["topic.csv"]


def test_the_add_head_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped model gets a head in a new folder; then, in place, a second one; the encoder stays."""
    folder = tmp_path / "model"
    assert report_errors(add_head, ["--model", "default", "--data", str(data), "--output", str(folder)]) == 0
    assert "accuracy on 10 test texts: 100.0 %" in capsys.readouterr().out
    shutil.copy(data, tmp_path / "other.csv")
    assert report_errors(add_head, ["--model", str(folder), "--data", str(tmp_path / "other.csv")]) == 0
    model = EiBert.from_pretrained(folder)
    assert model.tasks == ("other", "topic")
    assert model.classify(["freeze my card", "play a track"], "topic") == ["bank", "music"]
    shipped = (models_folder() / "default" / "model.onnx").read_bytes()
    assert (folder / "model.onnx").read_bytes() == shipped


def test_a_head_is_replaced_only_when_asked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A task's head, and another folder's files, stay as they are without --overwrite; then it is said."""
    folder = tmp_path / "model"
    asked = ["--data", str(data)]
    assert report_errors(add_head, [*asked, "--model", "default", "--output", str(folder)]) == 0
    head = folder / "heads" / "topic.safetensors"
    before = head.read_bytes()
    capsys.readouterr()
    again = [*asked, "--model", str(folder), "--seed", "1"]
    assert report_errors(add_head, again) == 2
    assert "has one of that name, of 2 labels" in capsys.readouterr().err
    assert report_errors(add_head, [*again, "--output", str(tmp_path / "copy")]) == 2
    assert not (tmp_path / "copy").exists()
    assert report_errors(add_head, [*asked, "--model", "default", "--output", str(folder)]) == 2
    assert "must be empty or not exist; add --overwrite" in capsys.readouterr().err
    assert head.read_bytes() == before
    assert report_errors(add_head, [*again, "--overwrite"]) == 0
    assert "replaced: the head topic of 2 labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("make", ["--output", "old"]),
        ("make", ["--output", "new", "--transformers-output", "old"]),
        ("search", ["--output", "old/notes.json"]),
        ("probe", ["--output", "old/notes.json"]),
    ],
)
def test_what_is_there_is_kept_unless_asked(
    command: str,
    flags: list[str],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder with anything in it, or a file that is there, is refused before any work, and stays."""
    monkeypatch.chdir(data.parent)
    Path("old").mkdir()
    Path("old/notes.json").write_text("mine")
    assert report_errors(compress, [command, "--data", data.name, *flags]) == 2
    said = capsys.readouterr().err
    assert "add --overwrite or choose another" in said
    assert said.count("\n") == 1
    assert Path("old/notes.json").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["old", "topic.csv"]


def test_test_texts_in_train_are_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many of the test texts were trained on stands beside the accuracy, and in a probe's figures."""
    rows = pd.read_csv(data)
    train = rows[rows["split"] == "train"]
    leaky = pd.concat([train.assign(split="train"), train.iloc[::2].assign(split="test")])
    leaky.to_csv(tmp_path / "leaky.csv", index=False)
    flags = ["--model", "default", "--data", str(tmp_path / "leaky.csv"), "--output", str(tmp_path / "m")]
    assert report_errors(add_head, flags) == 0
    texts = len(train.iloc[::2])
    assert f"leaky: {texts} of {texts} test texts are also in train" in capsys.readouterr().out
    encode = EiBert.from_pretrained(tmp_path / "m").encode
    found = compare(encode, encode, load_task(tmp_path / "leaky.csv"))
    assert found.as_dict()["test_in_train"] == texts


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model", "default"], "output(=None) must be given for a shipped model"),
        (["--model", "nowhere"], "model(='nowhere')"),
        (["--model", "default", "--output", "new", "--seed", "-1"], "seed(='-1')"),
        (["--model", "default", "--output", "new", "--budget-bytes", "1881000"], "must be at most 1881000"),
        (["--model", "default", "--output", "topic.csv"], "must be a folder, not a file"),
    ],
)
def test_bad_heads_are_one_line(
    flags: list[str],
    words: str,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each mistake is one line on standard error with exit code 2, and nothing is written."""
    monkeypatch.chdir(data.parent)
    assert report_errors(add_head, ["--data", data.name, *flags]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert [path.name for path in data.parent.iterdir()] == ["topic.csv"]
