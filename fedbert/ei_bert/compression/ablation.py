"""The ablation: every method from the same pre-distilled student, with the same texts, steps and seeds."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from fedbert.ei_bert.compression.goal import Trained
from fedbert.ei_bert.compression.rows import Ablation, ArmRow, DifferenceRow
from fedbert.ei_bert.compression.tasks_stages import Attempt, States, TaskPipeline, Tuned, cross_distil
from fedbert.ei_bert.teaching.methods import METHODS, WARM_KD


def ablation(
    pipeline: TaskPipeline,
    start: Trained,
    tuned: Tuned,
    states: States,
    seeds: Sequence[int],
    steps: int,
) -> Ablation:
    """Train every method for `steps` on the labelled texts with each seed; return accuracies and
    differences.
    """
    arms: list[ArmRow] = []
    for method in METHODS.values():
        made = [
            cross_distil(pipeline, start, tuned, states, Attempt(seed, method, steps, labelled_only=True))
            for seed in seeds
        ]
        arms.append(
            {
                "arm": method.name,
                "accuracy": {
                    task.name: [one.done.record["accuracy"]["test"][task.name] for one in made]
                    for task in pipeline.goal.tasks
                },
                "seconds": [one.done.record["training_s"] for one in made],
            }
        )
    names = [task.name for task in pipeline.goal.tasks]
    return {
        "steps": steps,
        "texts": sum(len(task.train) for task in pipeline.goal.tasks),
        "arms": arms,
        "reference": WARM_KD.name,
        "differences": differences(arms, names, WARM_KD.name),
    }


def differences(arms: Sequence[ArmRow], tasks: Sequence[str], reference: str) -> list[DifferenceRow]:
    """Return each arm's mean difference to `reference` by task, paired by seed, with Student's t interval
    (95 %).

    With one seed there is no interval: `low`, `high` and `p` are left out.
    """
    base = next(arm for arm in arms if arm["arm"] == reference)
    rows: list[DifferenceRow] = []
    for arm in arms:
        if arm is base:
            continue
        for task in tasks:
            gaps = np.array(arm["accuracy"][task]) - np.array(base["accuracy"][task])
            row: DifferenceRow = {"arm": arm["arm"], "task": task, "mean": float(gaps.mean())}
            if len(gaps) > 1:
                row |= {"low": row["mean"], "high": row["mean"], "p": None}
                if np.ptp(gaps):
                    test = stats.ttest_1samp(gaps, 0.0)
                    low, high = test.confidence_interval(0.95)
                    row |= {"low": float(low), "high": float(high), "p": float(test.pvalue)}
            rows.append(row)
    return rows
