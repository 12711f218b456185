"""What the options of teaching are worth: python benchmarks/teaching.py [--seeds 3] [--whole | --coverage].

Each arm is a student of the shipped intent sets by the plan of `--fast`, with tokens ranked by frequency.
Arms add one option after another. Accuracy is on the validation texts of CLINC150, the only set with some.
Stages lie in `--work`: a stopped run goes on. Prints a Markdown table.

With `--whole` each arm is the size's own plan, with all texts and steps, but for one part of it. Deep parts
alone are compared, in floats; test texts stand beside the validation texts, by which options are chosen.

With `--coverage` no student is trained: the table says what of the tasks' texts stays whole by the weight of
these texts, and what the tuned teacher gets right of the validation texts if it reads the kept tokens alone.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from fedbert.cli.compression_progress import Screen
from fedbert.ei_bert.compression.coverage import coverage
from fedbert.ei_bert.compression.ensemble import teacher_seeds, tune_together
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.plan import TASK_PLANS, TaskPlan
from fedbert.ei_bert.compression.public_text import general_sentences
from fedbert.ei_bert.compression.tasks_goal import Inputs, TasksGoal
from fedbert.ei_bert.compression.tasks_stages import Attempt, Tuned, cross_distil, tune, tuned_states
from fedbert.ei_bert.compression.token_pruning import importance, pruned_vocabulary, teacher_rows
from fedbert.ei_bert.teaching.tasks import load_tasks
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.ei_bert.teaching.tuning import accuracy
from fedbert.paths import data_folder

_VALIDATED = "clinc150"
WEIGHTS = (1.0, 10.0, 100.0)
# Those of the shipped tiny, small and default model.
TOKENS = (5_285, 5_945, 7_334)
_BASE: dict[str, Any] = {
    "pruning": "frequency",
    "task_weight": 1.0,
    "embedding_bits": 8,
    "average_steps": 0,
    "label_smoothing": 0.0,
    "teachers": 1,
}
_WEIGHED = {"task_weight": 10.0}
_NARROW = {**_WEIGHED, "embedding_bits": 4}
ARMS: dict[str, Mapping[str, Any]] = {
    "base": {},
    "task texts weigh 10": _WEIGHED,
    "and 4-bit embeddings, more tokens": _NARROW,
    "and mean weights of the last 150 steps": {**_NARROW, "average_steps": 150},
    "and labels smoothed by .1, last weights": {**_NARROW, "label_smoothing": 0.1},
    "and two teachers, last weights": {**_NARROW, "teachers": 2},
}
WHOLE_ARMS: dict[str, Mapping[str, Any]] = {
    "as shipped": {},
    "task texts weigh 1": {"task_weight": 1.0},
    "8-bit embeddings, fewer tokens": {"embedding_bits": 8},
    "no texts made of those of tasks": {"cross_texts": 0},
    "no word dropout": {"word_dropout": 0.0},
    "plain KD": {"method": "plain KD"},
    "plain KD, warm head": {"method": "plain KD, warm head"},
    "mean weights of the last tenth of steps": {"average_steps": 500},
    "labels smoothed by .1": {"label_smoothing": 0.1},
    "two teachers": {"teachers": 2},
}


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(TASK_PLANS), default="tiny")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(".cache/compress"))
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--whole", action="store_true")
    asked = parser.parse_args()
    tasks = load_tasks([data_folder() / "intents"])
    sentences, sources = general_sentences(data_folder(), None)
    inputs = Inputs(load_teacher(), tasks, sentences, sources)
    base = replace(TASK_PLANS[asked.size].fast(), **_BASE)
    if asked.coverage:
        with Screen() as screen:
            pipeline = Pipeline(TasksGoal(inputs, base), asked.work, screen, asked.threads)
            lines = list(_coverage_lines(pipeline, tune(pipeline)))
        print("\n".join(lines))
        return
    if asked.whole:
        _show_whole(inputs, asked)
        return
    rows = []
    with Screen() as screen:
        for name, options in ARMS.items():
            plan = replace(base, **options)
            pipeline = Pipeline(TasksGoal(inputs, plan), asked.work, screen, asked.threads)
            tokens, whole, found = _arm(pipeline, plan, range(asked.seeds))
            of_validation: list[float] = [each["validation"][_VALIDATED] for each in found]
            rows.append((name, tokens, whole, of_validation))
    reference = rows[0][-1]
    print("| arm | tokens | of validation texts' tokens kept whole | accuracy, % | against the base |")
    print("|---|---:|---:|---:|---:|")
    for name, tokens, whole, values in rows:
        gaps = [one - other for one, other in zip(values, reference, strict=True)]
        print(f"| {name} | {tokens:,} | {whole:.2%} | {_interval(values)} | {_interval(gaps, '+')} |")


def _show_whole(inputs: Inputs, asked: argparse.Namespace) -> None:
    plan = TASK_PLANS[asked.size]
    plan = replace(plan, budget_bytes=plan.budget_bytes - plan.wide_bytes, wide_bytes=0)
    columns = [("validation", _VALIDATED), *(("test", task.name) for task in inputs.tasks)]
    shown = " | ".join(f"{task}, {split}" for split, task in columns)
    lines = [f"| | tokens | {shown} |", f"|---|---:|{'---:|' * len(columns)}"]
    reference: list[dict[str, Any]] = []
    with Screen() as screen:
        for name, options in WHOLE_ARMS.items():
            changed = replace(plan, **options)
            pipeline = Pipeline(TasksGoal(inputs, changed), asked.work, screen, asked.threads)
            tokens, _, found = _arm(pipeline, changed, range(asked.seeds))
            reference = reference or found
            cells = []
            for split, task in columns:
                each = [one[split][task] for one in found]
                gaps = [one - other[split][task] for one, other in zip(each, reference, strict=True)]
                cells.append(_interval(each) if found is reference else _interval(gaps, "+"))
            lines.append(f"| {name} | {tokens:,} | {' | '.join(cells)} |")
            screen.result("table", lines[-1])
    print("\n".join(lines))


def _coverage_lines(pipeline: Pipeline[TasksGoal], tuned: Tuned) -> Iterator[str]:
    yield "| tokens | task texts weigh | training | validation | kept, unread | read, not kept | teacher, % |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for size in TOKENS:
        for weight in WEIGHTS:
            goal = TasksGoal(pipeline.goal.inputs, replace(pipeline.goal.plan, task_weight=weight))
            teacher, texts = goal.teacher, goal.texts()
            found = importance("frequency", teacher, *goal.ranked())
            kept = pruned_vocabulary(teacher.vocabulary, found, texts, size, teacher.rules)
            row = next(row for row in coverage(goal, kept, found) if row["chosen"])
            shares = f"{row['train']:.2%} | {row['validation']:.2%}"
            reached = 100 * _read_alone(goal, tuned, kept)
            lost = f"{row['unread']:,} | {row['split']:,}"
            yield f"| {size:,} | {weight:g} | {shares} | {lost} | {reached:.2f} |"


def _read_alone(goal: TasksGoal, tuned: Tuned, kept: tuple[str, ...]) -> float:
    """Return the share of validation texts that the tuned teacher gets right by the tokens `kept` alone."""
    part = next(task for task in goal.tasks if task.name == _VALIDATED).validation
    places = teacher_rows(goal.teacher.vocabulary, kept)
    rows = [places[np.array(row)].tolist() for row in goal.teacher.tokens_of(kept).rows(part.texts)]
    return accuracy(tuned.heads[_VALIDATED], tuned.states(rows, goal.plan.precision), part.labels)


def _arm(
    pipeline: Pipeline[TasksGoal], plan: TaskPlan, seeds: Sequence[int]
) -> tuple[int, float, list[dict[str, Any]]]:
    """Return (tokens kept, share of validation texts' tokens that stay whole, accuracy by split and task of
    each seed).
    """
    goal = pipeline.goal
    tuned = tune_together(pipeline, teacher_seeds(seeds[0], plan.teachers))
    states = tuned_states(pipeline, tuned)
    found = pipeline.importance()
    start = pipeline.pretrain(found, pipeline.targets(found[0]), seeds[0])
    whole = next(row for row in coverage(goal, start.vocabulary, found[0]) if row["chosen"])
    each = []
    for seed in seeds:
        each.append(cross_distil(pipeline, start, tuned, states, Attempt(seed)).done.record["accuracy"])
    return len(start.vocabulary), whole["validation"], each


def _interval(values: Sequence[float], sign: str = "") -> str:
    """Return the mean in points with half its 95 % interval, Student's t; one value has none."""
    mean = f"{100 * sum(values) / len(values):{sign}.2f}"
    if len(values) < 2:
        return f"{mean} (one seed)"
    half = 100 * float(stats.sem(values)) * float(stats.t.ppf(0.975, len(values) - 1))
    return f"{mean} ± {half:.2f}"


if __name__ == "__main__":
    main()
