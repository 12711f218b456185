"""The README's Python runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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


AWKWARD = (
    "please tell me what happens with my card when I travel abroad and lose it " * 7,
    "is [SEP] a word, and [CLS], [PAD] or [UNK]?",
    "Ünïcödé CAFÉ \u4f60\u597d \U0001f600 don't  stop\x00\u200b\tnow",
    "y" * 101 + " card",
    "",
)


@pytest.mark.parametrize("text", AWKWARD, ids=("long", "specials", "unicode", "long word", "empty"))
def test_the_way_without_fedbert_gives_its_vectors(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any text the example's vector and label are those of `EiBert`, bit by bit."""
    from fedbert.ei_bert.pretrained import EiBert

    example = next(block for block in BLOCKS if "onnxruntime" in block)
    asked = '"my card was stolen yesterday"'
    assert example.count(asked) == 1
    printed: list[str] = []
    space = {"print": printed.append}
    monkeypatch.chdir(ROOT)
    exec(example.replace(asked, repr(text)), space)
    model = EiBert.from_pretrained("intents-default")
    assert np.array_equal(space["vectors"], model.encode([text]))
    assert printed == model.classify([text], "banking77")


def test_there_are_examples() -> None:
    """Plain onnxruntime, and `EiBert`."""
    assert len(BLOCKS) >= 2
