"""General encoders: their texts, the stages from end to end, and which encoder a new head gets."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ei_bert_fakes import Silent

from fedbert.cli.main import call
from fedbert.ei_bert import pretrained
from fedbert.ei_bert.artefact.artefact import is_general, load_artefact
from fedbert.ei_bert.artefact.card import model_card
from fedbert.ei_bert.compression.general_compression import compress_general, mutual_correlation
from fedbert.ei_bert.compression.general_goal import GeneralGoal, GeneralTexts
from fedbert.ei_bert.compression.general_text import by_place, sampled, word_groups
from fedbert.ei_bert.compression.plan import Architecture, GeneralPlan
from fedbert.ei_bert.compression.probe import few_texts, words_probe
from fedbert.ei_bert.pretrained import EiBert, encoder_for
from fedbert.ei_bert.teaching.splits import text_key
from fedbert.ei_bert.teaching.tasks import load_task
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

PLAN = GeneralPlan(
    budget_bytes=400_000,
    architecture=Architecture(layers=1, width=64, heads=4, inner=64, embedding=32),
    pretrain_steps=12,
    general_sentences=3,
    remixed_texts=30,
    word_texts=20,
)
REQUESTS = ("wake me at six", "block my bank account", "play a song for me")
SENTENCES = ("a song about an alarm", "the bank and the account", "set an alarm for six", "freeze the bank")
GIVEN = GeneralTexts(REQUESTS, SENTENCES, ("play a song for six", "block my alarm"), {"more.txt": "ab"})


@pytest.fixture
def goal(small_teacher: str) -> GeneralGoal:
    """A goal of seven texts, of which six are read."""
    return GeneralGoal(load_teacher(small_teacher), GIVEN, PLAN)


def test_all_stages_make_an_encoder_without_heads(tmp_path: Path, goal: GeneralGoal) -> None:
    """Tokens, vectors, pre-distillation, int8: a pooled encoder that says it is general, and its card. A
    second call takes all stages from their files and makes the same bytes.
    """
    shown = Silent()
    made = compress_general(goal, tmp_path / "m", tmp_path / "w", shown, threads=1)
    assert len(shown.stages) == 4
    loaded = load_artefact(tmp_path / "m")
    assert (loaded.sha256, loaded.heads) == (made.artefact.sha256, {})
    assert is_general(loaded.manifest)
    assert not any(
        is_general(load_artefact(models_folder() / name).manifest) for name in ("tiny", "intents-tiny")
    )
    assert loaded.manifest["trained_on"]["sentences"] == 6
    assert EiBert(loaded).encode(REQUESTS).shape == (3, 64)
    card = (tmp_path / "m.md").read_text("utf-8")
    (took,) = (line for line in card.splitlines() if line.startswith("**Took** "))
    assert card == model_card(loaded, "m", took=took)
    assert "general sentences" in card
    assert "no task" in card
    steps, (made_texts,) = shown.steps, loaded.manifest["trained_on"]["made_texts"]
    again = compress_general(goal, tmp_path / "n", tmp_path / "w", (second := Silent()), threads=1)
    assert again.artefact.sha256 == made.artefact.sha256
    assert (steps, second.steps) == (made_texts + 6, 0)


def test_the_budget_holds_and_is_said_first(tmp_path: Path, goal: GeneralGoal) -> None:
    """All files are within the budget; one that has no room for characters is refused before any stage."""
    made = compress_general(goal, tmp_path / "m", tmp_path / "w", Silent(), threads=1)
    assert made.artefact.total_bytes <= PLAN.budget_bytes
    poor = replace(goal, plan=replace(PLAN, budget_bytes=20_000))
    with pytest.raises(FedbertError, match=r"budget_bytes\(=20000\) must be at least"):
        compress_general(poor, tmp_path / "p", tmp_path / "v", Silent(), threads=1)
    assert not (tmp_path / "v").exists()


def test_what_is_read_and_what_is_held_out(goal: GeneralGoal) -> None:
    """All requests and as many sentences as planned are read, each once; the others are held out."""
    texts = goal.texts()
    assert texts[:3] == list(REQUESTS)
    assert len(texts) == 6
    assert set(texts[3:]) | set(goal.held_out) == set(SENTENCES)
    assert not set(texts[3:]) & set(goal.held_out)
    pool = goal.pool(np.zeros(len(goal.teacher.vocabulary)))
    assert pool.texts[:6] == texts
    words = [token for token in goal.teacher.vocabulary if token.isalpha() and len(token) > 2]
    assert list(pool.texts[-len(words) :]) == words
    assert len(pool.texts) == 6 + 30 + 20 + len(words)


def test_no_text_that_is_made_is_a_test_text(goal: GeneralGoal) -> None:
    """Of two thousand texts made of these, none has the words of a test text, which chance would make."""
    many = replace(goal, plan=replace(PLAN, remixed_texts=2_000, word_texts=1))
    free = replace(many, given=replace(GIVEN, never=()))
    never = {text_key(text) for text in GIVEN.never}
    found = np.zeros(len(goal.teacher.vocabulary))
    assert never & {text_key(text) for text in free.pool(found).texts}
    assert not never & {text_key(text) for text in many.pool(found).texts}


def test_sampled_keeps_order_and_follows_the_seed() -> None:
    """Three of ten stand in their order, another seed draws others, and of too few all are taken."""
    texts = list("abcdefghij")
    drawn = {tuple(sampled(texts, 3, seed)) for seed in range(5)}
    assert all(list(each) == sorted(each) and len(each) == 3 for each in drawn)
    assert len(drawn) > 1
    assert sampled(texts, 11, 0) == texts


def test_words_weigh_by_their_place() -> None:
    """The second word of a vocabulary weighs half of the first; specials, parts and short tokens are none."""
    words, share = by_place(["[CLS]", "the", "##ing", "of", "river", "12a", "bank"])
    assert words == ["the", "river", "bank"]
    assert share.tolist() == [1, 1 / 2, 1 / 3]


def test_word_groups_stand_near_each_other(small_teacher: str) -> None:
    """Words of the vocabulary, 2 to 48 a text, from one seed the same."""
    teacher = load_teacher(small_teacher)
    groups = word_groups(teacher, 200, 0)
    assert groups == word_groups(teacher, 200, 0) != word_groups(teacher, 200, 1)
    lengths = [len(group.split()) for group in groups]
    assert (min(lengths), max(lengths) <= 48) == (2, True)
    assert {word for group in groups for word in group.split()} <= set(teacher.vocabulary)


def test_mutual_cosines_by_hand() -> None:
    """Of three texts: an encoder twice as wide and three times as long agrees wholly; one that has the near
    and the far pair exchanged does not.
    """
    one = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    assert mutual_correlation(one, 3 * np.hstack([one, one])) == pytest.approx(1)
    # Cosines .8, 0, .6 against .8, .6, 0.
    other = one[[1, 0, 2]]
    assert mutual_correlation(one, other) == pytest.approx(np.corrcoef([0.8, 0, 0.6], [0.8, 0.6, 0])[0, 1])


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    """Two topics that a word tells, and one test text that no word tells."""
    rows = [(f"{word} {other}", topic, split) for split, others in (("train", "abcdef"), ("test", "gh"))
            for word, topic in (("oil", "crude"), ("wheat", "grain")) for other in others]  # fmt: skip
    path = tmp_path / "topics.csv"
    pd.DataFrame([*rows, ("zebra", "grain", "test")], columns=["text", "label", "split"]).to_csv(
        path, index=False
    )
    return path


def test_the_words_alone(topics: Path) -> None:
    """Words and pairs of neighbours tell four of the five test texts; the fifth has none of them."""
    found = words_probe(load_task(topics), 0)
    assert found.correct.tolist()[:4] == [True] * 4
    assert found.dim == 2 + 6 + 12
    assert found.low <= found.accuracy <= found.high


def test_few_texts_of_each_label(topics: Path) -> None:
    """Two of each label, all where there are fewer, the test texts as they were, one seed one choice."""
    task = load_task(topics)
    few = few_texts(task, 2, 0)
    assert np.bincount(few.train.labels).tolist() == [2, 2]
    assert set(few.train.texts) < set(task.train.texts)
    assert (few.test, few_texts(task, 2, 0).train.texts) == (task.test, few.train.texts)
    assert few_texts(task, 100, 0).train.texts == task.train.texts


def test_the_command(
    tmp_path: Path, topics: Path, small_teacher: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`compress make --general` reads training texts, probes the held-out set beside the words alone, says
    where these are better, and says what it made.
    """
    data, public = tmp_path / "requests.csv", tmp_path / "services" / "public.parquet"
    public.parent.mkdir()
    pd.DataFrame({"text": SENTENCES, "item": -1, "split": "general"}).to_parquet(public)
    rows = [("play a song", "music", "train"), ("freeze my account", "bank", "train"),
            ("a song", "music", "test"), ("my bank", "bank", "test")]  # fmt: skip
    pd.DataFrame(rows, columns=["text", "label", "split"]).to_csv(data, index=False)
    flags = ["--general", "--fast", "--size", "tiny", "--pretrain-steps", "2", "--general-sentences", "50",
             "--teacher", small_teacher, "--threads", "1", "--work", str(tmp_path / "w"), "--data", str(data),
             "--public", str(tmp_path), "--probe", str(topics), "--output", str(tmp_path / "m")]  # fmt: skip
    assert call("compress", flags) == 0
    shown = capsys.readouterr().out
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text("utf-8"))
    assert manifest["scores"]["TF-IDF, linear"]["topics"] == round(
        words_probe(load_task(topics), 0).accuracy, 4
    )
    assert manifest["scores"]["student, int8"].keys() == {"topics"}
    assert "requests" in manifest["trained_on"]["sources_sha256"]
    assert "TF-IDF" in shown
    assert f"{tmp_path / 'm'}: " in shown


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--general", "--method", "plain KD"], "--method is not for a general encoder"),
        (["--general", "--cross-steps", "3"], "--cross-steps is not for a general encoder"),
        (["--general", "--ablation"], "--ablation is not for a general encoder"),
        (["--general-sentences", "3"], "--general-sentences is for a general encoder; add --general"),
        (["--general", "--teacher-vectors", "v.parquet"], "belong together"),
        (["--general", "--vocabulary", "v.txt"], "belong together"),
        (["--general", "--teacher-vectors", "v.parquet", "--vocabulary", "v.txt", "--teacher", "x"],
         "leave out --teacher"),
        (["--general", "--teacher-vectors", "none.parquet", "--vocabulary", "v.txt"], "must be a file"),
    ],
)  # fmt: skip
def test_flags_that_do_not_go_together(
    flags: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Each is one line and exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert call("compress", [*flags, "--output", "m"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_a_new_head_gets_the_encoder_that_knows_its_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set that a shipped model learnt goes to the largest such model; any other to the largest general
    encoder in which its head has room, or to the smallest; without one the model must be named.
    """
    known = json.loads((models_folder() / "intents-tiny" / "manifest.json").read_text())["trained_on"][
        "tasks"
    ]
    assert encoder_for(known["clinc150"]) == "intents-default"
    monkeypatch.setattr(pretrained, "models_folder", lambda: tmp_path)
    shutil.copytree(models_folder() / "intents-tiny", tmp_path / "intents-tiny")
    with pytest.raises(FedbertError, match="model must be given"):
        encoder_for("ab")
    for name, size in (("one", 5), ("two", 7)):
        (tmp_path / name).mkdir()
        manifest = {
            "files": {"model.onnx": {"bytes": size}},
            "trained_on": {"tasks": {}},
            "shape": {"pooled": True, "dim": size},
        }
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
    assert encoder_for("ab") == "two"
    assert encoder_for("ab", lambda width: 3 * width, 28) == "two"
    assert encoder_for("ab", lambda width: 3 * width, 27) == "one"
    assert encoder_for("ab", lambda width: 3 * width, 19) == "one"
    assert encoder_for(known["clinc150"]) == "intents-tiny"
