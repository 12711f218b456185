"""A compression as a Markdown table: GitHub's dialect, for a README or a model card."""

import re
from collections.abc import Sequence

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.kinds import COLUMNS as COLUMNS_KINDS
from fedbert.reporting.compression.kinds import NOTE as NOTE_KINDS
from fedbert.reporting.compression.kinds import rows as kind_rows
from fedbert.reporting.compression.numbers import final_stage, kept, per_seed, t_spread, tasks
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.compression.rival_sentences import headline, parts_of, rows_of
from fedbert.reporting.compression.rivals import NOTE, NOTE_PARTS, cells, unseen
from fedbert.reporting.compression.stages import validated
from fedbert.reporting.compression.unknown import COLUMNS
from fedbert.reporting.compression.unknown import NOTE as NOTE_UNKNOWN
from fedbert.reporting.compression.unknown import rows as unknown_rows


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
    rows += [[escape_markdown(name), "", *figures] for name, figures in validated(record)]
    final = final_stage(record)
    shares = [kept(final, teacher, task) for task in names] if final is not None else []
    if any(shares):
        rows.append(["**share of the teacher's, %**", "", *(f"**{said.percent_points(s)}**" for s in shares)])
    if not rows:
        return ""
    return _table(["after", "bytes", *(f"{escape_markdown(name)}, %" for name in names)], rows)


def _rivals(record: CompressionRecord) -> str:
    each, names = rows_of(record), tasks(record)
    if not each:
        return ""
    rows = [
        [
            escape_markdown(row.get("rival", "")),
            said.exact_bytes(row.get("bytes")),
            said.count(row.get("texts_per_s")),
            *cells(row, names),
        ]
        for row in each
    ]
    shown = [escape_markdown(name) for name in names]
    table = _table(["model", "bytes", "texts/s", *(f"{name}, %" for name in shown)], rows)
    fair = [[escape_markdown(row.get("rival", "")), *unseen(row, names)] for row in each]
    held = {row.get("name"): row.get("test_in_any_train") for row in record.get("tasks") or []}
    fair.append(["test texts left out", *(said.count(held.get(name)) for name in names)])
    without = _table(["without test texts in a training set", *(f"{name}, %" for name in shown)], fair)
    return f"Simpler models of the same bytes. {NOTE}\n\n{table}\n\n{without}"


def _parts(record: CompressionRecord) -> str:
    names = tasks(record)
    found = [
        [
            escape_markdown(row.get("rival", "")),
            said.exact_bytes(row.get("bytes")),
            *cells(row, names),
            *unseen(row, names),
        ]
        for row in parts_of(record)
    ]
    shown = [escape_markdown(name) for name in names]
    columns = ["part", "bytes", *(f"{name}, %" for name in shown), *(f"{name}, unseen, %" for name in shown)]
    return f"Deep part, wide part and both. {NOTE_PARTS}\n\n{_table(columns, found)}" if found else ""


def _unknown(record: CompressionRecord) -> str:
    found = [[escape_markdown(cell) for cell in row] for row in unknown_rows(record)]
    return f"{NOTE_UNKNOWN}\n\n{_table(COLUMNS, found)}" if found else ""


def _kinds(record: CompressionRecord) -> str:
    found = [[escape_markdown(cell) for cell in row] for row in kind_rows(record)]
    return f"{NOTE_KINDS}\n\n{_table(COLUMNS_KINDS, found)}" if found else ""


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
        escape_markdown(headline(record)),
        _stages(record),
        f"± is half a 95% interval, Student's t over {said.seeds(record)}." if several else "",
        _rivals(record),
        _parts(record),
        _unknown(record),
        _kinds(record),
        f"In points of accuracy against {escape_markdown(reference)}:\n\n{statements}" if statements else "",
        escape_markdown(said.targets_sentence(record)),
        "Made by:",
        _fence(str(record["command"])),
        *(_fence(str(row["command"])) for row in record.get("unknown") or [] if row.get("command")),
        _fence(added) if (added := str((record.get("rivals") or {}).get("command") or "")) else "",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"
