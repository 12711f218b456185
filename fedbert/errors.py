"""The one exception a user may see: one clear line and no traceback.

A message names the setting or file, its value, the rule it broke and what to do next, as in
``epsilon(=0.0) must be > 0; leave it out for a run without privacy``. The command line prints it on
standard error and ends with exit code 2.
"""

_SHOWN = 200
"""Letters of a value that are shown; a longer one loses its middle."""


class FedbertError(Exception):
    """A mistake in what fedbert was given; its text is one line for the person who can mend it.

    Line ends within it, as a name in a user's file may have, become spaces.
    """

    exit_code = 2

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.splitlines()))


class RunStopped(FedbertError):
    """Something failed while a run was on, and no setting is to blame; the run can be taken up again."""

    exit_code = 1


class AuditFailed(FedbertError):
    """A finished run whose audit found a fault in its privacy; its results are kept."""

    exit_code = 3


def invalid(name: str, value: object, rule: str, next_step: str = "") -> FedbertError:
    """Return the error for a setting `name` whose `value` breaks `rule`.

    `rule` completes "must ..."; `next_step`, if given, says what to do instead.
    """
    tail = f"; {next_step}" if next_step else ""
    return FedbertError(f"{name}(={shortened(value)}) must {rule}{tail}")


def shortened(value: object) -> str:
    """Return `value` as Python shows it; a long one loses its middle, so that a line stays one."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; deep nesting
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}...{text[-_SHOWN // 4 :]}"
