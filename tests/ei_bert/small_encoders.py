"""Small random encoders in folders, as `transformers` saves them, and the vocabularies they read.

The Chinese tokens are a few of the vocabulary of bert-base-chinese (Google, Apache-2.0).
"""

import string
from pathlib import Path

import torch
import transformers

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
IDEOGRAPHS = (
    "我想查一下账户余额可以吗请帮设置明天早上六点的闹钟怎么冻结银行卡打开客厅灯今天气如何播放音乐转给妈元"
)
CHINESE_TEXTS = (
    "我想查一下账户余额，可以吗？",
    "请帮我设置明天早上六点的闹钟。",
    "转给妈妈12元 ok",
    "打开app",
)


def _with_inner(characters: str) -> list[str]:
    each = list(dict.fromkeys(characters))
    return [*each, *(f"##{character}" for character in each)]


ENGLISH = (
    *SPECIALS,
    *_with_inner(string.ascii_lowercase + string.digits + string.punctuation + "£’é"),
    *("set", "an", "alarm", "the", "fee", "was", "##ing", "cafe", "car", "card", "##ed"),
)
CASED = (*ENGLISH, *_with_inner(string.ascii_uppercase), "Set", "Alarm", "café")
CHINESE = (
    *SPECIALS,
    *_with_inner(string.ascii_lowercase + string.digits + string.punctuation + "，。？！￥" + IDEOGRAPHS),
    *("app", "ok", "12"),
)


def random_encoder(kind: str, vocabulary: int, **changes: object) -> transformers.PreTrainedModel:
    """Return a random model of type `kind` with 70 positions; `changes` go to its configuration."""
    torch.manual_seed(0)
    common = {"vocab_size": vocabulary, "max_position_embeddings": 70}
    if kind == "distilbert":
        sizes = {"dim": 24, "n_layers": 2, "n_heads": 4, "hidden_dim": 40}
        model = transformers.DistilBertModel(transformers.DistilBertConfig(**common, **sizes, **changes))
    else:
        sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
        if kind == "electra":
            config = transformers.ElectraConfig(**common, **sizes, **{"embedding_size": 24, **changes})
            model = transformers.ElectraModel(config)
        else:
            model = transformers.BertModel(transformers.BertConfig(**common, **sizes, **changes))
    with torch.no_grad():
        for value in model.parameters():  # biases and norms too: none may hide behind a 0 or a 1
            value.add_(torch.randn_like(value) * 0.1)
    return model.eval()


def save_encoder(
    folder: Path, kind: str = "bert", vocabulary: tuple[str, ...] = ENGLISH, **changes: object
) -> transformers.PreTrainedModel:
    """Save a random encoder and its vocabulary into `folder` and return it."""
    model = random_encoder(kind, len(vocabulary), **changes)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    return model
