"""The keys and certificates of a deployment: one folder for each machine, made in one go.

=================  ==========================================================================================
``ca/``            the certificate authority; its key signs a new certificate and otherwise stays offline
``superlink/``     TLS certificate and key of the SuperLink
``server/``        Ed25519 key by which the ServerApp signs its orders and releases
``operator/``      public keys of the SuperNodes, to register them
``supernode-N/``   key pair by which a SuperNode says who it is, and the server's public key
=================  ==========================================================================================

Every folder but ``server/`` has ``ca.pem``. Formats are those that Flower 1.41 reads: TLS in PEM, SuperNode
keys in OpenSSH's format on the curve P-384. Private keys are not encrypted; only their owner may read them.
"""

import datetime
import ipaddress
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedbert.errors import FedbertError, invalid
from fedbert.federation.signing import private_key_pem, public_key_text

MOST_SUPERNODES = 10_000
MOST_VALID_DAYS = 3_650
LOOPBACK = ("localhost", "127.0.0.1")
"""Names that the SuperLink's certificate always has: its own ServerApp talks to it over loopback."""

_CLOCKS_APART = datetime.timedelta(hours=1)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE)
_MOST_NAME_LETTERS = 253
_PRIVATE, _PUBLIC = 0o600, 0o644

Files = dict[str, tuple[bytes, int]]
"""Relative path -> content and permission bits."""


def make_keys(folder: Path, supernodes: int, hosts: Sequence[str], valid_days: int) -> None:
    """Write all keys of a deployment into the new `folder`, with a folder in it for each machine.

    `hosts` are the names or IP addresses by which the SuperLink is reached, beside `LOOPBACK`; certificates
    hold for `valid_days` days (1 .. `MOST_VALID_DAYS`). Raises FedbertError, and then leaves nothing behind:
    for a folder that exists, for wrong numbers or hosts, for a disk that is full.
    """
    if not 1 <= supernodes <= MOST_SUPERNODES:
        raise invalid("supernodes", supernodes, f"be between 1 and {MOST_SUPERNODES:,}")
    if not 1 <= valid_days <= MOST_VALID_DAYS:
        raise invalid("valid_days", valid_days, f"be between 1 and {MOST_VALID_DAYS:,}")
    names = [_general_name(host) for host in dict.fromkeys((*LOOPBACK, *hosts))]
    try:
        _check_new(folder)
        _write(folder, _certificates(names, valid_days) | _supernode_files(supernodes))
    except OSError as error:
        raise FedbertError(
            f"{folder} could not be written: {error.strerror}; free some space or choose another folder"
        ) from None


def _check_new(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise invalid(
            "folder", str(folder), "not exist yet", "keys are never overwritten; name another folder"
        )
    if not folder.absolute().parent.is_dir():
        raise invalid("folder", str(folder), "lie in a folder that exists", "make that folder first")


def _general_name(host: str) -> x509.GeneralName:
    """Return an IP address or a DNS name for a certificate; raises FedbertError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        labels = host.split(".")
    # A last label of digits is a mistyped IP address, not a name.
    good = all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    if not good or len(host) > _MOST_NAME_LETTERS:
        raise invalid("host", host, "be a DNS name or an IP address", "give no port, no https:// and no *")
    return x509.DNSName(host)


# -- content ----------------------------------------------------------------------------------------------


def _certificates(names: Sequence[x509.GeneralName], valid_days: int) -> Files:
    """Return the authority's and the SuperLink's files."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedbert deployment CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedbert SuperLink")])
    signers_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    ca = (
        _builder(authority, authority, authority_key.public_key(), valid_days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(signers_id, critical=False)
        .sign(authority_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    superlink = (
        _builder(subject, authority, key.public_key(), valid_days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signers_id), critical=False
        )
        .sign(authority_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    return {
        "ca/ca.pem": (ca, _PUBLIC),
        "ca/ca-key.pem": (_pem(authority_key), _PRIVATE),
        "superlink/ca.pem": (ca, _PUBLIC),
        "superlink/superlink.pem": (superlink, _PUBLIC),
        "superlink/superlink-key.pem": (_pem(key), _PRIVATE),
        "operator/ca.pem": (ca, _PUBLIC),
    }


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid_days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A machine whose clock is a little behind must not refuse a certificate of today.
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + datetime.timedelta(days=valid_days))
    )


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    """Return what a key may do: sign certificates, or sign the handshake of a connection."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _supernode_files(supernodes: int) -> Files:
    """Return the server's signing key and each SuperNode's files, without ``ca.pem``."""
    signing = Ed25519PrivateKey.generate()
    server_key = f"{public_key_text(signing.public_key())}\n".encode()
    files: Files = {"server/signing-key.pem": (private_key_pem(signing), _PRIVATE)}
    for number in range(1, supernodes + 1):
        key = ec.generate_private_key(ec.SECP384R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"
        files |= {
            f"supernode-{number}/supernode-key": (private, _PRIVATE),
            f"supernode-{number}/server-key.txt": (server_key, _PUBLIC),
            f"operator/supernode-{number}.pub": (public, _PUBLIC),
        }
    return files


# -- files ------------------------------------------------------------------------------------------------


def _write(folder: Path, files: Files) -> None:
    """Write `files` under a temporary name, with ``ca.pem`` for each SuperNode, and rename it to `folder`."""
    ca = files["ca/ca.pem"]
    nodes = {path.split("/")[0] for path in files if path.startswith("supernode-")}
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", dir=folder.absolute().parent))
    try:
        for path, (data, permission) in (files | {f"{node}/ca.pem": ca for node in nodes}).items():
            target = temporary / path
            target.parent.mkdir(mode=0o700, exist_ok=True)
            # The file is made with its permission: a private key is at no time open to others.
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permission)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # still there only if something went wrong
