"""Teachers of other kinds: transformers' own numbers, how they read texts, and what is refused, and why."""

import json
from pathlib import Path

import pytest
import torch
from small_encoders import CASED, CHINESE, CHINESE_TEXTS, ENGLISH, save_encoder
from transformers import BertTokenizer

from fedbert.ei_bert.model.tokenizer import TextRules, padded
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher
from fedbert.errors import FedbertError

TEXTS = ("set an alarm", "the fee of £5 was cancelled", "card?")


def _write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value), "utf-8")


def _hidden(model: torch.nn.Module, teacher: Teacher) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the last hidden states of TEXTS, by `transformers` and by the teacher, without padding."""
    ids = torch.from_numpy(padded(teacher.tokens.rows(TEXTS))).long()
    with torch.inference_mode():
        theirs = model(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
        return theirs[ids != 0], teacher.body(ids)[ids != 0]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("bert", {}),
        ("bert", {"hidden_act": "relu", "layer_norm_eps": 1e-5}),
        ("distilbert", {}),
        ("distilbert", {"activation": "relu"}),
        ("electra", {}),
        ("electra", {"embedding_size": 16}),
    ],
)
def test_hidden_states_are_those_of_transformers(
    tmp_path: Path, kind: str, changes: dict[str, object]
) -> None:
    """Each kind of encoder gives the hidden states of transformers' model, within 1e-5."""
    model = save_encoder(tmp_path, kind, **changes)
    theirs, ours = _hidden(model, load_teacher(str(tmp_path)))
    assert theirs.std() > 0.1
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_pytorch_file_of_the_first_years(tmp_path: Path) -> None:
    """pytorch_model.bin is read too, with its prefix and its norms named gamma and beta."""
    model = save_encoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {}
    for key, value in model.state_dict().items():
        old = next((key.replace(new, old) for new, old in names.items() if new in key), key)
        state[f"bert.{old}"] = value
    torch.save(state, tmp_path / "pytorch_model.bin")
    theirs, ours = _hidden(model, load_teacher(str(tmp_path)))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_pytorch_file_runs_no_code(tmp_path: Path) -> None:
    """A pickle that holds more than tensors is refused, not executed."""
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"bert": Path("x")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(FedbertError, match="must hold tensors and nothing else"):
        load_teacher(str(tmp_path))


def test_word_vectors_have_the_width_of_the_layers(tmp_path: Path) -> None:
    """A narrow embedding is widened, so that a student can start from it."""
    model = save_encoder(tmp_path, "electra", embedding_size=16)
    words = model.embeddings.word_embeddings.weight @ model.embeddings_project.weight.T
    teacher = load_teacher(str(tmp_path))
    assert teacher.word_vectors().shape == (len(ENGLISH), 24)
    assert torch.allclose(teacher.word_vectors(), words, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "rules"),
    [
        ({}, TextRules(True, None, True)),
        ({"do_lower_case": False}, TextRules(False, None, True)),
        ({"do_lower_case": True, "strip_accents": False}, TextRules(True, False, True)),
        ({"do_lower_case": False, "tokenize_chinese_chars": False}, TextRules(False, None, False)),
    ],
)
def test_texts_are_read_as_the_configuration_says(
    tmp_path: Path, config: dict[str, object], rules: TextRules
) -> None:
    """Case, accents and ideographs follow tokenizer_config.json, as in transformers' tokenizer."""
    save_encoder(tmp_path, vocabulary=CASED)
    _write(tmp_path, "tokenizer_config.json", config)
    teacher = load_teacher(str(tmp_path))
    assert (teacher.rules, teacher.lowercase) == (rules, rules.lowercase)
    texts = ["Set the Alarm", "a café’s fee", "CAFÉ", "ab我cd"]
    reference = BertTokenizer(vocab={token: index for index, token in enumerate(CASED)}, **config)
    assert teacher.tokens.rows(texts) == reference(texts)["input_ids"]


def test_a_tokenizer_file_alone_is_enough(tmp_path: Path) -> None:
    """Without vocab.txt and tokenizer_config.json, tokens and rules come from tokenizer.json."""
    save_encoder(tmp_path, vocabulary=CASED)
    (tmp_path / "vocab.txt").unlink()
    vocabulary = {token: index for index, token in enumerate(CASED)}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=False, strip_accents=True)
    tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    teacher = load_teacher(str(tmp_path))
    assert teacher.vocabulary == CASED
    assert teacher.rules == TextRules(False, True, True)
    assert teacher.tokens.rows(["Set a Café"]) == tokenizer(["Set a Café"])["input_ids"]


def test_chinese_texts_are_read_by_ideograph(tmp_path: Path) -> None:
    """Each ideograph is a token of its own; none is [UNK]."""
    save_encoder(tmp_path, vocabulary=CHINESE)
    teacher = load_teacher(str(tmp_path))
    row = teacher.tokens.rows([CHINESE_TEXTS[0]])[0]
    assert [teacher.vocabulary[index] for index in row[1:-1]] == list(CHINESE_TEXTS[0])


def test_rows_beyond_the_vocabulary_are_rounding(tmp_path: Path) -> None:
    """A model may have up to 127 more rows than tokens; a vocabulary of another model is refused."""
    save_encoder(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(ENGLISH[:-4]) + "\n", "utf-8")
    assert load_teacher(str(tmp_path)).vocabulary == ENGLISH[:-4]
    (tmp_path / "vocab.txt").write_text("\n".join([*ENGLISH, "more"]) + "\n", "utf-8")
    with pytest.raises(FedbertError, match=f"has {len(ENGLISH) + 1} tokens, the model {len(ENGLISH)}"):
        load_teacher(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2"}, r"model_type\(='gpt2'\) must be .* causal language model"),
        ({"model_type": "t5"}, "an encoder with a decoder"),
        ({"model_type": "vit"}, "a model of images"),
        ({"model_type": "roberta"}, "tokens are byte pairs"),
        ({"model_type": "xlm-roberta"}, "SentencePiece"),
        ({"model_type": "new", "architectures": ["NewForCausalLM"]}, "causal language model"),
        ({}, r"model_type\(=None\) must be bert, distilbert or electra$"),
        ({"model_type": "bert", "is_decoder": True}, r"is_decoder\(=True\) must be false"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "must be 'absolute'"),
        ({"model_type": "bert", "hidden_act": "gelu_new"}, r"hidden_act\(='gelu_new'\) must be 'gelu' or"),
        ({"model_type": "bert", "vocab_size": "many"}, r"vocab_size\(='many'\) must be a whole number"),
    ],
)
def test_what_is_no_encoder_is_told_why(tmp_path: Path, config: dict[str, object], words: str) -> None:
    """The configuration alone decides, and the line says what the model is."""
    _write(tmp_path, "config.json", config)
    with pytest.raises(FedbertError, match=words) as caught:
        load_teacher(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": 28}, "not a BERT encoder"),
        ({"hidden_size": 25}, r"hidden_size\(=25\) must be a multiple of num_attention_heads\(=4\)"),
        ({"num_hidden_layers": 3}, "no weight"),
        ({"num_hidden_layers": 1}, "hold more than 1 layers"),
    ],
)
def test_sizes_must_be_those_of_the_weights(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """A configuration that does not fit the weights is one line."""
    save_encoder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    _write(tmp_path, "config.json", {**config, **change})
    with pytest.raises(FedbertError, match=words) as caught:
        load_teacher(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("vocab.txt", r"vocab\.txt or tokenizer\.json is missing"),
        ("model.safetensors", r"model\.safetensors or pytorch_model\.bin is missing"),
        ("config.json", r"config\.json is missing"),
    ],
)
def test_each_missing_file_is_named(tmp_path: Path, file: str, words: str) -> None:
    """The line names the file that would do, and what an encoder's folder holds."""
    save_encoder(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(FedbertError, match=words):
        load_teacher(str(tmp_path))


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    """A configuration that is no JSON, weights that are no weights, a tokenizer of another kind."""
    save_encoder(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    _write(tmp_path, "tokenizer.json", {"model": {"type": "BPE", "vocab": {}}})
    with pytest.raises(FedbertError, match="WordPiece model with the prefix ##, not 'BPE'"):
        load_teacher(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"nothing like it")
    with pytest.raises(FedbertError, match="not a BERT encoder"):
        load_teacher(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FedbertError, match=r"config\.json cannot be read"):
        load_teacher(str(tmp_path))


def test_words_found_with_a_dictionary_are_refused(tmp_path: Path) -> None:
    """A Japanese BERT's words come from a dictionary that is not here."""
    save_encoder(tmp_path)
    _write(tmp_path, "tokenizer_config.json", {"tokenizer_class": "BertJapaneseTokenizer"})
    with pytest.raises(FedbertError, match="finds words with a dictionary"):
        load_teacher(str(tmp_path))
