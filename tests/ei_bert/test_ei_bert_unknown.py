"""Texts of no label: how a threshold is chosen, what it comes to, and whose it is."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedbert.cli.main import call
from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.card import model_card
from fedbert.ei_bert.artefact.heads import quantise_head
from fedbert.ei_bert.artefact.unknown import UNKNOWN, choose, figures, read_thresholds, scores
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.tasks import load_task
from fedbert.errors import FedbertError
from fedbert.paths import data_folder, models_folder

SHIPPED = ("intents-default", "intents-small", "intents-tiny")
OUT_OF_SCOPE = data_folder() / "out_of_scope" / "clinc150.parquet"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of the shipped tiny model that a test may write into."""
    return Path(shutil.copytree(models_folder() / "intents-tiny", tmp_path / "mine"))


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_that_of_trying_all(seed: int) -> None:
    """Among all scores the lowest with the most of: known, kept and right; unknown, not kept."""
    draw = np.random.default_rng(seed)
    known, unknown = draw.integers(3, 12, 40).astype(float), draw.integers(0, 8, 9).astype(float)
    right = draw.random(40) < 0.8
    tried = sorted({*known, *unknown})
    worth = [(right & (known >= each)).mean() + (unknown < each).mean() for each in tried]
    assert choose(known, right, unknown) == tried[int(np.argmax(worth))]


def test_the_figures_are_counted() -> None:
    """Three unknown texts at 1, 2 and 6, known ones at 1..20, the first of them wrong, a threshold of 3."""
    known, unknown = np.arange(1.0, 21.0), np.array([1.0, 2.0, 6.0])
    found = figures(known, known > 1, unknown, 3.0)
    pairs = [(one > other) + 0.5 * (one == other) for one in known for other in unknown]
    assert found.auroc == pytest.approx(np.mean(pairs))
    assert found.false_kept_at_95 == pytest.approx(2 / 3)  # 95 % of the known ones are at 2 or more
    assert (found.known, found.unknown, found.accuracy) == (20, 3, 0.95)
    assert (found.known_right, found.unknown_caught, found.joint) == (18 / 20, 2 / 3, 20 / 23)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_thresholds_are_of_the_shipped_files(name: str) -> None:
    """Each is tied to the model beside it; the card says what it comes to, and what making it took."""
    folder = models_folder() / name
    artefact = load_artefact(folder)
    found = read_thresholds(folder, artefact)
    assert list(found) == ["clinc150"]
    card = folder.with_name(f"{name}.md").read_text("utf-8")
    (took,) = [line for line in card.splitlines() if "processor time" in line]
    assert card == model_card(artefact, name, found, took)
    assert "AUROC" in card


def test_the_tiny_models_figures_come_out_again() -> None:
    """On the shipped test texts, through `classify`."""
    folder = models_folder() / "intents-tiny"
    model, task = (
        EiBert.from_pretrained("intents-tiny"),
        load_task(data_folder() / "intents/clinc150.parquet"),
    )
    written = read_thresholds(folder, model.artefact)["clinc150"].figures
    table = pd.read_parquet(OUT_OF_SCOPE)
    unknown = table[table.split == "test"].text.tolist()
    answers = model.classify([*task.test.texts, *unknown], "clinc150", unknown="oos")
    wanted = [*(task.labels[label] for label in task.test.labels), *["oos"] * len(unknown)]
    right = np.array([mine == theirs for mine, theirs in zip(answers, wanted, strict=True)])
    count = len(task.test)
    assert (count, len(unknown)) == (written.known, written.unknown)
    assert right.mean() == pytest.approx(written.joint)
    assert right[:count].mean() == pytest.approx(written.known_right)
    assert right[count:].mean() == pytest.approx(written.unknown_caught)


def test_classify_says_the_word_below_the_threshold_alone() -> None:
    """Where the highest logit is below it the word stands, elsewhere the label; without a word all labels."""
    model = EiBert.from_pretrained("intents-tiny")
    texts = ["wake me at six", "how many moons has saturn got", "colourless green ideas sleep"]
    plain = model.classify(texts, "clinc150")
    kept = scores(model.logits(texts, "clinc150")) >= model.threshold("clinc150")
    assert 0 < kept.sum() < 3
    answers = model.classify(texts, "clinc150", unknown="oos")
    assert answers == [label if known else "oos" for label, known in zip(plain, kept, strict=True)]
    with pytest.raises(FedbertError, match="head hwu64: has no threshold"):
        model.classify(texts, "hwu64", unknown="oos")


def test_a_threshold_goes_with_its_head(tiny: Path, tmp_path: Path) -> None:
    """Saved with the model; void for a head in its place, and not for one of another task."""
    model = EiBert.from_pretrained(tiny)
    head = model.head("clinc150")
    model.add_head(quantise_head(np.ones((model.dim, 2)), np.zeros(2), ("a", "b"), "other"))
    model.save(tmp_path / "saved")
    again = EiBert.from_pretrained(tmp_path / "saved")
    assert again.threshold("clinc150") == model.threshold("clinc150")
    again.add_head(quantise_head(head.weight + 0.5, head.bias, head.labels, "clinc150"))
    again.save(tmp_path / "saved")
    with pytest.raises(FedbertError, match="has no threshold"):
        EiBert.from_pretrained(tmp_path / "saved").threshold("clinc150")


def test_a_file_of_no_thresholds_is_one_line(tiny: Path) -> None:
    """The line names the file and the command that makes it."""
    (tiny / UNKNOWN).write_text('{"tasks": {"clinc150": {"threshold": 1}}}', "utf-8")
    with pytest.raises(FedbertError, match=r"unknown\.json holds no thresholds; make it again"):
        EiBert.from_pretrained(tiny)


def test_the_command_writes_what_it_says(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shipped model is not changed in place, a threshold is not replaced unasked, foreign texts need both
    splits.
    """
    data = ["--data", str(data_folder() / "intents" / "clinc150.parquet")]
    flags = ["unknown", *data, "--unknown", str(OUT_OF_SCOPE), "--model"]
    assert call("compress", [*flags, "intents-tiny"]) == 2
    assert "must be given for a shipped model" in capsys.readouterr().err
    assert call("compress", [*flags, str(tiny)]) == 2
    assert "has a threshold of clinc150; add --overwrite" in capsys.readouterr().err
    few = tiny.parent / "few.csv"
    few.write_text("text,split\nwho are you,test\n", "utf-8")
    assert call("compress", ["unknown", *data, "--unknown", str(few), "--model", str(tiny)]) == 2
    assert "must have texts of split validation" in capsys.readouterr().err
