"""Flags with many values, one-line errors, exit codes, help in under a second."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from fedbert.cli.command import join_values, report_errors
from fedbert.errors import FedbertError
from fedbert.planning.tradeoff.epsilons import epsilon_text, parse_epsilons

REPOSITORY = Path(__file__).parents[2]


def test_many_values_after_one_flag() -> None:
    """Words up to the next flag belong to --epsilons, negative numbers too."""
    given = "--devices 2000 --epsilons 0.5 1 -1 -inf none --seeds 3 -h"
    expected = "--devices 2000 --epsilons 0.5,1,-1,-inf,none --seeds 3 -h"
    assert join_values(given.split(), ("--epsilons",)) == expected.split()


def test_repeated_flags_and_lists_pass_unchanged() -> None:
    """A comma list, a quoted list, = and repetition reach the parser as they are."""
    for given in (["--epsilons", "1,2"], ["--epsilons=1"], ["--epsilons", "1 2", "--epsilons", "none"]):
        assert join_values(given, ("--epsilons",)) == given


@pytest.mark.parametrize(
    "texts",
    [["0.5", "1", "2", "none"], ["0.5,1,2,none"], ["none 2 1 .5"], ["2", "1,0.5 None", "1.0"]],
)
def test_epsilons_in_every_notation(texts: list[str]) -> None:
    """Separate words, commas and spaces mean the same; sorted, without repetitions, none last."""
    assert parse_epsilons(texts) == [0.5, 1.0, 2.0, None]


@pytest.mark.parametrize("word", ["0", "-1", "nan", "inf", "1e9", "two", ""])
def test_wrong_epsilons_are_one_line(word: str) -> None:
    """Zero, negative, NaN, infinite, absurd, text and nothing are refused in one line."""
    with pytest.raises(FedbertError, match=r"^epsilons.* must [^\n]+$"):
        parse_epsilons([word])


def test_epsilon_text_is_what_is_typed() -> None:
    """2.0 reads 2, None reads none."""
    assert [epsilon_text(epsilon) for epsilon in (0.5, 2.0, None)] == ["0.5", "2", "none"]


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A FedbertError and a wrong flag end with 2 and one line, Ctrl-C with 130, success with 0."""

    def fine() -> None:
        return None

    def wrong() -> None:
        raise FedbertError("seeds(=0) must be > 0")

    def stopped() -> None:
        raise KeyboardInterrupt

    assert report_errors(click.Command("test", callback=fine), []) == 0
    assert report_errors(click.Command("test", callback=wrong), []) == 2
    assert capsys.readouterr().err == "error: seeds(=0) must be > 0\n"
    assert report_errors(click.Command("test", callback=fine), ["--bogus"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert report_errors(click.Command("test", callback=stopped), []) == 130


@pytest.mark.parametrize("script", ["tradeoff", "capacity"])
def test_help_is_quick_and_scripts_are_short(script: str) -> None:
    """--help imports nothing heavy; the script parses, calls and prints in fewer than 60 lines."""
    path = REPOSITORY / "simulations" / f"{script}.py"
    assert len(path.read_text().splitlines()) < 60
    code = (
        f"import sys; from fedbert.cli.main import call; code = call({script!r}, ['--help']); "
        "heavy = {'torch', 'pandas', 'plotly', 'scipy', 'flwr', 'numpy'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--overwrite" in done.stdout
