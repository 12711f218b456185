"""Sentences and figures of a compression as people read them; shared by the page and the Markdown table."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from fedbert.reporting.compression.numbers import (
    HELPS,
    HURTS,
    SAME,
    UNKNOWN,
    Difference,
    Spread,
    by_verdict,
    change,
    differences,
    final_stage,
    forms,
    kept,
    per_seed,
    reached,
    t_spread,
    tasks,
)
from fedbert.reporting.compression.record import CompressionRecord, Shape
from fedbert.reporting.parts import text

INTERVAL_NOTE = (
    "Intervals: 95%, Student's t over seeds; one seed has none. They cover the chance of "
    "initialisation and order of training, not that of which texts are in a test set."
)

Count = int | float | None


def percent_points(spread: Spread | None) -> str:
    """Return a share in per cent with its half interval, as in "95.02 ± 0.31"; none reads "–"."""
    if spread is None:
        return text.NONE
    if spread.low is None or spread.high is None:
        return f"{100 * spread.mean:.2f}"
    return f"{100 * spread.mean:.2f} ± {50 * (spread.high - spread.low):.2f}"


def share_kept(spread: Spread | None) -> str:
    """Return a share with its interval, as in "98.90% (98.52 to 99.28)"."""
    if spread is None:
        return text.NONE
    return f"{100 * spread.mean:.2f}%{_bounds(spread, '.2f')}"


def points(spread: Spread | None) -> str:
    """Return a difference in percentage points with its interval, as in "+0.40 (+0.10 to +0.70)"."""
    if spread is None:
        return text.NONE
    return f"{_signed(100 * spread.mean)}{_bounds(spread, '+.2f')}"


def _bounds(spread: Spread, form: str) -> str:
    if spread.low is None or spread.high is None:
        return ""
    low, high = (f"{100 * value:{form}}".replace("-", "−") for value in (spread.low, spread.high))
    return f" ({low} to {high})"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def listed(words: Sequence[str]) -> str:
    """Return words as "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def share(value: Count) -> str:
    """Return a share in [0, 1] as per cent, with more decimals the closer it is to 0."""
    return text.NONE if value is None else f"{text.significant(100 * value, 3)}%"


def count(value: Count) -> str:
    """Return a count with thousands separators."""
    return text.NONE if value is None else f"{value:,.0f}"


def exact_bytes(value: Count) -> str:
    """Return bytes in full, as in "1,904,000 B": budgets are kept or missed by a few."""
    return text.NONE if value is None else f"{value:,.0f} B"


def shape_name(shape: Shape) -> str:
    """Return a student's shape in a few words, as in "4 × 128, inner 512, V 7,200"."""
    words = [f"{shape.get('layers', text.NONE)} × {shape.get('width', text.NONE)}"]
    words += [f"inner {shape['inner']}"] if shape.get("inner") else []
    embedding = shape.get("embedding")
    words += [f"embedding {embedding}"] if embedding and embedding != shape.get("width") else []
    words += ["shared layer"] if shape.get("shared") else []
    words += [f"V {count(shape['vocabulary'])}"] if shape.get("vocabulary") else []
    return ", ".join(words)


def seeds(record: CompressionRecord) -> str:
    """Return the seeds as "seed 0" or "seeds 0, 1, 2"; nothing if there are none."""
    each = record.get("seeds") or []
    return f"{'seed' if len(each) == 1 else 'seeds'} {', '.join(map(str, each))}" if each else ""


def size_sentence(record: CompressionRecord) -> str:
    """Return how many bytes the student has, on disk, to download and in memory."""
    total, teacher = record.get("total_bytes"), record.get("teacher") or {}
    if total is None:
        return ""
    sentence = f"{text.size(total)} on disk"
    if record.get("download_bytes") is not None:
        sentence += f", {text.size(record['download_bytes'])} to download"
    if record.get("memory_bytes") is not None:
        sentence += f", {text.size(record['memory_bytes'])} in memory"
    if teacher.get("bytes"):
        sentence += (
            f": {text.significant(teacher['bytes'] / total, 2)} times smaller than its teacher "
            f"({text.size(teacher['bytes'])})"
        )
    return sentence + "."


def accuracy_sentence(record: CompressionRecord) -> str:
    """Return how much of the teacher's accuracy is kept on each task, or the accuracy without a teacher."""
    final, teacher = final_stage(record), record.get("teacher") or {}
    if final is None:
        return ""
    shares = [(task, kept(final, teacher, task)) for task in tasks(record)]
    known = [f"{share_kept(spread)} on {task}" for task, spread in shares if spread is not None]
    if known:
        return (
            f"It keeps {listed(known)} of the accuracy of its teacher {teacher.get('name') or ''}".strip()
            + "."
        )
    plain = [(task, t_spread(per_seed(final, task))) for task in tasks(record)]
    found = [f"{share_kept(spread)} on {task}" for task, spread in plain if spread is not None]
    return f"Its accuracy is {listed(found)}." if found else ""


def result_sentences(record: CompressionRecord) -> list[str]:
    """Return size, accuracy and over how many seeds, a sentence each; '' for what was not measured."""
    parts = [size_sentence(record), accuracy_sentence(record)]
    final = final_stage(record)
    # What was widened afterwards is one seed, whatever its deep part's record holds.
    seeds = max((len(per_seed(final, task)) for task in tasks(record)), default=0) if final else 0
    if seeds > 1 and parts[1]:
        parts.append(f"Means over {seeds} seeds with 95% intervals.")
    return parts


def _with_figures(found: Sequence[Difference]) -> str:
    return listed([f"{each.task} {points(each.spread)}" for each in found])


def ablation_statements(record: CompressionRecord) -> list[str]:
    """Return one sentence an arm: where it helps, where it hurts, where nothing was measurable.

    An arm helps (hurts) on a task if the interval of its difference to the reference excludes 0; figures are
    percentage points.
    """
    sentences = []
    for arm, verdicts in by_verdict(differences(record)).items():
        said = [
            f"{verb} on {_with_figures(verdicts[verdict])}"
            for verdict, verb in ((HELPS, "helps"), (HURTS, "hurts"))
            if verdict in verdicts
        ]
        if SAME in verdicts:
            said.append(f"no measurable difference on {_with_figures(verdicts[SAME])}")
        if UNKNOWN in verdicts:
            said.append(f"one seed, so no verdict, on {_with_figures(verdicts[UNKNOWN])}")
        sentences.append(f"{arm}: {'; '.join(said)}.")
    return sentences


def _where(found: Sequence[Difference], verdicts: Mapping[str, Sequence[Difference]]) -> str:
    """Return the names of the tasks, or "every set" if there is no other verdict on the arm."""
    return "every set" if len(verdicts) == 1 and len(found) > 1 else listed([each.task for each in found])


def what_helped(record: CompressionRecord) -> str:
    """Return in two or three short sentences which arms beat the reference, and which do not."""
    grouped = by_verdict(differences(record))
    if not grouped:
        return ""
    if all(set(verdicts) == {UNKNOWN} for verdicts in grouped.values()):
        return "One seed has no interval: what helps cannot be said."
    reference = (record.get("ablation") or {}).get("reference") or "the reference"
    said = []
    for verdict, verb in ((HELPS, "Better"), (HURTS, "Worse")):
        arms = [
            f"{arm} ({_where(verdicts[verdict], verdicts)})"
            for arm, verdicts in grouped.items()
            if verdict in verdicts
        ]
        said.append(
            f"{verb} than {reference}: {listed(arms)}." if arms else f"{verb} than {reference}: nothing."
        )
    same = [arm for arm, verdicts in grouped.items() if not {HELPS, HURTS} & verdicts.keys()]
    if same:
        said.append(f"No measurable difference: {listed(same)}.")
    return " ".join(said)


def stage_changes(record: CompressionRecord) -> list[tuple[str, str, dict[str, Spread]]]:
    """Return (stage, measured stage before it, change of accuracy by task) in the order of the pipeline."""
    measured = [stage for stage in record.get("stages") or [] if stage.get("accuracy")]
    rows = []
    for before, after in pairwise(measured):
        found = {task: change(after, before, task) for task in tasks(record)}
        known = {task: spread for task, spread in found.items() if spread is not None}
        rows.append((str(after.get("stage", "")), str(before.get("stage", "")), known))
    return rows


def quantisation_sentence(record: CompressionRecord) -> str:
    """Return what quantisation costs: the stage over its seeds, else the second form against the first."""
    for stage, before, found in stage_changes(record):
        if stage.lower().startswith(("quantis", "quantiz")) and found:
            return _cost(stage, before, found)
    rows = forms(record)
    if len(rows) < 2:
        return ""
    costs = {task: change(rows[1], rows[0], task) for task in tasks(record)}
    known = {task: spread for task, spread in costs.items() if spread is not None}
    return _cost(str(rows[1].get("form", "")), str(rows[0].get("form", "")), known) if known else ""


def _cost(what: str, reference: str, found: Mapping[str, Spread]) -> str:
    figures = listed([f"{task} {points(spread)}" for task, spread in found.items()])
    return f"In points of accuracy, {what} against {reference}: {figures}."


def targets_sentence(record: CompressionRecord) -> str:
    """Return how many targets were reached, and which were not."""
    verdicts = [(str(target.get("what", "")), reached(target)) for target in record.get("targets") or []]
    if not verdicts:
        return ""
    met = sum(verdict is True for _, verdict in verdicts)
    sentence = f"{met} of {len(verdicts)} targets reached."
    for verdict, word in ((False, "Missed"), (None, "Not measured")):
        names = [what for what, each in verdicts if each is verdict]
        sentence += f" {word}: {'; '.join(names)}." if names else ""
    return sentence


def target_figures(asked: object, got: object) -> tuple[str, str]:
    """Return the two figures of a target with as many digits as it takes to tell them apart."""
    pair = [value if isinstance(value, int | float) else None for value in (asked, got)]
    digits = 4
    shown = [text.significant(value, digits) for value in pair]
    while shown[0] == shown[1] and pair[0] != pair[1] and digits < 12:
        digits += 1
        shown = [_digits(value, digits) for value in pair]
    return shown[0], shown[1]


def _digits(value: Count, digits: int) -> str:
    return text.NONE if value is None else f"{value:.{digits}g}"


def answers(record: CompressionRecord) -> dict[str, str]:
    """Return the short answers that stand under the headline, by question."""
    worth = {
        "What does each part gain?": what_helped(record),
        "What does quantisation cost?": quantisation_sentence(record),
        "Was the aim reached?": targets_sentence(record),
    }
    return {question: answer for question, answer in worth.items() if answer}
