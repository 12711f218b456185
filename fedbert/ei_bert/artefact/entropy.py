"""Entropy coding of an artefact's files: what is fetched is smaller than what is kept.

Quantised weights have no repetitions, only a distribution: LZMA without context (lc = 0) codes them within
half a per cent of their order-0 entropy. The dictionary is small: decoding takes little memory.
"""

import lzma
from functools import lru_cache

from fedbert.errors import FedbertError

SUFFIX = ".xz"
_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "lc": 0,
        "lp": 0,
        "pb": 2,
        "dict_size": 1 << 16,
    }
]
# What a decoder may take: far over the 64 kB of the dictionary, far under what would trouble a phone.
_DECODER_BYTES = 1 << 22


def coded(content: bytes) -> bytes:
    """Return `content` as an .xz stream."""
    return lzma.compress(content, format=lzma.FORMAT_XZ, filters=_FILTERS)


@lru_cache(maxsize=4)
def coded_size(content: bytes) -> int:
    """Return the bytes of `coded(content)`; the last few are remembered: coding takes time."""
    return len(coded(content))


def decoded(stream: bytes, most_bytes: int, what: str) -> bytes:
    """Return what `coded` made into `stream`; takes at most `most_bytes` and 4 MB of memory.

    Raises FedbertError, which names `what`, if the stream is damaged, cut off, followed by other bytes, needs
    more than 4 MB to be decoded, or would give more than `most_bytes`.
    """
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER_BYTES)
    try:
        content = decoder.decompress(stream, most_bytes + 1)
        if len(content) <= most_bytes and not decoder.eof and not decoder.needs_input:
            content += decoder.decompress(b"", 1)
    except lzma.LZMAError as error:
        raise FedbertError(f"{what} cannot be decoded ({error}); fetch or rebuild it") from error
    if len(content) > most_bytes:
        raise FedbertError(f"{what} must decode to at most {most_bytes} bytes; fetch or rebuild it")
    if not decoder.eof:
        raise FedbertError(f"{what} cannot be decoded (it is cut off); fetch or rebuild it")
    if decoder.unused_data:
        raise FedbertError(f"{what} cannot be decoded (other bytes follow its end); fetch or rebuild it")
    return content
