"""What is known of a processor, from descriptions of several; and which precision follows from it."""

import subprocess
import sys
from pathlib import Path

import pytest

from fedbert import machine
from fedbert.errors import FedbertError
from fedbert.machine import cpu_info, instruction_sets, machine_record, precision_used

X86 = "processor\t: 0\nmodel name\t: Example CPU\nflags\t\t: fpu sse2 fma avx2 avx512f avx512_bf16 amx_tile\n"
ARM = "processor\t: 0\nBogoMIPS\t: 100.00\nFeatures\t: fp asimd asimddp i8mm bf16\n"


def test_instruction_sets_are_read_of_x86_and_arm() -> None:
    """Only those that decide how matrices are multiplied are named; without a description none is known."""
    assert instruction_sets(X86) == ["avx2", "fma", "avx512f", "avx512_bf16"]
    assert instruction_sets(ARM) == ["asimd", "asimddp", "i8mm", "bf16"]
    assert instruction_sets("") == []
    assert cpu_info("model name", X86) == "Example CPU"


@pytest.mark.parametrize(
    ("description", "auto"),
    [(X86, "bfloat16"), (ARM, "bfloat16"), (X86.replace("avx512_bf16", ""), "float32"), ("", "float32")],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(description: str, auto: str) -> None:
    """AVX-512 alone does not count; a precision that was named stays on every processor."""
    sets = instruction_sets(description)
    assert precision_used("auto", sets) == auto
    assert (precision_used("float32", sets), precision_used("bfloat16", sets)) == ("float32", "bfloat16")


def test_an_unknown_precision_is_refused() -> None:
    """One line with the value and the three that there are."""
    with pytest.raises(FedbertError, match=r"precision\(='double'\) must be one of auto, float32, bfloat16"):
        precision_used("double")


def test_a_system_without_a_description_has_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the instruction sets, a name still is, and auto is then float32."""
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "none")
    machine._description.cache_clear()
    try:
        record = machine_record("auto", 2)
    finally:
        machine._description.cache_clear()
    assert (record["instruction_sets"], record["precision"]) == ([], "float32")
    assert record["processor"] and record["architecture"]
    assert (record["training_threads"], record["cores"]) == (2, machine.cores())


def test_the_peak_of_a_process_is_its_own() -> None:
    """One that is started by a process of more than 200 MB has no such peak: it is small."""
    ask = "from fedbert.machine import peak_memory_bytes; print(peak_memory_bytes())"
    large = "import subprocess, sys; held = bytearray(b'1') * 200_000_000; "
    large += f"subprocess.run([sys.executable, '-c', {ask!r}])"
    found = subprocess.run([sys.executable, "-c", large], capture_output=True, text=True, check=True)
    assert 1_000_000 < int(found.stdout) < 150_000_000
