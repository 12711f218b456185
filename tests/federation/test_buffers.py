"""Asynchronous rounds: who works when, which buffer a report goes to, what it weighs, and what is opened."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from small_runs import TINY

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.aggregator import AggregatorState, MaskedReport
from fedbert.federation.buffer_round import check_buffered, concurrency_of, most_buffers
from fedbert.federation.buffer_step import buffer_row, checked_tasks, counted, ordered
from fedbert.federation.buffered_aggregator import BufferedAggregator
from fedbert.federation.buffers import Schedule, Tasks, scheduled, staleness_bins, staleness_weight
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import Buffers, Member, RoundOrder
from fedbert.federation.shard import Shard
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.mechanisms import wrap
from fedbert.privacy.poisson import Poisson
from fedbert.privacy.secure_sum import masked_vector
from fedbert.results import ROUND_ENDS
from fedbert.scenario import Scenario
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import dense_reports, report_layout


def _tasks(rows: list[tuple[int, int, int, int, int, bool]]) -> Tasks:
    """Return tasks of (device, ticket, ready, send, busy, comes)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Tasks(*columns)


def test_a_window_by_hand() -> None:
    """Two at work, buffers of two, one report there already. Phone 11 fills the first buffer at 3. Phone 10,
    whose release is there at 2 and which uploads from 4 to 10, is one step stale and knows it. 12 sends
    nothing. 13, whose release is there before it begins, fills the second buffer at 30. 14 is still at work
    when the window ends at 100. At work: 3 + 10 + 10 + 20 + 87.
    """
    rows = [(14, 4, 0, 2, 200, True), (10, 0, 2, 2, 8, True), (11, 1, 0, 1, 3, True)]
    rows += [(12, 2, 0, 9, 10, False), (13, 3, 9, 5, 20, True)]
    found = scheduled(_tasks(rows), concurrency=2, size=2, filled=1, until_us=100)
    assert found.begun.tolist() == [True] * 5
    assert found.place.tolist() == [-1, 1, 0, -1, 1]
    assert found.staleness.tolist() == [0, 1, 0, 0, 0]
    assert found.known.tolist() == [0, 1, 0, 0, 0]
    assert found.closed_us.tolist() == [3, 30]
    assert (found.filled, found.last_us, found.busy_us) == (0, 100, 130)


def test_steps_during_an_upload_are_not_known() -> None:
    """A phone that uploads from 1 to 9 is stale by the buffers that close at 3 and 5, and knows of none."""
    rows = [(0, 0, 0, 1, 9, True), (1, 1, 0, 1, 3, True), (2, 2, 0, 1, 2, True)]
    found = scheduled(_tasks(rows), concurrency=2, size=1, filled=0, until_us=100)
    assert (found.staleness[0], found.known[0], found.closed_us.tolist()) == (2, 0, [3, 5, 9])


def _plainly(tasks: Tasks, concurrency: int, size: int, filled: int, until_us: int) -> Schedule:
    """Return the same, microsecond by microsecond."""
    queue = sorted(range(len(tasks.device)), key=lambda row: (tasks.ticket[row], tasks.device[row]))
    began: dict[int, tuple[int, int]] = {}
    at_work: set[int] = set()
    place, stale, known = (np.full(len(tasks.device), fill) for fill in (-1, 0, 0))
    closed: list[int] = []
    busy = last = 0

    ready: dict[int, int] = {}

    def begin(now: int) -> None:
        if queue:
            began[queue[0]] = now, len(closed)
            ready[queue[0]] = max(now, int(tasks.ready_us[queue[0]]))
            at_work.add(queue.pop(0))

    for _ in range(concurrency):
        begin(0)
    for now in range(until_us + 1):
        by_number = sorted(at_work, key=lambda row: tasks.device[row])
        for row in by_number:
            if now == ready[row] + tasks.busy_us[row]:
                at_work.remove(row)
                busy, last = busy + now - began[row][0], now
                if tasks.comes[row]:
                    place[row], stale[row] = len(closed), len(closed) - began[row][1]
                    filled += 1
                    if filled == size:
                        filled = 0
                        closed.append(now)
                if now < until_us:
                    begin(now)
        for row in at_work:
            if now == ready[row] + tasks.send_us[row]:
                known[row] = len(closed) - began[row][1]
    if at_work:
        last = until_us
        busy += sum(until_us - began[row][0] for row in at_work)
    known[place < 0] = 0
    begun = np.array([row in began for row in range(len(tasks.device))])
    return Schedule(begun, place, stale, known, np.array(closed, np.int64), filled, last, busy)


@pytest.mark.parametrize("seed", range(12))
def test_a_window_as_microsecond_by_microsecond(seed: int) -> None:
    """Thirty phones with short times, so that much happens at once."""
    draw = np.random.default_rng(seed)
    send = draw.integers(0, 6, 30)
    tasks = Tasks(
        draw.permutation(90)[:30].astype(np.int64),
        draw.integers(0, 9, 30),
        draw.integers(0, 12, 30) * (draw.random(30) < 0.5),
        send,
        send + draw.integers(1, 9, 30),
        draw.random(30) < 0.8,
    )
    concurrency, size = int(draw.integers(1, 9)), int(draw.integers(1, 6))
    filled, until = int(draw.integers(0, size)), int(draw.integers(5, 60))
    found, plain = (each(tasks, concurrency, size, filled, until) for each in (scheduled, _plainly))
    for name in Schedule.__dataclass_fields__:
        assert np.array_equal(getattr(found, name), getattr(plain, name)), name


def test_weights_and_bins() -> None:
    """1 / sqrt(1 + s); bins double."""
    assert staleness_weight(np.array([0, 3, 8])).tolist() == [1.0, 0.5, 1 / 3]
    counts = staleness_bins(np.array([0, 0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 900]))
    assert counts.tolist() == [2, 1, 2, 2, 2, 2, 2]


@pytest.fixture(scope="module")
def fleet(small: Scenario, release_0: Artefact) -> Environment:
    """Phones whose reports fill buffers of four, five at work at once."""
    values = {"buffer_reports": 4, "concurrency": 5, "min_reports": 2, "devices": 60}
    values |= {"availability": "always"}
    return Environment.create(small.model_copy(update=values), release_0)


def _window(
    fleet: Environment, edges: list[int], newest: int = 0
) -> tuple[Schedule, RoundOrder, dict[str, np.ndarray]]:
    """Return a window's schedule and order, and the summed reports of shards between `edges`."""
    shards = [Shard(fleet, a, b - a) for a, b in pairwise(edges)]
    states = [shard.start() for shard in shards]
    order = RoundOrder(1, newest, newest)
    parts = [
        shard.tasks(state.waiting, state.installed, order)
        for shard, state in zip(shards, states, strict=True)
    ]
    order, schedule = ordered(fleet, order, parts, filled=3)
    releases = dict.fromkeys((0, 1), fleet.encoded_0)
    reports = [
        shard.run_round(state, order, releases)[0] for shard, state in zip(shards, states, strict=True)
    ]
    for shard, report in zip(shards, reports, strict=True):
        report.check(shard.devices.count, fleet.layout.size, newest + 1, fleet.places, order.sums)
    return schedule, order, r.add_all(part.server for part in reports) | r.add_all(p.truth for p in reports)


@pytest.mark.parametrize("newest", [0, 1])
def test_any_split_fills_the_same_buffers(fleet: Environment, newest: int) -> None:
    """Three and seven uneven shards give the sums of one, to the bit, buffer by buffer."""
    schedule, order, whole = _window(fleet, [0, 60], newest)
    assert len(schedule.closed_us) > 4
    assert schedule.staleness.max() > 0
    for edges in ([0, 7, 33, 60], [0, 1, 7, 20, 31, 40, 59, 60]):
        _, other, parts = _window(fleet, edges, newest)
        for name in ("device", "place", "staleness"):
            assert np.array_equal(getattr(other.buffers, name), getattr(order.buffers, name))
        assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    ends = dict(zip(ROUND_ENDS, whole["round_ends"].sum(axis=0).tolist(), strict=True))
    assert ends["done"] == int(whole["completed"][0]) == np.count_nonzero(schedule.place >= 0)
    assert sum(ends.values()) == np.count_nonzero(schedule.begun)


def test_sums_are_of_the_reports_that_phones_weighed(fleet: Environment) -> None:
    """Each buffer's sum is that of the clipped vectors of its phones, each times its weight and rounded."""
    shard = Shard(fleet, 0, 60)
    state, order = shard.start(), RoundOrder(1, 0, 0)
    parts = [shard.tasks(state.waiting, state.installed, order)]
    order, _ = ordered(fleet, order, parts, filled=3)
    buffers = order.buffers
    assert buffers is not None
    stale = (np.arange(len(buffers.device)) % 3).astype(np.int64)
    order = replace(order, buffers=replace(buffers, staleness=stale))
    seen: list[Any] = []
    block_clicks = _noted_clicks(seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedbert.federation.block_round.BlockRound._clicks", block_clicks)
        report, _ = shard.run_round(state, order, {0: fleet.encoded_0})
    # The shard's check of masks comes second.
    (chosen, clicks), *_ = seen
    plain = np.zeros((order.sums, fleet.layout.size), np.int64)
    place = dict(zip(buffers.device.tolist(), buffers.place.tolist(), strict=True))
    weight = dict(zip(buffers.device.tolist(), staleness_weight(stale).tolist(), strict=True))
    for row, device in enumerate(chosen.tolist()):
        one = clicks.take(slice(row, row + 1))
        vector = dense_reports(fleet.signal, fleet.layout, one, np.array([weight[device]]))[0]
        full = dense_reports(fleet.signal, fleet.layout, one)[0]
        assert np.abs(vector - full * weight[device]).max() <= 1
        plain[place[device]] += vector
    assert np.array_equal(report.server["signal"], plain.reshape(-1).astype(np.uint32))
    assert np.array_equal(report.server["reported"], np.bincount([place[d] for d in chosen.tolist()]))


def _noted_clicks(seen: list[Any]) -> Any:
    from fedbert.federation.block_round import BlockRound

    plain = BlockRound._clicks

    def noted(self: BlockRound, release: Any, chosen: np.ndarray) -> Any:
        clicks = plain(self, release, chosen)
        seen.append((chosen, clicks))
        return clicks

    return noted


def test_who_is_not_asked_sends_nothing(fleet: Environment) -> None:
    """With one place and a window that ends with its second phone, two phones are asked and nobody else tries
    to send; releases reach all phones that can fetch them, as in any round.
    """
    shard = Shard(fleet, 0, 60)
    state, order = shard.start(), RoundOrder(1, 1, 1)
    tasks = Tasks(**shard.tasks(state.waiting, state.installed, order))
    first, second = np.lexsort((tasks.device, tasks.ticket))[:2]
    first_ends = tasks.ready_us[first] + tasks.busy_us[first]
    until = max(first_ends, tasks.ready_us[second]) + tasks.busy_us[second]
    found = scheduled(tasks, 1, 4, 0, int(until))
    assert set(tasks.device[found.begun]) == {tasks.device[first], tasks.device[second]}
    chosen = np.sort(tasks.device[found.begun])
    two = Buffers(1, chosen, np.zeros(2, np.int64), np.zeros(2, np.int64))
    order, _ = ordered(fleet, order, [vars(tasks)], filled=0)
    releases = dict.fromkeys((0, 1), fleet.encoded_0)
    fetched = {}
    for name, buffers in (("two", two), ("all", order.buffers)):
        state = shard.start()
        report, _ = shard.run_round(state, replace(order, buffers=buffers), releases)
        counts = dict(zip(r.COHORT_KEYS, report.truth["counts"].tolist(), strict=True))
        fetched[name] = counts["downloads"]
        if buffers is two:
            assert counts["eligible"] == 2
            assert int(report.truth["participants"].sum()) <= 2
    assert fetched["two"] == fetched["all"] > 2


class _Counts:
    """A layout of three numbers."""

    size = 3


LAYOUT = report_layout(_Counts(), clip_norm=100.0, largest_cohort=100)  # type: ignore[arg-type]


def _aggregator(min_reports: int = 2) -> BufferedAggregator:
    settings = PrivacySettings(None, 1e-6, 0.1, 100.0, 5, 12.0, 1000)
    return BufferedAggregator(
        Poisson.make(settings),
        LAYOUT,
        (Member(0, 1, 0, 500), Member(1, 2, 500, 500)),
        noise_seed=4,
        min_reports=min_reports,
        largest_cohort=100,
        devices=1000,
        secret=bytes(32),
    )


def _order(round_: int, sums: int) -> RoundOrder:
    nobody = np.zeros(0, np.int64)
    return RoundOrder(round_, 0, 0, buffers=Buffers(sums, nobody, nobody, nobody))


def _masked(aggregator: BufferedAggregator, order: RoundOrder, *shards: list[tuple[int, int]]) -> dict:
    """Return shards' masked reports: of each sum (first coordinate, reports)."""
    made = {}
    for index, sums in enumerate(shards):
        vectors = np.zeros((len(sums), 3 + RANK_BINS), np.int64)
        vectors[:, 0] = [int(value * LAYOUT.scale) for value, _ in sums]
        masked = masked_vector(wrap(vectors.reshape(-1)), index, aggregator.deal(order.round)[index])
        by_sum = tuple(count for _, count in sums)
        made[index] = MaskedReport(masked, sum(by_sum), by_sum)
    return made


def test_full_buffers_are_opened_and_the_open_one_waits() -> None:
    """Of three sums the first two are opened; the third is opened in the next window, with what came there.
    Each says its number, and that buffers are of five reports; none carries noise.
    """
    aggregator, order = _aggregator(), _order(1, 3)
    reports = _masked(aggregator, order, [(3, 2), (10, 3), (5, 1)], [(4, 3), (20, 2), (0, 0)])
    opened, refusals, state = aggregator.open_buffers(order, reports, AggregatorState(), 5)
    assert not refusals
    assert [part.sums is not None and part.sums[0].values[0] for part in opened] == [7.0, 30.0]
    assert (state.reports, state.pending[0]) == (1, 5.0)
    state = replace(state, steps=2, filled=1)
    order = _order(2, 2)
    reports = _masked(aggregator, order, [(1, 2), (8, 1)], [(2, 2), (8, 1)])
    (last,), _, state = aggregator.open_buffers(order, reports, state, 5)
    assert last.signal is not None
    assert (last.signal.values[0], last.signal.round, last.signal.sigma) == (8.0, 3, 0.0)
    assert (last.signal.expected_reports, last.signal.total_sigma) == (5.0, 0.0)
    assert (state.reports, state.pending[0]) == (2, 16.0)


def test_a_buffer_with_too_little_to_say_is_not_opened() -> None:
    """Fewer reports with clicks than the least number: held, and no part of a later buffer."""
    aggregator, order = _aggregator(min_reports=4), _order(1, 3)
    reports = _masked(aggregator, order, [(3, 2), (10, 3), (0, 0)], [(4, 1), (20, 2), (0, 0)])
    opened, _, state = aggregator.open_buffers(order, reports, AggregatorState(), 5)
    assert [part.held for part in opened] == ["held: fewer than 4 reports (min_reports)", ""]
    assert opened[0].sums is None
    assert opened[1].signal is not None
    assert opened[1].signal.values[0] == 30.0
    assert (state.reports, state.rounds) == (0, 1)


def test_a_window_without_enough_shards_opens_nothing() -> None:
    """All its buffers are held; what waited is lost with the first that was full, and kept if none was."""
    aggregator = _aggregator()
    waiting = AggregatorState(pending=np.ones(3 + RANK_BINS), rounds=1, reports=2)
    for sums, kept in ((2, 0), (1, 2)):
        order = _order(1, sums)
        reports = {0: _masked(aggregator, order, [(3, 2)] * sums, [(4, 2)] * sums)[0]}
        opened, _, state = aggregator.open_buffers(order, reports, waiting, 5)
        assert [part.held for part in opened] == ["held: fewer than 2 of 2 shards answered"] * (sums - 1)
        assert state.reports == kept


def test_a_release_empties_the_open_buffer() -> None:
    """Its three reports are vectors of another space than the next: dropped, and counted as such."""
    schedule = replace(_empty(), filled=3, closed_us=np.array([1, 2]))
    state = AggregatorState(pending=np.ones(4), rounds=1, reports=3, steps=7)
    kept, none = counted(state, schedule, released=False)
    assert (kept.filled, kept.steps, kept.reports, none) == (3, 9, 3, 0)
    gone, dropped = counted(state, schedule, released=True)
    assert (gone.filled, gone.steps, gone.reports, len(gone.pending), dropped) == (0, 9, 0, 0, 3)
    row = buffer_row(schedule, dropped)
    assert (row["buffers"], row["buffered"], row["discarded"], row["staleness_mean"]) == (2, 0, 3, None)


def _empty() -> Schedule:
    none = np.zeros(0, np.int64)
    return Schedule(np.zeros(0, np.bool_), none, none, none, none, 0, 0, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"device": [10, 10]}, "each once"),
        ({"device": [9, 11]}, "its own devices"),
        ({"busy_us": [5, 9]}, "busy_us > send_us"),
        ({"send_us": [-1, 2]}, "send_us must be >= 0"),
        ({"ready_us": [-1, 2]}, "ready_us must be >= 0"),
        ({"busy_us": [9, 1 << 60]}, "busy_us > send_us and <="),
        ({"comes": [1, 0]}, "comes must be one bool"),
        ({"ticket": [1.0, 2.0]}, "ticket must be one int64"),
    ],
)
def test_a_shard_that_lies_about_its_phones_is_refused(changed: dict[str, Any], message: str) -> None:
    """Another's device, one twice, times that cannot be, and other types."""
    right = vars(_tasks([(10, 0, 0, 5, 9, True), (14, 1, 3, 5, 9, False)]))
    member = Member(0, 1, 10, 5)
    assert checked_tasks(member, right) is right
    with pytest.raises(FedbertError, match=message):
        checked_tasks(member, right | {name: np.array(values) for name, values in changed.items()})


def test_what_follows_from_the_size_of_a_buffer(fleet: Environment) -> None:
    """Ten phones at work a report where nobody says; as many buffers as the rounds' largest cohorts fill."""
    assert concurrency_of(fleet) == 5
    assert most_buffers(fleet) == 3 * -(-fleet.largest_cohort // 4)
    fleet = replace(fleet, scenario=fleet.scenario.model_copy(update={"concurrency": None}))
    assert concurrency_of(fleet) == 40


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"buffer_reports": 145}, r"buffer_reports\(=145\) must be <= 144, all that 3 rounds ask"),
        ({"rounds": 10_000}, r"buffer_reports\(=4\) must be >= 5, so that 10000 rounds of 48 devices"),
    ],
)
def test_buffers_that_cannot_be(fleet: Environment, values: dict[str, Any], message: str) -> None:
    """None that the whole run cannot fill, and no more than a server can step with."""
    other = replace(fleet, scenario=fleet.scenario.model_copy(update=values))
    with pytest.raises(FedbertError, match=message):
        check_buffered(other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"concurrency": 5}, r"concurrency\(=5\) must come with reports that fill buffers; add"),
        ({"buffer_reports": 20, "target_reports": 30}, r"target_reports\(=30\) must be left out"),
        ({"buffer_reports": 20, "noise_cohort": 20_000}, r"noise_cohort\(=20000\) must be left out"),
        ({"buffer_reports": 20, "poisoned": 0.1}, r"poisoned\(=0\.1\) must be left out"),
        ({"buffer_reports": 9}, r"buffer_reports\(=9\) must be >= min_reports \(= 10\)"),
        ({"buffer_reports": 1}, r"buffer_reports\(=1\) must be greater than or equal to 2"),
    ],
)
def test_settings_that_do_not_go_together(values: dict[str, Any], message: str) -> None:
    """Refused in one line before anything is loaded."""
    with pytest.raises(FedbertError, match=message):
        Scenario(mechanism="poisson", epsilon=None, **values)


def test_nothing_is_buffered_without_the_flag() -> None:
    """No key of a row, no order to fill any."""
    assert buffer_row(None, 0) == {}
    state = AggregatorState()
    assert counted(state, None, released=True)[0] is state
    assert not TINY.clocked
