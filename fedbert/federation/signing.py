"""Signatures of the server's orders and releases, and the check that an order is not an old one.

A SuperNode that knows the server's public key takes an order only if the signature covers these bytes::

    b"fedbert/order/1\\0"
    run     8 bytes, unsigned, big-endian    Flower's run id
    node    8 bytes, unsigned, big-endian    Flower's node id of the shard that the order is for
    round   8 bytes, signed, big-endian      START_ROUND (-1) for the order that starts a shard, then 0, 1 ...
    length  2 bytes, unsigned, big-endian    of the kind in bytes
    kind    UTF-8                            message type, such as "train.round"
    digest  32 bytes                         `content_sha256` of header and arrays

Every field has a fixed width or its length before it, so two different orders never give the same bytes:
what was signed for one run, shard, round or kind verifies for no other. Signatures are Ed25519 (RFC 8032),
64 bytes.

Nothing here imports Flower: the functions take and give bytes and arrays.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from numpy.typing import NDArray

from fedbert.errors import FedbertError, invalid
from fedbert.federation.protocol import Sign
from fedbert.files import UnreadableFile, read_bytes

_DOMAIN = b"fedbert/order/1\0"
START_ROUND = -1
"""Round of the order that starts a shard; its first round of sessions is 0."""

KEY_LIMIT_BYTES = 100_000
"""Largest file that is read as a private key."""

_PUBLIC_BYTES = 32
_DIGEST_BYTES = 32
_NUMBER_BYTES = 8
_LENGTH_BYTES = 2


@dataclass(frozen=True)
class OrderId:
    """Which order of which run: what a signature binds beside the content."""

    run: int  # 0 .. 2^64 - 1
    node: int  # 0 .. 2^64 - 1
    round: int  # START_ROUND or later
    kind: str


@dataclass(frozen=True)
class Accepted:
    """The last order that a shard took in a run."""

    round: int
    content_sha256: bytes


# -- bytes ----------------------------------------------------------------------------------------------


def content_sha256(header: str, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the SHA-256 (32 bytes) of a message's JSON header and named arrays.

    Hashed are the header, the number of arrays, then for each array in the order of its name: name, dtype
    (`dtype.str`, which has the byte order), number of dimensions, shape, and the elements in C order. Every
    text has its length before it; numbers are 8 bytes, big-endian.
    """
    digest = hashlib.sha256()

    def number(value: int) -> None:
        digest.update(value.to_bytes(_NUMBER_BYTES, "big"))

    def text(value: str) -> None:
        data = value.encode("utf-8")
        number(len(data))
        digest.update(data)

    text(header)
    number(len(arrays))
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.hasobject:
            raise invalid(f"array {name}", array.dtype.str, "be an array of numbers")
        text(name)
        text(array.dtype.str)
        number(array.ndim)
        for length in array.shape:
            number(length)
        # `tobytes` is in C order whatever the memory layout, as the message's reader sees it.
        digest.update(array.tobytes())
    return digest.digest()


def signed_bytes(order: OrderId, digest: bytes) -> bytes:
    """Return the bytes that are signed, as the module's docstring lays them out."""
    kind = order.kind.encode("utf-8")
    if len(digest) != _DIGEST_BYTES:
        raise invalid("content_sha256", digest.hex(), f"have {_DIGEST_BYTES} bytes")
    try:
        return b"".join(
            (
                _DOMAIN,
                order.run.to_bytes(_NUMBER_BYTES, "big"),
                order.node.to_bytes(_NUMBER_BYTES, "big"),
                order.round.to_bytes(_NUMBER_BYTES, "big", signed=True),
                len(kind).to_bytes(_LENGTH_BYTES, "big"),
                kind,
                digest,
            )
        )
    except OverflowError:
        raise invalid("order", order, "have run and node of 64 bits and a kind below 65,536 bytes") from None


# -- sign and verify ------------------------------------------------------------------------------------


def sign(key: Ed25519PrivateKey, order: OrderId, digest: bytes) -> bytes:
    """Return the server's signature (64 bytes) of an order whose content has the SHA-256 `digest`."""
    return key.sign(signed_bytes(order, digest))


def order_signer(path: Path, run: int) -> Callable[[int, int, str], Sign]:
    """Return what signs a run's orders with the key in `path`, by node, round and kind."""
    key = load_private_key(path)

    def for_order(node: int, round_: int, kind: str) -> Sign:
        order = OrderId(run, node, round_, kind)
        return lambda header, arrays: sign(key, order, content_sha256(header, arrays))

    return for_order


def verify(key: Ed25519PublicKey, order: OrderId, digest: bytes, signature: bytes | None) -> None:
    """Raise FedbertError unless `signature` is the server's for this very order and content."""
    where = f"order {order.kind!r} of round {order.round}"
    if not signature:
        raise FedbertError(
            f"{where} is not signed; give the server the signing_key that belongs to this server-key"
        )
    try:
        key.verify(signature, signed_bytes(order, digest))
    except InvalidSignature:
        raise FedbertError(
            f"{where} must be signed by the server for this run, shard and round; it is another server's, "
            "an order for somebody else, or was altered on its way"
        ) from None


def accept(last: Accepted | None, round_: int, digest: bytes) -> tuple[Accepted, bool]:
    """Return what to remember of an order, and whether it is new; raises FedbertError for one out of turn.

    Orders come in turn: START_ROUND, 0, 1 ...; a shard that was left out of a round may miss some. The last
    one may come again with the same content, as when its answer was lost; it is then not new, and the earlier
    answer stands. Doing a round twice would send a phone's clicks twice, so an earlier round and another
    content for the same round are refused.
    """
    done = START_ROUND - 1 if last is None else last.round
    if last is not None and round_ == done and digest == last.content_sha256:
        return last, False
    if round_ > done:
        return Accepted(round_, digest), True
    if round_ == done:
        raise FedbertError(
            f"order of round {round_} differs from the one that this shard took; it is refused"
        )
    raise FedbertError(
        f"order of round {round_} is a replay: this shard has done round {done}; it is refused"
    )


# -- keys -----------------------------------------------------------------------------------------------


def private_key_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the key as unencrypted PKCS #8, as `load_private_key` reads it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the server's signing key from the file that ``fedbert keys`` wrote; raises FedbertError."""
    rule, next_step = "be an Ed25519 private key in PEM", "make one with: fedbert keys"
    try:
        key = load_pem_private_key(read_bytes(path, KEY_LIMIT_BYTES), password=None)
    except UnreadableFile as error:
        raise error.of("signing_key", str(path)) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise invalid("signing_key", str(path), rule, next_step) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise invalid("signing_key", str(path), rule, next_step)
    return key


def public_key_text(key: Ed25519PublicKey) -> str:
    """Return the key as 64 hexadecimal digits, as it stands in a SuperNode's ``server-key``."""
    return key.public_bytes_raw().hex()


def public_key_from_text(text: str) -> Ed25519PublicKey:
    """Return the key that `public_key_text` wrote; raises FedbertError."""
    try:
        data = bytes.fromhex(text.strip())
    except ValueError:
        data = b""
    if len(data) != _PUBLIC_BYTES:
        raise invalid("server-key", text, "be the 64 hexadecimal digits of the file server-key.txt")
    return Ed25519PublicKey.from_public_bytes(data)
