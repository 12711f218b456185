"""Kinds of task that an encoder can have a head for."""

from typing import Literal, get_args

Kind = Literal["labels", "tags", "pairs"]
"""Labels of texts, tags of words, labels of pairs of texts."""

KINDS: tuple[Kind, ...] = get_args(Kind)
