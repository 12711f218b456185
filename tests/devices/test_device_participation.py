"""How a round ends, first come first served: literal cases, a plain loop, and the published shares."""

import numpy as np
import pytest

from fedbert.devices.fitting.participation import EndState, SessionParameters, end_states, round_endings
from fedbert.errors import FedbertError

HALF = SessionParameters(limit_s=100.0, interrupted_share=0.5, lost_share=0.25)
NO_FATE = np.zeros(4)


def names(states: np.ndarray) -> str:
    """Return the first letters of end states."""
    return "".join(EndState(value).name[0] for value in states)


def test_the_first_reports_are_taken() -> None:
    """A round that wants two closes with the second; the other two are late."""
    end = end_states(np.array([40.0, 10.0, 90.0, 20.0]), np.zeros(4, np.bool_), NO_FATE, 2, HALF)
    assert names(end.state) == "LDLD"
    assert end.closed_s == 20.0


def test_time_runs_out() -> None:
    """A round that is not full at its limit closes there; a report at the limit still counts."""
    end = end_states(np.array([100.0, 100.1, 10.0, 300.0]), np.zeros(4, np.bool_), NO_FATE, 4, HALF)
    assert names(end.state) == "DLDL"
    assert end.closed_s == 100.0


def test_of_equal_times_the_first_in_the_array() -> None:
    """Never more reports than wanted are taken, also where two come at once."""
    end = end_states(np.full(4, 5.0), np.zeros(4, np.bool_), NO_FATE, 3, HALF)
    assert names(end.state) == "DDDL"


def test_drop_outs_end_by_their_fate() -> None:
    """A drop-out is interrupted, lost or comes back too late, however fast it was; it takes no place."""
    fate = np.array([0.49, 0.5, 0.74, 0.75])
    end = end_states(np.ones(4), np.ones(4, np.bool_), fate, 1, HALF)
    assert [EndState(value).name for value in end.state] == ["INTERRUPTED", "DROPPED", "DROPPED", "LATE"]
    assert end.closed_s == HALF.limit_s


def test_as_one_server_would_count() -> None:
    """Arrays give what a server gives that hears of one device after the other."""
    random = np.random.default_rng(5)
    for trial in range(30):
        count, reports = int(random.integers(1, 60)), int(random.integers(1, 50))
        finish, dropped = random.uniform(0, 150, count).round(), random.random(count) < 0.3
        fate = random.random(count)
        expected, taken, closed = [""] * count, 0, HALF.limit_s
        for device in sorted(range(count), key=lambda one: (finish[one], one)):
            if dropped[device]:
                kind = "INTERRUPTED" if fate[device] < 0.5 else "DROPPED" if fate[device] < 0.75 else "LATE"
            elif taken < reports and finish[device] <= HALF.limit_s:
                kind, taken = "DONE", taken + 1
                closed = float(finish[device]) if taken == reports else closed
            else:
                kind = "LATE"
            expected[device] = kind
        end = end_states(finish, dropped, fate, reports, HALF)
        assert [EndState(value).name for value in end.state] == expected, trial
        assert end.closed_s == closed, trial


def test_published_shares() -> None:
    """75 % done, 22 % late, 2 % interrupted, each within a point; 6-10 % drop out; 2-3 minutes."""
    ends = round_endings(1.3, seed=4)
    assert ends.done == pytest.approx(0.75, abs=0.01)
    assert ends.late == pytest.approx(0.22, abs=0.01)
    assert ends.interrupted == pytest.approx(0.02, abs=0.005)
    assert ends.done + ends.late + ends.interrupted + ends.dropped == pytest.approx(1.0)
    assert 0.06 < ends.dropped_out < 0.10
    assert 120 < ends.closed_s.mean() < 180


def test_without_over_selection_nobody_is_too_many() -> None:
    """A round that selects what it wants never fills: it takes all that come in time, till its limit."""
    ends = round_endings(1.0, rounds=20)
    assert ends.done > 0.7
    assert (ends.closed_s == 180.0).all()
    assert round_endings(2.0, rounds=20).late > 0.45


def test_ends_are_sentences() -> None:
    """Each end reads as one sentence of its own."""
    sentences = [state.sentence for state in EndState]
    assert len(set(sentences)) == 4
    assert all(text[0].isupper() and text.endswith(".") for text in sentences)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"over_selection": 0.9}, "over_selection(=0.9) must be >= 1"),
        ({"over_selection": float("nan")}, "over_selection(=nan) must be >= 1"),
        ({"reports": 0}, "must be >= 1"),
        ({"rounds": 0}, "must be >= 1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, float], message: str) -> None:
    """What cannot be is refused by name."""
    with pytest.raises(FedbertError) as caught:
        round_endings(**arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)
