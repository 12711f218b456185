"""The compression of a teacher for classification tasks, stage by stage, each in a folder of its own.

1. tuning of the teacher on all tasks, 2. texts and the teacher's states of them, 3. hard token pruning,
4. task-agnostic pre-distillation from the teacher as published, 5. cross-distillation from the tuned one,
6. calibrated int8 and export. Tasks share one encoder; each has a head of a few kB.
"""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact
from fedbert.ei_bert.artefact.heads import fit_head, head_bytes, quantise_head
from fedbert.ei_bert.compression.plan import TaskPlan
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.compression.stages import Done, load_tensors, run_stage, save_tensors
from fedbert.ei_bert.compression.token_pruning import (
    importance,
    pruned_vocabulary,
    smallest_size,
    spelling,
    teacher_rows,
)
from fedbert.ei_bert.compression.vocabulary_fit import check_budget, fit_vocabulary, trimmed
from fedbert.ei_bert.model.bert import best_device
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import Quantisation, calibrate
from fedbert.ei_bert.model.student import Student, start_student
from fedbert.ei_bert.model.tokenizer import Tokens, padded
from fedbert.ei_bert.teaching.cross_distillation import pretrain
from fedbert.ei_bert.teaching.methods import Method
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.task_distillation import (
    Rates,
    TaskLesson,
    distil,
    folded,
    student_accuracy,
    student_states,
)
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import Heads, accuracy, fine_tune, joined, pooled_rows, pooled_states
from fedbert.errors import FedbertError
from fedbert.machine import precision_used

MANIFEST_ROOM = 6_000
"""Bytes kept free for the manifest and what a trained file takes more than a new one."""
_CALIBRATION_TEXTS = 512
_TEACHER_SEED = 0
_PROBE_STRENGTH = 0.03


@dataclass(frozen=True)
class Inputs:
    """What a compression starts from. `sentences` are general texts, `sources` the hashes of their files."""

    teacher: Teacher
    tasks: tuple[Task, ...]
    sentences: tuple[str, ...]
    sources: Mapping[str, str]

    def key(self) -> dict[str, Any]:
        """Return what identifies the inputs."""
        tasks = {task.name: task.sha256 for task in self.tasks}
        return {"teacher": self.teacher.sha256, "tasks": tasks, "sentences": dict(self.sources)}


@dataclass(frozen=True)
class Trained:
    """A trained float student with its vocabulary and its heads on states of the teacher's width."""

    student: Student
    vocabulary: tuple[str, ...]
    heads: Heads
    done: Done


class TaskPipeline:
    """The stages of one plan; each method returns what its stage made, from its files if they are there."""

    def __init__(
        self, inputs: Inputs, plan: TaskPlan, work: Path, reporter: Reporter, threads: int = 2
    ) -> None:
        if not inputs.tasks:
            raise FedbertError("data must name at least one file of text,label[,split]")
        torch.set_num_threads(threads)
        # Stages and records name what was computed in, not who left it to the processor.
        self.plan = replace(plan, precision=precision_used(plan.precision))
        self.inputs, self.work, self.reporter, self.threads = inputs, work, reporter, threads
        self.tuned = copy.deepcopy(inputs.teacher)
        self._earlier: dict[Path, float] = {}

    def stage(self, name: str, key: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]) -> Done:
        """Return the stage `name`, see `run_stage`, and remember what it took if it was there before."""
        done = run_stage(self.work, name, key, make)
        self._earlier.setdefault(done.folder, done.seconds if done.reused else 0.0)
        return done

    @property
    def reused_s(self) -> float:
        """Seconds that the stages took which were there before this run."""
        return sum(self._earlier.values())

    # --- 1. the teacher ---

    def tune(self) -> tuple[Heads, Done]:
        """Stage 1: tune the teacher's upper layers and one head a task; `self.tuned` is then the tuned
        teacher.
        """
        plan, tasks = self.plan, self.inputs.tasks
        self.reporter.stage("tuning of the teacher")

        def make(folder: Path) -> Mapping[str, Any]:
            self.tuned.body.to(best_device())
            heads = fine_tune(
                self.tuned,
                tasks,
                _TEACHER_SEED,
                epochs=plan.tune_epochs,
                trained_layers=plan.tune_layers,
                progress=self.reporter.progress,
                precision=plan.precision,
            )
            self.tuned.body.cpu()
            save_tensors(
                {"body": self.tuned.body.state_dict(), "heads": heads.state_dict()}, folder / "teacher.pt"
            )
            return {"accuracy": self._teacher_accuracy(heads)}

        chosen: dict[str, Any] = {"epochs": plan.tune_epochs, "layers": plan.tune_layers}
        chosen |= {"seed": _TEACHER_SEED, "precision": plan.precision}
        done = self.stage("teacher", {**self.inputs.key(), **chosen}, make)
        kept = load_tensors(done.folder / "teacher.pt")
        self.tuned.body.load_state_dict(kept["body"])
        heads = Heads(tasks, self.tuned.width)
        heads.load_state_dict(kept["heads"])
        self._say("teacher, tuned", done.record["accuracy"]["test"])
        return heads.requires_grad_(False), done

    def _teacher_accuracy(self, heads: Heads) -> dict[str, dict[str, float]]:
        out: dict[str, dict[str, float]] = {}
        for split in ("validation", "test"):
            for task in self.inputs.tasks:
                part = task.part(split)
                if len(part):
                    states = pooled_states(self.tuned, part.texts, precision=self.plan.precision)
                    out.setdefault(split, {})[task.name] = accuracy(heads[task.name], states, part.labels)
        return out

    # --- 2. texts and states ---

    def general_texts(self) -> list[str]:
        """Return what the pre-distillation reads: training texts, general sentences, and texts made of
        both.
        """
        task = joined(self.inputs.tasks)[1]
        groups = np.concatenate([task, np.full(len(self.inputs.sentences), -1)])
        basis = self.basis()
        return [*basis, *remixed(basis, groups, self.plan.remixed_texts, _TEACHER_SEED)[0]]

    def task_texts(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """Return what the cross-distillation reads, with the task and label (-1 for none) of each text.

        First come the training texts, then texts made of them. General sentences are left out, since no head
        has a say on them.
        """
        texts, task, label = joined(self.inputs.tasks)
        near = neighbours(self.inputs.teacher, texts)
        made, source = remixed(texts, task, self.plan.cross_texts, _TEACHER_SEED, near)
        return (
            [*texts, *made],
            np.concatenate([task, task[source]]),
            np.concatenate([label, np.full(len(made), -1)]),
        )

    def states(self, tuned: Done | None) -> tuple[Tensor, Done]:
        """Stage 2: pooled states `[text, width]`: of the task texts by the tuned teacher, or of the general
        texts by the teacher as published.
        """
        which = "tuned" if tuned else "published"
        self.reporter.stage(f"states of the teacher, {which}")
        teacher = self.tuned if tuned else self.inputs.teacher

        def make(folder: Path) -> Mapping[str, Any]:
            texts = self.task_texts()[0] if tuned else self.general_texts()
            parts, size = [], 4_000
            teacher.body.to(best_device())
            for low in range(0, len(texts), size):
                some = pooled_states(teacher, texts[low : low + size], precision=self.plan.precision)
                parts.append(some.half())
                self.reporter.progress(min(low + size, len(texts)), len(texts), 0.0)
            teacher.body.cpu()
            save_tensors(torch.cat(parts), folder / "states.pt")
            return {"texts": len(texts)}

        count = self.plan.cross_texts if tuned else self.plan.remixed_texts
        chosen = {"remixed": count, "tuned": tuned.sha256 if tuned else "", "precision": self.plan.precision}
        done = self.stage("states", {**self.inputs.key(), **chosen}, make)
        return load_tensors(done.folder / "states.pt"), done

    # --- 3. tokens ---

    def importance(self) -> tuple[NDArray[np.float64], Done]:
        """Stage 3: the importance of each of the teacher's tokens over training texts and general
        sentences.
        """
        self.reporter.stage("token pruning")
        basis, how = self.basis(), self.plan.pruning

        def make(folder: Path) -> Mapping[str, Any]:
            found = importance(how, self.inputs.teacher, basis)
            with (folder / "importance.npy").open("wb") as handle:
                np.save(handle, found)
            return {"method": how, "texts": len(basis)}

        done = self.stage("tokens", {**self.inputs.key(), "method": self.plan.pruning}, make)
        return np.load(done.folder / "importance.npy"), done

    def _kept(self, found: NDArray[np.float64], size: int) -> tuple[str, ...]:
        teacher = self.inputs.teacher
        return pruned_vocabulary(teacher.vocabulary, found, self.basis(), size, teacher.rules)

    def basis(self) -> list[str]:
        """Return the texts as they are: training texts of all tasks, then general sentences."""
        return [*joined(self.inputs.tasks)[0], *self.inputs.sentences]

    def vocabulary(self, found: NDArray[np.float64]) -> tuple[str, ...]:
        """Return the tokens that the budget has room for beside this architecture."""

        def kept(size: int) -> tuple[str, ...]:
            return self._kept(found, size)

        teacher = self.inputs.teacher
        smallest = smallest_size(teacher.vocabulary, self.basis(), teacher.rules)
        size = fit_vocabulary(kept, smallest, self._used, self.plan.budget_bytes - MANIFEST_ROOM)
        return kept(size)

    def check_budget(self) -> None:
        """Raise FedbertError, with the smallest budget that would do, if not even characters fit; takes
        seconds.
        """
        teacher = self.inputs.teacher
        smallest = smallest_size(teacher.vocabulary, self.basis(), teacher.rules)
        characters = self._kept(np.zeros(len(teacher.vocabulary)), smallest)
        check_budget(characters, lambda some: self._used(some) + MANIFEST_ROOM, self.plan.budget_bytes)

    def _used(self, vocabulary: tuple[str, ...]) -> int:
        return self.untrained_artefact(self.new_student(vocabulary, 0), vocabulary).total_bytes

    def new_student(self, vocabulary: tuple[str, ...], seed: int) -> Student:
        """Return an untrained student of the plan's architecture."""
        teacher = self.inputs.teacher
        rows = torch.from_numpy(teacher_rows(teacher.vocabulary, vocabulary))
        shape = self.plan.architecture.shape(len(vocabulary), teacher.width)
        head = nn.Parameter(torch.zeros(teacher.width, 0), requires_grad=False)
        return start_student(shape, teacher.word_vectors()[rows], head, seed).eval()

    def pruned(self, vocabulary: tuple[str, ...], heads: Heads, tuning: Done) -> Mapping[str, float]:
        """Return the tuned teacher's accuracy on test texts of which it reads the kept tokens alone."""

        def make(_: Path) -> Mapping[str, Any]:
            tokens = Tokens(vocabulary, rules=self.inputs.teacher.rules)
            places = teacher_rows(self.inputs.teacher.vocabulary, vocabulary)
            out = {}
            for task in self.inputs.tasks:
                rows = [places[np.array(row)].tolist() for row in tokens.rows(task.test.texts)]
                states = pooled_rows(self.tuned, rows, precision=self.plan.precision)
                out[task.name] = accuracy(heads[task.name], states, task.test.labels)
            return out

        key = {"teacher": tuning.sha256, "vocabulary": vocabulary, "precision": self.plan.precision}
        return self.stage("pruned", key, make).record

    # --- 4. pre-distillation ---

    def pretrain(
        self, found: tuple[NDArray[np.float64], Done], states: tuple[Tensor, Done], seed: int
    ) -> Trained:
        """Stage 4: the student learns the published teacher's sentence vectors; it knows no task yet."""
        plan = self.plan
        self.reporter.stage("pre-distillation")
        inputs = {
            **self.inputs.key(),
            "tokens": found[1].sha256,
            "states": states[1].sha256,
            "architecture": asdict(plan.architecture),
            "budget": plan.budget_bytes,
            "bits": [plan.embedding_bits, plan.weight_bits],
            "steps": plan.pretrain_steps,
            "rate": plan.pretrain_rate,
            "seed": seed,
            "precision": plan.precision,
        }

        def make(folder: Path) -> Mapping[str, Any]:
            vocabulary = self.vocabulary(found[0])
            tokens = Tokens(vocabulary, rules=self.inputs.teacher.rules)
            student = self.new_student(vocabulary, seed).to(best_device())
            texts = self.general_texts()
            losses = _Losses(self.reporter)
            checkpoint = folder / "checkpoint.pt"
            kept: dict[str, Any] = {"step": 0, "optimiser": None}
            if checkpoint.is_file():
                kept = load_tensors(checkpoint)
            if kept["step"]:
                student.load_state_dict(kept["student"])

            def save(step: int, optimiser: torch.optim.Optimizer) -> None:
                state = {"step": step, "student": student.state_dict(), "optimiser": optimiser.state_dict()}
                save_tensors(state, checkpoint)

            pretrain(
                student,
                tokens.rows(texts),
                states[0].float(),
                np.zeros(len(texts)),
                plan.pretrain_steps,
                seed,
                top_rate=plan.pretrain_rate,
                start=kept["step"],
                optimiser_state=kept["optimiser"],
                progress=losses.progress,
                save=save,
                precision=plan.precision,
            )
            save_tensors(student.cpu().state_dict(), folder / "student.pt")
            (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
            unknown, mean = spelling(vocabulary, self.basis(), self.inputs.teacher.rules)
            return {"vocabulary": len(vocabulary), "losses": losses.kept, "unknown": unknown, "tokens": mean}

        done = self.stage("predistilled", inputs, make)
        vocabulary = tuple((done.folder / "vocab.txt").read_text("utf-8").splitlines())
        student = self.new_student(vocabulary, seed)
        student.load_state_dict(load_tensors(done.folder / "student.pt"))
        self.reporter.result("vocabulary", f"{len(vocabulary)} tokens")
        return Trained(student, vocabulary, Heads((), 1), done)

    # --- 5. cross-distillation ---

    def lesson(self, vocabulary: tuple[str, ...], states: Tensor, labelled_only: bool = False) -> TaskLesson:
        """Return the texts of the cross-distillation with what is known of each."""
        texts, task, label = self.task_texts()
        count = len(joined(self.inputs.tasks)[0]) if labelled_only else len(texts)
        return TaskLesson(
            rows=Tokens(vocabulary, rules=self.inputs.teacher.rules).rows(texts[:count]),
            task=task[:count],
            label=label[:count],
            states=states[:count],
            teacher_ids=teacher_rows(self.inputs.teacher.vocabulary, vocabulary),
        )

    def cross_distil(
        self,
        start: Trained,
        heads: Heads,
        states: tuple[Tensor, Done],
        seed: int,
        method: Method | None = None,
        steps: int = 0,
        labelled_only: bool = False,
    ) -> Trained:
        """Stage 5: the student learns the tasks by `method` (default: the plan's)."""
        plan, how = self.plan, method or self.plan.how
        steps = steps or plan.cross_steps
        self.reporter.stage(f"{how.name}, seed {seed}")
        inputs = {
            "start": start.done.sha256,
            "states": states[1].sha256,
            "method": asdict(how),
            "steps": steps,
            "rate": plan.cross_rate,
            "word_dropout": plan.word_dropout,
            "labelled_only": labelled_only,
            "seed": seed,
            "precision": plan.precision,
        }

        def make(folder: Path) -> Mapping[str, Any]:
            student = copy.deepcopy(start.student).to(best_device())
            losses = _Losses(self.reporter)
            checkpoint = folder / "checkpoint.pt"
            begun = time.perf_counter()
            own = distil(
                student,
                heads,
                self.tuned,
                self.lesson(start.vocabulary, states[0], labelled_only or how.interplay or how.hidden > 0),
                how,
                steps,
                seed,
                Rates(student=plan.cross_rate, word_dropout=plan.word_dropout),
                progress=losses.progress,
                load=load_tensors(checkpoint) if checkpoint.is_file() else None,
                save=lambda _, state: save_tensors(state, checkpoint),
                precision=plan.precision,
            )
            took = time.perf_counter() - begun
            student.cpu()
            save_tensors({"student": student.state_dict(), "heads": own.state_dict()}, folder / "student.pt")
            found = self.float_accuracy(Trained(student, start.vocabulary, own, start.done))
            return {"accuracy": found, "losses": losses.kept, "training_s": round(took, 1)}

        done = self.stage("crossed", inputs, make)
        kept = load_tensors(done.folder / "student.pt")
        student, own = copy.deepcopy(start.student), Heads(self.inputs.tasks, self.inputs.teacher.width)
        student.load_state_dict(kept["student"])
        own.load_state_dict(kept["heads"])
        self._say(f"{how.name}, float", done.record["accuracy"]["test"])
        return Trained(student.eval(), start.vocabulary, own.requires_grad_(False), done)

    def float_accuracy(self, trained: Trained) -> dict[str, dict[str, float]]:
        """Return the float student's accuracy by split and task."""
        tokens = Tokens(trained.vocabulary, rules=self.inputs.teacher.rules)
        out: dict[str, dict[str, float]] = {}
        for split in ("validation", "test"):
            for task in self.inputs.tasks:
                part = task.part(split)
                if len(part):
                    head = trained.heads[task.name]
                    out.setdefault(split, {})[task.name] = student_accuracy(
                        trained.student, tokens, head, part
                    )
        return out

    def probed(self, trained: Trained) -> Heads:
        """Return heads fitted on the frozen states of a student that knows no task: what pre-distillation is
        worth.
        """
        tokens = Tokens(trained.vocabulary, rules=self.inputs.teacher.rules)
        heads = Heads(self.inputs.tasks, self.inputs.teacher.width)
        for task in self.inputs.tasks:
            states = student_states(trained.student, tokens, task.train.texts).numpy()
            fitted = fit_head(states, task.train.labels, task.labels, task.name, 0, strength=_PROBE_STRENGTH)
            head = cast(nn.Linear, heads[task.name])
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy((fitted.weight * fitted.scale).T))
                head.bias.copy_(torch.from_numpy(fitted.bias))
        return heads.requires_grad_(False)

    # --- 6. quantisation and export ---

    def export(self, trained: Trained, manifest: Mapping[str, Any]) -> tuple[Trained, Artefact]:
        """Stage 6: calibrated int8; the least attended tokens go if the trained file is over the budget."""
        self.reporter.stage("quantisation and export")
        found = self.importance()[0]
        artefact = self._artefact(trained.student, trained.vocabulary, trained.heads, manifest)
        while (over := artefact.total_bytes - self.plan.budget_bytes) > 0:
            size = len(trained.vocabulary) - (over // 100 + 1)
            kept = self._kept(found, size)
            student = trimmed(trained.student, trained.vocabulary, kept)
            trained = Trained(student, kept, trained.heads, trained.done)
            artefact = self._artefact(trained.student, trained.vocabulary, trained.heads, manifest)
            self.reporter.result("trimmed vocabulary", f"{len(kept)} tokens")
        return trained, artefact

    def quantisation(self) -> Quantisation:
        """Return the plan's numbers of bits."""
        return Quantisation(embedding_bits=self.plan.embedding_bits, weight_bits=self.plan.weight_bits)

    def untrained_artefact(self, student: Student, vocabulary: tuple[str, ...]) -> Artefact:
        """Return the files of `student` with new heads: what it takes in bytes and time."""
        return self._artefact(student, vocabulary, None, {})

    def quantised(self, trained: Trained, quantisation: Quantisation) -> Artefact:
        """Return a trained student in another form of quantisation; it may be over the budget."""
        return self._artefact(trained.student, trained.vocabulary, trained.heads, {}, quantisation)

    def _artefact(
        self,
        student: Student,
        vocabulary: tuple[str, ...],
        heads: Heads | None,
        manifest: Mapping[str, Any],
        quantisation: Quantisation | None = None,
    ) -> Artefact:
        texts = joined(self.inputs.tasks)[0]
        some = texts[:: max(len(texts) // _CALIBRATION_TEXTS, 1)]
        rows = Tokens(vocabulary, rules=self.inputs.teacher.rules).rows(some)
        ranges = calibrate(student, [torch.from_numpy(padded(rows))])
        model = onnx_bytes(student, ranges, quantisation=quantisation or self.quantisation())
        files = {}
        for task in self.inputs.tasks:
            linear = (
                cast(nn.Linear, heads[task.name])
                if heads
                else nn.Linear(student.shape.teacher_width, len(task.labels))
            )
            weight, bias = folded(student, linear)
            head = quantise_head(weight.detach().numpy(), bias.detach().numpy(), task.labels, task.name)
            files[task.name] = head_bytes(head)
        rules = asdict(self.inputs.teacher.rules)
        whole = {"shape": student.shape.as_dict(), "text_rules": rules, **manifest}
        return build_artefact(model, vocabulary, whole, heads=files)

    def _say(self, who: str, scores: Mapping[str, float]) -> None:
        self.reporter.result(who, ", ".join(f"{name} {value:.2%}" for name, value in scores.items()))


class _Losses:
    """Passes progress on and keeps some points of the curve."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.kept = reporter, cast(list[list[float]], [])

    def progress(self, done: int, total: int, loss: float, accuracy: float | None = None) -> None:
        self.reporter.progress(done, total, loss, accuracy)
        if done % max(total // 50, 1) < 20 or done == total:
            self.kept.append([done, round(loss, 5)])
