"""One round: ask every shard, open the sum, let the server finish, and return the next state."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.aggregator import AggregatorState, MaskedReport, Opened, Refusal
from fedbert.federation.asking import announced_for, checked_sums
from fedbert.federation.buffer_round import told
from fedbert.federation.buffer_step import buffer_row, counted, opened_round
from fedbert.federation.checkpoint import Kept
from fedbert.federation.exchange import Event
from fedbert.federation.observer import add_truth, observe
from fedbert.federation.protocol import ROUND, Arrays, Member, RoundOrder
from fedbert.federation.rows import round_row
from fedbert.federation.run_state import RunState
from fedbert.federation.server import RoundUpdate
from fedbert.federation.session import Session, release_arrays
from fedbert.federation.shard import MaskCheck
from fedbert.federation.sums_apart import SumsApart, both
from fedbert.privacy.secure_sum import MaskKeys
from fedbert.results import RoundRow


@dataclass(frozen=True)
class Answer:
    """What one shard said of a round, checked."""

    report: r.ShardReport
    check: MaskCheck | None
    selection: NDArray[np.int64] | None
    kept: Kept | None
    """The part of a checkpoint that it wrote."""


def step(run: Session, state: RunState, keep: str | None = None) -> tuple[RunState, RoundUpdate]:
    """Return the state one round later, and what the server did in it.

    A pure function of `state` but for the shards' work: their phones' memory advances with it. `keep` asks
    the shards to write that memory (`Session.kept`).
    """
    started = time.perf_counter()
    round_ = state.round + 1
    announced = replace(run.server.order(state.server, round_), asking=tuple(state.asking.tolist()))
    masked: dict[int, MaskedReport] = {}
    # Held until the sum is opened, since the aggregator may refuse a shard; small, as most of it is zeros.
    truths: dict[int, tuple[r.SparseArrays, NDArray[np.int64]]] = {}
    apart: SumsApart | None = None
    seen_by: dict[int, NDArray[np.int64]] = {}
    checks: list[MaskCheck] = []
    with run.timed("devices"):
        order, schedule = opened_round(run, announced, state.aggregator)
        for member, answer in answers(run, state, order, keep):
            server = answer.report.server
            by_sum = tuple(server["reported"].tolist())
            masked[member.index] = MaskedReport(server["signal"], sum(by_sum), by_sum)
            truths[member.index] = r.sparse(answer.report.truth), server["installed"]
            apart = both(apart, answer.report.apart)
            if answer.selection is not None:
                seen_by[member.index] = answer.selection
            checks += [answer.check] if answer.check else []
    left_out = {member.index for member in run.exchange.lost}
    opened, refusals, aggregator = _opened(run, order, masked, state.aggregator)
    for refusal in refusals:
        text = f"{refusal.member} is left out: {refusal.why}"
        run.note(Event(round_, refusal.member.index, text))
        left_out.add(refusal.member.index)
    usable = [part for index, part in truths.items() if index not in left_out]
    if not usable:
        raise FedbertError(f"round {round_}: no shard gave a report that can be used")
    truth = r.empty_truth(run.environment.places)
    for part, _ in usable:
        r.add_sparse(truth, part)
    installed = np.sum([counts for _, counts in usable], axis=0)
    missing = sum(member.count for member in run.exchange.members if member.index in left_out)
    # [0] counts devices without a release, [1] those on release 0: any other must be out on a phone.
    arms_differ = bool(state.server.installed[2:].any())
    seen = observe(round_, truth, installed, missing, arms_differ, apart)
    with run.timed("server"):
        if schedule is None:
            sums, held = (opened[0].sums, opened[0].held) if opened else (None, "")
            server_state, update = run.server.finish(state.server, announced, installed, sums, held)
        else:
            steps = range(state.aggregator.steps + 1, state.aggregator.steps + order.sums)
            server_state, update = run.server.finish_buffers(
                state.server,
                announced,
                installed,
                [part.sums for part in opened],
                [part.held for part in opened],
                steps,
            )
    aggregator, dropped = counted(aggregator, schedule, update.released is not None)
    learnt = [sums for index, sums in seen_by.items() if index not in left_out]
    asking = announced_for(run.environment.selection, state.asking, learnt, round_ + 1)
    row = round_row(run.scenario, order, seen, update, time.perf_counter() - started)
    row = cast(RoundRow, row | buffer_row(schedule, dropped))
    said = [check.equal for check in checks if check.equal is not None]
    events, run.events = tuple(run.events), []
    return (
        replace(
            state,
            round=round_,
            server=server_state,
            asking=asking,
            aggregator=aggregator,
            totals=add_truth(state.totals, seen),
            rows=(*state.rows, row),
            masks_equal=all(said) if said else state.masks_equal,
            masks_checked=state.masks_checked + sum(check.devices for check in checks),
            events=(*state.events, *events),
            missing_device_rounds=state.missing_device_rounds + missing,
        ),
        update,
    )


def _opened(
    run: Session, order: RoundOrder, masked: Mapping[int, MaskedReport], state: AggregatorState
) -> tuple[list[Opened], list[Refusal], AggregatorState]:
    """Return what the aggregator opens in a round, a part for each sum; nothing where nothing is summed."""
    if not order.round or run.scenario.timing_only:
        return [], [], state
    if run.scenario.buffer_reports is not None:
        return run.aggregator.open_buffers(order, masked, state, run.scenario.buffer_reports)
    opened, refusals, state = run.aggregator.open(order, masked, state)
    return [opened], refusals, state


def answers(
    run: Session, state: RunState, order: RoundOrder, keep: str | None
) -> Iterator[tuple[Member, Answer]]:
    """Yield each member's checked answer to a round; `keep` is where shards write their phones' memory.

    A member is given the releases that it has not got yet.
    """
    keys = run.aggregator.deal(order.round) if order.round else {}
    places = run.environment.places
    size, releases = run.environment.layout.size, order.newest_release + 1

    def question(member: Member) -> tuple[dict[str, Any], Arrays]:
        header: dict[str, Any] = {
            "signal_release": order.signal_release,
            "newest_release": order.newest_release,
            "closing": None if order.closing is None else [order.closing.last_us, order.closing.last_device],
            "asking": list(order.asking),
            "index": member.index,
            "keep": keep,
        }
        of_buffers, arrays = told(order.buffers, member.first, member.count)
        header |= of_buffers
        arrays |= release_arrays(state, run.has[member.index] + 1)
        if order.round:
            header["neighbours"], arrays["mask_keys"] = _packed(keys[member.index])
        return header, arrays

    def check(member: Member, arrays: Arrays) -> Answer:
        extra = {name: arrays.pop(name) for name in ("check", "kept", "selection") if name in arrays}
        report = r.ShardReport.from_arrays(arrays)
        report.check(member.count, size, releases, places, order.sums)
        kept = _kept(extra.get("kept"), member, order.round)
        most = min(member.count, run.scenario.verify_masks)
        seen = checked_sums(extra.get("selection"), run.environment.selection, member.count)
        return Answer(report, _mask_check(extra.get("check"), most), seen, kept)

    for member, answer in run.exchange.ask(ROUND, order.round, question, check):
        run.has[member.index] = order.newest_release
        if answer.kept:
            run.kept[member.index] = answer.kept
        yield member, answer


def _packed(keys: MaskKeys) -> tuple[list[int], NDArray[np.uint8]]:
    """Return a member's neighbours, and its keys `[1 + neighbour, byte]`, its own first."""
    neighbours = list(keys.pairs)
    blob = b"".join([keys.own, *(keys.pairs[other] for other in neighbours)])
    return neighbours, np.frombuffer(blob, np.uint8).reshape(1 + len(neighbours), -1)


def _mask_check(array: NDArray[Any] | None, most: int) -> MaskCheck | None:
    """Return the check of phones' masks that a shard sent: devices, dropped, and yes, no or not done."""
    if array is None:
        return None
    if array.dtype != np.int64 or array.shape != (3,) or array[2] not in (-1, 0, 1):
        raise FedbertError("check must be three whole numbers")
    if not 0 <= array[1] <= array[0] <= most:
        raise FedbertError(f"check must be of at most {most} devices")
    return MaskCheck(int(array[0]), int(array[1]), None if array[2] < 0 else bool(array[2]))


def _kept(array: NDArray[Any] | None, member: Member, round_: int) -> Kept | None:
    """Return the part of a checkpoint that a shard wrote, if it did; its SHA-256 came as bytes."""
    if array is None:
        return None
    if array.dtype != np.uint8 or array.shape != (32,):
        raise FedbertError("kept must be 32 bytes")
    return Kept(round_, member.first, member.count, array.tobytes().hex())
