"""A user's trace: what states come down to, one phone and one loop, one line for each way to be wrong."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from device_helpers import lines_run

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import STATES, availability, hourly_shares, interruptions
from fedbert.devices.availability_trace import State, read_trace, states_at, traced_device
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose

SPANS = (("a", 0, 6), ("b", 0, 0), ("c", 2, 2))
"""Three phones, and the first and last day of each."""

GOOD = """device_id,start,end,state
phone-a,21.5,31,charging
phone-a,0,48,unmetered
phone-a,22,30.5,idle
phone-b,0,24,metered
phone-b,1,6,idle
phone-b,2,5,charging
"""


def write(folder: Path, text: str, name: str = "trace.csv") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def flags(path: Path, device: int, hour: float) -> str:
    """Return which of idle, charging, unmetered, online hold for a device at an hour, by first letters."""
    found = states_at(read_trace(path), np.array([device]), np.array([hour]))
    return "".join(name[0] for name, flag in zip(found._fields, found, strict=True) if flag[0])


def test_a_small_trace(tmp_path: Path) -> None:
    """Two phones, two days: an interval has its start and not its end, and phones are numbered by id."""
    path = write(tmp_path, GOOD)
    trace = read_trace(path)
    assert (trace.devices, trace.days) == (2, 2)
    assert flags(path, 0, 21.49) == "uo"
    assert flags(path, 0, 21.5) == "cuo"
    assert flags(path, 0, 22.0) == "icuo"
    assert flags(path, 0, 30.5) == "cuo"
    assert flags(path, 1, 3.0) == "ico"
    assert flags(path, 1, 7.0) == "o"


def test_the_trace_repeats_after_its_last_day(tmp_path: Path) -> None:
    """A phone of two days repeats every 48 hours, in any year, one of a day every 24."""
    path = write(tmp_path, GOOD)
    for later in (48.0, 48.0 * 41_000):
        assert flags(path, 0, later + 22.0) == "icuo"
        assert flags(path, 0, later + 21.49) == "uo"
        assert flags(path, 1, later + 24.0 + 1.5) == flags(path, 1, later + 1.5) == "io"
        assert flags(path, 1, later + 0.5) == "o"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("idle", "i"),
        ("in_use idle", ""),
        ("charging in_use", "c"),
        ("unmetered", "uo"),
        ("metered", "o"),
        ("unmetered metered", "o"),
        ("unmetered offline", ""),
        ("metered offline", ""),
        ("idle charging unmetered", "icuo"),
    ],
)
def test_how_states_combine(tmp_path: Path, states: str, expected: str) -> None:
    """In use beats idle, offline beats both links, metered beats unmetered; what is not said is not so."""
    rows = "".join(f"x,1,2,{state}\n" for state in states.split())
    assert flags(write(tmp_path, "device_id,start,end,state\n" + rows), 0, 1.5) == expected


def random_rows(seed: int, devices: int) -> pd.DataFrame:
    """Return a trace of three days with a few intervals a phone and state, in no order."""
    random = np.random.default_rng(seed)
    rows = []
    for device, state in product(range(devices), State):
        edges = np.sort(random.choice(72 * 4, 2 * int(random.integers(1, 6)), replace=False)) / 4
        rows += [
            (f"d{device:03d}", start, end, str(state))
            for start, end in zip(edges[::2], edges[1::2], strict=True)
            if random.random() < 0.9
        ]
    return pd.DataFrame(rows, columns=["device_id", "start", "end", "state"]).sample(
        frac=1, random_state=seed
    )


def test_as_one_phone_would_look_it_up(tmp_path: Path) -> None:
    """Each device's state in a round is what a loop over the rows of its traced phone says of its moment."""
    table = random_rows(1, 12)
    path = tmp_path / "trace.csv"
    table.to_csv(path, index=False)
    trace = read_trace(path)
    devices = DeviceRange(7, 0, 200)
    who = traced_device(devices, trace)
    assert set(who.tolist()) == set(range(12))
    for round_ in (1, 30, 1_000):
        state = availability(devices, 5.0, round_, trace=trace)
        draws = devices.uniforms(Purpose.AVAILABILITY, 2 * round_, 5)[:, 0]
        for device in range(200):
            hour = ((round_ - 1) * 5.0 + 5.0 * draws[device]) % 72
            mine = table[table["device_id"] == f"d{who[device]:03d}"]
            now = set(mine["state"][(mine["start"] <= hour) & (hour < mine["end"])])
            assert state.idle[device] == ("idle" in now and "in_use" not in now)
            assert state.charging[device] == ("charging" in now)
            assert state.unmetered[device] == ("unmetered" in now and not now & {"metered", "offline"})
            assert state.online[device] == bool(now & {"unmetered", "metered"} and "offline" not in now)


def test_csv_parquet_and_the_order_of_rows_are_alike(tmp_path: Path) -> None:
    """The same rows in a CSV, in another order in a Parquet, with numbers as numbers, are the same trace."""
    table = random_rows(2, 5)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.iloc[::-1].to_parquet(tmp_path / "a.parquet", index=False)
    one, other = (read_trace(tmp_path / f"a.{kind}") for kind in ("csv", "parquet"))
    for state in State:
        assert one.intervals[state].start.tolist() == other.intervals[state].start.tolist()
        assert one.intervals[state].end.tolist() == other.intervals[state].end.tolist()


def test_blocks_do_not_change_a_trace(tmp_path: Path) -> None:
    """Any split of the devices gives the same bits; drop-outs stay modelled."""
    random_rows(3, 9).to_csv(tmp_path / "trace.csv", index=False)
    trace = read_trace(tmp_path / "trace.csv")
    devices = DeviceRange(3, 100, 300)
    whole = availability(devices, 2.0, 40, trace=trace)
    parts = [
        availability(DeviceRange(3, first, count), 2.0, 40, trace=trace)
        for first, count in ((100, 1), (101, 7), (108, 292))
    ]
    for name in STATES:
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert joined.tolist() == getattr(whole, name).tolist()
    assert interruptions(devices, 40).any()


def test_hourly_shares_are_the_mean_of_the_days(tmp_path: Path) -> None:
    """A phone that charges at 3 on one of two days charges at 3 half of the time."""
    trace = read_trace(write(tmp_path, "device_id,start,end,state\nx,3,4,charging\nx,47,48,idle\n"))
    shares = hourly_shares(devices=10, trace=trace)
    assert shares["charging"].tolist() == [0.5 if hour == 3 else 0.0 for hour in range(24)]
    assert shares["idle"][23] == 0.5


def test_nothing_is_done_a_device(tmp_path: Path) -> None:
    """On a trace of 300 phones, too, a round of 40,000 devices runs as many lines as one of 2,000."""
    random_rows(4, 300).to_csv(tmp_path / "trace.csv", index=False)
    trace = read_trace(tmp_path / "trace.csv")
    availability(DeviceRange(0, 0, 10), 2.0, 13, trace=trace)  # the keys of its numbers are kept
    few, many = (
        lines_run(lambda count=count: availability(DeviceRange(0, 0, count), 2.0, 13, trace=trace))
        for count in (2_000, 40_000)
    )
    assert few == many > 0


def with_row(row: str) -> str:
    """Return the good trace with one more row, its seventh."""
    return GOOD + row + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not be empty"),
        ("device_id,start,end,state\n", "have at least one row"),
        (GOOD.replace("device_id", "phone"), "have a column 'device_id'"),
        (GOOD.replace("start", "begin"), "have a column 'start'"),
        (GOOD.replace(",end,", ",stop,"), "have a column 'end'"),
        (GOOD.replace(",state", ",what"), "have a column 'state'"),
        (GOOD.replace("end,state", "end,end"), "have one column 'end', not several"),
        (
            "".join(f"{line},{more}\n" for line, more in zip(GOOD.split(), ["note", *"123456"], strict=True)),
            "have the columns device_id,start,end,state alone (has also 'note'); drop the column",
        ),
        (with_row(",1,2,idle"), "trace.csv row 7, device_id(='') must not be empty"),
        (with_row("x,,2,idle"), "trace.csv row 7, start(='') must be a number from 0 to 8,784"),
        (with_row("x,1,,idle"), "trace.csv row 7, end(='') must be a number from 0"),
        (with_row("x,1,2,"), "trace.csv row 7, state(='') must be one of in_use, idle, charging"),
        (with_row("x,-1,2,idle"), "trace.csv row 7, start(='-1') must be a number from 0"),
        (with_row("x,one,2,idle"), "trace.csv row 7, start(='one') must be a number from 0"),
        (with_row("x,True,2,idle"), "trace.csv row 7, start(='True') must be a number from 0"),
        (with_row("x,1,nan,idle"), "trace.csv row 7, end(='nan') must be a number from 0"),
        (with_row("x,1,inf,idle"), "trace.csv row 7, end(='inf') must be a number from 0"),
        (with_row("x,1,1700000000,idle"), "trace.csv row 7, end(='1700000000') must be a number from 0"),
        (with_row("x,1,2024-05-01T10:00,idle"), "end(='2024-05-01T10:00') must be a number from 0"),
        (with_row("x,1,2,asleep"), "trace.csv row 7, state(='asleep') must be one of in_use, idle"),
        (with_row("x,1,2,Idle"), "trace.csv row 7, state(='Idle') must be one of"),
        (with_row("x,2,1,idle"), "trace.csv row 7, end(=1.0) must be after start(=2.0)"),
        (with_row("x,2,2,idle"), "trace.csv row 7, end(=2.0) must be after start(=2.0)"),
        (with_row("phone-b,5.5,7,idle"), "row 7: idle of device 'phone-b' must not overlap row 5"),
        (with_row("phone-b,0,1.5,idle"), "row 5: idle of device 'phone-b' must not overlap row 7"),
        (with_row("x,1,2"), "have 4 fields in each row, as its header has (row 7 has 3)"),
    ],
)
def test_a_bad_trace_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake is one line with the file, the row or key, and the rule."""
    with pytest.raises(FedbertError) as caught:
        read_trace(write(tmp_path, text))
    assert message in str(caught.value)
    assert "trace.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_touching_intervals_do_not_overlap(tmp_path: Path) -> None:
    """An interval may begin where the last one of its state ends, and other states may overlap it."""
    path = write(tmp_path, with_row("phone-b,6,7,idle"))
    assert flags(path, 1, 6.0) == "io"


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Not there, a folder, another kind, not a table, not UTF-8, a column of lists: one line each."""
    (tmp_path / "folder.csv").mkdir()
    write(tmp_path, GOOD, "trace.txt")
    write(tmp_path, "nonsense", "trace.parquet")
    (tmp_path / "latin.csv").write_bytes(GOOD.encode() + b"\xe9,1,2,idle\n")
    pd.DataFrame({"device_id": [[1]], "start": [0], "end": [1], "state": ["idle"]}).to_parquet(
        tmp_path / "lists.parquet"
    )
    for name, message in (
        ("none.csv", "must be a file"),
        ("folder.csv", "must be a file"),
        ("trace.txt", "end in .csv, .tsv or .parquet"),
        ("trace.parquet", "be a readable table"),
        ("latin.csv", "be UTF-8 text (line 8 is not)"),
        ("lists.parquet", "plain values in column 'device_id'"),
    ):
        with pytest.raises(FedbertError) as caught:
            read_trace(tmp_path / name)
        assert message in str(caught.value)
        assert name in str(caught.value)


def test_parquet_values_of_wrong_types_are_named(tmp_path: Path) -> None:
    """Missing values, dates and truth values in a Parquet's times are refused by row."""
    good = {"device_id": [1, 2], "start": [0.0, 1.0], "end": [2.0, 3.0], "state": ["idle", "idle"]}
    for column, values in (
        ("start", [0.0, None]),
        ("start", [False, True]),
        ("end", pd.to_datetime(["2024-01-01", "2024-01-02"])),
        ("device_id", ["1", None]),
        ("state", ["idle", None]),
    ):
        pd.DataFrame(good | {column: values}).to_parquet(tmp_path / "t.parquet")
        with pytest.raises(FedbertError, match=rf"t\.parquet row [12], {column}\(="):
            read_trace(tmp_path / "t.parquet")


def test_phones_of_different_spans_repeat_their_own_days(tmp_path: Path) -> None:
    """Phones of days 0 to 6, of day 0 and of day 2: each is as available outside its days as within."""
    rows = [f"{phone},{24 * first},{24 * (last + 1)},idle" for phone, first, last in SPANS]
    path = write(tmp_path, "\n".join(["device_id,start,end,state", *rows, "c,50,51,charging"]) + "\n")
    facts = read_trace(path).facts
    assert (facts.phones, facts.days, facts.days_of_phone) == (3, 7, (1, 1, 7))
    assert facts.observed_hours == 24 * 9
    for hour in range(0, 24 * 7, 5):
        assert all("i" in flags(path, phone, hour) for phone in range(3))
        assert ("c" in flags(path, 2, hour)) == (hour % 24 == 2)
    lines = facts.lines()
    assert "3 phones over 7 days, observed for 1 to 7 days each (median 1); rows cover 100% of it" in lines[0]
    assert lines[1].startswith("2 of 3 phones are observed for less than 7 days")
