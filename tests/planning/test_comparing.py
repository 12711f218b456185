"""Rules of a comparison: which runs stand together, what differs in them, and how differences are judged."""

import pytest
from planning.comparing_examples import example_forecasts, example_grids, example_runs, invented, view

from fedbert.errors import FedbertError
from fedbert.planning.comparing.comparison import Comparison, Pair, Row, compare, lettered, run_variants
from fedbert.reporting.compare.record import comparison_of, record_of
from fedbert.reporting.compare.text import headline, warnings, what_differs

NDCG = "nDCG@10, final release"


def row(pair: Pair, name: str, arm: str = "") -> Row:
    """Return the row of a figure; fails unless there is just one."""
    (found,) = [each for each in pair.rows if (each.figure.name, each.arm) == (name, arm)]
    return found


def of_runs(*views: object) -> Comparison:
    """Return the comparison of runs."""
    return compare("run", lettered(run_variants(list(views))))  # type: ignore[arg-type]


def test_runs_that_differ_in_the_seed_alone_stand_together() -> None:
    """Six folders of two scenarios are two variants; a seventh of another scenario is a third."""
    found = example_runs()
    assert [(each.folders, each.seeds) for each in found.variants] == [
        (("a0", "a1", "a2"), (0, 1, 2)),
        (("b0", "b1", "b2"), (0, 1, 2)),
        (("c",), (0,)),
    ]


def test_seeds_are_paired() -> None:
    """0.05, 0.051, 0.054 more at three seeds: mean 0.05167, t(0.975, 2) s / sqrt(3) = 0.00517 beside it."""
    found = row(example_runs().pairs[0], NDCG).difference
    assert (found.method, found.seeds, found.verdict) == ("paired", 3, "effect")
    assert found.value == pytest.approx(0.0516667, abs=1e-6)
    assert found.low is not None and found.low == pytest.approx(0.0516667 - 0.0051711, abs=1e-6)


def test_one_run_is_held_against_the_run_of_its_seed_and_is_no_effect() -> None:
    """Variant C has seed 0 alone: its interval is that of two runs, +- 0.01 each, and chance explains 0."""
    pair = example_runs().pairs[1]
    assert pair.seeds == (0,)
    assert {each.difference.verdict for each in pair.rows} <= {"equal", "no interval"}
    far = of_runs(view("a", invented(0)), view("b", invented(0, 0.05, min_reports=5)))
    found = row(far.pairs[0], NDCG).difference
    assert (found.method, found.verdict) == ("one run each", "one seed")
    assert found.high is not None and found.high == pytest.approx(0.05 + 2**0.5 * 0.01)
    assert "One run stands against one" in " ".join(warnings(far))
    assert "one seed each" in headline(far)


def test_runs_of_other_seeds_are_not_paired() -> None:
    """Seeds 0, 1 against 5, 6 of another scenario: Welch's interval."""
    runs = [view(f"a{seed}", invented(seed)) for seed in (0, 1)]
    runs += [view(f"b{seed}", invented(seed, 0.001 * seed, min_reports=5)) for seed in (5, 6)]
    found = row(of_runs(*runs).pairs[0], NDCG).difference
    assert (found.method, found.seeds) == ("unpaired", 2)


def test_where_only_the_seed_differs_that_is_what_is_compared() -> None:
    """Two runs of one scenario stand against each other, and whatever differs is chance."""
    found = of_runs(view("a", invented(0)), view("b", invented(1)))
    assert [each.letter for each in found.variants] == ["A", "B"]
    assert found.settings == ()
    assert what_differs(found, "B").startswith("Nothing but the seed differs, so whatever differs")


def test_a_run_made_again_is_equal() -> None:
    """The same seed and settings twice: two variants, and nothing differs but what the machine has in it."""
    found = of_runs(view("a", invented(0)), view("b", invented(0)))
    assert {each.difference.verdict for each in found.pairs[0].rows} == {"equal"}


def test_settings_versions_and_models_that_differ_are_listed() -> None:
    """Each key with the text of each variant; a key that one lacks is null there; the machine is no cause."""
    other = invented(0, min_reports=5, epsilon=None)
    other["versions"] = {"threads": "", "numpy": "9"}
    other["model"]["sha256"] = "1" * 64
    other["wall_s"] = 99.0
    found = of_runs(view("a", invented(0, epsilon=2.0)), view("b", other))
    assert [(each.group, each.key, each.values) for each in found.settings if each.key != "budget"] == [
        ("scenario", "epsilon", ("2", "none")),
        ("scenario", "min_reports", ("10", "5")),
        ("model", "sha256", ("0" * 64, "1" * 64)),
        ("versions", "numpy", (None, "9")),
    ]
    assert "cannot tell which of them" in what_differs(found, "B")
    time = row(found.pairs[0], "time of the run").difference
    assert (time.verdict, time.value) == ("no interval", pytest.approx(98.9))


def test_sizes_and_bounds_are_exact() -> None:
    """Epsilon 2 against 4, and a release that is longer: no chance in them, at one seed or three."""
    longer = [invented(seed, epsilon=4.0) for seed in range(2)]
    for result in longer:
        result["traffic"]["bytes_per_release"] += 10
    found = of_runs(
        *(view(f"a{seed}", invented(seed, epsilon=2.0)) for seed in range(2)),
        *(view(f"b{seed}", result) for seed, result in enumerate(longer)),
    )
    for name, value in (("epsilon, participation not seen", 2.0), ("a release", 10.0)):
        difference = row(found.pairs[0], name).difference
        assert (difference.verdict, difference.value, difference.low) == ("exact", value, None)


def test_a_figure_that_a_seed_lacks_has_no_mean() -> None:
    """A run that ranked by nothing: missing with the reason, and no headline from the other seed."""
    runs = [invented(seed, 0.01, min_reports=5) for seed in range(2)]
    runs[1]["comparison"] = []
    found = of_runs(
        *(view(f"a{seed}", invented(seed)) for seed in range(2)),
        *(view(f"b{seed}", result) for seed, result in enumerate(runs)),
    )
    difference = row(found.pairs[0], NDCG).difference
    assert (difference.verdict, difference.value) == ("missing", None)
    assert "some seeds lack it" in headline(found)


def test_grids_are_paired_cell_by_cell() -> None:
    """Arms that both have, each over its two seeds: 0.01 and 0.02 more; an arm of one alone is told."""
    (pair,) = example_grids().pairs
    assert set(pair.arms) == {
        "public, daily, epsilon none",
        "prototypes, daily, epsilon 2",
        "prototypes, daily, epsilon none",
    }
    assert pair.arms_of_one == ("prototypes, daily, epsilon 0.5",)
    found = row(pair, NDCG, "prototypes, daily, epsilon 2").difference
    assert (found.method, found.seeds, found.value) == ("paired", 2, pytest.approx(0.015))
    assert found.verdict == "chance"  # 0.015 +- 12.7 x 0.005


def test_forecasts_from_one_run_differ_by_the_plan() -> None:
    """Twice the phones: twice as many are eligible, an effect of the plan; plain arithmetic is exact."""
    found = example_forecasts()
    assert {each.key: each.values for each in found.settings}["devices"] == ("1000000", "2000000")
    (pair,) = found.pairs
    eligible = row(pair, "eligible devices, 12:00").difference
    assert (eligible.method, eligible.verdict) == ("same run", "effect")
    exact = row(pair, "egress, one release to all devices").difference
    assert (exact.verdict, exact.value) == ("exact", 1_910_000e6)
    assert {each.figure.hour for each in pair.rows} > set(range(24))


@pytest.mark.parametrize("make", [example_runs, example_grids, example_forecasts])
def test_what_is_written_is_read_back(make: object) -> None:
    """The record of a comparison makes the same record again, and the same sentences."""
    found = make()  # type: ignore[operator]
    record = record_of(found, "a command")
    again = comparison_of(record)
    assert record_of(again, "a command") == record
    assert headline(again) == headline(found)


def test_more_variants_than_letters_are_refused() -> None:
    """27 scenarios are one too many."""
    views = [view(str(number), invented(0, min_reports=number)) for number in range(2, 29)]
    with pytest.raises(FedbertError, match="must be 26 variants at most"):
        lettered(run_variants(views))


def test_an_unfinished_run_is_refused() -> None:
    """A run that was interrupted is named with its status."""
    result = invented(0)
    result["status"] = "interrupted"
    with pytest.raises(FedbertError, match="must be finished"):
        view("a", result)
