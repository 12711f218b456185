"""Chapters of a compression's report: what it keeps, by which stage, part and form; None without figures."""

from fedbert.reporting.compression import plots, plots_ablation
from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import (
    SAME,
    Record,
    change,
    differences,
    final_stage,
    forms,
    per_seed,
    reached,
    t_spread,
    tasks,
)
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, figure_html, panels_html, table_html, text_html


def targets(record: Record) -> Section | None:
    """What was asked, what was reached."""
    listed = record.get("targets") or []
    if not listed:
        return None
    rows: list[list[Cell]] = []
    for target in listed:
        asked, got = said.target_figures(target.get("asked"), target.get("reached"))
        verdict = {True: "reached", False: "missed", None: "not measured"}[reached(target)]
        bound = "at most" if target.get("at_most") else "at least"
        rows.append([str(target.get("what", "")), f"{bound} {asked}", got, verdict])
    missed = [index for index, target in enumerate(listed) if reached(target) is False]
    return Section(
        "Asked and reached",
        "measured",
        table_html(rows, ["target", "asked", "reached", "verdict"], align="lrrl", emphasis=missed),
        "Means over seeds are compared, without their intervals. Missed targets are in bold.",
        said.targets_sentence(record),
    )


def _arms(record: Record) -> list[Record]:
    return list((record.get("ablation") or {}).get("arms") or [])


def _stage_table(record: Record) -> str:
    names, teacher, final = tasks(record), record.get("teacher") or {}, final_stage(record)
    stages = list(record.get("stages") or [])
    rows: list[list[Cell]] = []
    if teacher:
        figures = [said.percent_points(t_spread(per_seed(teacher, task))) for task in names]
        rows.append(["teacher", said.exact_bytes(teacher.get("bytes")), *figures, text.NONE, ""])
    for row, prefix in [(stage, "") for stage in stages] + [(arm, "compared: ") for arm in _arms(record)]:
        times = row.get("seconds")
        each = t_spread([float(t) for t in times]) if isinstance(times, list) else None
        rows.append(
            [
                prefix + str(row.get("stage", row.get("arm", ""))),
                said.exact_bytes(row.get("bytes")),
                *(said.percent_points(t_spread(per_seed(row, task))) for task in names),
                text.duration(each.mean if each else None if isinstance(times, list) else times),
                str(row.get("note") or ""),
            ]
        )
    stressed = [index for index, stage in enumerate(stages, 1 if teacher else 0) if stage is final]
    columns = ["after", "bytes", *(f"{name}, %" for name in names), "time", "note"]
    return table_html(rows, columns, align="l" + "r" * (len(columns) - 2) + "l", emphasis=stressed)


def stages(record: Record) -> Section | None:
    """Bytes and accuracy after every stage, with the teacher and what it is compared with."""
    listed = record.get("stages") or []
    if not listed:
        return None
    final, teacher = final_stage(record), record.get("teacher") or {}
    relative = bool(teacher.get("accuracy"))
    every: list[Panel | None] = []
    if final is not None:
        every.append(
            Panel(
                "Share of the teacher's accuracy kept" if relative else "Accuracy",
                "measured",
                figure_html(plots.stage_accuracy(record), "Accuracy after every stage, a line a task.", 360),
                said.INTERVAL_NOTE,
                wide=True,
            )
        )
    if any(stage.get("bytes") for stage in listed):
        height = 110 + 36 * (len(listed) + 1)
        every.append(
            Panel(
                "Bytes",
                "measured",
                figure_html(plots.stage_bytes(record), "Bytes after every stage.", height),
                "The notes of the table below say what each figure counts.",
                wide=True,
            )
        )
    names, changes = tasks(record), said.stage_changes(record)
    if changes:
        cells: list[list[Cell]] = [
            [stage, before, *(said.points(found.get(task)) for task in names)]
            for stage, before, found in changes
        ]
        every.append(
            Panel(
                "What each stage wins and costs, in points of accuracy",
                "measured",
                table_html(cells, ["stage", "against", *names], align="ll" + "r" * len(names)),
                "Paired by seed; a stage with one seed stands beside every seed of the next.",
                wide=True,
            )
        )
    compared = " Rows marked “compared” are the ablation's arms." if _arms(record) else ""
    every.append(
        Panel(
            "Bytes and accuracy, in full",
            "measured",
            _stage_table(record),
            f"Accuracy on the test split, mean over seeds.{compared}"
            + (" In bold: what is shipped." if final is not None else ""),
            wide=True,
        )
    )
    return Section(
        "After every stage", None, panels_html(*every), lead=said.accuracy_sentence(record) if final else ""
    )


def ablation(record: Record) -> Section | None:
    """Which part of the method is worth what, said from the intervals."""
    arms, found = _arms(record), differences(record)
    if not arms and not found:
        return None
    values = record.get("ablation") or {}
    reference = str(values.get("reference") or "the reference")
    every: list[Panel | None] = []
    if found:
        every.append(
            Panel(
                f"Difference to “{reference}”",
                "measured",
                figure_html(
                    plots_ablation.arm_differences(record, found),
                    "Points of accuracy against the reference, by arm and task, with intervals.",
                    130 + 54 * len({each.arm for each in found}),
                ),
                "Paired by seed. Filled: the 95% interval excludes 0. Hollow: it does "
                f"not, or there is none. {len(found)} comparisons, not corrected for their number: about one "
                "in twenty would exclude 0 by chance alone.",
                wide=True,
            )
        )
        every.append(Panel("Arm by arm", "measured", text_html(*said.ablation_statements(record)), wide=True))
    measured = [task for task in tasks(record) if any(per_seed(arm, task) for arm in arms)]
    if measured:
        every.append(
            Panel(
                "Accuracy of every arm",
                "measured",
                figure_html(
                    plots_ablation.arm_accuracy(record),
                    "Accuracy by arm, a field a task, with intervals.",
                    (100 + 34 * len(arms)) * -(-len(measured) // 3),
                ),
                "Diamond: the reference. Dashed: the teacher. " + said.INTERVAL_NOTE,
                wide=True,
            )
        )
    if any(each.p is not None for each in found):
        rows: list[list[Cell]] = [
            [
                each.arm,
                each.task,
                said.points(each.spread),
                text.NONE if each.p is None else text.significant(each.p, 2),
                each.verdict,
            ]
            for each in found
        ]
        stressed = [index for index, each in enumerate(found) if each.verdict != SAME]
        columns = ["arm", "task", "points (95% interval)", "p", "verdict"]
        every.append(
            Panel(
                "Differences, in full",
                "measured",
                table_html(rows, columns, align="llrrl", emphasis=stressed),
                wide=True,
            )
        )
    budget = [
        f"{said.count(values[key])} {word}"
        for key, word in (("steps", "steps"), ("texts", "texts"))
        if values.get(key) is not None
    ]
    shared = f"Every arm had the same {' and '.join(budget)}." if budget else ""
    summary = f" Summary of the pipeline: {values['verdict']}" if values.get("verdict") else ""
    return Section(
        "What each part is worth",
        None,
        panels_html(*every),
        (shared + summary).strip(),
        said.what_helped(record),
    )


def quantisation(record: Record) -> Section | None:
    """Every quantised form: its three sizes, its accuracy, what it costs."""
    listed = forms(record)
    if not listed:
        return None
    names = [task for task in tasks(record) if any(per_seed(form, task) for form in listed)]
    rows: list[list[Cell]] = [
        [
            str(form.get("form", "")),
            said.exact_bytes(form.get("bytes")),
            said.exact_bytes(form.get("download_bytes")),
            said.exact_bytes(form.get("memory_bytes")),
            *(said.percent_points(t_spread(per_seed(form, task))) for task in names),
        ]
        for form in listed
    ]
    columns = ["form", "on disk", "download", "in memory", *(f"{name}, %" for name in names)]
    costs: list[list[Cell]] = [
        [str(form.get("form", "")), *(said.points(change(form, listed[0], task)) for task in names)]
        for form in listed[1:]
    ]
    return Section(
        "What quantisation costs",
        None,
        panels_html(
            Panel(
                "Forms",
                "measured",
                table_html(rows, columns),
                "Three different figures: on disk is the folder as it lies on a phone, download is what "
                "travels there compressed, in memory is what the weights take when loaded.",
                wide=True,
            ),
            Panel(
                f"Points of accuracy against {listed[0].get('form', 'the first form')}",
                "measured",
                table_html(costs, ["form", *names]),
                said.INTERVAL_NOTE,
                wide=True,
            )
            if costs and names
            else None,
        ),
        lead=said.quantisation_sentence(record),
    )


def probe(record: Record) -> Section | None:
    """Text classification that the student never saw."""
    listed = record.get("probe") or []
    if not listed:
        return None
    rows: list[list[Cell]] = []
    for row in listed:
        bounds = (row.get("low"), row.get("high"))
        interval = (
            text.NONE if None in bounds else f"{text.percent(bounds[0], 1)} to {text.percent(bounds[1], 1)}"
        )
        rows.append(
            [
                str(row.get("set", "")),
                text.percent(row.get("teacher"), 2),
                text.percent(row.get("student"), 2),
                text.percent(row.get("retention"), 2),
                interval,
            ]
        )
    return Section(
        "On texts it never saw",
        "measured",
        table_html(rows, ["set", "teacher", "student", "kept", "95% interval"]),
        "A linear classifier on the vectors of the frozen encoder, trained and tested on a set held out of "
        "distillation. This says how general the student is.",
    )


def outcome(record: Record) -> list[Section | None]:
    """Return the chapters on what came out, in order."""
    return [targets(record), stages(record), ablation(record), quantisation(record), probe(record)]
