"""Signed orders: what a signature binds, its exact bytes, and which order a shard takes when."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fedbert.errors import FedbertError
from fedbert.federation import signing as s

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORDER = s.OrderId(run=7, node=9, round=2, kind="train.round")
DIGEST = s.content_sha256('{"round": 2}', {"release": np.array([1, 2, 3], np.uint8)})


def test_the_signed_bytes_are_those_of_the_docstring() -> None:
    """Domain, run, node, round, length of kind, kind, digest: written out by hand."""
    order = s.OrderId(run=258, node=1, round=s.START_ROUND, kind="é")
    assert s.signed_bytes(order, b"\x05" * 32) == (
        b"fedbert/order/1\0"
        b"\0\0\0\0\0\0\x01\x02"
        b"\0\0\0\0\0\0\0\x01"
        b"\xff\xff\xff\xff\xff\xff\xff\xff"
        b"\0\x02\xc3\xa9" + b"\x05" * 32
    )


def test_a_signed_order_verifies() -> None:
    """The public key travels as text and accepts the very order that was signed."""
    public = s.public_key_from_text(s.public_key_text(KEY.public_key()))
    s.verify(public, ORDER, DIGEST, s.sign(KEY, ORDER, DIGEST))


@pytest.mark.parametrize(
    "other", [{"run": 8}, {"node": 8}, {"round": 3}, {"round": s.START_ROUND}, {"kind": "evaluate.replay"}]
)
def test_a_signature_holds_for_one_order_alone(other: dict[str, int | str]) -> None:
    """A message of another run, shard, round or kind does not verify."""
    signature = s.sign(KEY, ORDER, DIGEST)
    with pytest.raises(FedbertError, match="signed by the server for this run, shard and round"):
        s.verify(KEY.public_key(), replace(ORDER, **other), DIGEST, signature)  # type: ignore[arg-type]


def test_an_altered_release_a_stranger_and_no_signature_are_refused() -> None:
    """One changed byte, another server's key, a cut or a missing signature: none verifies."""
    public = KEY.public_key()
    altered = s.content_sha256('{"round": 2}', {"release": np.array([1, 2, 4], np.uint8)})
    signature = s.sign(KEY, ORDER, DIGEST)
    stranger = Ed25519PrivateKey.generate()
    for digest, wrong in (
        (altered, signature),
        (DIGEST, s.sign(stranger, ORDER, DIGEST)),
        (DIGEST, signature[:-1]),
    ):
        with pytest.raises(FedbertError, match="altered on its way"):
            s.verify(public, ORDER, digest, wrong)
    for missing in (None, b""):
        with pytest.raises(FedbertError, match=r"'train\.round' of round 2 is not signed"):
            s.verify(public, ORDER, DIGEST, missing)


def test_the_digest_tells_contents_apart() -> None:
    """Header, name, dtype, shape and the border between two arrays all count; the order of names does not."""
    one, two = np.array([1, 2], np.uint8), np.array([3], np.uint8)
    contents = [
        s.content_sha256("", {"a": one, "b": two}),
        s.content_sha256("x", {"a": one, "b": two}),
        s.content_sha256("", {"a": one, "c": two}),
        s.content_sha256("", {"a": one.astype(np.uint16), "b": two}),
        s.content_sha256("", {"a": one[None], "b": two}),
        s.content_sha256("", {"a": one[:1], "b": np.array([2, 3], np.uint8)}),
        s.content_sha256("", {"a": one}),
    ]
    assert len(set(contents)) == len(contents)
    assert s.content_sha256("", {"b": two, "a": one}) == contents[0]


def test_the_digest_does_not_depend_on_the_memory_layout() -> None:
    """A transposed view and its copy are the same array."""
    array = np.arange(6, dtype=np.int32).reshape(2, 3).T
    assert s.content_sha256("", {"a": array}) == s.content_sha256("", {"a": np.ascontiguousarray(array)})


def test_orders_are_taken_in_turn() -> None:
    """Start, round 0, round 1: each is new; the last one again with the same content is not."""
    last: s.Accepted | None = None
    for round_ in (s.START_ROUND, 0, 1):
        last, new = s.accept(last, round_, bytes([round_ + 1]) * 32)
        assert new
        assert last == s.Accepted(round_, bytes([round_ + 1]) * 32)
    assert s.accept(last, 1, b"\x02" * 32) == (last, False)


def test_a_shard_that_was_left_out_may_miss_rounds() -> None:
    """After round 3 the order of round 5 is taken, and then those of 3 and 4 no more."""
    last, new = s.accept(s.Accepted(3, DIGEST), 5, DIGEST)
    assert new
    for older in (3, 4):
        with pytest.raises(FedbertError, match="replay"):
            s.accept(last, older, DIGEST)


@pytest.mark.parametrize(
    ("last", "round_", "message"),
    [
        (s.Accepted(3, DIGEST), 2, "round 2 is a replay: this shard has done round 3"),
        (s.Accepted(3, DIGEST), s.START_ROUND, "round -1 is a replay"),
        (s.Accepted(3, b"\0" * 32), 3, "round 3 differs from the one that this shard took"),
    ],
)
def test_an_order_out_of_turn_is_refused(last: s.Accepted | None, round_: int, message: str) -> None:
    """An older round and a second order for the same round: one line each."""
    with pytest.raises(FedbertError, match=message) as caught:
        s.accept(last, round_, DIGEST)
    assert "\n" not in str(caught.value)


def test_a_key_file_is_read_back_and_others_are_refused(tmp_path: Path) -> None:
    """The PEM holds the same key; a missing file, another text and another kind of key are one line each."""
    path = tmp_path / "signing-key.pem"
    path.write_bytes(s.private_key_pem(KEY))
    assert s.load_private_key(path).private_bytes_raw() == bytes(range(32))
    with pytest.raises(FedbertError, match=r"signing_key\(=.*no\.pem'\) must exist"):
        s.load_private_key(tmp_path / "no.pem")
    curve = generate_private_key(SECP256R1())
    for wrong in (b"text", curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
        path.write_bytes(wrong)
        with pytest.raises(FedbertError, match="must be an Ed25519 private key"):
            s.load_private_key(path)


@pytest.mark.parametrize("text", ["", "xyz", "00" * 31, "00" * 33])
def test_a_public_key_of_the_wrong_length_is_refused(text: str) -> None:
    """The line names the setting and the file that has the right text."""
    with pytest.raises(FedbertError, match=r"server-key\(=.*server-key.txt"):
        s.public_key_from_text(text)


@pytest.mark.parametrize(
    "order", [replace(ORDER, run=1 << 64), replace(ORDER, node=-1), replace(ORDER, kind="k" * 65_536)]
)
def test_an_order_that_does_not_fit_is_refused(order: s.OrderId) -> None:
    """Numbers beyond 64 bits are an error, not cut."""
    with pytest.raises(FedbertError, match="64 bits"):
        s.sign(KEY, order, DIGEST)
