"""Devices under a hard memory limit: which are drawn, and that both verdicts are seen."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.fleet import draw_fleet
from fedbert.devices.fleet_shares import load_fleet
from fedbert.devices.host import memory_process
from fedbert.devices.host.verify_memory import VERDICTS, MemoryCase, VerifiedDevice, draw_cases, verify
from fedbert.devices.memory import relative_error
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

FOLDER = models_folder() / "tiny"
FILES = {name: (FOLDER / name).read_bytes() for name in ("model.onnx", "vocab.txt", "manifest.json")}
COST = CostModel(
    load_fleet(), count_operations(FILES["model.onnx"]), sum(len(body) for body in FILES.values())
)
TEXTS = [[4] * 6, [4] * 12, [4] * 40]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")


def test_the_nearest_outside_the_margin_are_drawn() -> None:
    """As one loop over the devices would: by distance on each side, none nearer than the stated error."""
    fleet = draw_fleet(COST.profiles, DeviceRange(5, 0, 4_000))
    near: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    for device in range(len(fleet)):
        tokens = np.array([float(len(TEXTS[device % 3]))])
        peak = int(COST.peak_memory_bytes(tokens, 20)[0])
        budget = min(int(fleet.free_memory_bytes[device]), COST.memory_budget_bytes)
        distance = budget / peak - 1
        if abs(distance) >= relative_error(COST.operations, tokens)[0]:
            near[distance > 0].append((abs(distance), device))
    cases = draw_cases(COST, fleet, TEXTS, 20, 5)
    assert [case.device for case in cases if case.predicted_fit] == [d for _, d in sorted(near[True])[:3]]
    assert [case.device for case in cases if not case.predicted_fit] == [
        d for _, d in sorted(near[False])[:2]
    ]
    for case in cases:
        assert case.device is not None
        assert case.text == tuple(TEXTS[case.device % 3])


def test_a_side_without_devices_is_filled_from_the_profiles() -> None:
    """Where all devices fit, or none, both verdicts are still drawn; the rows added have no number."""
    fleet = draw_fleet(COST.profiles, DeviceRange(5, 0, 50))
    roomy = replace(fleet, free_memory_bytes=np.full(50, 10**9))
    cases = draw_cases(COST, roomy, TEXTS, 20, 6)
    assert [case.predicted_fit for case in cases] == [True] * 3 + [False] * 3
    assert [case.device is None for case in cases] == [False] * 3 + [True] * 3
    poor = draw_cases(replace(COST, memory_budget_bytes=200_000), roomy, TEXTS, 20, 6)
    assert [case.predicted_fit for case in poor] == [True] * 3 + [False] * 3
    assert [case.device is None for case in poor] == [True] * 3 + [False] * 3
    assert all(case.budget_bytes != case.predicted_bytes for case in cases + poor)


def test_nothing_is_drawn_for_none() -> None:
    """No devices asked for, none drawn."""
    assert draw_cases(COST, draw_fleet(COST.profiles, DeviceRange(5, 0, 50)), TEXTS, 20, 0) == []


@LINUX
def test_both_verdicts_are_seen() -> None:
    """With a third more than the predicted peak the model runs; with a third less memory runs out."""
    peak = int(COST.peak_memory_bytes(np.array([12.0]), 20)[0])
    cases = [MemoryCase(7, "a phone", (4,) * 12, peak * part // 3, peak) for part in (4, 2)]
    assert [each.seen_fit for each in verify(COST, FILES, cases, 20)] == [True, False]


@LINUX
def test_a_broken_model_is_no_verdict() -> None:
    """A model that fails without a limit is an error, not out of memory."""
    case = MemoryCase(0, "a phone", (4,) * 12, 1_000, 2_000)
    with pytest.raises(FedbertError, match="the memory process failed"):
        verify(COST, FILES | {"model.onnx": b"broken"}, [case], 20)


def test_elsewhere_than_on_linux_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names the setting."""
    monkeypatch.setattr(memory_process, "PLATFORM", "darwin")
    with pytest.raises(FedbertError, match=r"^verify_devices\(=3\) must be 0 on darwin"):
        memory_process.need_linux("verify_devices", 3)


def test_disagreement_is_said() -> None:
    """A device that is predicted to run out of memory and fits does not agree; the words say both."""
    case = MemoryCase(None, "a phone", (4, 4), 1_000_000, 1_200_000)
    each = VerifiedDevice(case, seen_fit=True)
    assert not each.agrees
    assert (VERDICTS[case.predicted_fit], VERDICTS[each.seen_fit]) == ("out of memory", "fits")
