"""The plotly.js that a report carries: the basic bundle, a quarter of the whole library.

The Python package brings the whole library only (4.8 MB), and figures here are of bars and lines. When plotly
is upgraded to another minor version of plotly.js, put the bundle of the package plotly.js-basic-dist-min in
that version into ``assets/``, and its version and digest here.
"""

from functools import cache

from fedbert.paths import assets_folder

VERSION = "4.1.1"
SHA_256 = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
TRACES = frozenset({"bar", "scatter", "pie"})
"""Kinds of trace that the bundle can draw."""


@cache
def plotly_js() -> str:
    """Return the bundle, to stand inside a script element."""
    return (assets_folder() / f"plotly-basic-{VERSION}.min.js").read_text(encoding="utf-8")
