"""What a plan says of the bytes of a download: coded or not, and what interrupted ones cost."""

from dataclasses import replace
from pathlib import Path

import planning_fakes as fakes
import pytest

from fedbert.ei_bert.artefact import entropy
from fedbert.ei_bert.artefact.artefact import download_bytes, load_artefact, save_artefact
from fedbert.ei_bert.pretrained import model_folder
from fedbert.errors import FedbertError
from fedbert.planning.capacity import draws
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.scenario import build


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Best guesses alone are compared."""
    monkeypatch.setattr(draws, "DRAWS", 5)


def base(**changed: float | None) -> BaseRun:
    """Return an invented run whose downloads take 1.25 attempts and 1.1 times the bytes."""
    run = base_of(fakes.fake_run(*build({"devices": 10_000, "rounds": 12, "mechanism": "poisson"})))
    usual = {"download_attempts": 1.25, "moved_bytes": 1.1 * run.release_bytes, "coded_bytes": 1.5e6}
    return replace(run, **(usual | changed))


def test_coded_downloads_are_smaller() -> None:
    """1,000,000 phones and 1.91 MB: 1.91 TB, coded 1.5 TB, both said; a coded plan moves 1.5 MB each."""
    plain, coded = (
        forecast(base(), CapacitySettings(devices=1_000_000, downloads=form).plan(base()))
        for form in ("plain", "coded")
    )
    assert plain.find("egress, one release to all devices").estimate.value == pytest.approx(1.91e12)
    for found in (plain, coded):
        assert found.find("egress, one release to all devices, coded").estimate.value == 1.5e12
    assert coded.find("egress, one release to all devices").estimate.value == 1.5e12
    ratio = (
        coded.find("egress per day").estimate.value
        / coded.find("downloads per day").estimate.value
        / (plain.find("egress per day").estimate.value / plain.find("downloads per day").estimate.value)
    )
    assert ratio == pytest.approx(1.5 / 1.91)


def test_interrupted_downloads_start_over() -> None:
    """A quarter as many requests again, and a tenth of the release's bytes for nothing."""
    found = forecast(base(), CapacitySettings(devices=1_000_000).plan(base()))
    downloads = found.find("downloads per day").estimate.value
    again = found.find("downloads started over per day").estimate.value
    in_vain = found.find("bytes moved in vain per day").estimate.value
    assert again == pytest.approx(0.25 * downloads)
    assert in_vain == pytest.approx(0.1 * 1_910_000 * downloads)
    assert "range requests" in found.find("downloads started over per day").assumption


def test_a_coded_plan_needs_the_size() -> None:
    """A run of before did not keep it; with a size of one's own, the two contradict each other."""
    with pytest.raises(FedbertError, match=r"^downloads\(='coded'\) must have a run [^\n]*--download-bytes$"):
        CapacitySettings(downloads="coded").plan(base(coded_bytes=None))
    with pytest.raises(FedbertError, match=r"download_bytes\(=5\) must be left out with downloads 'coded'"):
        CapacitySettings(downloads="coded", download_bytes=5)
    old = forecast(base(coded_bytes=None), CapacitySettings(devices=1_000_000).plan(base()))
    with pytest.raises(KeyError):
        old.find("egress, one release to all devices, coded")


def test_the_coded_size_is_that_of_the_files(tmp_path: Path) -> None:
    """As many bytes as the files that a phone would fetch, each coded; asked again, nothing is coded."""
    artefact = load_artefact(model_folder("tiny"))
    save_artefact(artefact, tmp_path, entropy_coded=True)
    assert download_bytes(artefact) == sum(path.stat().st_size for path in tmp_path.iterdir())
    before = entropy.coded_size.cache_info().misses
    assert download_bytes(artefact) < artefact.total_bytes
    assert entropy.coded_size.cache_info().misses == before
