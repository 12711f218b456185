"""The compression from end to end with a teacher of two layers, and the command's errors."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ei_bert_fakes import Silent, only_in

from fedbert.cli.main import call
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression import catalogue_compression, catalogue_goal
from fedbert.ei_bert.compression.catalogue_compression import Compressed, Places, compress_catalogue
from fedbert.ei_bert.compression.catalogue_goal import CatalogueGoal
from fedbert.ei_bert.compression.one_space import Space
from fedbert.ei_bert.compression.plan import CATALOGUE_PLANS, TASK_PLANS, Architecture, CataloguePlan
from fedbert.ei_bert.compression.public_text import load_public_text, varied
from fedbert.ei_bert.compression.settings import CompressionSettings
from fedbert.ei_bert.teaching.server_models import ServerModels, ServerTexts
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

RECORDS = Path(__file__).parents[2] / "docs" / "compression"
NAMES = ["Alarm: set an alarm", "Bank: freeze an account", "Music: play a song"]
CASES = ["play a song", "PLAY a song"]
REQUESTS = ["wake me at six", "block my bank account", "play a song for me"]
PLAN = CataloguePlan(
    architecture=Architecture(layers=1, width=64, heads=4, inner=64, embedding=0),
    dim=8,
    adapter=32,
    varied_texts=40,
    remixed_texts=10,
    word_texts=10,
    pretrain_steps=12,
    cross_steps=2,
    cross_texts=20,
)


TEXTS = ServerTexts(NAMES, REQUESTS)


def _compress(
    folder: Path,
    data: Path,
    teacher: str,
    plan: CataloguePlan = PLAN,
    shown: Silent | None = None,
    space: Space | None = None,
) -> Compressed:
    """Compress into the folders m and s of `folder`; its stages are in w."""
    goal = CatalogueGoal(load_public_text(data), load_teacher(teacher), plan)
    places = Places(*(folder / name for name in "msw"))
    return compress_catalogue(goal, places, shown or Silent(), threads=1, space=space)


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


def test_all_stages_make_a_pair_that_loads(tmp_path: Path, data: Path, small_teacher: str) -> None:
    """From teacher and text to an artefact that encodes and a server folder that goes with it."""
    shown = Silent()
    made = _compress(tmp_path, data, small_teacher, shown=shown)
    assert len(shown.stages) == 5
    assert load_artefact(tmp_path / "m").sha256 == made.artefact.sha256
    assert Int8Encoder(made.artefact).encode(NAMES, "item").shape == (3, 8)
    models = ServerModels.load(tmp_path / "m", tmp_path / "s", small_teacher, TEXTS, threads=1)
    goal = np.eye(3, 8, dtype=np.float32)
    state, _ = models.update(models.start, 1, goal, np.ones(3, np.float32), 2)
    before, after = ((models.item_vectors(each) * goal).sum() for each in (models.start, state))
    assert after > before
    with pytest.raises(FedbertError, match="do not fit"):
        ServerModels.load(tmp_path / "m", tmp_path / "s", None, TEXTS, threads=1)


def test_a_student_is_made_in_the_space_of_another(tmp_path: Path, data: Path, small_teacher: str) -> None:
    """Its manifest names that student, its server folder goes with it, its card says the time; vectors of
    another width are refused before anything is trained.
    """
    plan = replace(PLAN, pretrain_steps=2)
    first = _compress(tmp_path / "one", data, small_teacher, plan).artefact
    space = Space("first", first)
    made = _compress(tmp_path / "two", data, small_teacher, replace(plan, seed=1), space=space).artefact
    assert made.manifest["space"]["of_sha256"] == first.sha256
    assert made.manifest["space"]["after"]["cosine"] > made.manifest["space"]["before"]["cosine"]
    assert "of processor time" in (tmp_path / "two" / "m.md").read_text("utf-8")
    ServerModels.load(tmp_path / "two" / "m", tmp_path / "two" / "s", small_teacher, TEXTS, threads=1)
    with pytest.raises(FedbertError, match="16 and 8 wide"):
        _compress(tmp_path / "three", data, small_teacher, replace(plan, dim=16), space=space)
    assert not (tmp_path / "three").exists()


def test_the_server_reads_texts_as_the_teacher_does(tmp_path: Path, data: Path, small_teacher: str) -> None:
    """A cased teacher's student tells capitals apart on phones, and so does the server's float copy of it."""
    teacher = tmp_path / "cased"
    shutil.copytree(small_teacher, teacher)
    (teacher / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    made = _compress(tmp_path, data, str(teacher), replace(PLAN, pretrain_steps=2))
    models = ServerModels.load(tmp_path / "m", tmp_path / "s", str(teacher), TEXTS, threads=1)
    for vectors in (models.student_vectors(models.start, CASES), Int8Encoder(made.artefact).vectors(CASES)):
        assert not np.array_equal(vectors[0], vectors[1])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_reaches_every_stage(
    precision: Literal["float32", "bfloat16"],
    tmp_path: Path,
    data: Path,
    small_teacher: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a processor that would choose the other precision no stage does, nor does the server; the manifest
    names it.
    """
    only_in(precision, monkeypatch)
    paths = [tmp_path / name for name in ("m", "s")]
    plan = replace(PLAN, precision=precision, pretrain_steps=2)
    made = _compress(tmp_path, data, small_teacher, plan)
    assert made.artefact.manifest["training"]["plan"]["precision"] == precision
    models = ServerModels.load(*paths, small_teacher, TEXTS, threads=1, precision=precision)
    vectors = models.teacher_vectors(models.start, NAMES)
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, 8))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_stopped_run_ends_as_an_unbroken_one(
    tmp_path: Path, data: Path, small_teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in cross-distillation and begun again, the artefact is the same to the last byte but for its
    speed.
    """

    def run(work: str) -> dict[str, bytes]:
        made = _compress(tmp_path / work, data, small_teacher)
        return {name: body for name, body in made.artefact.files.items() if name != "manifest.json"}

    whole = run("one")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(catalogue_goal.distillation, "cross_distil", stop)
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
        (["--dim", "300"], "dim(='300')"),
        (["--dim", "0"], "dim(='0')"),
        (["--threads", "0"], "threads(='0')"),
        (["--seed", "-1"], "seed(='-1')"),
        (["--budget-bytes", "1000"], "budget_bytes(=1000)"),
        (["--teacher", "nowhere-at-all"], "nowhere-at-all"),
        (["--public", "nowhere"], "services/public.parquet"),
        (["--size", "huge"], "size(='huge') must be 'default', 'small' or 'tiny'"),
        (["--layers", "0"], "layers(='0')"),
        (["--width", "100"], "heads(=4)"),
        (["--pruning", "luck"], "pruning(='luck')"),
        (["--precision", "half"], "precision(='half') must be 'auto', 'float32' or 'bfloat16'"),
        (["search", "--data", "none.csv", "--precision", "half"], "precision(='half')"),
        (["--ablation"], "--ablation needs tasks"),
        (["--seeds", "2"], "--seeds needs tasks"),
        (["--data", "nowhere.csv"], "data(='nowhere.csv') must be a file"),
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
    monkeypatch.setattr(catalogue_compression, "compress_catalogue", stop)
    assert call("compress", ["make"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_without_arguments_the_command_shows_its_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No training starts: the commands are listed, the exit code is 0, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert call("compress", []) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert all(f"\n  {name} " in shown.out for name in ("make", "search", "probe", "add-head"))
    assert list(tmp_path.iterdir()) == []


def test_options_without_a_command_are_those_of_make(capsys: pytest.CaptureFixture[str]) -> None:
    """`compress --dim 300` and `compress make --dim 300` are refused in the same words."""
    said = []
    for words in (["--dim", "300"], ["make", "--dim", "300"]):
        assert call("compress", words) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert call("compress", ["made"]) == 2
    assert "'made'" in capsys.readouterr().err


def test_every_setting_is_a_flag_in_a_group(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The help has each field's flag, stays within 80 columns and holds no backslash; `--help` alone is
    outside a group.
    """
    monkeypatch.setenv("COLUMNS", "80")
    assert call("compress", ["make", "--help"]) == 0
    shown = capsys.readouterr().out
    grouped, _, others = shown.partition("\nOptions:\n")
    for name in CompressionSettings.model_fields:
        assert f"\n  --{name.replace('_', '-')} " in grouped, name
    assert [line.split()[0] for line in others.splitlines() if line] == ["--help"]
    assert "\\" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_settings_change_the_plan_of_their_size() -> None:
    """What is asked for takes the place of the preset's; `fast` never does more work than was asked for."""
    plan = CompressionSettings(size="small", layers=3, dim=64, seed=5, pretrain_steps=7, fast=True)
    made = plan.catalogue_plan()
    small = CATALOGUE_PLANS["small"]
    assert made.architecture == replace(small.architecture, layers=3)
    assert (made.dim, made.seed, made.pretrain_steps, made.adapter) == (64, 5, 7, small.adapter)
    assert (made.cross_steps, made.varied_texts) == (30, 2_000)
    tasks = CompressionSettings(data=(Path("a.csv"),), size="tiny", shared=True, entropy_coded=True)
    assert tasks.task_plan() == replace(
        TASK_PLANS["tiny"],
        architecture=replace(TASK_PLANS["tiny"].architecture, shared=True),
        entropy_coded=True,
    )


@pytest.mark.parametrize("size", ["default", "small", "tiny"])
def test_the_shipped_models_were_made_by_these_plans(size: str) -> None:
    """What manifest and record of a shipped model say of its plan is what the preset says today."""
    manifest = load_artefact(models_folder() / size).manifest
    record = json.loads((RECORDS / f"intents-{size}.json").read_text("utf-8"))
    for written, plan in (
        (manifest["training"]["plan"], CATALOGUE_PLANS[size].record()),
        (record["plan"], asdict(TASK_PLANS[size])),
    ):
        # What the precision came to is the processor's.
        said = {key: value for key, value in written.items() if key != "precision"}
        assert {key: plan[key] for key in said} == said
