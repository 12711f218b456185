"""One block of a shard's devices in one round: sessions, costs, clicks, signal, downloads."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.cost_model import Outcome
from fedbert.devices.network import Transfers
from fedbert.federation import shard_report as r
from fedbert.federation.asking import asking_now, remembered
from fedbert.federation.buffer_round import begun_course, buffer_sums, by_buffers, places_of
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.group_sums import add_groups
from fedbert.federation.noised_sum import noised_sum
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import Arrays, RoundOrder
from fedbert.federation.round_clock import Course, TakingPart, by_clock, course_of, whole_round
from fedbert.federation.sizes import by_size
from fedbert.federation.sums_apart import HONEST, SumsApart, sums_apart
from fedbert.randomness import Purpose
from fedbert.recommendation.clicks import ClickModel, clicks
from fedbert.recommendation.scorer import FULL, default_scores, order, ranks
from fedbert.recommendation.sessions import Kind, Requests, Sessions, session_uniforms
from fedbert.results import ENERGY_USES, TAKING_PART
from fedbert.selection.selection import Done
from fedbert.signals.report import dense_reports
from fedbert.signals.signal import Clicks

_DONE = ("sessions", "sessions_us", "installs", "installs_us")
"""What a device does in a round, and the time that it takes; see `fedbert.results.GROUP_SUMS`."""


def _add_by_tier(total: NDArray[np.int64], tier: NDArray[Any], values: NDArray[Any]) -> None:
    np.add.at(total, tier.astype(np.intp), np.rint(values * r.MICRO).astype(np.int64))


def latency_time(round_: int, kind: Kind) -> int:
    """Return the time index of the latencies of a round's sessions: learning is odd, evaluation even."""
    return 2 * round_ + int(kind is Kind.LEARNING)


class BlockRound:
    """Works one round for one block; adds to the `truth` arrays and changes the block's rows of `state`."""

    def __init__(
        self,
        phones: Phones,
        rows: slice,
        state: PhoneState,
        round_order: RoundOrder,
        releases: Mapping[int, EncodedRelease],
        truth: Arrays,
    ) -> None:
        """Take `phones`, whose memory stands in `rows` of `state`."""
        if phones.environment.selection.reveals != "nothing":
            phones = replace(phones, asking=asking_now(state, rows, round_order))
        self.phones, self.rows, self.state = phones, rows, state
        self.order, self.releases, self.truth = round_order, releases, truth
        self.environment, self.scenario = phones.environment, phones.scenario
        self.fleet, self.block, self.control = phones.fleet, phones.block, phones.control
        count = phones.devices.count
        self.counts = dict.fromkeys(r.COHORT_KEYS, 0)
        self.reporting = np.zeros(count, np.bool_)
        self.participating = np.zeros(count, np.bool_)
        self.apart: SumsApart | None = None
        self.place, self.staleness = np.full(count, -1, np.int64), np.zeros(count, np.int64)
        self.part: TakingPart | None = None
        self.spent_uj = {key: np.zeros(count, np.int64) for key in r.ENERGY_KEYS}
        self.did = {key: np.zeros(count, np.int64) for key in _DONE}
        truth["devices"] += np.bincount(self.fleet.tier, minlength=r.TIER_COUNT)

    def finish(self) -> None:
        """Add the block's counts and energy to the truth."""
        tier, joined = self.fleet.tier.astype(np.intp), np.flatnonzero(self.participating)
        r.count(self.truth["participants"], tier[joined])
        for column, (key, spent) in enumerate(self.spent_uj.items()):
            rows = np.flatnonzero(spent)  # few: most devices spend nothing in a round
            np.add.at(self.truth[key], tier[rows], spent[rows])
            np.add.at(self.truth["participant_uj"][:, column], tier[joined], spent[joined])
        self._add_groups()
        self.truth["counts"] += np.array([self.counts[key] for key in r.COHORT_KEYS], np.int64)

    def _add_groups(self) -> None:
        """Add the same to the sums over random groups of devices."""
        by_use = dict(zip(ENERGY_USES, self.spent_uj.values(), strict=True))
        done = {
            **self.did,
            "participants": self.participating.astype(np.int64),
            **{f"{use}_uj": spent for use, spent in by_use.items()},
            "participants_uj": np.where(self.participating, sum(by_use.values()), 0),
        }
        add_groups(self.truth["groups"], self.phones.devices.first, self.fleet.tier, done)

    def _do(self, what: str, devices: NDArray[Any], time_ms: NDArray[Any]) -> None:
        """Charge rows of the block the time of sessions or installs, and count these."""
        np.add.at(self.did[what], devices, 1)
        np.add.at(self.did[f"{what}_us"], devices, np.rint(time_ms * r.MICRO).astype(np.int64))

    def _spend(self, key: str, devices: NDArray[Any], energy_mj: NDArray[Any]) -> None:
        """Charge `energy_mj` to rows of the block; a device may come several times."""
        np.add.at(self.spent_uj[key], devices, np.rint(energy_mj * r.MICRO).astype(np.int64))

    # -- sessions -----------------------------------------------------------------------------------------

    def sessions(self, kind: Kind) -> None:
        """Score the sessions of one kind, charge the phones for them, and take note of what follows."""
        world = self.environment.world
        sessions = world.sessions(self.block, self.order.round, kind)
        installed = self.state.installed[self.rows][sessions.device]
        outcome = self._outcomes(kind, sessions, installed)
        if self.scenario.timing_only:
            self._count(kind, sessions, outcome)
            return
        catalogue = world.public.catalogue
        scores = default_scores(catalogue, sessions.candidates)
        for number in np.unique(installed[outcome == Outcome.SCORED]):
            chosen = np.flatnonzero((installed == number) & (outcome == Outcome.SCORED))
            some = sessions.take(chosen)
            history = Requests(
                *(column[self.rows][some.device] for column in (self.state.text, self.state.item))
            )
            release, size = self.releases[int(number)], self.phones.size[some.device]
            scores[chosen] = release.scores(size, some, history, FULL)
        if kind is Kind.EVALUATION:
            rank = ranks(scores, sessions.candidates, sessions.item, catalogue.default_rank)
            self._judge(sessions, outcome, rank)
        else:
            shown = order(scores, sessions.candidates, catalogue.default_rank)
            self._click(sessions, outcome, installed, shown)

    def _sized(
        self, release: EncodedRelease, devices: NDArray[Any]
    ) -> Iterator[tuple[EncodedRelease, NDArray[np.int64]]]:
        """Yield the sizes of a release that any of `devices` [n] has, with the places of who has it."""
        for place, at in by_size(self.phones.size[devices], len(release.sizes)):
            if len(at):
                yield release.sizes[place], at

    def _outcomes(self, kind: Kind, sessions: Sessions, installed: NDArray[Any]) -> NDArray[np.int8]:
        environment, tier = self.environment, self.fleet.tier
        time = latency_time(self.order.round, kind)
        draws = session_uniforms(self.block, Purpose.LATENCY, time, sessions.device, sessions.slot, 2)
        costs = self.phones.session_costs(sessions.device, sessions.text, draws, sessions.slot == 0)
        outcome = environment.cost.outcomes(
            costs.latency_ms,
            costs.peak_memory_bytes,
            self.fleet.free_memory_bytes[sessions.device],
            installed >= 0,
        )
        # A session without a release, or that does not fit, never runs: it has no latency and no energy.
        ran = (outcome == Outcome.SCORED) | (outcome == Outcome.TOO_SLOW)
        session_tier = tier[sessions.device]
        latency_bin = np.searchsorted(r.latency_edges_ms(), costs.latency_ms[ran])
        r.count(self.truth["latency"], session_tier[ran], np.minimum(latency_bin, r.LATENCY_BINS - 1))
        held = installed >= 0
        memory_bin = np.searchsorted(r.memory_edges_bytes(), costs.peak_memory_bytes[held])
        r.count(self.truth["memory"], session_tier[held], np.minimum(memory_bin, r.MEMORY_BINS - 1))
        _add_by_tier(self.truth["session_us"], session_tier[ran], costs.latency_ms[ran])
        self._do("sessions", sessions.device[ran], costs.latency_ms[ran])
        self._spend("session_uj", sessions.device[ran], costs.energy_mj[ran])
        return outcome

    def _count(self, kind: Kind, sessions: Sessions, outcome: NDArray[Any]) -> None:
        """Take note of sessions that nothing ranks: no figure of quality is made of their place."""
        if kind is Kind.EVALUATION:
            self._judge(sessions, outcome, np.ones(len(sessions), np.int64))
        else:
            r.count(self.truth["learning_outcomes"], self.fleet.tier[sessions.device], outcome)
            self.counts["learning_sessions"] += len(sessions)

    def _judge(self, sessions: Sessions, outcome: NDArray[Any], rank: NDArray[Any]) -> None:
        tier, arm = self.fleet.tier[sessions.device], self.control[sessions.device].astype(np.int64)
        r.count(self.truth["ranks"], tier, arm, outcome, rank - 1)
        text, user = self.environment.evaluation_index[sessions.text], self.phones.user
        owner = None if user is None else user[sessions.device]
        cluster = self.environment.places.cluster_of(text, owner)
        r.count(self.truth["cluster_ranks"], cluster, rank - 1)
        scored = outcome == Outcome.SCORED
        r.count(self.truth["arm_ranks"], cluster[scored], arm[scored], rank[scored] - 1)
        r.count(self.truth["text_sessions"], text)
        if owner is not None:
            r.count(self.truth["user_sessions"], owner)

    def _click(
        self, sessions: Sessions, outcome: NDArray[Any], installed: NDArray[Any], shown: NDArray[Any]
    ) -> None:
        r.count(self.truth["learning_outcomes"], self.fleet.tier[sessions.device], outcome)
        clicked, clicked_rank = clicks(
            self.block,
            self.order.round,
            sessions.device,
            sessions.slot,
            shown,
            sessions.item,
            ClickModel(),
        )
        scored = outcome == Outcome.SCORED
        rank = np.where(scored & (clicked >= 0), clicked_rank - 1, -1).astype(np.int8)
        release = np.where(scored, installed, -1).astype(np.int16)
        kept = clicked >= 0
        offset = self.rows.start
        for slot in np.unique(sessions.slot[kept]):
            here = np.flatnonzero(kept & (sessions.slot == slot))
            self.state.remember(
                sessions.device[here] + offset, sessions.text[here], clicked[here], rank[here], release[here]
            )
        rows, text, item = sessions.device[kept], sessions.text[kept], clicked[kept]
        for first, at in self._sized(self.environment.encoded_0, rows):
            first.ensure(text[at])
            self.state.pool(first.vectors, text[at], item[at])
        self.counts["clicks"] += int(kept.sum())
        self.counts["learning_sessions"] += len(kept)

    # -- signal -------------------------------------------------------------------------------------------

    def course(self) -> Course | None:
        """Return the clock of the round for the block's devices; None for a round without one."""
        if self.order.closing is None:
            return None
        waiting, installed = self.state.waiting[self.rows], self.state.installed[self.rows]
        course = course_of(self.phones, waiting, installed, self.order)
        if self.order.buffers is None:
            return course
        begun, self.place, self.staleness = places_of(self.phones, self.order.buffers)
        return begun_course(course, begun)

    def _by_clock(self, course: Course) -> TakingPart:
        """Return who takes part in a round with a clock, and take note of how it ends for each."""
        if self.order.buffers is None:
            part = by_clock(self.phones, course, self.order)
        else:
            part = by_buffers(self.phones, course, self.place, self.order.round)
        tier, done = self.fleet.tier, part.completed
        r.count(self.truth["round_ends"], tier[part.eligible], part.ends[part.eligible])
        for column, spent_ms in enumerate((course.download_ms, course.work_ms, course.upload_ms)):
            _add_by_tier(self.truth["round_us"][:, column], tier[done], spent_ms[done])
        return part

    def contribute(self, course: Course | None = None) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
        """Return (sum of reports, completed devices, devices in the sum `[1]`) of the block's cohort.

        Where reports fill buffers there is a sum for each, one after the other, and a count for each.
        """
        round_, devices = self.order.round, self.phones.devices
        mechanism, layout = self.environment.mechanism, self.environment.layout
        waiting = self.state.waiting[self.rows]
        part = whole_round(self.phones, waiting, round_) if course is None else self._by_clock(course)
        joined, eligible, completed = part.joined, part.eligible, part.completed
        # By what traffic shows alone: who waits must say nothing of clicks.
        waiting[:] = joined & ~completed & ~part.pushed_out
        self._charge("upload", part.sending, part.sent)
        self.participating[part.sending] = True
        installed = self.state.installed[self.rows]
        clicked = (self.state.item[self.rows, self._newest] >= 0).any(axis=1)
        self.reporting = completed & (installed == self.order.signal_release) & clicked
        self.part = part
        # A device that adds noise to its report sends it without clicks, and under a later release, too: that
        # it has nothing to say must not show.
        sending = completed if mechanism.noise_on_device else self.reporting
        tier = self.fleet.tier.astype(np.intp)
        for column, mask in enumerate((joined, eligible, completed, sending)):
            by_tier = np.bincount(tier[mask], minlength=r.TIER_COUNT)
            self.counts[TAKING_PART[column]] += int(by_tier.sum())
            self.truth["taking_part"][:, column] += by_tier
        chosen = np.flatnonzero(self.reporting)
        if self.order.buffers is not None:
            sums, counts = self._to_buffers(chosen, self.order.buffers.count)
            return sums, int(completed.sum()), counts
        total = np.zeros(layout.size, np.int64)
        if sending.any() and not self.scenario.timing_only:
            noisy = replace(devices, seed=self.environment.device_noise_seed)
            if self.environment.poisoning is None:
                total += noised_sum(self.environment, self._by_size(chosen), noisy, sending, round_)
            else:
                total += self._apart(chosen, sending)
                total += mechanism.on_device(noisy, sending, round_, layout.size, layout.scale)
        return total, int(completed.sum()), np.array([sending.sum()])

    def _to_buffers(
        self, chosen: NDArray[np.intp], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the sums `[count * size]` of what `chosen` send to each buffer, and how many `[count]`."""
        counts = np.bincount(self.place[chosen], minlength=count)
        total = np.zeros(count * self.environment.layout.size, np.int64)
        if self.scenario.timing_only:
            return total, counts
        for release, at in self._sized(self.releases[self.order.signal_release], chosen):
            rows = chosen[at]
            clicks = self._clicks(release, rows)
            total += buffer_sums(self.environment, clicks, self.place[rows], self.staleness[rows], count)
        return total, counts

    def learnt(self, course: Course | None) -> NDArray[np.int64]:
        """Let phones remember what the selection learns, and return what they add to its sums."""
        part, spent_ms = self.part, np.zeros(self.phones.devices.count)
        if course is not None:
            spent_ms = course.download_ms + course.work_ms + course.upload_ms
        elif part is not None:
            spent_ms[part.sending] = self.phones.making_ms(part.sending) + part.sent.time_ms
        ranks = self.state.rank[self.rows, self._newest]
        done = Done(self.order.round, self.reporting, ranks, np.where(self.reporting, spent_ms, 0.0))
        memory, sums = remembered(self.environment.selection, self.phones.known, done)
        self.state.selection[self.rows] = memory
        return sums

    def _apart(self, chosen: NDArray[np.intp], sending: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the sum `[size]` of what `chosen` send where some lie; others of `sending` send zeros."""
        environment = self.environment
        self.apart = SumsApart.empty(environment.layout.size)
        for release, at in self._sized(self.releases[self.order.signal_release], chosen):
            clicks_of = partial(self._clicks, release)
            self.apart.add(
                sums_apart(environment, self.phones.devices, self.order.round, chosen[at], clicks_of)
            )
        self.apart.reports[HONEST] += int(sending.sum()) - len(chosen)
        return self.apart.total

    def _charge(self, what: str, devices: NDArray[Any], transfers: Transfers) -> None:
        """Charge `devices` the energy of their transfers, and count those."""
        key = {"upload": "signal_uj", "download": "download_uj"}[what]
        self._spend(key, devices, transfers.energy_mj)
        self.counts[f"{what}_attempts"] += int(transfers.attempts.sum())
        self.counts[f"{what}_bytes"] += int(transfers.moved_bytes.sum())
        self.counts[f"{what}s_failed"] += int(np.count_nonzero(~transfers.succeeded))

    @property
    def _newest(self) -> slice:
        """The clicks of a history that a report is made of."""
        return slice(-self.scenario.clicks_per_report, None)

    def _clicks(self, release: EncodedRelease, chosen: NDArray[np.intp]) -> Clicks:
        """Return the newest clicks of some devices, with the vectors of one size of the round's release.

        Ranks that another release gave are not known.
        """
        state, where = self.state, (self.rows, self._newest)
        text = state.text[where][chosen]
        release.ensure(text)
        ranked_here = state.release[where][chosen] == self.order.signal_release
        rank = np.where(ranked_here, state.rank[where][chosen], -1).astype(np.int8)
        return Clicks(release.vectors, text, state.item[where][chosen], rank, release.items)

    def _by_size(self, chosen: NDArray[np.intp]) -> list[Clicks]:
        """Return the newest clicks of some devices, those of each size with its own vectors.

        All lie in one space, so that their reports add up.
        """
        release = self.releases[self.order.signal_release]
        return [self._clicks(sized, chosen[at]) for sized, at in self._sized(release, chosen)]

    def dense_sample(self, most: int) -> NDArray[np.int64]:
        """Return the vectors of the first `most` reporting devices, for the shard's own check of masks."""
        environment, chosen = self.environment, np.flatnonzero(self.reporting)[:most]
        parts = [
            dense_reports(environment.signal, environment.layout, clicks) for clicks in self._by_size(chosen)
        ]
        return np.concatenate([np.zeros((0, environment.layout.size), np.int64), *parts])

    # -- releases -----------------------------------------------------------------------------------------

    def fetch(self, course: Course | None = None) -> None:
        """Let phones fetch the newest release where they can; the control group stays on release 0."""
        installed = self.state.installed[self.rows]
        wanted = self.phones.wanted_release(self.order.newest_release)
        if course is None:
            trying, got = self.phones.downloads(self.order.round, installed != wanted)
        else:
            trying, got = course.fetching, course.fetched
        self._charge("download", trying, got)
        fetched = trying[got.succeeded]
        if not len(fetched):
            return
        installed[fetched] = wanted[fetched]
        self.counts["downloads"] += len(fetched)
        texts = self.state.text[self.rows][fetched]
        costs = self.phones.install_costs(
            fetched,
            lambda size, at: np.where(texts[at] >= 0, size.text_tokens[texts[at]], 0).sum(axis=1),
            (texts >= 0).sum(axis=1),
        )
        tier = self.fleet.tier[fetched]
        _add_by_tier(self.truth["install_us"], tier, costs.time_ms)
        self._do("installs", fetched, costs.time_ms)
        self._spend("install_uj", fetched, costs.energy_mj)
        r.count(self.truth["installs"], tier)
