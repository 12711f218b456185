"""What a head takes of a budget before it is fitted."""

import numpy as np

from fedbert.ei_bert.artefact.any_heads import AnyHead, any_head_bytes
from fedbert.ei_bert.artefact.heads import Head
from fedbert.ei_bert.artefact.pair_heads import BLOCKS, PairHead
from fedbert.ei_bert.teaching.pair_sets import PairSet
from fedbert.ei_bert.teaching.sets import AnySet
from fedbert.ei_bert.teaching.tag_sets import TagSet

# What a head's entry takes in a manifest: its name twice, its size, its hash and its kind.
_ENTRY_BYTES = 200


def room_bytes(found: AnySet, width: int) -> int:
    """Return what a set's head and its entry in the manifest take, for a pooled student of that width."""
    return least_room_bytes(found, width) + _ENTRY_BYTES


def least_room_bytes(found: AnySet, width: int) -> int:
    """Return the bytes of a set's head alone."""
    return len(any_head_bytes(_blank(found, width)))


def _blank(found: AnySet, width: int) -> AnyHead:
    """Return a head of zeros, of the size of a fitted one."""
    if isinstance(found, TagSet):
        from fedbert.ei_bert.artefact.tag_fit import blank_tag_head  # needs torch, which other heads do not

        return blank_tag_head(found.name, found.tags, width)
    rows = width * (BLOCKS if isinstance(found, PairSet) else 1)
    count = len(found.labels)
    flat = np.zeros(count, np.float32)
    matrix = Head(found.name, found.labels, np.zeros((rows, count), np.int8), flat, flat)
    return PairHead(matrix) if isinstance(found, PairSet) else matrix
