"""Rules of what a compression's report works out."""

import pytest
from example_compression import example_compression
from scipy import stats

from fedbert.reporting.compression import numbers
from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import HELPS, HURTS, SAME, UNKNOWN, Difference, Spread


def test_the_interval_is_students_over_seeds() -> None:
    """Mean and interval agree with scipy's confidence interval; one seed has none, no seed nothing."""
    values = [0.94, 0.95, 0.97]
    spread = numbers.t_spread(values)
    plain = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert spread is not None
    assert (spread.mean, spread.low, spread.high) == pytest.approx((sum(values) / 3, plain.low, plain.high))
    assert numbers.t_spread([0.5]) == Spread(0.5, None, None)
    assert numbers.t_spread([]) is None


def test_figures_are_one_or_one_a_seed() -> None:
    """A number is one seed; what is no finite number is left out, and so is a truth value."""
    assert numbers.numbers(0.9) == [0.9]
    assert numbers.numbers([0.9, None, float("nan"), "x", True, 1]) == [0.9, 1.0]
    assert numbers.numbers(None) == []


def test_the_share_kept_is_the_mean_of_ratios() -> None:
    """One teacher stands beside every seed, several are paired; unequal seeds cannot be compared."""
    student = {"accuracy": {"a": [0.5, 0.7]}}
    one, two, three = ({"accuracy": {"a": figures}} for figures in (0.5, [0.5, 1.0], [0.5] * 3))
    shares = [numbers.kept(student, teacher, "a") for teacher in (one, two)]
    assert [share.mean for share in shares if share] == pytest.approx([1.2, 0.85])
    assert numbers.kept(student, three, "a") is None
    assert numbers.kept(student, {}, "a") is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.007, HELPS),
        (-0.007, -0.001, HURTS),
        (-0.001, 0.007, SAME),
        (0.0, 0.002, SAME),
        (None, None, UNKNOWN),
    ],
)
def test_an_arm_helps_only_if_its_interval_excludes_zero(
    low: float | None, high: float | None, verdict: str
) -> None:
    """Above 0 helps, below hurts, anything else is no measurable difference; no interval, no verdict."""
    assert Difference("arm", "task", Spread(0.003, low, high)).verdict == verdict


def test_recorded_differences_are_taken_and_missing_ones_worked_out() -> None:
    """Without `differences` the arms are paired with the reference by seed; else the record is believed."""
    record = example_compression()
    found = {(each.arm, each.task): each for each in numbers.differences(record)}
    assert len(found) == 4
    gaps = [0.950 - 0.945, 0.951 - 0.946, 0.9525 - 0.947]
    assert found["integration", "clinc150"].spread.mean == pytest.approx(sum(gaps) / 3)
    assert found["integration", "clinc150"].verdict == HELPS
    assert found["integration", "banking77"].verdict == SAME
    assert found["cross-entropy only", "clinc150"].verdict == HURTS
    record["ablation"]["differences"] = [{"arm": "x", "task": "t", "mean": 0.1}]
    assert numbers.differences(record) == [Difference("x", "t", Spread(0.1))]


def test_targets_are_bounds_below_unless_they_say_at_most() -> None:
    """Equality reaches both; a figure that was not measured has no verdict."""
    assert numbers.reached({"asked": 0.9, "reached": 0.9}) is True
    assert numbers.reached({"asked": 0.9, "reached": 0.89}) is False
    assert numbers.reached({"asked": 5, "reached": 6, "at_most": True}) is False
    assert numbers.reached({"asked": 5, "reached": 5, "at_most": True}) is True
    assert numbers.reached({"asked": 5, "reached": None}) is None


def test_bytes_that_no_part_names_are_shown() -> None:
    """The parts add up to the total; none are invented where there are no parts or they cover it."""
    record = example_compression()
    assert sum(size for _, size in numbers.parts(record)) == record["total_bytes"]
    assert numbers.parts(record)[-1] == ("everything else", 104_000)
    assert numbers.parts({"total_bytes": 5}) == []
    assert numbers.parts({"total_bytes": 5, "parts": {"a": 2, "b": 3}}) == [("b", 3), ("a", 2)]


def test_confusions_that_grew_come_first() -> None:
    """Only pairs confused more often than by the teacher, most grown first, at most as many as asked."""
    rows = example_compression()["confusion"]["clinc150"]
    assert [(row["true"], row["student"]) for row in numbers.grown_confusions(rows)] == [("d", 9), ("a", 7)]
    assert len(numbers.grown_confusions(rows, most=1)) == 1


def test_figures_read_with_their_intervals() -> None:
    """Shares, points and the digits that tell a missed target from the asked figure."""
    spread = Spread(0.004, 0.001, 0.007)
    assert said.points(spread) == "+0.40 (+0.10 to +0.70)"
    assert said.points(Spread(-0.004)) == "−0.40"
    assert said.percent_points(Spread(0.95, 0.947, 0.953)) == "95.00 ± 0.30"
    assert said.share_kept(Spread(0.989, 0.985, 0.993)) == "98.90% (98.50 to 99.30)"
    assert said.target_figures(0.993, 0.99299) == ("0.993", "0.99299")
    assert said.target_figures(4500, 4490) == ("4,500", "4,490")
    assert said.target_figures(0.6, None) == ("0.6", "–")


def test_what_helped_is_said_from_the_numbers() -> None:
    """Each arm has its sentence; the summary names what is better, worse and not measurably different."""
    record = example_compression()
    sentences = said.ablation_statements(record)
    assert sentences[0].startswith("cross-entropy only: hurts on clinc150 −1.50")
    assert sentences[1].startswith("integration: helps on clinc150 +0.52")
    assert "; no measurable difference on banking77 +0.10 (−0.40 to +0.60)." in sentences[1]
    assert said.what_helped(record) == (
        "Better than plain KD, warm head: integration (clinc150). "
        "Worse than plain KD, warm head: cross-entropy only (every set)."
    )
    for arm in record["ablation"]["arms"]:
        arm["accuracy"] = {task: figures[:1] for task, figures in arm["accuracy"].items()}
    assert said.what_helped(record) == "One seed has no interval: what helps cannot be said."


def test_quantisation_is_judged_over_seeds_where_there_are_any() -> None:
    """The stage's own seeds count; without such a stage, the second form against the first; else nothing."""
    record = example_compression()
    assert said.quantisation_sentence(record).startswith(
        "In points of accuracy, quantisation against cross-distillation: clinc150 −0.10 ("
    )
    del record["stages"]
    assert said.quantisation_sentence(record).startswith(
        "In points of accuracy, int8 against float: clinc150"
    )
    assert said.quantisation_sentence({"quantisation": record["quantisation"][:1]}) == ""
