"""Peers side by side: ``python benchmarks/peers/compare.py``, with fedbert's Python (Linux).

Makes an environment for each peer, measures fedbert, writes its sessions down, lets every peer work the same
ones, and makes one table. README.md says what is equal and what is not.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from fedbert.errors import FedbertError
from fedbert.machine import cores, processor_name

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
from table import Measured, markdown, rows_of  # noqa: E402  # beside this file

TORCH = "torch==2.13.0"
"""As the Makefile has it: pinned, so that no build of several gigabytes comes."""

PEERS = ("flower", "pfl")


def environment(name: str, folder: Path) -> Path:
    """Return the Python of a peer's own environment, which is made if it is not there as required."""
    required = HERE / f"requirements-{name}.txt"
    text = required.read_text(encoding="utf-8")
    place = folder / f"env-{name}"
    python, done = place / "bin" / "python", place / "installed.txt"
    if done.is_file() and done.read_text(encoding="utf-8") == text:
        return python
    venv.create(place, with_pip=True, clear=True)
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if TORCH in text:
        run([*pip, "--constraint", str(ROOT / "constraints.txt"), TORCH])
    run([*pip, "--requirement", str(required)])
    done.write_text(text, encoding="utf-8")
    return python


def run(words: Sequence[str]) -> None:
    """Run a command; raises FedbertError if it fails. What it prints goes to standard error."""
    # Each worker has a core: threads of a library's own would only be in the way.
    variables = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if words[0] != sys.executable:
        variables.pop("PYTHONPATH", None)  # a peer's environment is its own
    done = subprocess.run(words, env=variables, stdout=sys.stderr, check=False)
    if done.returncode:
        raise FedbertError(
            f"{' '.join(words)} failed with exit code {done.returncode}; its words stand above, "
            "and --reuse goes on from what was measured"
        )


def measured(python: Path, script: str, output: Path, *flags: str) -> Measured:
    """Run the script of a system and return what it wrote to `output`."""
    output.unlink(missing_ok=True)
    run([str(python), str(HERE / script), *flags, "--output", str(output)])
    return read(output)


def read(output: Path) -> Measured:
    """Return what the script of a system has written."""
    found: Measured = json.loads(output.read_text(encoding="utf-8"))
    return found


def machine_words() -> str:
    """Return the machine in words."""
    memory = psutil.virtual_memory().total / 1e9
    busy = os.getloadavg()[0]
    return f"{cores()} cores of {processor_name()}, {memory:.0f} GB, load {busy:.1f} at the end"


@dataclass(frozen=True)
class Job:
    """A script of a system, in that system's Python, and where it writes what it measured."""

    python: Path
    script: str
    output: Path
    flags: tuple[str, ...]


def jobs(devices: int, peers: dict[str, Path], with_dense: bool, folder: Path) -> list[Job]:
    """Return the jobs of one number of devices: fedbert writes the sessions that the others work."""
    here, own = str(folder / f"work-{devices}"), Path(sys.executable)
    work = ("--work", here)
    first = Job(own, "run_fedbert.py", folder / f"fedbert-{devices}.json", ("--devices", str(devices), *work))
    found = [first, Job(own, "run_plain.py", folder / f"plain-{devices}.json", work)]
    for name, python in peers.items():
        for kind in ("", "--dense") if with_dense else ("",):
            output = folder / f"{name}{kind}-{devices}.json"
            found.append(Job(python, f"run_{name}.py", output, (*work, kind) if kind else work))
    return found


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--most-flower", type=int, default=10_000, help="devices beyond which Flower is left out"
    )
    parser.add_argument(
        "--most-dense", type=int, default=1_000, help="devices up to which dense reports are sent too"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--reuse", action="store_true", help="take what was measured into the folder before")
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        pythons = {name: environment(name, folder) for name in given.peers}
        found: list[Measured] = []
        for devices in given.devices:
            peers = {
                name: python
                for name, python in pythons.items()
                if name != "flower" or devices <= given.most_flower
            }
            for job in jobs(devices, peers, devices <= given.most_dense, folder):
                if given.reuse and job.output.is_file():
                    found.append(read(job.output))
                else:
                    found.append(measured(job.python, job.script, job.output, *job.flags))
        rows = rows_of(found)
    except FedbertError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    machine = machine_words()
    text = markdown(rows, machine)
    record = json.dumps({"label": "measured", "machine": machine, "rows": rows}, indent=1)
    (folder / "table.json").write_text(record + "\n", encoding="utf-8")
    (folder / "table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
