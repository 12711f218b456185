"""The form in which two texts are compared when splits are kept apart."""

import re

_NOT_WORD = re.compile(r"[\W_]+")


def normalise(text: str) -> str:
    """Return `text` in lower case, punctuation dropped and runs of white space made one space.

    >>> normalise("  What's  my balance?! ")
    'whats my balance'
    """
    return " ".join(_NOT_WORD.sub(" ", text.casefold().replace("'", "").replace("’", "")).split())
