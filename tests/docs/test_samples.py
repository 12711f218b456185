"""The sample files in the pages are read as the pages say."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pages import ROOT

from fedbert.cli.data_check import CATALOGUE, LOG, TEXTS, TRACE, kind_of
from fedbert.devices.availability_trace import read_trace
from fedbert.ei_bert.teaching.tasks import load_task
from fedbert.recommendation.published.mind import read_mind
from fedbert.recommendation.published.movielens import read_movielens
from fedbert.recommendation.tables import load_interactions


def _blocks(page: str, info: str) -> list[str]:
    """Return the fenced blocks of a page that have this language."""
    tokens = MarkdownIt("commonmark").parse((ROOT / "docs" / "how-to" / page).read_text("utf-8"))
    return [token.content for token in tokens if token.type == "fence" and token.info == info]


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_each_kind_of_table_has_a_sample_of_five_lines(tmp_path: Path) -> None:
    """A catalogue, a log, a trace and texts: known by their columns, and read with nothing left out."""
    samples = [block for block in _blocks("your-data.md", "text") if block.count("\n") == 5]
    assert len(samples) == 4
    paths = [_write(tmp_path / f"{n}.csv", sample) for n, sample in enumerate(samples)]
    assert [kind_of(path) for path in paths] == [CATALOGUE, LOG, TRACE, TEXTS]
    assert read_trace(paths[2]).facts.phones == 2
    assert len(load_task(paths[3]).test.texts) == 2
    # A world has 21 items and somebody to evaluate on: a few lines more.
    items = "".join(f"x{n},item {n},1\n" for n in range(20))
    later = "".join(f"u076,g0{n},2026-09-0{n + 3}T00:00Z,5,g01 g02 g04\n" for n in (2, 4))
    world = load_interactions(
        _write(tmp_path / "items.csv", samples[0] + items), _write(tmp_path / "log.csv", samples[1] + later)
    )
    assert world.read is not None
    assert world.read.items.ignored_columns == ()
    assert world.read.interactions.ignored_columns == ("rating",)
    assert world.read.shown is not None
    assert (world.read.shown.rows, world.read.shown.history_rows) == (5, 1)


@pytest.mark.parametrize("kind", ["movielens", "mind"])
def test_published_files_are_read_as_their_samples_are_written(tmp_path: Path, kind: str) -> None:
    """Five lines of each file of a set make a log."""
    blocks = [block for block in _blocks("published-data.md", "") if block.count("\n") == 5]
    assert len(blocks) == 4
    ratings, films, news, behaviors = blocks
    if kind == "movielens":
        _write(tmp_path / "ratings.dat", ratings)
        _write(tmp_path / "movies.dat", films)
        assert read_movielens(tmp_path).log.num_rows == 5
    else:
        _write(tmp_path / "news.tsv", news)
        _write(tmp_path / "behaviors.tsv", behaviors)
        assert read_mind([tmp_path]).log["candidates"].to_pylist().count("") == 3
