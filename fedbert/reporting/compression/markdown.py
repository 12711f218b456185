"""A compression as a Markdown table: GitHub's dialect, for a README or a model card."""

import re
from collections.abc import Sequence

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import final_stage, kept, per_seed, t_spread, tasks
from fedbert.reporting.compression.record import CompressionRecord


def escape_markdown(words: object) -> str:
    """Return `words` on one line and so that Markdown shows them as they are, in a table cell too."""
    line = " ".join(str(words).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~#])", r"\\\1", line)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _stages(record: CompressionRecord) -> str:
    names, teacher = tasks(record), record.get("teacher") or {}
    rows = []
    if teacher:
        label = escape_markdown(f"teacher {teacher.get('name') or ''}")
        figures = [said.percent_points(t_spread(per_seed(teacher, task))) for task in names]
        rows.append([label, said.exact_bytes(teacher.get("bytes")), *figures])
    for stage in record.get("stages") or []:
        figures = [said.percent_points(t_spread(per_seed(stage, task))) for task in names]
        rows.append([escape_markdown(stage.get("stage", "")), said.exact_bytes(stage.get("bytes")), *figures])
    final = final_stage(record)
    shares = [kept(final, teacher, task) for task in names] if final is not None else []
    if any(shares):
        rows.append(["**share of the teacher's, %**", "", *(f"**{said.percent_points(s)}**" for s in shares)])
    if not rows:
        return ""
    return _table(["after", "bytes", *(f"{escape_markdown(name)}, %" for name in names)], rows)


def _fence(command: str) -> str:
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}sh\n{command.strip()}\n{ticks}"


def markdown(record: CompressionRecord) -> str:
    """Return headline, table of stages, what each part is worth, targets and command."""
    several = len(record.get("seeds") or []) > 1
    statements = "\n".join(f"- {escape_markdown(line)}" for line in said.ablation_statements(record))
    reference = (record.get("ablation") or {}).get("reference") or "the reference"
    blocks = [
        f"### {escape_markdown(record['title'])}",
        escape_markdown(said.headline(record)),
        _stages(record),
        f"± is half a 95% interval, Student's t over {said.seeds(record)}." if several else "",
        f"In points of accuracy against {escape_markdown(reference)}:\n\n{statements}" if statements else "",
        escape_markdown(said.targets_sentence(record)),
        "Made by:",
        _fence(str(record["command"])),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"
