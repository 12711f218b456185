"""Rules of a compression's page, Markdown and files."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from example_compression import example_compression

from fedbert.ei_bert.compression import rows
from fedbert.errors import FedbertError
from fedbert.reporting.compression import record as record_shape
from fedbert.reporting.compression.folder import write_compression
from fedbert.reporting.compression.markdown import escape_markdown, markdown
from fedbert.reporting.compression.page import compression_html

VOID = {"meta", "link", "br", "img", "input", "hr"}
EVIL = "<img src=x onerror=alert(1)>|`*"
CHAPTERS = {
    "targets": "Asked and reached",
    "stages": "After every stage",
    "rivals": "Simpler models of the same bytes",
    "ablation": "What each part is worth",
    "quantisation": "What quantisation costs",
    "probe": "On texts it never saw",
    "unknown": "When it does not know",
    "kinds": "Other kinds of task",
    "parts": "Where the bytes are",
    "vocabulary": "Vocabulary",
    "search": "Shapes tried",
    "latency": "Speed on this machine",
    "confusion": "What it confuses more than its teacher",
    "losses": "Losses",
}


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _markup(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def _chapters(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def _hostile(value: Any) -> Any:
    """Return the record with every text, and every name of a task or part, replaced by markup."""
    if isinstance(value, dict):
        kept = {"accuracy", "parts", "confusion", "losses", "agreement", "environment"}
        return {
            key: {EVIL + name: _hostile(each) for name, each in inner.items()}
            if key in kept and isinstance(inner, dict)
            else _hostile(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_hostile(each) for each in value]
    return EVIL + value if isinstance(value, str) else value


def test_a_whole_record_has_every_chapter_and_a_badge_at_every_figure() -> None:
    """All chapters in order, balanced markup, no trace of Python, and no figure without its kind."""
    page = compression_html(example_compression())
    assert _chapters(page) == [*CHAPTERS.values(), "Data and teacher", "How this was made"]
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    assert ">None<" not in page
    assert "nan" not in re.findall(r">([^<]*)<", _markup(page))
    sections = re.findall(r"<section.*?</section>", page, re.S)
    assert all('class="badge measured"' in section for section in sections)


@pytest.mark.parametrize(
    "key", [*CHAPTERS, "teacher", "tasks", "environment", "seeds", "seconds", "total_bytes"]
)
def test_what_is_missing_is_left_out(key: str) -> None:
    """Without a key the page still stands, lacks that chapter only, and so does the table."""
    record = example_compression()
    del record[key]
    without = set(_chapters(compression_html(example_compression()))) - set(
        _chapters(compression_html(record))
    )
    assert without == ({CHAPTERS[key]} if key in CHAPTERS else set())
    assert "None" not in markdown(record)


def test_the_speed_in_front_is_that_of_sixteen_tokens() -> None:
    """Shorter texts are faster, and would flatter; without rows of 16 tokens the best row stands."""
    record = example_compression()
    record["latency"] += [{"length": 8, "batch": 1, "threads": 1, "ms": 0.1234, "texts_per_s": 8100}]

    def cards() -> str:
        return compression_html(record).rpartition("Speed on this machine")[0]

    assert ("0.71 ms" in cards(), "0.12 ms" in cards()) == (True, False)
    record["latency"] = record["latency"][-1:]
    assert "0.12 ms" in cards()


def test_title_and_command_alone_make_a_page() -> None:
    """Nothing else is needed; then the page says that nothing was measured."""
    record = {"title": "bare", "command": "make it"}
    page = compression_html(record)
    assert _chapters(page) == ["How this was made"]
    assert "Nothing was measured." in page
    assert "make it" in markdown(record)


@pytest.mark.parametrize("key", ["title", "command"])
def test_a_record_without_title_or_command_is_refused(tmp_path: Path, key: str) -> None:
    """The line names the key; the record is kept, for it took hours."""
    record = example_compression()
    del record[key]
    with pytest.raises(FedbertError, match=rf"compression\.json lacks '{key}'; run [^\n]* again$"):
        write_compression(record, tmp_path)
    assert json.loads((tmp_path / "compression.json").read_text()) == record


def test_the_headline_has_size_retention_download_and_memory() -> None:
    """These figures stand in the lead, with intervals."""
    lead = re.findall(r'<p class="lead">(.*?)</p>', compression_html(example_compression()), re.S)[0]
    for figure in (
        "1.9 MB on disk",
        "1.5 MB to download",
        "1.95 MB in memory",
        "99.06% (98.80 to 99.32) on clinc150",
    ):
        assert figure in lead


def test_test_texts_in_training_stand_beside_the_test_texts() -> None:
    """26 of 4,500 test texts were trained on: the set's row says both; a set without a count has a dash."""
    page = _markup(compression_html(example_compression()))
    assert re.search(r"clinc150.*?4,500.*?>26<.*?banking77.*?3,080.*?>–<", page, re.S)


def test_a_rival_that_is_no_worse_is_said_first() -> None:
    """Where the best rival is at or above the student the first sentence says so; else how far below, and of
    which seed.
    """
    record = example_compression()
    lead = re.findall(r'<p class="lead">(.*?)</p>', compression_html(record), re.S)[0]
    assert lead.startswith(
        "A simpler model of the same bytes is no worse: token vectors, taught on banking77 "
        "(−0.20 (−1.00 to +0.60) points), the student&#39;s minus its own."
    )
    said = "the best simpler model of the same bytes: +2.10 (+1.50 to +2.70) points on clinc150"
    assert f"With seed 0, against {said}" in lead
    assert f"Against {said}" in markdown({**record, "seeds": [0]})
    for row in record["rivals"]["rows"][1:]:
        row["ahead"]["banking77"]["mean"] = 0.001
    assert "no worse" not in markdown(record)


def test_missed_targets_and_a_broken_budget_are_said_at_the_top() -> None:
    """Alerts stand before the first chapter; without a miss there are none."""
    record = example_compression()
    record["total_bytes"] = record["budget_bytes"] + 5
    header = compression_html(record).split("</header>")[0]
    assert "A target was missed." in header
    assert "5 B larger than was allowed" in header
    record["total_bytes"] = record["budget_bytes"]
    record["targets"] = record["targets"][1:]
    assert 'class="alert"' not in compression_html(record)


def test_one_seed_has_no_interval_and_the_page_says_so() -> None:
    """No ± anywhere in the table of stages; a calm notice instead."""
    record = example_compression()
    record["seeds"] = [0]
    for row in [*record["stages"], *record["ablation"]["arms"], *record["quantisation"]]:
        for key in ("accuracy", "validation"):
            row[key] = {task: figures[:1] for task, figures in row.get(key, {}).items()}
    assert "<strong>One seed.</strong>" in compression_html(record)
    assert "±" not in markdown(record)


def test_texts_of_the_user_never_become_markup() -> None:
    """Every text of the record may be hostile: no element of its own, in tables, figures or Markdown."""
    record = _hostile(example_compression())
    page = compression_html(record)
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    assert "img" not in balance.seen
    figures = re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert len(figures) == 10
    for figure in figures:
        assert "<img" not in str(json.loads(figure))
    table = markdown(record)
    assert "<img" not in table[: table.index("Made by:")]


def test_the_page_loads_nothing() -> None:
    """No source or link outside the page, and the policy forbids it; plotly is inside once."""
    page = compression_html(example_compression())
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!#|data:)', _markup(page))
    assert page.count("plotly.js (basic - minified) v") == 1


def test_the_markdown_table_is_whole() -> None:
    """Every row has as many cells as its table's heading, and the shipped stage's figures stand in it."""
    table = markdown(example_compression())
    rows = [line for line in table.splitlines() if line.startswith("|")]
    for block in table.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in lines}) <= 1
    assert "| quantisation | 1,904,000 B | 95.10 ± 0.25 | 92.10 ± 0.25 |" in rows
    assert "| **share of the teacher's, %** |  | **99.06 ± 0.26** | **99.03 ± 0.27** |" in rows
    assert table.endswith("```\n")


def test_markdown_is_escaped() -> None:
    """Cells stay cells, markup is shown, lines are joined; a name with an underscore stays readable."""
    assert escape_markdown("a|b\n`c` *d* <e> [f]") == r"a\|b \`c\` \*d\* &lt;e&gt; \[f\]"
    assert escape_markdown("card_top _up_") == r"card_top \_up\_"


def test_a_command_with_backticks_stays_in_its_fence() -> None:
    """The fence is longer than any run of backticks in it."""
    table = markdown({"title": "t", "command": "echo ```` x"})
    assert "`````sh\necho ```` x\n`````\n" in table


def test_rendering_depends_on_the_record_alone_and_leaves_it_unchanged() -> None:
    """Same record, same page; the record is not touched."""
    record = example_compression()
    before = copy.deepcopy(record)
    assert compression_html(record) == compression_html(record)
    assert record == before


def test_all_files_are_written_and_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    """The folder is made; nothing partial is left; what is not a folder is named in the error."""
    page = write_compression(example_compression(), tmp_path / "new" / "folder")
    assert page.read_text(encoding="utf-8") == compression_html(example_compression())
    assert sorted(each.name for each in page.parent.iterdir()) == [
        "compression.json", "report.html", "report.md",
    ]  # fmt: skip
    with pytest.raises(FedbertError, match=r"report\.html.*must be a folder"):
        write_compression(example_compression(), page)


def test_reports_know_every_key_that_is_written() -> None:
    """What the makers' rows hold is in the shape that a record is read by, under the same name."""
    pairs = {
        rows.TaskRow: record_shape.TaskRow,
        rows.TeacherRow: record_shape.TeacherRow,
        rows.StageRow: record_shape.StageRow,
        rows.FormRow: record_shape.FormRow,
        rows.ProbeRow: record_shape.ProbeRow,
        rows.ConfusionRow: record_shape.ConfusionRow,
        rows.CoverageRow: record_shape.CoverageRow,
        rows.VocabularyRow: record_shape.Vocabulary,
        rows.ArmRow: record_shape.ArmRow,
        rows.DifferenceRow: record_shape.DifferenceRow,
        rows.Ablation: record_shape.Ablation,
        rows.AimRow: record_shape.TargetRow,
        rows.MarginRow: record_shape.MarginRow,
        rows.RivalRow: record_shape.RivalRow,
        rows.Rivals: record_shape.Rivals,
        rows.UnknownRow: record_shape.UnknownRow,
        rows.KindRow: record_shape.KindRow,
        rows.ShapeRow: record_shape.SearchRow,
        rows.CompressionRecord: record_shape.CompressionRecord,
    }
    unknown = {
        f"{written.__name__}.{key}"
        for written, read in pairs.items()
        for key in get_type_hints(written)
        if key not in get_type_hints(read)
    }
    assert unknown == set()


def test_the_vocabularys_coverage_stands_by_size() -> None:
    """A row a size with shares of training and validation texts, the student's own in bold; no rows, no
    table.
    """
    record = example_compression()
    page = _markup(compression_html(record))
    assert "validation texts" in page
    for words in ("98.7%", "97.1%", "3,538", "99.3%", "2,046"):
        assert words in page
    del record["vocabulary"]["coverage"]
    assert "validation texts&#x27;" not in _markup(compression_html(record))


def test_several_teachers_and_whole_seeds_are_said() -> None:
    """Each teacher's own figure beside that of all, what the seeds have of their own, processor time."""
    page = _markup(compression_html(example_compression()))
    assert "2, whose mean choices and states teach" in page
    assert "95.10, 95.82%" in page
    assert "0, 1, 2, each with its own teachers and pre-distillation" in page
    assert "processor time, all stages" in page


def test_accuracy_on_validation_texts_stands_beside_that_on_test_texts() -> None:
    """On the page and in Markdown, for the tasks that have such texts; a task without them has a dash."""
    record = example_compression()
    line = next(line for line in markdown(record).splitlines() if "validation texts" in line)
    assert line.startswith("| cross-distillation, validation texts |") and "96.22" in line
    assert line.endswith("| – |")
    assert "cross-distillation, validation texts" in _markup(compression_html(record))
