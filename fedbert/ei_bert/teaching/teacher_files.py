"""Reads the files of a BERT-like encoder (BERT, DistilBERT, ELECTRA) as published: configuration, weights,
vocabulary and how texts are read. What is not such an encoder is refused in one line that says why.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fedbert import files
from fedbert.ei_bert.model.bert import Body, Observe, Shape
from fedbert.ei_bert.model.tokenizer import TextRules
from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile

CONFIG, VOCABULARY, TOKENIZER, TOKENIZER_CONFIG = (
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
)
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class _Family:
    """Where a kind of model keeps its sizes and its weights; `layer` and `linears` name a layer's parts."""

    layer: str
    packed: tuple[str, str, str]
    linears: Mapping[str, str]
    token_types: bool = True
    sizes: Mapping[str, str] = field(
        default_factory=lambda: {
            "vocabulary": "vocab_size",
            "layers": "num_hidden_layers",
            "width": "hidden_size",
            "heads": "num_attention_heads",
            "inner": "intermediate_size",
            "positions": "max_position_embeddings",
        }
    )
    activation: str = "hidden_act"


_BERT = _Family(
    layer="encoder.layer",
    packed=("attention.self.query", "attention.self.key", "attention.self.value"),
    linears={
        "out": "attention.output.dense",
        "norm_attention": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm_feed": "output.LayerNorm",
    },
)
_DISTILBERT = _Family(
    layer="transformer.layer",
    packed=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    linears={
        "out": "attention.out_lin",
        "norm_attention": "sa_layer_norm",
        "up": "ffn.lin1",
        "down": "ffn.lin2",
        "norm_feed": "output_layer_norm",
    },
    token_types=False,
    sizes={
        "vocabulary": "vocab_size",
        "layers": "n_layers",
        "width": "dim",
        "heads": "n_heads",
        "inner": "hidden_dim",
        "positions": "max_position_embeddings",
    },
    activation="activation",
)
_FAMILIES = {"bert": _BERT, "distilbert": _DISTILBERT, "electra": _BERT}

_CAUSAL = "a causal language model: its tokens see only what stands before them"
_PAIRED = "an encoder with a decoder, for writing texts"
_VISION = "a model of images"
_BYTES = "an encoder whose tokens are byte pairs; pruning and students here are WordPiece's"
_PIECES = "an encoder whose tokens are SentencePiece's; pruning and students here are WordPiece's"
_PLACES = "an encoder with relative positions, which this body does not compute"
_OTHERS = {
    _CAUSAL: "gpt2 gpt_neo gpt_neox gptj opt bloom llama mistral mixtral falcon mamba phi3 qwen2 qwen3 gemma",
    _PAIRED: "t5 mt5 bart mbart pegasus marian encoder-decoder blenderbot",
    _VISION: "vit deit beit swin clip siglip resnet convnext dinov2",
    _BYTES: "roberta longformer modernbert",
    _PIECES: "xlm-roberta camembert albert xlnet",
    _PLACES: "mpnet deberta deberta-v2",
}
_BY_ARCHITECTURE = {
    "ForCausalLM": _CAUSAL,
    "LMHeadModel": _CAUSAL,
    "ForConditionalGeneration": _PAIRED,
    "ForImageClassification": _VISION,
}


class ProjectedBody(Body):
    """ELECTRA's body: words and places are added and normalised at the embedding's width, then widened."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        narrow = shape.embedding
        self.places = nn.Embedding(shape.positions, narrow)
        self.norm = nn.LayerNorm(narrow, eps=shape.epsilon)
        self.widen = nn.Linear(narrow, shape.width)

    def embed(self, ids: Tensor, observe: Observe | None = None) -> Tensor:
        """Return the embeddings of `ids`, `[batch, token, width]`."""
        normed = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]])
        wide: Tensor = cast(nn.Linear, self.widen)(normed)
        return wide


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Return the object in the JSON file `path` of the teacher `name`; raises FedbertError."""
    try:
        found = files.read_json(path)
    except UnreadableFile as error:
        raise FedbertError(
            f"teacher {name}: {path.name} cannot be read: it must {error.rule}; {error.next_step}"
        ) from None
    if not isinstance(found, dict):
        raise FedbertError(f"teacher {name}: {path.name} must hold a JSON object")
    return found


def read_shape(config: Mapping[str, Any], name: str) -> Shape:
    """Return the sizes of the encoder that `config` describes.

    Raises FedbertError, with the reason, for what is no BERT-like encoder or not computed here.
    """
    kind = config.get("model_type")
    family = _FAMILIES.get(str(kind))
    if family is None:
        built = " ".join(map(str, config.get("architectures") or ()))
        guess = next((why for end, why in _BY_ARCHITECTURE.items() if end in built), "")
        why = next((why for why, kinds in _OTHERS.items() if str(kind) in kinds.split()), guess)
        raise FedbertError(
            f"teacher {name}: model_type(={kind!r}) must be bert, distilbert or electra"
            + (f"; this is {why}" if why else "")
        )
    for key, rule in {
        "is_decoder": "be false: a decoder's tokens see only what stands before them",
        "add_cross_attention": "be false: it is the half of a pair of encoder and decoder",
        "quantization_config": "be absent; give the weights in floating point",
    }.items():
        if config.get(key):
            raise FedbertError(f"teacher {name}: {key}(={str(config[key])[:40]}) must {rule}")
    places = config.get("position_embedding_type") or "absolute"
    if places != "absolute":
        raise FedbertError(f"teacher {name}: position_embedding_type(={places!r}) must be 'absolute'")
    activation = config.get(family.activation, "gelu")
    if activation not in ("gelu", "relu"):
        raise FedbertError(f"teacher {name}: {family.activation}(={activation!r}) must be 'gelu' or 'relu'")
    sizes = {ours: _size(config.get(theirs), theirs, name) for ours, theirs in family.sizes.items()}
    if sizes["width"] % sizes["heads"]:
        raise FedbertError(
            f"teacher {name}: {family.sizes['width']}(={sizes['width']}) must be a multiple of "
            f"{family.sizes['heads']}(={sizes['heads']})"
        )
    narrow = sizes["width"]
    if kind == "electra":
        narrow = _size(config.get("embedding_size", 128), "embedding_size", name)
    return Shape(
        vocabulary=sizes["vocabulary"],
        layers=sizes["layers"],
        width=sizes["width"],
        heads=sizes["heads"],
        inner=sizes["inner"],
        positions=sizes["positions"],
        activation=activation,
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        embedding=0 if narrow == sizes["width"] else narrow,
    )


def _size(value: object, key: str, name: str) -> int:
    if not isinstance(value, int) or value < 1:
        raise FedbertError(f"teacher {name}: {key}(={value!r}) must be a whole number above 0")
    return value


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or a PyTorch file, which may hold tensors only.

    Raises ValueError, RuntimeError or SafetensorError for a file that is neither.
    """
    if path.suffix == ".safetensors":
        found = load_file(path)
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, EOFError) as error:
            raise ValueError(f"{path.name} must hold tensors and nothing else") from error
        if not isinstance(found, dict):
            raise ValueError(f"{path.name} must hold named tensors")
    # Files of the first years call a layer norm's weight and bias gamma and beta.
    old = {".gamma": ".weight", ".beta": ".bias"}
    return {
        next((key.removesuffix(end) + new for end, new in old.items() if key.endswith(end)), key): value
        for key, value in found.items()
    }


def build_body(raw: Mapping[str, Tensor], kind: str, shape: Shape) -> Body:
    """Return the frozen body of `shape` with the weights `raw` of a model of type `kind`.

    Raises KeyError, RuntimeError or ValueError if the weights are not those of `shape`.
    """
    family = _FAMILIES[kind]
    state = {key.removeprefix(f"{kind}."): value for key, value in raw.items()}
    if any(key.startswith(f"{family.layer}.{shape.layers}.") for key in state):
        raise ValueError(f"the weights hold more than {shape.layers} layers")
    places = state["embeddings.position_embeddings.weight"].float()
    if family.token_types:
        # One text a row: all its tokens are of the first type.
        places = places + state["embeddings.token_type_embeddings.weight"][0].float()
    ours = {"words.weight": state["embeddings.word_embeddings.weight"], "places.weight": places}
    for part in ("weight", "bias"):
        ours[f"norm.{part}"] = state[f"embeddings.LayerNorm.{part}"]
        if shape.embedding:
            ours[f"widen.{part}"] = state[f"embeddings_project.{part}"]
    for index in range(shape.layers):
        there = f"{family.layer}.{index}."
        for part in ("weight", "bias"):
            ours[f"layers.{index}.packed.{part}"] = torch.cat(
                [state[f"{there}{name}.{part}"] for name in family.packed]
            )
            for mine, theirs in family.linears.items():
                ours[f"layers.{index}.{mine}.{part}"] = state[f"{there}{theirs}.{part}"]
    body = ProjectedBody(shape) if shape.embedding else Body(shape)
    body.load_state_dict({key: value.float() for key, value in ours.items()})
    return body.eval().requires_grad_(False)


def read_vocabulary(folder: Path, name: str) -> tuple[str, ...]:
    """Return the WordPiece tokens by id, from `vocab.txt` or else `tokenizer.json`; raises FedbertError."""
    if (folder / VOCABULARY).is_file():
        # Not splitlines(): some vocabularies have tokens that Python takes for ends of lines.
        lines = files.read_text(folder / VOCABULARY).split("\n")
        return tuple(lines[:-1] if lines[-1] == "" else lines)
    file = read_json(folder / TOKENIZER, name)
    model = file.get("model") or {}
    if model.get("type") != "WordPiece" or model.get("continuing_subword_prefix", "##") != "##":
        raise FedbertError(
            f"teacher {name}: {TOKENIZER} must be of a WordPiece model with the prefix ##, "
            f"not {model.get('type')!r}; such an encoder cannot be pruned here"
        )
    ids = {int(index): str(token) for token, index in model["vocab"].items()}
    ids.update({int(token["id"]): str(token["content"]) for token in file.get("added_tokens") or ()})
    if sorted(ids) != list(range(len(ids))):
        raise FedbertError(f"teacher {name}: the ids in {TOKENIZER} must be 0 .. {len(ids) - 1}, each once")
    return tuple(ids[index] for index in range(len(ids)))


def read_rules(folder: Path, name: str) -> TextRules:
    """Return how the teacher reads texts, from `tokenizer_config.json`, else `tokenizer.json`, else as BERT.

    Raises FedbertError if words are split by other means than BERT's.
    """
    config, file = (
        read_json(folder / part, name) if (folder / part).is_file() else {}
        for part in (TOKENIZER_CONFIG, TOKENIZER)
    )
    kind = str(config.get("tokenizer_class"))
    if "Japanese" in kind:
        raise FedbertError(
            f"teacher {name}: tokenizer_class(={kind!r}) finds words with a dictionary; "
            "give an encoder with BERT's own tokenizer"
        )
    normaliser = file.get("normalizer") or {}
    if normaliser and normaliser.get("type") != "BertNormalizer" and "do_lower_case" not in config:
        raise FedbertError(
            f"teacher {name}: normalizer(={normaliser.get('type')!r}) must be 'BertNormalizer'; "
            f"or say do_lower_case in {TOKENIZER_CONFIG}"
        )
    return TextRules(
        bool(config.get("do_lower_case", normaliser.get("lowercase", True))),
        config.get("strip_accents", normaliser.get("strip_accents")),
        bool(config.get("tokenize_chinese_chars", normaliser.get("handle_chinese_chars", True))),
    )
