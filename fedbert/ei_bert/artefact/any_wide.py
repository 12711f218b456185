"""Wide parts of both forms: of all n-grams in buckets, which learnt with a student, and of chosen n-grams,
which a head has that was added later. The file says which it is.
"""

from fedbert.ei_bert.artefact.chosen_grams import ChosenGrams, grams_bytes, grams_memory, read_grams
from fedbert.ei_bert.artefact.wide import Wide, read_wide, wide_bytes

AnyWide = Wide | ChosenGrams


def any_wide_bytes(wide: AnyWide) -> bytes:
    """Return the file of a wide part."""
    return wide_bytes(wide) if isinstance(wide, Wide) else grams_bytes(wide)


def read_any_wide(content: bytes, where: str) -> AnyWide:
    """Return the wide part of a file; raises FedbertError in one line, beginning with `where`, for none."""
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    return read_grams(content, where) if b'"gaps":' in header else read_wide(content, where)


def wide_memory(content: bytes, where: str) -> int:
    """Return the bytes of a wide part's file once loaded; its values of four bits then have a byte each."""
    wide = read_any_wide(content, where)
    return 2 * len(content) if isinstance(wide, Wide) else grams_memory(wide)
