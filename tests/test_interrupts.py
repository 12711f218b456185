"""Signals end a command once, in order, and never in the middle of saving."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from fedbert.interrupts import Stopped, exit_code, orderly_stop, shielded

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def heeded() -> None:
    """Let this process heed signals even where a shell in the background had it ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_signal_stops_once_and_handlers_are_restored(number: signal.Signals) -> None:
    """The first raises and gives the exit code 128 + its number; those after it are noted only."""
    before = [signal.getsignal(each) for each in NUMBERS]
    saved = False
    with pytest.raises(Stopped) as caught, orderly_stop():
        try:
            signal.raise_signal(number)
        finally:
            for each in NUMBERS:
                signal.raise_signal(each)
            saved = True
    assert saved
    assert caught.value.signal_number == number
    assert exit_code() == 128 + number
    assert [signal.getsignal(each) for each in NUMBERS] == before


def test_a_shielded_block_runs_to_its_end() -> None:
    """Signals wait, the first of them counts; outside `orderly_stop` as well."""
    done = []
    with pytest.raises(Stopped, match="SIGTERM"), orderly_stop():
        with shielded():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            done.append(1)
        done.append(2)
    with pytest.raises(Stopped, match="SIGINT"), shielded():
        signal.raise_signal(signal.SIGINT)
        done.append(3)
    assert done == [1, 3]


def test_a_second_command_starts_anew() -> None:
    """A stop of one block is none of the next."""
    with pytest.raises(Stopped), orderly_stop():
        signal.raise_signal(signal.SIGINT)
    with orderly_stop():
        pass
    assert exit_code() == 130
    with pytest.raises(Stopped), orderly_stop():
        signal.raise_signal(signal.SIGTERM)


def test_an_ignored_signal_stays_ignored() -> None:
    """Under nohup a closed terminal does not end the run."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with orderly_stop():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_another_thread_changes_nothing() -> None:
    """Handlers can be set on the main thread only; elsewhere the blocks do nothing."""
    seen = []

    def work() -> None:
        with orderly_stop(), shielded():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_command_ends_with_the_signal_s_exit_code(tmp_path: Path, number: signal.Signals) -> None:
    """A process that is sent a signal says one line, no traceback, and exits with 128 + its number."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys, time
            import click
            from fedbert.cli.command import report_errors

            def command() -> None:
                print("begun", flush=True)
                time.sleep(60)

            if __name__ == "__main__":
                sys.exit(report_errors(click.Command("test", callback=command), []))
            """
        )
    )

    def heed() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        preexec_fn=heed,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors.strip() == "stopped; what was finished is kept"
