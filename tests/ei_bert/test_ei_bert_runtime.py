"""The int8 student in ONNX Runtime: the same bits alone, padded, in batches and on any number of threads."""

import numpy as np
import onnx
import pandas as pd
import pytest
from integer_reference import reference_vectors

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact, load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.scores import zero_shot
from fedbert.ei_bert.model.tokenizer import Tokens, padded
from fedbert.errors import FedbertError
from fedbert.paths import data_folder, models_folder


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    """The shipped artefact."""
    return load_artefact(models_folder() / "default")


@pytest.fixture(scope="module")
def encoder(artefact: Artefact) -> Int8Encoder:
    """The shipped artefact, loaded with one thread."""
    return Int8Encoder(artefact)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """256 texts as users wrote them."""
    private = pd.read_parquet(data_folder() / "services" / "private.parquet")
    return private[private.split == "learning"].text.sample(256, random_state=1).tolist()


def test_a_phone_alone_gets_the_same_bits(encoder: Int8Encoder, texts: list[str]) -> None:
    """A text encoded alone has the bits it has among 256 others."""
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("length", [48, 64])
def test_padding_changes_nothing(
    encoder: Int8Encoder, artefact: Artefact, texts: list[str], length: int
) -> None:
    """Float vectors of padded rows are those of unpadded rows to 1e-5, and rank the same."""
    every = Tokens(tuple(artefact.files["vocab.txt"].decode().splitlines())).rows(texts)
    rows = [row for row in every if len(row) <= 48]
    assert len(rows) > 240
    alone = np.concatenate([encoder.float_vectors(np.array([row], np.int32)) for row in rows])
    wide = encoder.float_vectors(padded(rows, length))
    assert np.abs(alone - wide).max() <= 1e-5
    items = alone[:20]
    assert np.array_equal(np.argsort(-alone @ items.T, 1, "stable"), np.argsort(-wide @ items.T, 1, "stable"))


def test_threads_and_order_change_nothing(artefact: Artefact, encoder: Int8Encoder, texts: list[str]) -> None:
    """Two threads and the reverse order give the same bits."""
    two = Int8Encoder(artefact, threads=2)
    assert np.array_equal(two.encode(texts), encoder.encode(texts))
    assert np.array_equal(encoder.encode(texts[::-1])[::-1], encoder.encode(texts))


@pytest.mark.parametrize("name", ["tiny", "small", "default"])
def test_every_processors_kernels_come_to_the_integer_reference(name: str, texts: list[str]) -> None:
    """The shipped graphs in exact integers of numpy give the same bytes, whatever kernels this processor has.

    Products are exact on both sides. Softmax and layer norm are float32: where one of their last bits decides
    how a byte is rounded, few texts have a byte that differs, by 1.
    """
    artefact = load_artefact(models_folder() / name)
    rows = Tokens(tuple(artefact.files["vocab.txt"].decode().splitlines())).rows(texts)
    ids = np.array([row for row in rows if len(row) == 10][:24], np.int32)
    assert ids.shape == (24, 10)
    ours, plain = (
        np.rint(127 * part).astype(int)
        for part in (
            Int8Encoder(artefact).float_vectors(ids),
            reference_vectors(artefact.files["model.onnx"], ids),
        )
    )
    assert np.abs(ours - plain).max() <= 1
    assert (ours != plain).any(1).mean() <= 0.25


@pytest.mark.parametrize(
    "name", ["tiny", "small", "default", "intents-tiny", "intents-small", "intents-default"]
)
def test_no_sum_of_two_products_of_bytes_leaves_16_bits(name: str) -> None:
    """A processor without VNNI adds the products of two neighbouring rows in 16 bits, and would saturate: no
    matrix of a shipped model can, whatever the text.
    """
    graph = onnx.load_from_string(load_artefact(models_folder() / name).files["model.onnx"])
    known = {each.name: onnx.numpy_helper.to_array(each) for each in graph.graph.initializer}
    products = [node for node in graph.graph.node if node.op_type in ("MatMulIntegerToFloat", "QAttention")]
    makers = {output: node for node in graph.graph.node for output in node.output}

    def constant(name: str) -> np.ndarray:
        """A matrix as it runs: 4-bit ones are codes times multiples, `Cast(Reshape(Mul(Cast, Cast)))`."""
        if name in known:
            return np.asarray(known[name]).astype(int)
        inputs = [constant(each) for each in makers[name].input]
        if makers[name].op_type == "Mul":
            return inputs[0] * inputs[1]
        return inputs[0] if makers[name].op_type == "Cast" else inputs[0].reshape(inputs[1])

    matrices = [constant(node.input[1]) for node in products]
    assert len(matrices) >= 8
    for matrix in matrices:
        even = matrix[: len(matrix) // 2 * 2].reshape(-1, 2, matrix.shape[1])
        for sign in (1, -1):
            assert 255 * np.clip(sign * even, 0, None).sum(1).max() <= 2**15 - 1


def test_vectors_have_unit_length(encoder: Int8Encoder, texts: list[str]) -> None:
    """A vector is round(127 v) of a unit vector, so its length is about 127; the width is the manifest's."""
    vectors = encoder.encode(texts).astype(np.float64)
    assert vectors.shape == (256, encoder.dim)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 127).max() < 3


def test_roles_differ(encoder: Int8Encoder) -> None:
    """The same words as a name and as a text give two vectors, near each other."""
    words = ["Alarm: set an alarm"]
    text, item = (encoder.encode(words, role)[0].astype(float) for role in ("text", "item"))
    assert not np.array_equal(text, item)
    assert text @ item > 0.5 * 127**2


def test_any_text_can_be_encoded(encoder: Int8Encoder) -> None:
    """Empty, very long, Chinese and symbols: each has a unit vector; none is an error."""
    odd = ["", " ", "word " * 500, "我想查询余额", "\U0001f600 £5 naïve", "\x00\t\n"]
    assert (np.abs(np.linalg.norm(encoder.encode(odd).astype(float), axis=1) - 127) < 3).all()
    assert encoder.token_counts(odd).tolist()[:3] == [2, 2, 64]
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_token_counts_count_specials(encoder: Int8Encoder) -> None:
    """Two specials and the pieces of the words."""
    assert encoder.token_counts(["set an alarm"], "item").tolist() == [5]


def test_private_words_can_be_spelt(encoder: Int8Encoder, texts: list[str]) -> None:
    """What users write has next to no unknown tokens, though their texts never shaped the vocabulary."""
    assert encoder.unknown_counts(texts).sum() <= 0.001 * encoder.token_counts(texts).sum()


def test_release_0_understands_texts_it_never_saw(encoder: Int8Encoder) -> None:
    """Over all names, release 0 finds private intents' names far better than TF-IDF of the names."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    items = pd.read_parquet(data_folder() / "services" / "items.parquet")
    private = pd.read_parquet(data_folder() / "services" / "private.parquet")
    some = private[private.split == "learning"].sample(1_500, random_state=2)
    words = TfidfVectorizer().fit(items.text)
    wanted = some.item.to_numpy()
    base = zero_shot(words.transform(some.text).toarray(), words.transform(items.text).toarray(), wanted)
    mine = zero_shot(encoder.encode(some.text.tolist()), encoder.encode(items.text.tolist(), "item"), wanted)
    assert mine.ndcg_at_10 > base.ndcg_at_10 + 0.15
    assert mine.top_1 > base.top_1 + 0.12


def test_what_is_no_model_is_refused() -> None:
    """A graph that ONNX Runtime cannot read is one line."""
    with pytest.raises(FedbertError, match=r"model\.onnx cannot be run"):
        Int8Encoder(build_artefact(b"graph", ("[PAD]",), {"shape": {"dim": 3}}))


def test_threads_must_be_positive(artefact: Artefact) -> None:
    """No threads is an error."""
    with pytest.raises(FedbertError, match=r"threads\(=0\)"):
        Int8Encoder(artefact, threads=0)


def test_zero_shot_on_a_small_example() -> None:
    """Ranks 1 and 3 of three items: top-1 is 1/2, nDCG@10 (1 + 1/2) / 2; an equal score counts as before."""
    items = np.eye(3)
    texts = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    scores = zero_shot(texts, items, np.array([0, 2]))
    assert (scores.top_1, scores.ndcg_at_10) == (0.5, 0.75)
    assert zero_shot(np.ones((1, 3)), items, np.array([0])).top_1 == 0.0
