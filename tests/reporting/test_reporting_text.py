"""Rules of numbers and sentences."""

from typing import Any

import pytest
from example_run import example_run

from fedbert.privacy.mechanism import SEES_REPORTS
from fedbert.reporting.parts import text
from fedbert.reporting.run import audit, epsilons, sentences


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (0, "0"), (1.23e-5, "1.2e-5"), (0.0123, "0.0123"), (2.0, "2"), (4123.6, "4,124")],
)  # fmt: skip
def test_significant(value: float | None, said: str) -> None:
    """About three digits, no trailing zeros, separators above a thousand."""
    assert text.significant(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.44, "0.4 s"), (42.4, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (None, "–")],
)
def test_duration(seconds: float | None, said: str) -> None:
    """The largest two units that say something."""
    assert text.duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(12.34, "12 ms"), (234.4, "234 ms"), (2400, "2.4 s"), (90_000, "1 min 30 s"), (None, "–")],
)
def test_milliseconds(value: float | None, said: str) -> None:
    """Seconds from a thousand milliseconds."""
    assert text.milliseconds(value) == said


def test_size_and_power() -> None:
    """Three digits without trailing zeros; exponents without a leading zero."""
    assert [text.size(value) for value in (149_500, 1_905_000, 4_000_000, 12, None)] == [
        "150 kB", "1.91 MB", "4 MB", "12 B", "–",
    ]  # fmt: skip
    assert [text.power(value) for value in (1e-6, 2.5e-10, 0.01)] == ["1e-6", "2.5e-10", "0.01"]


def test_facts_read_the_unit_from_the_name() -> None:
    """Names end in their unit; the value takes it."""
    values = {
        "report_bytes": 150_000,
        "bytes_up": 10,
        "wall_s": 65,
        "devices_per_s": 9100.0,
        "p50_ms": 4.0,
        "equal": True,
        "tier": {"n": 1000},
        "none": None,
        "names": ["a", "b"],
        "left_out": 1,
    }
    assert text.facts(values, omit=("left_out",)) == {
        "report": "150 kB",
        "bytes up": "10 B",
        "wall": "1 min 05 s",
        "devices per s": "9,100",
        "p50": "4 ms",
        "equal": "yes",
        "tier: n": "1,000",
        "none": "–",
        "names": "a, b",
    }


def test_headline_has_quality_cost_and_privacy() -> None:
    """One sentence answers the three questions; the first is what the model won on the same sessions."""
    assert sentences.headline(example_run()) == (
        "10,000 phones: on the same 20,000 sessions with 9,000 texts the final release ranks at nDCG@10 "
        "0.880 and release 0 at 0.820: the model won +0.060 (95% interval +0.055 to +0.065, resampling "
        "texts); it costs a phone 0.0035 to 0.022% of its battery per day (extrapolated); what it reveals is "
        "bounded by epsilon 9.25 per device where participation is seen (9.25 in a day, 90 in 30 days, "
        "700 in 365 days), 2 where it is not."
    )
    assert sentences.headline(example_run(private=False)).endswith("nothing bounds what it reveals.")


def test_noise_on_the_phone_is_named_as_such() -> None:
    """In mode local the adversary reads single reports, wherever an epsilon stands; so do attacks."""
    result = example_run()
    result["privacy"] |= {"mode": "local", "epsilon": 9.25}
    assert "epsilon 9.25 per device where single reports are seen (9.25 in a day" in sentences.headline(
        result
    )
    assert [words for words, *_ in epsilons.kinds(result["privacy"])] == ["single reports seen"]
    row = {"path": "through the phone's noise", "adversary": SEES_REPORTS, "rounds": 1}
    attacks: Any = {"bounds": [row | {"epsilon": 1.6, "proved": 2.0}], "note": None}
    assert audit.result_sentence(attacks) == (
        "The strongest attack, through the phone's noise with single reports seen, shows an epsilon of at "
        "least 1.6 over one report. Proved: 2."
    )
    given: Any = {"items": 0.02, "texts": 0.03, "candidate_items": 278, "candidate_texts": 179, "reports": 37}
    said = audit.exposure_sentence(given, audit.reads_reports(attacks))
    assert said.startswith("One report as it is sent, noise and all, gives away 2% of its items")
    assert "Masks" not in said


def test_a_run_of_before_has_no_finding() -> None:
    """A run.json without findings claims nothing, and says how to come by one."""
    result = example_run()
    del result["findings"]
    assert "no finding on what the model won" in sentences.headline(result)
    assert "run the scenario again" in sentences.answers(result)["What users get"]


def test_statement_does_not_repeat_itself() -> None:
    """Where "Not private." stands before it, the statement does not say it again."""
    assert (
        sentences.statement(example_run(private=False))
        == "The server sees exact sums of what the cohort sent."
    )


def test_scored_comes_first_among_outcomes() -> None:
    """Figures draw the wanted outcome first whatever the order in the file."""
    result = example_run()
    for tier in result["tiers"].values():
        tier["outcomes"] = dict(reversed(tier["outcomes"].items()))
    assert sentences.outcome_names(result)[0] == "scored"
    assert sentences.scored_share(result) == pytest.approx(1 - 2440 / 20_000)


def test_outcomes_are_said_in_words() -> None:
    """A key reads as words, also one that is not known yet."""
    assert [sentences.outcome_label(name) for name in ("scored", "no_release", "battery_low")] == [
        "scored in time",
        "no release installed",
        "battery low",
    ]


def test_systems_of_one_name_are_told_apart() -> None:
    """What a system sees is added only where its name comes twice."""
    labels = sentences.system_labels(example_run())
    assert len(set(labels)) == len(labels)
    assert labels[0] == "popularity"
    assert labels[-1] == "int8 student, pooled-data bound (text, history and user model)"


def test_a_tier_without_answers_has_no_latency() -> None:
    """Percentiles of nothing are left out, and the sentences and the span do without."""
    result = example_run()
    for tier in result["tiers"].values():
        tier["latency_ms"] = {}
    assert sentences.latency_p95_ms(result) == (None, None)
    assert "95%" not in str(sentences.cost_sentence(result))
