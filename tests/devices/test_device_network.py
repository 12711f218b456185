"""Transfers: a plain loop as reference, failures by link, windows, metered links, independence of blocks."""

from dataclasses import fields

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import Availability, availability, hourly_shares
from fedbert.devices.fleet import Floats, draw_fleet, standard_normal
from fedbert.devices.fleet_shares import load_fleet
from fedbert.devices.links import FIXED_LINE, LINK_KINDS, LinkTable, load_links
from fedbert.devices.network import (
    ATTEMPTS,
    BACK_OFF_MS,
    NORMAL_P99,
    ROUND_TRIPS,
    TRANSFER_DRAWS,
    UPLINK_SIGMA,
    Metered,
    NetworkColumns,
    Transfers,
    download,
    draw_network,
    may_download,
    may_upload,
    transfer,
    transfer_uniforms,
    upload,
    upload_state,
)
from fedbert.devices.profiles import Radios
from fedbert.randomness import Purpose

PROFILES, LINKS = load_fleet(), load_links()
COUNT = 30_000
DEVICES = DeviceRange(3, 0, COUNT)
FLEET = draw_fleet(PROFILES, DEVICES)
NETWORK = draw_network(PROFILES, LINKS, FLEET.profile, DEVICES)
UNIFORM = transfer_uniforms(DEVICES, Purpose.TRANSFER, 1)
UNMETERED = np.arange(COUNT) % 2 == 0
RELEASE, SIGNAL = 1_900_000, 108_000

# One link whose transfers all have the median rate: 1 MB at 8 Mbit/s takes 1 s, connecting 4 x 50 ms.
# In the order of LinkTable: quantiles, sigma, uplink ratio, round trip, chance to break, powers.
PLAIN = LinkTable(*(np.array([value]) for value in (1.0, 2.0, 3.0, 0.0, 0.5, 50.0, 0.5, 400.0, 900.0)))


def plain(uniform: list[float], window_ms: float = np.inf, size_bytes: int = 1_000_000) -> Transfers:
    """Return how one transfer at 8 Mbit/s and 1,000 mW goes on `PLAIN`."""
    kind, rate, power = np.zeros(1, np.int64), np.array([8e6]), np.array([1000.0])
    return transfer(PLAIN, kind, rate, power, size_bytes, np.array([uniform]), window_ms)


def one_by_one(
    kind: int, median: float, size: int, uniform: Floats, window_ms: float, radio_mw: float
) -> tuple[bool, float, int, int, float]:
    """Return what `transfer` should give for one device, written as a loop over its attempts."""
    z = min(max(float(standard_normal(uniform[:1])[0]), -NORMAL_P99), NORMAL_P99)
    rate = median * np.exp(LINKS.transfer_sigma[kind] * z)
    connecting = ROUND_TRIPS * LINKS.rtt_ms[kind]
    whole = connecting + size * 8000.0 / rate
    now = active = 0.0
    moved = 0
    for attempt in range(ATTEMPTS):
        if attempt:
            wait = BACK_OFF_MS * 2 ** (attempt - 1)
            if now + wait >= window_ms:
                return False, now, attempt, moved, radio_mw * active / 1000
            now += wait
        chance, draw = LINKS.failure_probability[kind], uniform[1 + attempt]
        lasts = whole * draw / chance if draw < chance else whole
        in_time = now + lasts <= window_ms
        lasts = min(lasts, window_ms - now)
        now, active = now + lasts, active + lasts
        if in_time and draw >= chance:
            return True, now, attempt + 1, moved + size, radio_mw * active / 1000
        moved += int(min(max(lasts - connecting, 0.0) * rate / 8000.0, size))
        if not in_time:
            return False, now, attempt + 1, moved, radio_mw * active / 1000
    return False, now, ATTEMPTS, moved, radio_mw * active / 1000


def test_time_and_energy_of_a_transfer() -> None:
    """1 MB at 8 Mbit/s takes a second, four round trips of 50 ms come on top; 1 W over that are 1.2 J."""
    got = plain([0.5, 0.9, 0.9, 0.9])
    assert [column.tolist() for column in got] == [[True], [1200.0], [1], [1_000_000], [1200.0]]


def test_a_broken_attempt_is_repeated_from_the_start() -> None:
    """Half of the way (600 of 1,200 ms) is lost, with 400 ms of bytes; then 30 s wait, and all again."""
    got = plain([0.5, 0.25, 0.9, 0.9])
    assert [column.tolist() for column in got] == [[True], [31_800.0], [2], [1_400_000], [1800.0]]


def test_three_broken_attempts_have_failed() -> None:
    """Waits of 30 and 60 s lie between the attempts, and cost no energy; while connecting no byte moves."""
    got = plain([0.5, 0.25, 0.25, 0.05])
    assert [column.tolist() for column in got] == [[False], [91_320.0], [3], [800_000], [1320.0]]


def test_the_window_ends_a_transfer() -> None:
    """What is not done when the window ends has failed there; an attempt that could not begin is not made."""
    cut = plain([0.5, 0.9, 0.9, 0.9], window_ms=700.0)
    assert [column.tolist() for column in cut] == [[False], [700.0], [1], [500_000], [700.0]]
    assert plain([0.5, 0.9, 0.9, 0.9], window_ms=1200.0).succeeded.all()
    waits = plain([0.5, 0.25, 0.9, 0.9], window_ms=30_600.0)
    assert [column.tolist() for column in waits] == [[False], [600.0], [1], [400_000], [600.0]]
    again = plain([0.5, 0.25, 0.9, 0.9], window_ms=31_000.0)
    assert [column.tolist() for column in again] == [[False], [31_000.0], [2], [600_000], [1000.0]]


@pytest.mark.parametrize("window_ms", [np.inf, 20_000.0, 40_000.0])
def test_a_loop_over_devices_gives_the_same(window_ms: float) -> None:
    """Arrays and the loop over one device at a time agree for up and down, metered or not."""
    some = slice(0, 2_000)
    network, unmetered, uniform = NETWORK.take(some), UNMETERED[some], UNIFORM[some].copy()
    uniform[:, 1:] /= 4  # more broken attempts than there are by nature
    for call, size, ends in ((download, RELEASE, "downlink"), (upload, SIGNAL, "uplink")):
        got = call(LINKS, network, unmetered, size, uniform, window_ms)
        power = LINKS.receive_mw if call is download else LINKS.transmit_mw
        for row in range(len(network)):
            kind = FIXED_LINE if unmetered[row] else int(network.cellular_kind[row])
            side = "wifi" if unmetered[row] else "cellular"
            rate = getattr(network, f"{side}_{ends}_bits_per_s")[row]
            want = one_by_one(kind, rate, size, uniform[row], window_ms, power[kind])
            assert (got.succeeded[row], got.attempts[row]) == (want[0], want[2])
            assert got.time_ms[row] == pytest.approx(want[1], rel=1e-9)
            assert got.moved_bytes[row] == pytest.approx(want[3], abs=2)
            assert got.energy_mj[row] == pytest.approx(want[4], rel=1e-9)
        assert len(np.unique(got.attempts)) == ATTEMPTS or window_ms < 100_000
        assert 0 < np.count_nonzero(got.succeeded) < len(network)


@pytest.mark.parametrize("kind", range(len(LINK_KINDS)), ids=LINK_KINDS)
def test_failures_by_link(kind: int) -> None:
    """Without a window, an attempt breaks with the link's chance p, and a transfer fails with p cubed."""
    which, rate = np.full(COUNT, kind), np.full(COUNT, 1e6)
    got = transfer(LINKS, which, rate, rate, SIGNAL, UNIFORM)
    chance = LINKS.failure_probability[kind]
    for measured, expected in (
        ((got.attempts > 1).mean(), chance),
        ((got.attempts > 2).mean(), chance**2),
        ((~got.succeeded).mean(), chance**3),
    ):
        assert measured == pytest.approx(expected, abs=5 * np.sqrt(expected / COUNT))
    assert got.succeeded[got.attempts < ATTEMPTS].all()
    assert (got.moved_bytes[got.succeeded] >= SIGNAL).all()


def test_a_break_comes_at_a_uniform_point() -> None:
    """Among attempts that break, the point of the way is uniform: half of the way on average."""
    kind, rate = np.zeros(COUNT, np.int64), np.full(COUNT, 8e6)
    got = transfer(PLAIN, kind, rate, rate, 1_000_000, UNIFORM, window_ms=5_000.0)
    way = got.time_ms[~got.succeeded] / 1200.0
    assert len(way) == pytest.approx(COUNT / 2, rel=0.05)
    assert way.mean() == pytest.approx(0.5, abs=0.02)
    assert (way < 0.1).mean() == pytest.approx(0.1, abs=0.02)


def test_no_transfer_is_faster_than_its_link() -> None:
    """The fastest rate is that of the 99th percentile of devices and of transfers; no less time passes."""
    for call, size in ((download, RELEASE), (upload, SIGNAL)):
        got = call(LINKS, NETWORK, UNMETERED, size, UNIFORM)
        kind = np.where(UNMETERED, FIXED_LINE, NETWORK.cellular_kind)
        upper = np.log(LINKS.downlink_p90_kbit_per_s / LINKS.downlink_p50_kbit_per_s) / 1.2815515655446004
        fastest = 1000 * LINKS.downlink_p50_kbit_per_s * np.exp((upper + LINKS.transfer_sigma) * NORMAL_P99)
        if call is upload:
            fastest = fastest * LINKS.uplink_ratio * np.exp(6 * UPLINK_SIGMA)
        least = size * 8000.0 / fastest + ROUND_TRIPS * LINKS.rtt_ms
        assert (got.time_ms >= least[kind] * (1 - 1e-12))[got.succeeded].all()
    assert fastest.max() < 2e9


def test_a_device_has_slow_and_fast_transfers() -> None:
    """Over many transfers of one device the log rate has the link's sigma, around the device's own median."""
    kind, rate = np.full(COUNT, 2), np.full(COUNT, 5e6)
    got = transfer(LINKS, kind, rate, rate, RELEASE, UNIFORM)
    once = got.succeeded & (got.attempts == 1)
    logs = np.log(RELEASE * 8000.0 / (got.time_ms[once] - ROUND_TRIPS * LINKS.rtt_ms[2]))
    assert np.median(logs) == pytest.approx(np.log(5e6), abs=0.02)
    assert logs.std() == pytest.approx(LINKS.transfer_sigma[2], rel=0.04)


def test_links_have_the_quantiles_of_their_file() -> None:
    """Median rates over devices have p10, p50 and p90 of links.toml, and the uplink its share of them."""
    wifi = NETWORK.wifi_downlink_bits_per_s
    sides = [(FIXED_LINE, wifi, NETWORK.wifi_uplink_bits_per_s)]
    for kind in range(1, len(LINK_KINDS)):
        mine = NETWORK.take(NETWORK.cellular_kind == kind)
        sides.append((kind, mine.cellular_downlink_bits_per_s, mine.cellular_uplink_bits_per_s))
    for kind, down, up in sides:
        expected = [getattr(LINKS, f"downlink_{name}_kbit_per_s")[kind] for name in ("p10", "p50", "p90")]
        assert np.log(np.quantile(down / 1000, [0.1, 0.5, 0.9])) == pytest.approx(np.log(expected), abs=0.15)
        assert np.median(up / down) == pytest.approx(LINKS.uplink_ratio[kind], rel=0.03)


def test_cellular_links_come_in_their_shares() -> None:
    """Each class has its shares of 3G, LTE and 5G; a share of 0 never comes, and Wi-Fi is not cellular."""
    assert NETWORK.cellular_kind.min() > FIXED_LINE
    for index, profile in enumerate(PROFILES):
        mine = NETWORK.cellular_kind[FLEET.profile == index]
        for kind, share in enumerate(profile.radios.shares, start=1):
            measured = np.mean(mine == kind)
            assert measured == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / len(mine)))


def test_a_share_of_nothing_never_comes() -> None:
    """Shares that add up to a little less than 1 leave nothing for a link without a share."""
    radios = Radios(three_g=0.0, lte=1 - 9e-7, five_g=0.0)
    phone = PROFILES[0].model_copy(update={"radios": radios})
    network = draw_network((phone,), LINKS, np.zeros(COUNT, np.int16), DEVICES)
    assert np.unique(network.cellular_kind).tolist() == [LINK_KINDS.index("lte")]


def test_the_two_links_of_a_device_are_independent() -> None:
    """A device with slow Wi-Fi is as likely as others to have fast LTE."""
    lte = NETWORK.take(NETWORK.cellular_kind == 2)
    logs = np.log([lte.wifi_downlink_bits_per_s, lte.cellular_downlink_bits_per_s])
    assert abs(np.corrcoef(logs)[0, 1]) < 0.05


def test_blocks_do_not_change_links_and_transfers() -> None:
    """Any split of the devices gives the same bits; another round gives others."""
    first = slice(0, 1_000)
    whole = download(LINKS, NETWORK.take(first), UNMETERED[first], RELEASE, UNIFORM[first], 30_000.0)
    networks, parts = [], []
    for start, stop in ((0, 1), (1, 3), (3, 500), (500, 1_000)):
        devices = DEVICES.part(slice(start, stop))
        network = draw_network(PROFILES, LINKS, FLEET.profile[start:stop], devices)
        uniform = transfer_uniforms(devices, Purpose.TRANSFER, 1)
        networks.append(network)
        parts.append(download(LINKS, network, UNMETERED[start:stop], RELEASE, uniform, 30_000.0))
    for name in Transfers._fields:
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert joined.tobytes() == getattr(whole, name).tobytes(), name
    for field in fields(NetworkColumns):
        joined = np.concatenate([getattr(network, field.name) for network in networks])
        assert joined.tobytes() == getattr(NETWORK, field.name)[:1_000].tobytes(), field.name
    assert (transfer_uniforms(DeviceRange(3, 0, 100), Purpose.TRANSFER, 2) != UNIFORM[:100]).all()


def test_no_transfers() -> None:
    """An empty block is fine."""
    none = np.zeros(0, np.int64)
    got = download(LINKS, NETWORK.take(none), none > 0, RELEASE, np.zeros((0, TRANSFER_DRAWS)))
    assert [len(column) for column in got] == [0] * 5


STATE = availability(DeviceRange(1, 0, 5_000), 2.0, 3)


@pytest.mark.parametrize(
    ("metered", "uploads_need_wifi", "downloads_need_wifi"),
    [("never", True, True), ("uploads", False, True), ("always", False, False)],
)
def test_what_a_metered_link_may_do(
    metered: Metered, uploads_need_wifi: bool, downloads_need_wifi: bool
) -> None:
    """'never' keeps both off metered links, 'uploads' lets signals, 'always' also releases over them."""
    send = STATE.idle & STATE.charging & STATE.online
    assert (may_upload(STATE, metered) == (send & (STATE.unmetered | (not uploads_need_wifi)))).all()
    fetch = STATE.online & (STATE.unmetered | (not downloads_need_wifi))
    assert (may_download(STATE, metered) == fetch).all()
    assert (send & ~STATE.unmetered).any()


def test_a_phone_offline_sends_nothing() -> None:
    """Idle and charging without a network is not enough, whatever `metered` says."""
    yes, no = np.ones(1, np.bool_), np.zeros(1, np.bool_)
    offline = Availability(yes, yes, no, no)
    assert not may_upload(offline, "always").any()
    assert not may_download(offline, "always").any()


def test_uploaders_by_hour() -> None:
    """With unmetered links alone these are the eligible devices; with metered ones there are more."""
    shares = hourly_shares("default", 0, 2_000)
    strict = shares[upload_state("never")]
    devices = DeviceRange(0, 0, 2_000)
    direct = [availability(devices, 1.0, 25 + hour).eligible.mean() for hour in range(24)]
    assert strict.tolist() == direct
    assert (shares[upload_state("uploads")] >= strict).all()
    assert hourly_shares("always", 0, 100)[upload_state("never")].tolist() == [1.0] * 24
