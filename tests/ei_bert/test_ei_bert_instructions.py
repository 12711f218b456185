"""Training without the widest instructions of the processor: torch and oneDNN are told to leave them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedbert.machine import instruction_sets

HERE = Path(__file__).parent
RUN = """
import sys, pytest, torch
print("capability", torch.backends.cpu.get_cpu_capability(), flush=True)
sys.exit(pytest.main(sys.argv[1:]))
"""
STEPS = (
    "test_every_method_takes_a_step[TinyBERT losses-1",
    "test_every_method_takes_a_step[cross-distillation-1",
    "test_pre_distillation_takes_a_step[shared space-1",
    "test_cross_distillation_takes_a_step[1",
    "test_tuning_of_the_teacher_takes_a_step[1",
)


@pytest.mark.parametrize(("torch_limit", "onednn_limit"), [("default", "SSE41"), ("avx2", "AVX2")])
def test_every_step_runs_without_the_widest_instructions(torch_limit: str, onednn_limit: str) -> None:
    """In a process of older instructions each kind of training takes its steps, in float32 and bfloat16."""
    limits = {"ATEN_CPU_CAPABILITY": torch_limit, "ONEDNN_MAX_CPU_ISA": onednn_limit}
    names = [
        f"{HERE / 'test_ei_bert_precision.py'}::{step}-{p}]"
        for step in STEPS
        for p in ("float32", "bfloat16")
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, "-q", "-p", "no:cacheprovider", *names],
        env=os.environ | limits,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{len(names)} passed" in done.stdout
    # A processor without AVX2 has nothing to leave: its capability is "default" either way.
    if torch_limit == "default" or "avx2" in instruction_sets():
        assert f"capability {torch_limit.upper()}" in done.stdout
