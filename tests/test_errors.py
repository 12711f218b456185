"""The one exception a user may see: a line, whatever stands in it."""

import pickle

from fedbert.errors import RunStopped, invalid


def test_an_error_is_one_line_whatever_it_names() -> None:
    """A name with line ends, as a table's header may have, does not break the line."""
    error = invalid("items", "a.csv", "have a column 'item' (has: x\ny\r\nz\u2028w)", "rename it")
    assert str(error) == "items(='a.csv') must have a column 'item' (has: x y z w); rename it"
    assert str(RunStopped("one\ntwo")) == "one two"


def test_an_error_crosses_processes() -> None:
    """A worker's error arrives as it was."""
    again = pickle.loads(pickle.dumps(RunStopped("stopped")))
    assert (type(again), str(again)) == (RunStopped, "stopped")
