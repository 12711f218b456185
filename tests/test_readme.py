"""The README's Python runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_examples_run_and_print_what_they_say(block: str) -> None:
    """Each example ends well, and what stands after `# ` on its last line is what it prints."""
    said = block.rstrip("\n").rsplit("  # ", 1)[1]
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr


def test_there_are_examples() -> None:
    """Plain onnxruntime, and `EiBert`."""
    assert len(BLOCKS) >= 2
