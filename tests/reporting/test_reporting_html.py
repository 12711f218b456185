"""Rules of a run's report."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from example_run import DEVICE_ERRORS, VERIFIED, example_run

from fedbert.devices.errors_table import OWN_PROFILES
from fedbert.reporting.run import latency_and_memory, quality, sentences
from fedbert.reporting.run.cards import cards
from fedbert.reporting.run.page import render_report
from fedbert.results import RunResult

VOID = {"meta", "link", "br", "img", "input", "hr"}


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _markup(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("interrupted", [True, False])
def test_every_kind_of_run_renders_whole(private: bool, interrupted: bool) -> None:
    """All four kinds of run give a balanced page under 1.6 MB without a trace of Python's None."""
    page = render_report(example_run(private, interrupted))
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    assert len(page.encode()) < 1_600_000
    assert ">None<" not in page
    assert "nan" not in re.findall(r">([^<]*)<", _markup(page))


def test_the_chapters_of_a_whole_run() -> None:
    """A finished private run has every chapter."""
    page = render_report(example_run())
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Quality",
        "Is it understanding or habit?",
        "Who gets what, by device tier",
        "Speed and memory on the phone",
        "What it costs a phone",
        "How far off the device model is",
        "What it reveals",
        "What an attack really gets",
        "Do the masks cancel?",
        "What the server learned and released",
        "Who took part",
        "Traffic",
        "The fleet&#39;s day",
        "World and model",
        "Scenario",
        "How this was made",
    ]
    assert sentences.METRIC_IN_FULL in page
    assert page.count("data-figure role") == 18


def test_every_figure_has_a_badge() -> None:
    """Each panel with a figure says measured, modelled or proved."""
    panels = re.findall(r"<figure.*?</figure>", render_report(example_run()), re.S)
    with_figure = [panel for panel in panels if "data-figure" in panel]
    assert len(with_figure) == 18
    assert all('class="badge' in panel for panel in with_figure)


def test_not_private_is_in_plain_sight() -> None:
    """Without a budget a card and two notices say so, and no epsilon is drawn."""
    page = render_report(example_run(private=False))
    assert [card.value for card in cards(example_run(private=False)) if card.alert] == ["not private"]
    assert page.count("<strong>Not private.</strong>") == 2
    assert "Epsilon by round" not in page


def test_both_epsilons_stand_with_their_assumptions_and_projections() -> None:
    """With participation seen and not, this run and after 1, 30 and 365 days, each with what it assumes."""
    page = _markup(render_report(example_run()))
    rows = re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", page, re.S)
    cells = {
        found[0]: found[1:] for found in (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows)
    }
    assert cells["participation not seen"] == [
        "2", "2", "9", "41", "nobody but the device knows who is in the cohort",
    ]  # fmt: skip
    assert cells["participation seen"] == [
        "9.25",
        "9.25",
        "90",
        "700",
        "the server may know who is in the cohort",
    ]


def test_interrupted_and_the_worlds_note_are_said_at_the_top() -> None:
    """Both stand in the header, before the first chapter."""
    page = _markup(render_report(example_run(interrupted=True)))
    header = page[: page.index("</header>")]
    assert "Interrupted after round 2." in header
    assert "An example note: the privacy unit is the device." in header
    assert "of the gap" not in page


def test_a_run_stopped_before_anything_still_has_a_report() -> None:
    """No rounds, no tiers, no hours: the page says what is missing instead of failing."""
    result = example_run(interrupted=True)
    result["rounds"], result["tiers"], result["hours"] = [], {}, []
    result["timing_s"] = {}
    page = render_report(result)
    assert "What it reveals" in page
    assert "Quality</h2>" not in page


def test_the_machine_stands_in_how_this_was_made() -> None:
    """Processor, instruction sets and the precision that was used; a run without a record renders all the
    same.
    """
    result = example_run()
    page = _markup(render_report(result))
    for words in ("Example 9000", "avx2, avx512_bf16", "instruction sets", "bfloat16"):
        assert words in page
    del result["machine"]
    assert "Example 9000" not in _markup(render_report(result))


def test_guides_far_below_the_rounds_are_named_and_not_drawn() -> None:
    """Popularity at .05, far under the rounds, would flatten them: it stands in the text instead."""
    result = example_run()
    (popularity,) = (row for row in result["comparison"] if row["system"] == "popularity")
    popularity["quality"]["ndcg@10"] = 0.05
    drawn = [annotation.text for annotation in quality.quality_figure(result).layout.annotations]
    assert not [text for text in drawn if "popularity" in text]
    assert [text for text in drawn if "release 0" in text]
    assert "Far below, and not drawn: popularity 0.050" in _markup(render_report(result))


def test_guides_are_popularity_tfidf_release_0_and_the_bound() -> None:
    """The lines beside the rounds are these four, by name."""
    names = [name for name, _, _ in quality._guides(example_run())]
    assert names == ["popularity", "TF-IDF", "release 0, every session scored", "pooled-data bound"]


def test_latency_curve_is_the_cumulated_histogram() -> None:
    """A tier's curve ends at 1 and passes the bins' cumulated share."""
    result: RunResult = example_run()
    result["latency_histogram"] = {
        "upper_ms": [1, 2, 3, 4],
        "entry": [0, 1, 3, 0],
        "mid": [0, 0, 0, 0],
        "flagship": [4, 0, 0, 0],
    }
    curves = {
        trace.name: (list(trace.x), list(trace.y)) for trace in latency_and_memory.latency_figure(result).data
    }
    assert curves == {"entry": ([1, 2, 3], [0, 0.25, 1]), "flagship": ([1], [1])}


def test_same_result_same_page() -> None:
    """Rendering is a function of the result: no random ids, no clock."""
    assert render_report(example_run()) == render_report(example_run())


def test_verified_devices_have_a_measured_chapter() -> None:
    """A run with devices under a hard limit shows each; a run from before has no such chapter."""
    result = example_run()
    assert "Does memory really decide so?" not in render_report(result)
    result["verified_devices"] = VERIFIED
    page = render_report(result)
    assert "Does memory really decide so?" in page
    assert "2 of 3 devices, really run under a hard memory limit, did as predicted" in page


def _tables(page: str) -> dict[str, list[list[str]]]:
    """Return the rows of each panel's table by the panel's title."""
    found = {}
    for panel in re.findall(r"<figure.*?</figure>", _markup(page), re.S):
        title = re.sub(r"<[^>]*>", "", re.findall(r"<figcaption.*?</figcaption>", panel, re.S)[0])
        rows = re.findall(r"<tr>.*?</tr>", panel, re.S)
        found[" ".join(unescape(title).split())] = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows
        ]
    return found


def _table(page: str, title: str) -> list[list[str]]:
    return next(rows for name, rows in _tables(page).items() if name.startswith(title))


def test_energy_by_session_round_and_day_is_labelled_extrapolated() -> None:
    """By tier: battery, mAh, mJ a session and a round, and both splits; every title says extrapolated."""
    page = render_report(example_run())
    chapter = page[page.index("<h2>What it costs a phone") :].split("<h2>")[1]
    assert chapter.count("extrapolated") >= 3
    assert "No energy of a session was measured" in chapter
    assert _table(page, "Energy, battery and time, extrapolated")[1][:5] == [
        "entry", "0.0225%", "0.4 mAh", "30 mJ", "5,230 mJ",
    ]  # fmt: skip
    assert _table(page, "Use of energy per day")[1] == [
        "entry", "120 mJ", "20 mJ", "1,000 mJ", "3,000 mJ",
    ]  # fmt: skip
    assert _table(page, "Use of energy per round")[1] == [
        "entry", "30 mJ", "200 mJ", "4,000 mJ", "1,000 mJ",
    ]  # fmt: skip


def test_quality_by_tier_as_seen_scored_and_with_all_scored() -> None:
    """A row a tier: devices, sessions, as users saw it, scored sessions, three systems on all sessions."""
    page = render_report(example_run())
    rows = _table(page, "Quality by tier")
    assert rows[1] == ["entry", "2,500", "5,000", "0.780", "0.870", "0.800", "0.860", "0.890"]
    assert "tier_correlation 0.5" in page
    result = example_run()
    result["scenario"]["tier_correlation"] = 0.0
    assert "what users do does not depend on the tier" in render_report(result)


def test_device_errors_stand_in_the_report_with_whose_they_are() -> None:
    """Rows, median, shares and aim; a run with profiles of its own says that the errors aren't theirs."""
    page = _markup(render_report(example_run()))
    for part in ("an example of boards left out", "16.8%", "55%", "15.0%", "build_profiles.py --errors"):
        assert part in page
    assert "profiles of its own" not in page
    result = example_run()
    result["device_errors"] = {**DEVICE_ERRORS, "note": OWN_PROFILES}
    assert "The run used profiles of its own" in render_report(result)


def test_latency_names_its_engine_and_how_far_others_are() -> None:
    """Card, sentence and chapter name the engine; ranges are those in int8; the chapter has all rows."""
    page = _markup(render_report(example_run()))
    said = (
        "Latency is predicted for an example engine. Measured over predicted times in int8: another engine "
    )
    assert f"{said}1.41 to 7.45 (example networks)." in page
    assert "on the slowest, in an example engine." in page
    assert "; an example engine" in page
    assert "a third engine" in page
    assert "Times are predicted for an example engine." in page
    result = example_run()
    result["device_errors"] = {**DEVICE_ERRORS, "engine": None, "note": OWN_PROFILES}
    own = render_report(result)
    assert "for the engine that the run&#39;s own profiles were made for" in own
    assert "an example engine" not in own


def test_runs_of_before_have_a_report_without_the_new_parts() -> None:
    """A run.json without device errors, split energy and quality by tier renders as far as it goes."""
    result = example_run()
    del result["device_errors"]
    for tier in result["tiers"].values():
        del tier["energy_mj_per_round"], tier["energy_mj_per_round_by"], tier["energy_mj_per_day_by"]
    for row in result["comparison"]:
        del row["tiers"]
    page = render_report(result)
    assert "How far off the device model is" not in page
    assert "Use of energy" not in page
    assert _table(page, "Quality by tier")[1][5:] == ["–", "–", "–"]
