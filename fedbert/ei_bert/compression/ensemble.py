"""Several tuned teachers as one: their states side by side, and heads whose logits are the mean of theirs.

With states `t_1 .. t_n` and heads `W_i t + b_i` of one task, the mean of the logits is linear in the states
side by side: `[W_1 .. W_n] / n` times `[t_1; ..; t_n]`, plus the mean of the `b_i`. So several teachers are a
teacher with a wider state, and a student learns from them, and keeps their heads, as it does from one. At
export the student's projection and the head fold into one matrix, as wide as ever.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from fedbert.ei_bert.compression.stages import load_tensors, save_tensors
from fedbert.ei_bert.compression.tasks_stages import TaskPipeline, Tuned, say, teacher_accuracy, tune
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.tuning import Heads


def teacher_seeds(seed: int, teachers: int) -> range:
    """Return the seeds of the teachers of a student of `seed`: no two students share one."""
    return range(seed * teachers, (seed + 1) * teachers)


def tune_together(pipeline: TaskPipeline, seeds: Sequence[int]) -> Tuned:
    """Return a teacher tuned with each of `seeds`, all as one; with one seed the teacher itself."""
    each = tuple(tune(pipeline, seed) for seed in seeds)
    if len(each) == 1:
        return each[0]
    goal = pipeline.goal
    pipeline.reporter.stage("teachers as one")

    def make(folder: Path) -> Mapping[str, Any]:
        heads = mean_heads(goal.tasks, [one.heads for one in each])
        save_tensors(heads.state_dict(), folder / "heads.pt")
        return {"accuracy": teacher_accuracy(goal, [one.teacher for one in each], heads)}

    key = {"teachers": [one.done.sha256 for one in each], "precision": goal.plan.precision}
    done = pipeline.stage("ensemble", key, make)
    heads = Heads(goal.tasks, len(each) * goal.teacher.width)
    heads.load_state_dict(load_tensors(done.folder / "heads.pt"))
    say(pipeline.reporter, f"{len(each)} teachers as one", done.record["accuracy"]["test"])
    return Tuned(each[0].teacher, heads.requires_grad_(False), done, each)


def mean_heads(tasks: Sequence[Task], each: Sequence[Heads]) -> Heads:
    """Return heads on all teachers' states side by side; their logits are the mean of those of `each`."""
    out = Heads(tasks, sum(cast(nn.Linear, heads[tasks[0].name]).in_features for heads in each))
    with torch.no_grad():
        for name, head in out.items():
            parts = [cast(nn.Linear, heads[name]) for heads in each]
            own = cast(nn.Linear, head)
            own.weight.copy_(torch.cat([part.weight for part in parts], 1) / len(parts))
            own.bias.copy_(torch.stack([part.bias for part in parts]).mean(0))
    return out.requires_grad_(False)
