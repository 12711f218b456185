"""The wide part of a head: its formula, its file, its place in an artefact, and how a student gets one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from small_artefacts import POOLED, WORDS, make_artefact

from fedbert.cli.main import call
from fedbert.ei_bert.artefact.artefact import (
    Artefact,
    deep_alone,
    load_artefact,
    memory_bytes,
    pack,
    parts,
    save_artefact,
    unpack,
    with_heads,
)
from fedbert.ei_bert.artefact.card import model_card
from fedbert.ei_bert.artefact.n_grams import n_grams, n_grams_of
from fedbert.ei_bert.artefact.unknown import digest
from fedbert.ei_bert.artefact.wide import (
    Wide,
    buckets_within,
    file_bytes,
    quantise_wide,
    read_wide,
    wide_bytes,
)
from fedbert.ei_bert.compression import record as record_module
from fedbert.ei_bert.compression.rival_models import hard
from fedbert.ei_bert.compression.rivals import parts_alone
from fedbert.ei_bert.compression.widening import Widening, chosen_weight, wide_layer, widen
from fedbert.ei_bert.compression.widening_record import widened_record
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.quantisation import Quantisation
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.tasks import Part, Task
from fedbert.errors import FedbertError
from fedbert.paths import data_folder, models_folder

TEXTS = ["block my card", "play a song", "my bank card", "play the music", "block the bank", "a song"] * 4
LABELS = ["bank", "music"] * 12
FACTORISED = replace(POOLED, embedding=16)
TASK = Task(
    "mood",
    ("bank", "music"),
    Part(tuple(TEXTS), np.array([LABELS.index(label) for label in LABELS], np.int64)),
    Part((), np.zeros(0, np.int64)),
    Part(("block a card", "a song"), np.array([0, 1])),
    "0",
)
VALIDATED = replace(TASK, validation=Part(("my card", "play my song"), np.array([0, 1])))


def _wide(task: str = "mood", buckets: int = 50, classes: int = 2) -> Wide:
    draw = np.random.default_rng(0)
    return quantise_wide(draw.normal(size=(buckets, classes)), draw.normal(size=classes), task)


def _model() -> EiBert:
    """A student with a head of two labels that was fitted on bank and music."""
    model = EiBert(make_artefact(FACTORISED))
    model.fit_head(TEXTS, LABELS, "mood", strength=0.1)
    return model


@pytest.fixture(scope="module")
def headed() -> Artefact:
    """A student with the head `mood`."""
    return _model().artefact


def test_logits_are_the_formula() -> None:
    """N-grams times codes times scale, plus bias; the same bits alone and together; none for no text."""
    wide = _wide(buckets=51, classes=3)
    assert wide.codes.shape == (51, 3)
    assert (wide.codes.min(), wide.codes.max()) == (-7, 7)
    plain = n_grams(TEXTS, 51).toarray() @ (wide.codes * wide.scale) + wide.bias
    np.testing.assert_allclose(wide.logits(TEXTS), plain, atol=1e-5)
    alone = np.concatenate([wide.logits([text]) for text in TEXTS])
    assert np.array_equal(alone, wide.logits(TEXTS))
    assert wide.logits([]).shape == (0, 3)
    assert np.array_equal(wide.logits([""]), wide.bias[None])


def test_one_text_has_the_row_of_the_vectorizers() -> None:
    """Bit by bit, for few and many buckets, repeated words, accents, and no n-gram at all."""
    texts = [*TEXTS[:6], "", "?", "a", "the the the", "Ünï çødé £5 我我", "play " * 90]
    for buckets in (1, 7, 64, 5_003):
        rows = n_grams(texts, buckets).toarray()
        for text, row in zip(texts, rows, strict=True):
            places, values = n_grams_of(text, buckets)
            assert np.array_equal(places, np.flatnonzero(row))
            assert np.array_equal(values, row[places])


def test_four_bits_are_the_nearest() -> None:
    """A column's largest value is 7 steps, all others the nearest step."""
    wide = quantise_wide([[7.0, -0.7], [3.4, 0.36], [-0.6, 0.0]], [1.0, 2.0], "t")
    assert wide.codes.tolist() == [[7, -7], [3, 4], [-1, 0]]
    np.testing.assert_allclose(wide.scale, [1.0, 0.1])


def test_a_file_is_read_as_it_was_written() -> None:
    """Odd and even numbers of values; equal parts give equal bytes, as many as `file_bytes` says."""
    for buckets, classes in ((5, 3), (4, 2), (1, 1)):
        wide = _wide("a-task", buckets, classes)
        body = wide_bytes(wide)
        again = read_wide(body, "a-task")
        assert (again.task, again.buckets) == ("a-task", buckets)
        assert np.array_equal(again.codes, wide.codes)
        assert np.array_equal(again.scale, wide.scale)
        assert np.array_equal(again.bias, wide.bias)
        assert wide_bytes(again) == body
        assert len(body) == file_bytes(buckets, classes, "a-task")


def test_buckets_fill_their_bytes() -> None:
    """With one bucket more the files are over the bytes; without room for one there is a line."""
    classes = {"mood": 2, "intent": 30}
    for room in (900, 5_000, 123_457):
        found = buckets_within(room, classes)
        sizes = [sum(file_bytes(found + more, n, task) for task, n in classes.items()) for more in (0, 2)]
        assert sizes[0] <= room < sizes[1] + 8
    with pytest.raises(FedbertError, match="must have room for a bucket of each task"):
        buckets_within(300, classes)


def _file(buckets: str = "4", **tensors: np.ndarray) -> bytes:
    whole = {
        "codes": np.zeros(4, np.uint8),
        "scale": np.ones(2, np.float32),
        "bias": np.zeros(2, np.float32),
        **tensors,
    }
    return save(whole, {"task": "mood", "buckets": buckets})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"?", "not a safetensors file of one"),
        (wide_bytes(_wide())[:-1], "not a safetensors file of one"),
        (save({"codes": np.zeros(4, np.uint8)}), "not a safetensors file of one"),
        (_file(buckets="many"), "not a safetensors file of one"),
        (_file(codes=np.zeros(4, np.int8)), "tensor codes must be a row of uint8"),
        (_file(scale=np.ones((2, 1), np.float32)), "tensor scale must be a row of float32"),
        (_file(buckets="5"), "4 bytes of codes must be of 5 buckets for 2 classes"),
        (_file(buckets="-4"), "4 bytes of codes must be of -4 buckets for 2 classes"),
        (_file(bias=np.zeros(3, np.float32)), "must be of 4 buckets"),
        (_file(scale=np.zeros(2, np.float32)), "scale must be > 0"),
        (_file(bias=np.full(2, np.nan, np.float32)), "scale and bias finite"),
    ],
)
def test_a_damaged_file_is_one_line(body: bytes, message: str) -> None:
    """The line names the task and what is wrong."""
    with pytest.raises(FedbertError, match=message) as raised:
        read_wide(body, "mood")
    assert str(raised.value).startswith("wide part of mood:")
    assert "\n" not in str(raised.value)


def test_a_wide_part_is_a_file_of_the_artefact(headed: Artefact, tmp_path: Path) -> None:
    """It counts towards bytes, memory and hash, stands in the manifest, survives folder and transport, and
    goes when a model without one is saved over it.
    """
    body = wide_bytes(_wide())
    widened = with_heads(headed, headed.heads, {"mood": body})
    save_artefact(widened, tmp_path)
    assert (tmp_path / "wide" / "mood.safetensors").read_bytes() == body
    assert load_artefact(tmp_path) == unpack(pack(widened)) == widened
    assert widened.wide == {"mood": body}
    assert widened.heads == headed.heads
    assert parts(widened)["n-grams"] == len(body)
    assert sum(parts(widened).values()) == widened.total_bytes
    assert memory_bytes(widened) - memory_bytes(headed) >= 50 * 2
    assert digest(widened, "mood") != digest(headed, "mood")
    (tmp_path / "wide" / "mood.safetensors").write_bytes(body[:-1] + b"x")
    with pytest.raises(FedbertError, match=r"wide/mood\.safetensors has SHA-256"):
        load_artefact(tmp_path)
    save_artefact(headed, tmp_path)
    assert load_artefact(tmp_path) == headed
    assert not (tmp_path / "wide" / "mood.safetensors").exists()
    (tmp_path / "wide").mkdir(exist_ok=True)
    (tmp_path / "wide" / "mood.safetensors").write_bytes(body)
    with pytest.raises(FedbertError, match=r"wide/mood\.safetensors is not in its manifest"):
        load_artefact(tmp_path)


def test_a_wide_part_belongs_to_a_head(headed: Artefact, tmp_path: Path) -> None:
    """One without a head is refused by whoever builds, and by whoever reads a manifest that names it."""
    with pytest.raises(FedbertError, match="must be of a task that has a head"):
        with_heads(headed, headed.heads, {"news": b"?"})
    save_artefact(with_heads(headed, headed.heads, {"mood": wide_bytes(_wide())}), tmp_path)
    text = (tmp_path / "manifest.json").read_text().replace("wide/mood", "wide/news")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(FedbertError, match=r"not a manifest of fedbert \(names wide/news\.safetensors"):
        load_artefact(tmp_path)


def test_logits_are_added(headed: Artefact) -> None:
    """Deep plus wide; a model without a wide part keeps its bits; labels follow from the sum."""
    wide = _wide()
    deep, both = EiBert(headed), EiBert(with_heads(headed, headed.heads, {"mood": wide_bytes(wide)}))
    plain = deep.head("mood").logits(deep.encode(TEXTS))
    assert np.array_equal(deep.logits(TEXTS, "mood"), plain)
    assert np.array_equal(both.logits(TEXTS, "mood"), plain + wide.logits(TEXTS))
    assert both.wide("mood") is not None
    assert deep.wide("mood") is None
    expected = [("bank", "music")[index] for index in both.logits(TEXTS, "mood").argmax(1)]
    assert both.classify(TEXTS, "mood") == expected


def test_a_head_takes_its_wide_part_with_it(headed: Artefact) -> None:
    """Another head has no use for the wide part of the older one; one of other classes is refused."""
    model = EiBert(headed)
    head = model.head("mood")
    model.add_head(head, _wide())
    assert list(model.artefact.wide) == ["mood"]
    with pytest.raises(FedbertError, match="its 3 classes must be the 2 of head mood"):
        model.add_head(head, _wide(classes=3))
    with pytest.raises(FedbertError, match="wide part of other"):
        model.add_head(head, _wide("other"))
    model.add_head(replace(head, task="second"))
    assert list(model.artefact.wide) == ["mood"]
    model.add_head(head)
    assert (model.artefact.wide, model.wide("mood")) == ({}, None)
    model.add_head(head, _wide())
    model.remove_head("mood")
    assert (model.artefact.wide, model.tasks) == ({}, ("second",))


def test_a_layer_learns_its_lesson() -> None:
    """Its own training texts get their labels, also with four bits a value; taught the other way round, the
    other ones.
    """
    right = quantise_wide(*wide_layer(hard(TASK), 200, 0), "mood")
    assert np.array_equal(right.logits(TEXTS).argmax(1), TASK.train.labels)
    texts, wanted = hard(TASK)
    turned = quantise_wide(*wide_layer((texts, wanted[:, ::-1].copy()), 200, 0), "mood")
    assert np.array_equal(turned.logits(TEXTS).argmax(1), 1 - TASK.train.labels)


def test_a_layer_leaves_alone_what_is_said_beside_it() -> None:
    """Beside logits that are sure of each label nothing is left to learn; beside wrong ones there is more."""
    lesson = hard(TASK)
    sure = 50 * (2 * lesson[1] - 1)
    learnt = [float(np.abs(wide_layer(lesson, 200, 0, beside)[0]).max()) for beside in (sure, None, -sure)]
    assert learnt[0] < 1e-6 < learnt[1] < learnt[2]


def test_the_weight_is_that_of_most_accuracy() -> None:
    """Of the weights 0 to 4 the three texts are all right at 2, 3, 4: the best with both neighbours is 3; of
    the two tasks both count.
    """
    deep = np.array([[1.5, 0.0], [0.0, 1.5], [0.0, 1.0]], np.float32)
    wide = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    labels = np.array([1, 0, 1])
    weight, tried = chosen_weight([deep], [wide], [labels], (0, 1, 2, 3, 4))
    assert tried == {0: pytest.approx(1 / 3), 1: pytest.approx(1 / 3), 2: 1.0, 3: 1.0, 4: 1.0}
    assert weight == 3
    none = np.zeros_like(wide)
    assert chosen_weight([deep], [none], [labels])[0] == 0
    _, two = chosen_weight([deep, deep], [wide, none], [labels, labels], (0, 2))
    assert two[2] == pytest.approx((1 + 1 / 3) / 2)


def test_a_student_is_widened(headed: Artefact) -> None:
    """The parts fit the budget, the weight is chosen on validation texts, the manifest and the card say how;
    the deep part keeps its bits, and without the wide part it is the model of before.
    """
    room = headed.total_bytes + 8_000
    found = widen(headed, [VALIDATED], Widening(room, 4_000, command="a command"))
    again = widen(headed, [VALIDATED], Widening(room, 4_000, command="a command"))
    assert found.artefact == again.artefact
    assert set(found.artefact.wide) == {"mood"}
    assert len(found.artefact.wide["mood"]) <= 4_000
    assert found.artefact.total_bytes <= room
    assert found.tried[found.weight] >= found.tried[0.0]
    said = found.artefact.manifest["wide"]
    assert (said["buckets"], said["weight"], said["taught_by"]) == (found.buckets, found.weight, "labels")
    assert "Wide part" in model_card(_carded(found.artefact), "m")
    assert "then `a command`" in model_card(_carded(found.artefact), "m")
    assert deep_alone(found.artefact).files["model.onnx"] == headed.files["model.onnx"]
    filled = widen(headed, [VALIDATED], Widening(room, weight=0.5))
    assert room - 1_500 < filled.artefact.total_bytes <= room


def _carded(artefact: Artefact) -> Artefact:
    """With what else a card reads of a manifest."""
    trained = {"tasks": {"mood": "0"}, "made_texts": [0, 0]}
    more = {"model": "m", "parameters": 1, "teacher": {"name": "t", "sha256": "0"}, "command": "c"}
    more |= {"trained_on": trained}
    return replace(artefact, manifest={**artefact.manifest, **more})


def test_four_bits_make_room(headed: Artefact) -> None:
    """The rounded deep part is smaller and its vectors are near; what has four bits has them once."""
    asked = Widening(headed.total_bytes + 5_000, 1_000, Quantisation(4, 4), weight=1.0)
    found = widen(headed, [TASK], asked).artefact
    assert found.manifest["quantisation"] == {"embedding_bits": 4, "weight_bits": 4}
    assert len(found.files["model.onnx"]) < len(headed.files["model.onnx"])
    before, after = EiBert(headed).encode(TEXTS), EiBert(found).encode(TEXTS)
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (before, after)]
    assert (unit[0] * unit[1]).sum(1).min() > 0.9
    assert not np.array_equal(before, after)
    with pytest.raises(FedbertError, match="has 4-bit values already"):
        widen(found, [TASK], asked)


def test_what_cannot_be_widened_is_refused(headed: Artefact) -> None:
    """No validation text and no weight; more bytes than the budget leaves."""
    with pytest.raises(FedbertError, match="must have texts of split validation"):
        widen(headed, [TASK], Widening(headed.total_bytes + 8_000, 4_000))
    with pytest.raises(FedbertError, match=r"bytes\(=9000\) must be at most 6500"):
        widen(headed, [VALIDATED], Widening(headed.total_bytes + 8_000, 9_000))


def test_the_command_refuses_before_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A set without validation texts, a folder that is filled, and bits that there are not."""
    data = str(data_folder() / "intents" / "hwu64.parquet")
    flags = ["widen", "--data", data, "--model", "intents-tiny", "--output"]
    assert call("compress", [*flags, str(tmp_path / "new")]) == 2
    assert "must have texts of split validation" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_text("")
    assert call("compress", [*flags, str(tmp_path / "old")]) == 2
    assert "must be empty or not exist" in capsys.readouterr().err
    assert call("compress", [*flags, str(tmp_path / "new"), "--embedding-bits", "3"]) == 2
    assert "embedding_bits(=3) must be 8 or 4" in capsys.readouterr().err


def test_requantised_at_eight_bits_is_the_same_model(headed: Artefact) -> None:
    """Writing the graph anew changes no bit of a vector; a student that is not factorised is refused."""
    from fedbert.ei_bert.artefact.runtime import Int8Encoder
    from fedbert.ei_bert.model.requantise import requantised

    again = replace(
        headed,
        files={**headed.files, "model.onnx": requantised(headed.files["model.onnx"], Quantisation())},
    )
    assert np.array_equal(Int8Encoder(again).vectors(WORDS), Int8Encoder(headed).vectors(WORDS))
    with pytest.raises(FedbertError, match="a pooled student with a factorised embedding"):
        requantised(make_artefact(POOLED).files["model.onnx"], Quantisation(4, 4))


@pytest.mark.parametrize(
    ("name", "limit"),
    [("intents-default", 1_910_000), ("intents-small", 1_000_000), ("intents-tiny", 500_000)],
)
def test_the_shipped_classifiers_are_widened(name: str, limit: int) -> None:
    """All files are within the size's bytes, each task has both parts, and a text's logits are the same bits
    alone and together.
    """
    artefact = load_artefact(models_folder() / name, limit)
    assert set(artefact.wide) == set(artefact.heads) == {"banking77", "clinc150", "hwu64"}
    model = EiBert(artefact)
    for task in model.tasks:
        whole = model.logits(TEXTS[:6], task)
        assert np.array_equal(whole, np.concatenate([model.logits([text], task) for text in TEXTS[:6]]))


def test_parts_stand_beside_the_whole(headed: Artefact) -> None:
    """A widened student's parts answer by themselves and have their own bytes; another has none."""
    widened = EiBert(with_heads(headed, headed.heads, {"mood": wide_bytes(_wide())}))
    deep, wide = parts_alone(widened)
    assert deep.total_bytes == headed.total_bytes
    assert wide.total_bytes == len(wide_bytes(_wide()))
    assert np.array_equal(deep.answer(TEXTS, "mood"), EiBert(headed).logits(TEXTS, "mood").argmax(1))
    assert np.array_equal(wide.answer(TEXTS, "mood"), _wide().logits(TEXTS).argmax(1))
    assert parts_alone(EiBert(headed)) == []


def test_the_record_tells_of_the_widened_student(headed: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage more, the sizes of the widened files, the share of the teacher's; what was measured of the
    deep student alone goes.
    """
    found = widen(headed, [VALIDATED], Widening(headed.total_bytes + 8_000, 4_000))
    monkeypatch.setattr(record_module, "latency", lambda artefact: [])
    record = {
        "title": "t",
        "stages": [{"stage": "quantisation", "bytes": 1, "accuracy": {"mood": [0.5, 0.5]}}],
        "teacher": {"accuracy": {"mood": 0.5}},
        "plan": {"kept_share": 0.99, "budget_bytes": 10},
        "rivals": {"rows": []},
        "confusion": {},
    }
    whole = widened_record(record, found)
    accuracy = found.artefact.manifest["scores"]["student, widened"]["mood"]
    assert [row["stage"] for row in whole["stages"]] == ["quantisation", "wide part"]
    assert whole["stages"][-1]["accuracy"] == {"mood": [accuracy]}
    texts = VALIDATED.validation
    right = EiBert(found.artefact).logits(texts.texts, "mood").argmax(1) == texts.labels
    assert whole["stages"][-1]["validation"] == {"mood": [right.mean()]}
    assert (whole["sha256"], whole["total_bytes"]) == (found.artefact.sha256, found.artefact.total_bytes)
    assert whole["targets"][0]["reached"] == accuracy / 0.5
    assert "rivals" not in whole
    assert "confusion" not in whole
    assert len(widened_record(whole, found)["stages"]) == 2


def test_the_draws_of_shipped_models_do_not_move() -> None:
    """A stream's number decides the bits of what was trained by it: a new one takes a number of its own."""
    numbers = (streams.TASK_STEP, streams.RIVAL_EPOCH, streams.WIDE_UNSEEN, streams.TAG_EPOCH)
    assert numbers == (40_000, 50_000, 60_000, 70_000)
