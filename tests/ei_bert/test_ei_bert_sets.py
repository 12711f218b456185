"""Sets of every kind: what their readers take and refuse, and the commands that fit heads on them."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_artefacts import POOLED, WORDS, make_artefact

from fedbert.cli.add_head import add_head
from fedbert.cli.command import report_errors
from fedbert.ei_bert.artefact.artefact import save_artefact
from fedbert.ei_bert.compression import set_scores
from fedbert.ei_bert.compression.head_room import room_bytes
from fedbert.ei_bert.compression.kind_rows import share, teacher_word_states
from fedbert.ei_bert.compression.set_scores import counts_of_labels, counts_of_tags, figure, fit_set
from fedbert.ei_bert.pretrained import EiBert, encoder_for
from fedbert.ei_bert.teaching.pair_sets import load_pair_set
from fedbert.ei_bert.teaching.sets import AnySet, kind_of, load_set
from fedbert.ei_bert.teaching.tag_sets import TagSet, load_tag_set
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.errors import FedbertError
from fedbert.paths import data_folder

SLOTS = """text,tags,split
play the music,O O B-thing,train
block  my card ,O O B-thing,train
play a song,O B-thing I-thing,train
my bank card,O B-thing I-thing,train
play my song,O O B-thing,test
"""
PAIRS = """text,text_b,label,split
play a song,the music,same,train
my bank,block my card,same,train
play a song,my bank,different,train
the music,my card,different,train
a song,play the music,same,test
a song,my bank card,different,test
"""


def write(folder: Path, name: str, content: str) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(content, "utf-8")
    return path


def test_a_tagging_set_is_read(tmp_path: Path) -> None:
    """Words and tags are separated by blanks of any number; names are O and the training texts' tags."""
    found = load_tag_set(write(tmp_path, "slots.csv", SLOTS))
    assert (found.name, found.tags) == ("slots", ("B-thing", "I-thing", "O"))
    assert [len(part) for _, part in found.parts()] == [4, 0, 1]
    assert found.train.words[1] == ("block", "my", "card")
    assert found.train.tags[2] == ("O", "B-thing", "I-thing")
    assert found.test.texts() == ["play my song"]
    rows = "\n".join(f"play song {row},O B-thing O" for row in range(10))
    found = load_tag_set(write(tmp_path, "unsplit.csv", f"text,tags\n{rows}\n"))
    assert [len(part) for _, part in found.parts()] == [8, 0, 2]


def test_the_shipped_snips_is_read() -> None:
    """13,084 + 700 + 700 texts of 39 slots and of 7 intents; both files hold the same texts in one order."""
    slots, intents = (load_set(data_folder() / "snips" / f"{n}.parquet") for n in ("snips", "snips_intents"))
    assert isinstance(slots, TagSet)
    assert len({tag[2:] for tag in slots.tags}) - 1 == 39
    for found in (slots, intents):
        assert [len(part) for _, part in found.parts()] == [13_084, 700, 700]
    assert intents.labels[:2] == ("AddToPlaylist", "BookRestaurant")
    for words, text in zip(slots.test.words, intents.test.texts, strict=True):
        assert "".join(words) == "".join(text.split())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,tags\nplay it,O\n", r"row 1, tags\(='O'\) must have a tag for each word \(2 words, 1 tags\)"),
        ("text,tags\nplay it,O thing\n", r"row 1, tag 2\(='thing'\) must be O, B-NAME or I-NAME"),
        ("text,tags\nplay it,O I-a\n", r"row 1, tag 2\(='I-a'\) must come behind B-a or I-a"),
        ("text,tags\nplay it,O O\n", "must have an entity in split train"),
        ("text,tags\n ,\n", r"row 1, text\(=''\) must not be empty"),
        ("text,tags,split\nplay it,O B-a,exam\n", "must be train, validation or test"),
    ],
)
def test_a_wrong_tagging_set_is_one_line(content: str, words: str, tmp_path: Path) -> None:
    """The row and the rule are named."""
    with pytest.raises(FedbertError, match=words):
        load_tag_set(write(tmp_path, "bad.csv", content))


def test_a_set_of_pairs_is_read(tmp_path: Path) -> None:
    """Both texts, labels as indices into their sorted names, splits as named."""
    found = load_pair_set(write(tmp_path, "pairs.csv", PAIRS))
    assert found.labels == ("different", "same")
    assert (found.train.first[1], found.train.second[1]) == ("my bank", "block my card")
    assert found.train.labels.tolist() == [1, 1, 0, 0]
    assert [len(part) for _, part in found.parts()] == [4, 0, 2]
    with pytest.raises(FedbertError, match=r"row 1, text_b\(=''\) must not be empty"):
        load_pair_set(write(tmp_path, "bad.csv", "text,text_b,label\na,,x\nb,c,y\n"))
    with pytest.raises(FedbertError, match="at least 2 classes"):
        load_pair_set(write(tmp_path, "bad.csv", "text,text_b,label\na,b,x\nb,c,x\n"))
    with pytest.raises(FedbertError, match="have a pair of label 'y' in split train"):
        load_pair_set(write(tmp_path, "bad.csv", "text,text_b,label,split\na,b,x,train\nb,c,y,test\n"))


def test_columns_say_of_which_kind_a_set_is(tmp_path: Path) -> None:
    """One kind each; tags beside labels are refused but where the kind is said."""
    assert kind_of(write(tmp_path, "a.csv", SLOTS)) == "tags"
    assert kind_of(write(tmp_path, "b.csv", PAIRS)) == "pairs"
    assert kind_of(write(tmp_path, "c.csv", "text,label\na,x\n")) == "labels"
    mixed = write(tmp_path, "d.csv", SLOTS.replace("tags", "tags,label").replace("thing,t", "thing,x,t"))
    with pytest.raises(FedbertError, match=r"columns of one kind of task \(has label and tags\)"):
        kind_of(mixed)
    assert isinstance(load_set(mixed, "tags"), TagSet)
    with pytest.raises(FedbertError, match="must have columns text,label, text,tags or text,text_b,label"):
        kind_of(write(tmp_path, "e.csv", "words,classes\na,x\n"))


def test_figures_are_those_of_each_kind() -> None:
    """Accuracy of labels, F1 of entities; the share's interval holds it, and is a point if all agree."""
    labels = counts_of_labels(["a", "b", "b", "c"], ["a", "b", "c", "c"])
    assert figure(labels) == 0.75
    tags = counts_of_tags([["B-a", "O"], ["B-a", "B-b"]], [["B-a", "O"], ["B-a", "I-a"]])
    assert tags.tolist() == [[1, 1, 1], [0, 2, 1]]
    assert figure(tags) == 2 / 5
    better = counts_of_labels(["a"] * 40, ["a"] * 40)
    worse = counts_of_labels(["a"] * 40, ["a"] * 30 + ["b"] * 10)
    ratio, low, high = share(worse, better)
    assert (ratio, low < 0.75 < high) == (0.75, True)
    assert share(worse, worse) == (1.0, 1.0, 1.0)
    with pytest.raises(FedbertError, match="right on at least one test text"):
        share(better, better * 0)


def test_a_teachers_states_are_its_last(small_teacher: str) -> None:
    """A word's state is that of its first token in the whole network, among longer texts too."""
    teacher = load_teacher(small_teacher)
    found = teacher_word_states(teacher, [["play", "xy"], ["set", "an", "alarm", "for", "six"]])
    ids = np.array(teacher.tokens.rows(["play xy"]), np.int32)
    with torch.inference_mode():
        last = teacher.body(torch.from_numpy(ids))[0].numpy()
    assert np.abs(found.states[0] - last[1]).max() < 1e-5
    assert np.abs(found.states[1] - last[2]).max() < 1e-5
    assert found.lengths.tolist() == [2, 5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small student, m, and a set of each kind."""
    save_artefact(make_artefact(POOLED), tmp_path / "m")
    write(tmp_path, "slots.csv", SLOTS)
    write(tmp_path, "pairs.csv", PAIRS)
    topics = [f"play song {row},music\nmy bank card {row},bank\n" for row in range(10)]
    write(tmp_path, "topic.csv", "text,label\n" + "".join(topics))
    return tmp_path


def test_add_head_of_every_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind is told by its columns, fitted, scored and saved beside the others; the encoder stays."""
    shipped = (folder / "m" / "model.onnx").read_bytes()
    for name, words in (
        ("slots", ("head slots of 3 tags,", "entity F1 on 1 test texts:")),
        ("pairs", ("head pairs of 2 labels of pairs,", "accuracy on 2 test pairs:")),
        ("topic", ("head topic of 2 labels,", "accuracy on 4 test texts: 100.0 %")),
    ):
        flags = ["--model", str(folder / "m"), "--data", str(folder / f"{name}.csv")]
        assert report_errors(add_head, flags) == 0
        said = capsys.readouterr().out
        assert all(each in said for each in words), said
    model = EiBert.from_pretrained(folder / "m")
    assert {task: model.kind(task) for task in model.tasks} == {
        "pairs": "pairs",
        "slots": "tags",
        "topic": "labels",
    }
    assert (folder / "m" / "model.onnx").read_bytes() == shipped


def test_add_head_refuses_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown kind, columns of another kind, two kinds in one file, and a head that is there."""
    write(folder, "mixed.csv", "text,tags,label\nplay it,O B-a,x\n")
    flags = ["--model", str(folder / "m"), "--data"]
    for more, words in (
        (["slots.csv", "--kind", "verbs"], "kind"),
        (["slots.csv", "--kind", "pairs"], "have a column 'text_b'"),
        (["mixed.csv"], "must have columns of one kind of task (has label and tags); drop the others"),
    ):
        assert report_errors(add_head, [*flags, str(folder / more[0]), *more[1:]]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert not (folder / "m" / "heads").exists()


def test_a_heads_room_is_what_it_takes(folder: Path) -> None:
    """The bytes that a budget keeps for a head are its own and its entry's, within some 200."""
    model = EiBert.from_pretrained(folder / "m")
    for name in ("slots", "pairs", "topic"):
        found: AnySet = load_set(folder / f"{name}.csv")
        before = model.artefact.total_bytes
        fit_set(model, found)
        took = model.artefact.total_bytes - before
        assert took <= room_bytes(found, POOLED.width) <= took + 200
    assert len(WORDS) == POOLED.vocabulary


def test_a_head_without_room_is_refused_before_it_is_fitted(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the bytes, the limit and what to do; the shipped encoder for SNIPS' tags is one in which
    their head has room.
    """
    monkeypatch.setattr(set_scores, "fit_set", _never)
    size = EiBert.from_pretrained(folder / "m").artefact.total_bytes
    budget = ["--budget-bytes", str(size + 100)]
    where = ["--model", str(folder / "m"), "--data", str(folder / "slots.csv")]
    assert report_errors(add_head, [*where, *budget]) == 2
    said = capsys.readouterr().err
    assert f"must be at most {size + 100}; raise --budget-bytes or give a smaller --model" in said
    snips = load_set(data_folder() / "snips" / "snips.parquet")
    assert encoder_for(snips.sha256, lambda width: room_bytes(snips, width)) == "general-small"


def _never(*_: object) -> None:
    raise AssertionError("a head was fitted")


def test_intent_pairs_are_made_of_one_split_each(tmp_path: Path) -> None:
    """Texts of a pair are of one split; half are of one label, and a label's name is never in doubt."""
    rows = [
        (f"text {label} {row} {split}", label, split)
        for split in ("train", "test")
        for label in "abc"
        for row in range(9)
    ]
    pd.DataFrame(rows, columns=["text", "label", "split"]).to_parquet(tmp_path / "set.parquet")
    script = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "intent_pairs.py"))
    out = tmp_path / "pairs.parquet"
    script["main"](tmp_path / "set.parquet", out)
    found = load_pair_set(out)
    assert found.labels == ("different", "same")
    for split, part in (("train", found.train), ("test", found.test)):
        for first, second, label in zip(part.first, part.second, part.labels.tolist(), strict=True):
            assert first.endswith(split)
            assert second.endswith(split)
            assert (first.split()[1] == second.split()[1]) == (label == 1)
