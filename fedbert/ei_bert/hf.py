"""The float student as a `transformers` model: `save_transformers` writes a folder, and after
``import fedbert.ei_bert.hf`` the Auto classes read it as they read any other.

``AutoModel`` gives `last_hidden_state` and, as `pooler_output`, their mean over a text's tokens.
``AutoModelForSequenceClassification`` puts one task's head on top (``task="NAME"``; by default the first by
name), trainable as usual. Weights are float32: this is for going on training, phones take the int8 artefact.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from fedbert.ei_bert.artefact.heads import Head
from fedbert.ei_bert.model.bert import Body, Shape, mean_pool
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import MAX_TOKENS, UNCASED, TextRules, write_tokenizer
from fedbert.errors import FedbertError, invalid
from fedbert.output_folder import write_together
from fedbert.run_folder import holding

try:
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForSequenceClassification,
        PretrainedConfig,
        PreTrainedModel,
    )
    from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
    from transformers.utils.generic import can_return_tuple
except ModuleNotFoundError as error:
    raise FedbertError(
        f"the export for transformers needs the package {error.name}, which is not installed; "
        "run: pip install 'fedbert[export]'"
    ) from error

MODEL_TYPE = "ei_bert"
_SIZES: Mapping[str, Any] = {
    "vocab_size": 7_000,
    "num_hidden_layers": 4,
    "hidden_size": 128,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": MAX_TOKENS,
    "embedding_size": 0,
    "shared_layers": False,
    "layer_norm_eps": 1e-12,
    "vector_size": 0,
}
"""A configuration's sizes with their defaults: the configuration without arguments is a valid one."""


class EiBertConfig(PretrainedConfig):  # type: ignore[misc]
    """The sizes of a student, under the names that `transformers` gives them, and its tasks' labels.

    `embedding_size` 0 is `hidden_size`; `shared_layers` passes through one layer's weights; `vector_size` is
    0 for a pooled student, else the width of its unit vectors. `tasks` holds the label names by task, `task`
    the one whose head a classifier has. `_SIZES` names all sizes.
    """

    model_type = MODEL_TYPE

    def __init__(
        self, tasks: Mapping[str, Sequence[str]] | None = None, task: str | None = None, **others: Any
    ) -> None:
        """Keep tasks and sizes; the rest of `others` is what every configuration has."""
        for name, usual in _SIZES.items():
            setattr(self, name, others.pop(name, usual))
        self.tasks = {name: list(labels) for name, labels in sorted((tasks or {}).items())}
        self.task = task
        others.setdefault("pad_token_id", 0)
        super().__init__(**others)


class EiBertModel(PreTrainedModel):  # type: ignore[misc]
    """The student's encoder."""

    config_class = EiBertConfig
    base_model_prefix = "encoder"

    def __init__(self, config: EiBertConfig) -> None:
        """Make an encoder of the sizes in `config`."""
        super().__init__(config)
        # A shared layer is held once and passed many times: a file of tensors must not hold it twice.
        held = 1 if config.shared_layers else config.num_hidden_layers
        self.passes = config.num_hidden_layers if config.shared_layers else 1
        self.body = Body(
            Shape(
                vocabulary=config.vocab_size,
                layers=held,
                width=config.hidden_size,
                heads=config.num_attention_heads,
                inner=config.intermediate_size,
                positions=config.max_position_embeddings,
                activation="relu",
                epsilon=config.layer_norm_eps,
                embedding=config.embedding_size,
            )
        )
        self.project = nn.Linear(config.hidden_size, config.vector_size) if config.vector_size else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings."""
        return self.body.words

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put `value` in place of the word embeddings."""
        self.body.words = value

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Return hidden states `[row, token, width]` and their mean `[row, width]` of ids `[row, token]`.

        A token counts where `attention_mask` is not 0; without one, where the id is not that of `[PAD]`.
        Raises FedbertError for rows longer than the model's positions.
        """
        if input_ids.shape[1] > self.config.max_position_embeddings:
            raise FedbertError(
                f"input_ids{list(input_ids.shape)}: must be at most {self.config.max_position_embeddings} "
                "tokens a row; let the tokenizer truncate"
            )
        ids = input_ids if attention_mask is None else input_ids.masked_fill(attention_mask == 0, 0)
        x = self.body.embed(ids)
        for _pass in range(self.passes):
            x = self.body.run(x, ids, 0, len(self.body.layers))
        return BaseModelOutputWithPooling(last_hidden_state=x, pooler_output=mean_pool(x, ids))

    def vectors(self, pooled: Tensor) -> Tensor:
        """Return what heads read, from `pooler_output`: itself, or the unit vectors `[row, vector_size]`."""
        return pooled if self.project is None else functional.normalize(self.project(pooled), dim=-1)


class EiBertForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """The encoder with the head of one task; the others stay in the folder."""

    config_class = EiBertConfig
    base_model_prefix = "encoder"

    def __init__(self, config: EiBertConfig) -> None:
        """Make an encoder and a head for `config.task`, or for `num_labels` classes if there are no tasks."""
        super().__init__(config)
        self.chosen = 0
        if config.tasks:
            config.task = config.task or min(config.tasks)
            if config.task not in config.tasks:
                raise invalid("task", config.task, f"be one of {', '.join(config.tasks)}")
            config.id2label = dict(enumerate(config.tasks[config.task]))
            config.label2id = {name: index for index, name in config.id2label.items()}
            self.chosen = list(config.tasks).index(config.task)
        self.encoder = EiBertModel(config)
        width = config.vector_size or config.hidden_size
        # Heads lie in the order of their tasks' names, which need not be names of parameters.
        sizes = [len(labels) for labels in config.tasks.values()] or [config.num_labels]
        self.heads = nn.ModuleList([nn.Linear(width, size) for size in sizes])
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Return the logits `[row, class]`, and with `labels` `[row]` the mean cross-entropy as loss."""
        pooled = self.encoder(input_ids, attention_mask).pooler_output
        logits = self.heads[self.chosen](self.encoder.vectors(pooled))
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def save_transformers(
    student: Student,
    vocabulary: Sequence[str],
    heads: Mapping[str, Head],
    folder: Path,
    rules: TextRules = UNCASED,
) -> None:
    """Write `student`, its tokenizer and `heads` (by task) as a folder of `save_pretrained`.

    `rules` say how texts become tokens.
    All files are made before the first is put into `folder`. The adapter for items' names is left out: texts
    do not pass it. Raises FedbertError if the vocabulary is not of the student's size, a head is of another
    width, or the folder cannot be written.
    """
    shape = student.shape
    if len(vocabulary) != shape.vocabulary:
        raise FedbertError(
            f"vocabulary of {len(vocabulary)} tokens must have the student's {shape.vocabulary}"
        )
    wide = next((head for head in heads.values() if head.dim != shape.dim), None)
    if wide is not None:
        raise FedbertError(f"head {wide.task}: reads vectors of {wide.dim}, the student makes {shape.dim}")
    config = EiBertConfig(
        vocab_size=shape.vocabulary,
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        embedding_size=shape.embedding,
        shared_layers=shape.shared,
        layer_norm_eps=student.body.shape.epsilon,
        vector_size=0 if shape.pooled else shape.dim,
        tasks={task: head.labels for task, head in heads.items()},
        dtype="float32",
    )
    config.architectures = ["EiBertForSequenceClassification" if heads else "EiBertModel"]
    try:
        with tempfile.TemporaryDirectory() as made:
            config.save_pretrained(made)
            write_tokenizer(Path(made), vocabulary, rules=rules)
            save_file(_state(student, heads), Path(made) / "model.safetensors", metadata={"format": "pt"})
            contents = {path.name: path.read_bytes() for path in sorted(Path(made).iterdir())}
        with holding(folder):
            write_together(folder, contents)
    except OSError as error:
        raise FedbertError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error


def _state(student: Student, heads: Mapping[str, Head]) -> dict[str, Tensor]:
    """Return the tensors of the file, under the names that they have in the classes above."""
    kept = student.body.state_dict()
    if student.shape.shared:
        kept = {k: v for k, v in kept.items() if not k.startswith("layers.") or k.startswith("layers.0.")}
    prefix = "encoder." if heads else ""
    state = {f"{prefix}body.{name}": value for name, value in kept.items()}
    if not student.shape.pooled:
        project, head = student.project, student.head
        state[f"{prefix}project.weight"] = (project.weight.T @ head).T
        state[f"{prefix}project.bias"] = project.bias @ head
    for index, (_, one) in enumerate(sorted(heads.items())):
        state[f"heads.{index}.weight"] = torch.from_numpy((one.weight * one.scale).T)
        state[f"heads.{index}.bias"] = torch.from_numpy(one.bias)
    return {name: value.detach().float().cpu().contiguous().clone() for name, value in state.items()}


def register() -> None:
    """Tell the Auto classes of `transformers` about the student; importing this module does it."""
    AutoConfig.register(MODEL_TYPE, EiBertConfig, exist_ok=True)
    AutoModel.register(EiBertConfig, EiBertModel, exist_ok=True)
    AutoModelForSequenceClassification.register(EiBertConfig, EiBertForSequenceClassification, exist_ok=True)


register()
