"""What ``fedbert compress`` is asked for: names, ranges, defaults and meanings of all its flags.

Nothing here needs torch, so that help and mistakes answer at once.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import Field, JsonValue, model_validator

from fedbert.ei_bert.artefact.artefact import BUDGET_BYTES
from fedbert.ei_bert.artefact.kinds import Kind
from fedbert.ei_bert.compression.plan import (
    CATALOGUE_PLANS,
    GENERAL_PLANS,
    INNERS,
    LAYERS,
    MAX_TASK_WEIGHT,
    MAX_TEACHERS,
    TASK_PLANS,
    WIDTHS,
    CataloguePlan,
    GeneralPlan,
    Plan,
    Ranking,
    TaskPlan,
)
from fedbert.ei_bert.teaching.methods import METHODS
from fedbert.errors import FedbertError
from fedbert.machine import Precision, cores
from fedbert.settings import Settings

MAX_THREADS = 256
"""More than torch gains from; hundreds of thousands would end the process."""
MAX_STEPS = 10_000_000
DIMS = (8, 256)
"""Widths of unit vectors that the runtime and the fleet's messages are made for."""

Size = Literal["default", "small", "tiny"]
assert get_args(Size) == tuple(CATALOGUE_PLANS) == tuple(TASK_PLANS) == tuple(GENERAL_PLANS)

AnyPlan = TypeVar("AnyPlan", bound=Plan)

_BITS: dict[str, JsonValue] = {"metavar": "[8|4]"}
_OF_SIZE = "default: the size's"
_TEACHER = "folder or hub name of a BERT-like encoder; default: the installed one"
_THREADS = "threads of torch; default: all cores"
_SETS = "CSV or Parquet file of text,label[,split], or a folder of such"
_ARCHITECTURE = ("layers", "width", "inner", "heads", "embedding")
_FOR_BOTH = ("budget_bytes", "pruning", "embedding_bits", "pretrain_steps", "cross_steps", "precision")
_CATALOGUE_TEXTS = ("varied_texts", "remixed_texts", "word_texts", "asked_texts")
_FOR_CATALOGUES = ("dim", "align_to", "server_output", *_CATALOGUE_TEXTS)
_FOR_TASKS = (
    "method",
    "wide_bytes",
    "weight_bits",
    "entropy_coded",
    "word_dropout",
    "task_weight",
    "teachers",
    "average_steps",
    "label_smoothing",
    "seeds",
    "whole_seeds",
    "ablation",
    "rivals",
    "probe",
    "search_record",
    "transformers_output",
)
_TASK_PLAN = (
    "method",
    "wide_bytes",
    "weight_bits",
    "word_dropout",
    "task_weight",
    "teachers",
    "average_steps",
    "label_smoothing",
)
_FOR_GENERAL = ("teacher_vectors", "vocabulary", "general_sentences")
# A general encoder has neither tasks nor items, but it may be probed and have 4-bit weights.
_NOT_FOR_GENERAL = (
    *_FOR_CATALOGUES,
    *(name for name in _FOR_TASKS if name not in ("weight_bits", "probe")),
    "cross_steps",
)


class Training(Settings):
    """What every training of a student needs: a teacher, threads, a precision and a folder for its stages."""

    teacher: str | None = Field(None, description=_TEACHER)
    threads: int | None = Field(None, ge=1, le=MAX_THREADS, description=_THREADS)
    precision: Precision = Field(
        "auto", description="of training; auto is bfloat16 where the processor multiplies it"
    )
    work: Path = Field(
        Path(".cache/compress"), description="folder of the stages' files; a stopped run goes on from them"
    )

    @property
    def threads_used(self) -> int:
        """The threads that torch gets."""
        return self.threads or cores()


class CompressionSettings(Training):
    """A student to make, for the tasks of `data` or, without data, for the catalogue that runs rank."""

    data: tuple[Path, ...] = Field(
        (), description=f"{_SETS}; repeat for several tasks; without it: the student that runs start from"
    )
    general: bool = Field(
        False,
        description="make a general encoder, which learns no task; of --data it reads training texts alone",
    )
    size: Size = Field("default", description="preset: 1.91 MB, 1 MB or 0.5 MB")
    output: Path = Field(Path("runs/model"), description="folder of the artefact that phones fetch")
    overwrite: bool = Field(False, description="replace what is in the folders that are written")
    budget_bytes: int | None = Field(None, ge=1, description=f"limit of all files together; {_OF_SIZE}")
    layers: int | None = Field(
        None, ge=LAYERS[0], le=LAYERS[1], description=f"passes through a layer; {_OF_SIZE}"
    )
    width: int | None = Field(
        None, ge=WIDTHS[0], le=WIDTHS[1], description=f"features of the hidden states; {_OF_SIZE}"
    )
    inner: int | None = Field(
        None, ge=INNERS[0], le=INNERS[1], description=f"features inside a feed-forward part; {_OF_SIZE}"
    )
    heads: int | None = Field(None, ge=1, le=WIDTHS[1], description=f"attention heads; {_OF_SIZE}")
    embedding: int | None = Field(
        None, ge=0, le=WIDTHS[1], description=f"width of word embeddings, 0 for the layers'; {_OF_SIZE}"
    )
    shared: bool = Field(False, description="one layer's weights for all passes (ALBERT)")
    dim: int | None = Field(
        None,
        ge=DIMS[0],
        le=DIMS[1],
        description=f"without --data: width of the vectors; default: {CataloguePlan().dim}",
    )
    align_to: str | None = Field(
        None,
        description="without --data: folder or name of a student whose space it takes, as the command align "
        "does",
    )
    embedding_bits: int | None = Field(
        None,
        description=f"bits of an embedding's value; default: {CataloguePlan().embedding_bits}, with --data: "
        f"{TASK_PLANS['default'].embedding_bits}",
        json_schema_extra=_BITS,
    )
    weight_bits: int | None = Field(
        None,
        description=f"with --data: bits of a weight; default: {Plan().weight_bits}",
        json_schema_extra=_BITS,
    )
    wide_bytes: int | None = Field(
        None,
        ge=0,
        description="with --data: of the budget, what a linear layer on hashed n-grams beside each head may "
        "take, 0 for none; default: the size's, about a fifth",
    )
    entropy_coded: bool = Field(
        False, description="with --data: store the model file entropy coded, a smaller download"
    )
    pruning: Ranking | None = Field(
        None,
        description=f"what ranks tokens; default: {Plan().pruning}, --general: {GeneralPlan().pruning}",
    )
    method: str | None = Field(
        None,
        description=f"with --data: how tasks are learnt: {'; '.join(METHODS)}; default: {TaskPlan().method}",
    )
    pretrain_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description=f"steps of the pre-distillation; {_OF_SIZE}"
    )
    cross_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description=f"steps of the cross-distillation; {_OF_SIZE}"
    )
    word_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="with --data: share of tokens unseen at a step of cross-distillation; default: "
        f"{TaskPlan().word_dropout:g}",
    )
    task_weight: float | None = Field(
        None,
        gt=0,
        le=MAX_TASK_WEIGHT,
        description="with --data: how much a text of a task counts, in general sentences, where tokens are "
        f"ranked; default: {TaskPlan().task_weight:g}",
    )
    teachers: int | None = Field(
        None,
        ge=1,
        le=MAX_TEACHERS,
        description=f"with --data: tuned teachers that teach as one; default: {TaskPlan().teachers}",
    )
    average_steps: int | None = Field(
        None,
        ge=0,
        le=MAX_STEPS,
        description="with --data: last steps of cross-distillation whose mean weights are the student's, 0 "
        f"for the last weights; default: {TaskPlan().average_steps}",
    )
    label_smoothing: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="with --data: share of a label that the student's loss spreads over all labels; default: "
        f"{TaskPlan().label_smoothing:g}",
    )
    seed: int = Field(0, ge=0, description="seed of every random choice")
    seeds: int = Field(
        1, ge=1, le=1_000, description="with --data: cross-distillations, with the seed and the next ones"
    )
    whole_seeds: bool = Field(
        False,
        description="with --data: each seed has its own teachers and pre-distillation, so that intervals are "
        "of the whole pipeline",
    )
    ablation: bool = Field(False, description="with --data: compare all methods under one budget of steps")
    rivals: bool = Field(
        True, description="with --data: train rivals of the student's bytes beside it, about a minute"
    )
    fast: bool = Field(False, description="about a sixth of the work, for a first student")
    varied_texts: int | None = Field(
        None, ge=0, le=MAX_STEPS, description=f"without --data: texts made of public ones; {_OF_SIZE}"
    )
    remixed_texts: int | None = Field(
        None,
        ge=0,
        le=MAX_STEPS,
        description="without --data: texts made of public ones with near words exchanged; default: "
        f"{CataloguePlan().remixed_texts}",
    )
    word_texts: int | None = Field(
        None,
        ge=0,
        le=MAX_STEPS,
        description="without --data: groups of near words, beside each word of the teacher's table; default: "
        f"{CataloguePlan().word_texts}",
    )
    asked_texts: int | None = Field(
        None,
        ge=0,
        le=MAX_STEPS,
        description="without --data: texts made to ask for names that no public request asks for, in "
        f"cross-distillation; default: {CataloguePlan().asked_texts}",
    )
    general_text: Path | None = Field(None, description="file of further sentences, one per line")
    general_sentences: int | None = Field(
        None,
        ge=1,
        le=MAX_STEPS,
        description="with --general: sentences that are drawn of those of --general-text; default: "
        f"{GeneralPlan().general_sentences}",
    )
    teacher_vectors: Path | None = Field(
        None,
        description="with --general: Parquet file of text,vector by any encoder, in place of a teacher; "
        "without --general-text its texts are read",
    )
    vocabulary: Path | None = Field(
        None, description="with --teacher-vectors: WordPiece vocabulary, a token a line"
    )
    public: Path | None = Field(
        None, description="folder with services/public.parquet; default: the shipped one"
    )
    probe: tuple[Path, ...] = Field(
        (), description=f"with --data: {_SETS}, held out of distillation, for linear probes; repeatable"
    )
    server_output: Path | None = Field(
        None, description="without --data: folder of the server's float weights; default: OUTPUT-server"
    )
    search_record: Path | None = Field(
        None, description="with --data: what the command search wrote, for the report"
    )
    transformers_output: Path | None = Field(
        None, description="with --data: folder for the float student as transformers reads it"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse flags of the other goals, and a plan that no student can have."""
        if self.general:
            others: tuple[str, ...] = _NOT_FOR_GENERAL
        else:
            others = (*(_FOR_CATALOGUES if self.data else _FOR_TASKS), *_FOR_GENERAL)
        for name in others:
            if getattr(self, name) != type(self).model_fields[name].default:
                flag = f"--{name.replace('_', '-')}"
                if name in _FOR_GENERAL:
                    raise FedbertError(f"{flag} is for a general encoder; add --general")
                if self.general:
                    raise FedbertError(f"{flag} is not for a general encoder; leave out --general or it")
                if self.data:
                    raise FedbertError(f"{flag} is for the model of runs; leave out --data or it")
                raise FedbertError(f"{flag} needs tasks; give --data FILE")
        if (self.teacher_vectors is None) != (self.vocabulary is None):
            raise FedbertError("--teacher-vectors and --vocabulary belong together; give both or neither")
        if self.teacher_vectors is not None and self.teacher is not None:
            raise FedbertError("--teacher-vectors stand in place of a teacher; leave out --teacher")
        if self.teacher_vectors is not None and self.public is not None:
            raise FedbertError("--teacher-vectors go without the shipped sentences; leave out --public")
        plan = self.plan()
        if self.ablation and isinstance(plan, TaskPlan) and plan.teachers > 1:
            raise FedbertError(
                f"--ablation compares methods in which one teacher reads along, not {plan.teachers}; "
                "give --teachers 1 or leave it out"
            )
        return self

    def plan(self) -> TaskPlan | CataloguePlan | GeneralPlan:
        """Return the plan of the size with what was asked for in place of its own; raises FedbertError."""
        if self.general:
            return self.general_plan()
        return self.task_plan() if self.data else self.catalogue_plan()

    def task_plan(self) -> TaskPlan:
        """Return the plan for the tasks of `data`."""
        preset = TASK_PLANS[self.size]
        if self.budget_bytes is not None and self.wide_bytes is None:
            # The wide part keeps its share of another budget.
            room = preset.wide_bytes * self.budget_bytes // preset.budget_bytes
            preset = replace(preset, budget_bytes=self.budget_bytes, wide_bytes=room)
        chosen = replace(self._changed(preset, _TASK_PLAN), entropy_coded=self.entropy_coded)
        return chosen.fast() if self.fast else chosen

    def catalogue_plan(self) -> CataloguePlan:
        """Return the plan for a catalogue."""
        chosen = self._changed(CATALOGUE_PLANS[self.size], ("dim", "seed", *_CATALOGUE_TEXTS))
        return chosen.fast() if self.fast else chosen

    def general_plan(self) -> GeneralPlan:
        """Return the plan for a general encoder."""
        more = ("seed", "weight_bits", "general_sentences")
        chosen = self._changed(GENERAL_PLANS[self.size], more)
        return chosen.fast() if self.fast else chosen

    def _changed(self, plan: AnyPlan, more: tuple[str, ...]) -> AnyPlan:
        sizes = self._given(_ARCHITECTURE) | ({"shared": True} if self.shared else {})
        architecture = replace(plan.architecture, **sizes)
        return replace(plan, architecture=architecture, **self._given((*_FOR_BOTH, *more)))

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class SearchSettings(Training):
    """A comparison of student shapes under one byte budget."""

    data: tuple[Path, ...] = Field(description=f"{_SETS}; repeat for several tasks")
    output: Path = Field(Path("runs/search.json"), description="file of the record, .json")
    overwrite: bool = Field(False, description="replace the file if it is there")
    budget_bytes: int = Field(
        BUDGET_BYTES, ge=1, description="limit of all files together, without a wide part"
    )
    embedding_bits: int = Field(
        TASK_PLANS["default"].embedding_bits,
        description=f"bits of an embedding's value; default: {TASK_PLANS['default'].embedding_bits}",
        json_schema_extra=_BITS,
    )
    steps: int = Field(500, ge=1, le=MAX_STEPS, description="steps of pre-distillation for each shape")
    pruning: Ranking = Field("attention", description="what ranks tokens")


class ProbeSettings(Settings):
    """Linear probes of a student and its teacher on anyone's sets."""

    data: tuple[Path, ...] = Field(description=f"{_SETS}; repeat for several tasks")
    model: str = Field("default", description="folder of an artefact, or the name of a shipped one")
    teacher: str | None = Field(
        None, description="folder or hub name of a BERT-like encoder; default: the installed one"
    )
    texts_per_label: int | None = Field(
        None, ge=1, description="training texts of each label, drawn by seed; default: all"
    )
    seed: int = Field(0, ge=0, description="seed of the texts that choose the penalty, and of intervals")
    output: Path | None = Field(None, description="file for the figures, as JSON")
    overwrite: bool = Field(False, description="replace the file if it is there")
    budget_bytes: int = Field(BUDGET_BYTES, ge=1, description="limit of the artefact's files together")
    threads: int = Field(1, ge=1, le=MAX_THREADS, description="threads of encoders")


class RivalSettings(Settings):
    """Rivals of a student that is there, at its bytes."""

    data: tuple[Path, ...] = Field(
        description=f"{_SETS}; repeat for several tasks; the model has their heads"
    )
    model: str = Field(
        "intents-default", description="folder of an artefact with heads, or the name of a shipped one"
    )
    taught_by: tuple[str, ...] = Field(
        (), description="models whose mean logits teach the taught rivals, repeatable; default: the model"
    )
    beside: tuple[str, ...] = Field(
        (), description="further models with these heads to stand beside it, repeatable"
    )
    teacher: str | None = Field(
        None,
        description="folder or hub name of the encoder whose token vectors a rival begins with; "
        "default: the installed one",
    )
    report: Path | None = Field(
        None, description="folder of the model's report (NAME-report), into which the rivals are put"
    )
    output: Path | None = Field(None, description="file for the figures, as JSON")
    overwrite: bool = Field(False, description="replace the file if it is there")
    seed: int = Field(0, ge=0, description="seed of made texts and of the order of training")
    budget_bytes: int = Field(BUDGET_BYTES, ge=1, description="limit of the artefact's files together")
    threads: int = Field(1, ge=1, le=MAX_THREADS, description="threads of torch")


class WidenSettings(Settings):
    """A wide part beside the heads of a student that is there."""

    data: tuple[Path, ...] = Field(
        description=f"{_SETS}; repeat for several tasks; the model has their heads"
    )
    model: str = Field(description="folder of an artefact with heads, or the name of a shipped one")
    output: Path = Field(description="folder of the widened artefact")
    overwrite: bool = Field(False, description="replace what is in the folder")
    bytes: int | None = Field(
        None, ge=1, description="size of the wide part; default: what the deep part leaves of the budget"
    )
    budget_bytes: int = Field(BUDGET_BYTES, ge=1, description="limit of all files together")
    embedding_bits: int | None = Field(
        None,
        description="bits of an embedding's value in the deep part; default: as they are",
        json_schema_extra=_BITS,
    )
    weight_bits: int | None = Field(
        None, description="bits of a weight in the deep part; default: as they are", json_schema_extra=_BITS
    )
    weight: float | None = Field(
        None, ge=0, le=100, description="of the wide part's logits; default: chosen on validation texts"
    )
    taught_by: tuple[str, ...] = Field(
        (), description="models whose mean logits teach the wide part, repeatable; default: the labels do"
    )
    teacher: str | None = Field(
        None,
        description="with --taught-by: folder or hub name of the encoder whose token vectors help to make "
        "texts; default: the installed one",
    )
    report: Path | None = Field(
        None, description="folder of the model's report (NAME-report), which becomes the widened one's"
    )
    seed: int = Field(0, ge=0, description="seed of made texts and of the order of training")
    threads: int = Field(1, ge=1, le=MAX_THREADS, description="threads of torch")

    @property
    def reads_bytes(self) -> int:
        """Limit of the models that are read: four bits may bring a larger one under the budget."""
        return max(2 * self.budget_bytes, BUDGET_BYTES)


class UnknownSettings(Settings):
    """A threshold under which a student says that a text has none of a task's labels."""

    data: Path = Field(
        description="CSV or Parquet file of text,label,split with validation texts; its name is the task's"
    )
    unknown: Path = Field(description="CSV or Parquet file of text,split: texts that have none of the labels")
    model: str = Field(description="folder of an artefact, or the name of a shipped one")
    output: Path | None = Field(
        None, description="file to write; default: unknown.json in the model's folder"
    )
    report: Path | None = Field(
        None, description="folder of the model's report (NAME-report), into which the figures are put"
    )
    overwrite: bool = Field(False, description="replace the task's threshold if the file has one")
    budget_bytes: int = Field(BUDGET_BYTES, ge=1, description="limit of the artefact's files together")


class AlignSettings(Settings):
    """A student to turn into the space of another."""

    model: str = Field(
        description="folder of an artefact made without --data, or the name of a shipped one; its server "
        "folder lies beside it"
    )
    to: str = Field("default", description="folder or name of the student whose space it takes")
    output: Path = Field(description="folder to write; the server's part goes beside it, with -server")
    overwrite: bool = Field(False, description="replace what is in the folders that are written")
    teacher: str | None = Field(None, description=_TEACHER)
    threads: int | None = Field(None, ge=1, le=MAX_THREADS, description=_THREADS)

    @property
    def threads_used(self) -> int:
        """The threads that torch gets."""
        return self.threads or cores()


class HeadSettings(Settings):
    """A new task on a frozen student."""

    data: Path = Field(
        description="CSV or Parquet file of text,label, of text,tags (words and their BIO tags, separated by "
        "blanks) or of text,text_b,label, with or without split; its name is the task's"
    )
    model: str | None = Field(
        None,
        description="folder of an artefact, or the name of a shipped one; default: the shipped model that "
        "knows the set, else the general encoder",
    )
    kind: Kind | None = Field(
        None, description="labels of texts, tags of words or labels of pairs; default: what the columns say"
    )
    output: Path | None = Field(None, description="folder to write; default: the model's own")
    overwrite: bool = Field(False, description="replace the task's head, or what is in the folder")
    wide_bytes: int | None = Field(
        None,
        ge=0,
        description="size of a wide part on n-grams, kept if it helps on held-out texts; 0 for none; "
        "default: 64 kB, or what the budget leaves",
    )
    seed: int = Field(0, ge=0, description="seed of the texts that choose the penalty")
    budget_bytes: int = Field(BUDGET_BYTES, ge=1, description="limit of the artefact's files together")
