"""The tokenizer as files: `tokenizers` and `transformers` give the ids of `Tokens`."""

import json
from pathlib import Path

import pytest
from small_encoders import CASED, CHINESE, CHINESE_TEXTS, ENGLISH
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from fedbert.ei_bert.model.tokenizer import TextRules, Tokens, tokenizer_json, write_tokenizer
from fedbert.errors import FedbertError

TEXTS = (
    *("Set an alarm", "the café’s fee of £5", "", "x" * 150, "card " * 100, "tab\t and \u0000 null"),
    *("a [SEP] b [CLS] [MASK] [UNK] c", "Ωmega ☂", "ab我cd"),
    *CHINESE_TEXTS,
)


def _without(vocabulary: tuple[str, ...], *tokens: str) -> tuple[str, ...]:
    return tuple(token for token in vocabulary if token not in tokens)


PRUNED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[ITEM]", *ENGLISH[5:])


@pytest.mark.parametrize("vocabulary", [PRUNED, ENGLISH, CASED, CHINESE], ids=len)
@pytest.mark.parametrize(
    "rules",
    [TextRules(), TextRules(False), TextRules(True, False), TextRules(chinese_characters=False)],
    ids=str,
)
def test_files_give_the_same_ids(tmp_path: Path, vocabulary: tuple[str, ...], rules: TextRules) -> None:
    """Accents, £, ’, ideographs, names of specials, long words and long texts: all the same ids."""
    write_tokenizer(tmp_path, vocabulary, max_tokens=20, rules=rules)
    expected = Tokens(vocabulary, 20, rules=rules).rows(TEXTS)
    alone = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert [row.ids for row in alone.encode_batch(TEXTS)] == expected
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(list(TEXTS), truncation=True)["input_ids"] == expected
    assert len(theirs) == len(vocabulary)


def test_nothing_of_the_full_vocabulary_is_left(tmp_path: Path) -> None:
    """The file pads nothing, its specials have the ids of the vocabulary, and it cuts where it is told."""
    file = json.loads(tokenizer_json(PRUNED, max_tokens=32))
    assert file["padding"] is None
    assert file["truncation"]["max_length"] == 32
    specials = file["post_processor"]["special_tokens"]
    assert {name: part["ids"] for name, part in specials.items()} == {"[CLS]": [2], "[SEP]": [3]}
    write_tokenizer(tmp_path, PRUNED, rules=TextRules(False))
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["do_lower_case"], config["model_max_length"]) == (False, 64)
    assert (tmp_path / "vocab.txt").read_text("utf-8").split("\n")[:-1] == list(PRUNED)


def test_equal_inputs_give_equal_bytes() -> None:
    """The file is a function of vocabulary, rules and length."""
    assert tokenizer_json(PRUNED) == tokenizer_json(PRUNED)
    assert tokenizer_json(PRUNED) != tokenizer_json(PRUNED, rules=TextRules(False))


def test_a_pair_has_its_second_part_marked() -> None:
    """Two texts make one row with a separator after each."""
    pair = Tokenizer.from_str(tokenizer_json(PRUNED).decode()).encode("set", "alarm")
    assert pair.tokens == ["[CLS]", "set", "[SEP]", "alarm", "[SEP]"]
    assert pair.type_ids == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("missing", ["[UNK]", "[SEP]"])
def test_a_vocabulary_without_a_special_has_no_file(missing: str) -> None:
    """What `Tokens` refuses is written nowhere."""
    with pytest.raises(FedbertError, match=missing.strip("[]")):
        tokenizer_json(_without(PRUNED, missing))
