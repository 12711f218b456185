"""The audit in report and summary: beside its proofs, and a fault in plain sight."""

import io
import re
from pathlib import Path

from reporting.example_run import example_run

from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import RunResult, audit_failure

FAULT = "variance of the noise: p = 1e-300"


def with_a_fault() -> RunResult:
    """Return a run whose audit found one fault."""
    result = example_run()
    result["audit"].update({"passed": False, "failures": [FAULT]})
    return result


def _text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<script.*?</script>", "", page, flags=re.S)).split())


def _printed(result: RunResult) -> str:
    out = io.StringIO()
    print_summary(result, Path("runs/example"), out, 100)
    return out.getvalue()


def test_each_attack_stands_beside_its_proof() -> None:
    """Path, attacker, canaries, both bounds, the proof and what is found without noise are in one row."""
    page = _text(render_report(example_run()))
    assert "through the real path participation not seen 291 0.9 0.45 2 9.3" in page
    assert "gives away 100% of its items (among 291) and 98% of its texts (among 195)" in page
    assert "audit found a fault" not in page


def test_a_fault_is_on_top_of_the_page_and_of_the_block() -> None:
    """Before any chapter a red notice says that the epsilons are not to be relied on, and what was found."""
    markup, page = render_report(with_a_fault()), _text(render_report(with_a_fault()))
    assert markup.index("The audit found a fault") < markup.index("<h2>")
    assert f"V{FAULT[1:]}." in page
    assert "do not rely on the epsilons" in page
    assert f"The audit found a fault. V{FAULT[1:]}" in " ".join(_printed(with_a_fault()).split())


def test_a_fault_is_an_error_with_its_own_exit_code() -> None:
    """A run whose audit fails ends with 3 and one line that names the fault; others have no such error."""
    assert audit_failure(example_run()) is None
    assert audit_failure(example_run(private=False)) is None
    fault = audit_failure(with_a_fault())
    assert fault is not None
    assert fault.exit_code == 3
    assert FAULT in str(fault)
    assert "the results are kept" in str(fault)


def test_an_audit_that_could_try_nothing_says_why() -> None:
    """Where devices add the noise there are no bounds, and the sentence says so."""
    result = example_run()
    result["audit"].update({"bounds": [], "noise": [], "exposure": None, "note": "devices add the noise"})
    assert "Devices add the noise." in _text(render_report(result))
    assert "Devices add the noise." in _printed(result)
