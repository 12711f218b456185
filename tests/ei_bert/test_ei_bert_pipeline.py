"""The compression from end to end with a teacher of two layers, and the command's errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from fedbert.cli import call
from fedbert.ei_bert import pipeline
from fedbert.ei_bert.artefact import load_artefact
from fedbert.ei_bert.pipeline import Plan, compress
from fedbert.ei_bert.public_text import load_public_text, varied
from fedbert.ei_bert.runtime import Int8Encoder
from fedbert.ei_bert.server_models import ServerModels
from fedbert.ei_bert.tokenizer import SPECIALS
from fedbert.errors import FedbertError

NAMES = ["Alarm: set an alarm", "Bank: freeze an account", "Music: play a song"]
REQUESTS = ["wake me at six", "block my bank account", "play a song for me"]
WORDS = sorted({word.strip(":").lower() for text in [*NAMES, *REQUESTS] for word in text.split()})
PLAN = replace(
    Plan(),
    dim=8,
    width=64,
    adapter=32,
    layers=1,
    inner=64,
    varied_texts=40,
    pretrain_steps=12,
    cross_steps=2,
    cross_texts=20,
)


class Silent:
    """Shows nothing, remembers stages and steps."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps = 0

    def stage(self, name: str) -> None:
        """Remember the stage."""
        self.stages.append(name)

    def progress(self, done: int, total: int, loss: float) -> None:
        """Remember the step."""
        self.steps = done

    def result(self, name: str, text: str) -> None:
        """Show nothing."""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BERT of two layers, 128 wide, with random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    letters = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789:?" for mark in ("", "##")]
    vocabulary = [*SPECIALS[:4], "[MASK]", *letters, *WORDS]
    vocabulary = list(dict.fromkeys(vocabulary))
    config = {
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "num_hidden_layers": 2,
        "hidden_size": 128,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 64,
    }
    sizes = {"words": len(vocabulary), "position": 64, "token_type": 2}
    torch.manual_seed(0)
    state = {
        f"embeddings.{name.replace('words', 'word')}_embeddings.weight": torch.randn(n, 128)
        for name, n in sizes.items()
    }
    shapes = {
        "attention.self.query": (128, 128),
        "attention.self.key": (128, 128),
        "attention.self.value": (128, 128),
        "attention.output.dense": (128, 128),
        "intermediate.dense": (256, 128),
        "output.dense": (128, 256),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(2):
        for name, shape in shapes.items():
            state[f"encoder.layer.{layer}.{name}.weight"] = torch.randn(shape) * 0.05
            state[f"encoder.layer.{layer}.{name}.bias"] = torch.zeros(shape[0])
        norms += [f"encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]
    for name in norms:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.ones(128), torch.zeros(128)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return str(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three services with one request each, five times over."""
    folder = tmp_path / "data" / "services"
    folder.mkdir(parents=True)
    rows = [
        (text, item, split) for item, text in enumerate(REQUESTS) for split in ("train", "validation")
    ] * 5
    rows += [("a song about an alarm", -1, "general")] * 8
    columns = dict(zip(("text", "item", "split"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "public.parquet")
    items = {"item": [0, 1, 2], "text": NAMES, "public": [True, True, True]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    return tmp_path / "data"


def test_all_stages_make_a_pair_that_loads(tmp_path: Path, data: Path, teacher: str) -> None:
    """From teacher and text to an artefact that encodes and a server folder that goes with it."""
    shown = Silent()
    made = compress(
        tmp_path / "m", tmp_path / "s", data, tmp_path / "w", shown, teacher=teacher, plan=PLAN, threads=1
    )
    assert len(shown.stages) == 5
    assert load_artefact(tmp_path / "m").sha256 == made.artefact.sha256
    assert Int8Encoder(made.artefact).encode(NAMES, "item").shape == (3, 8)
    models = ServerModels.load(tmp_path / "m", tmp_path / "s", teacher, NAMES, REQUESTS, None, 0, 1)
    report = models.update(1, np.eye(3, 8, dtype=np.float32), np.ones(3, np.float32), 2)
    assert report.item_cosine_after > report.item_cosine_before
    with pytest.raises(FedbertError, match="do not fit"):
        ServerModels.load(tmp_path / "m", tmp_path / "s", None, NAMES, REQUESTS, None, 0, 1)


def test_a_stopped_run_ends_as_an_unbroken_one(
    tmp_path: Path, data: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in cross-distillation and begun again, the artefact is the same to the last byte but for its
    speed.
    """

    def run(work: str) -> dict[str, bytes]:
        made = compress(
            tmp_path / work / "m",
            tmp_path / work / "s",
            data,
            tmp_path / work,
            Silent(),
            teacher=teacher,
            plan=PLAN,
            threads=1,
        )
        return {name: body for name, body in made.artefact.files.items() if name != "manifest.json"}

    whole = run("one")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.distillation, "cross_distil", stop)
        with pytest.raises(KeyboardInterrupt):
            run("two")
    assert not (tmp_path / "two" / "m").exists()
    assert run("two") == whole


def test_varied_texts_are_made_of_public_words() -> None:
    """Every word comes from the texts, the names or the words given; one seed gives one list."""
    made = varied(REQUESTS, NAMES, ["zebra"], 200, 1)
    assert made == varied(REQUESTS, NAMES, ["zebra"], 200, 1)
    assert made != varied(REQUESTS, NAMES, ["zebra"], 200, 2)
    known = {word for text in [*REQUESTS, *NAMES] for word in text.lower().replace(":", "").split()} | {
        "zebra"
    }
    assert {word.lower() for text in made for word in text.split()} <= known


@pytest.mark.parametrize("column", ["text", "item", "split"])
def test_a_missing_column_is_named(data: Path, column: str) -> None:
    """Public text without one of its columns is one line that names it."""
    path = data / "services" / "public.parquet"
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    with pytest.raises(FedbertError, match=f"column {column} is missing"):
        load_public_text(data)


def test_general_text_is_read_and_vouched_for(tmp_path: Path, data: Path) -> None:
    """A file of further sentences joins the general ones, with its hash; what is no text is refused."""
    more = tmp_path / "more.txt"
    more.write_text("one sentence\n\nand another\n")
    public = load_public_text(data, more)
    assert public.sentences[-2:] == ("one sentence", "and another")
    assert len(public.sources["more.txt"]) == 64
    more.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FedbertError, match="UTF-8"):
        load_public_text(data, more)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dim", "300"], "dim(=300)"),
        (["--dim", "0"], "dim(=0)"),
        (["--threads", "0"], "threads(=0)"),
        (["--seed", "-1"], "seed(=-1)"),
        (["--budget-bytes", "1000"], "budget_bytes(=1000)"),
        (["--teacher", "nowhere-at-all"], "nowhere-at-all"),
        (["--data", "nowhere"], "services/public.parquet"),
        (["--general-text", "nowhere.txt"], "nowhere.txt"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_bad_flags_are_one_line(
    flags: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each mistake is one line on standard error with exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert call("compress", flags) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopping the command gives exit code 130 and no traceback."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "compress", stop)
    assert call("compress", []) == 130
    assert "Traceback" not in capsys.readouterr().err
