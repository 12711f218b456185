"""`fedbert keys`: what lies in each machine's folder, who may read it, and what is refused."""

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from fedbert.cli.main import call
from fedbert.errors import FedbertError
from fedbert.federation.keys import make_keys
from fedbert.federation.signing import load_private_key, public_key_text

FILES = {
    "ca/ca-key.pem",
    "ca/ca.pem",
    "operator/ca.pem",
    "operator/supernode-1.pub",
    "operator/supernode-2.pub",
    "server/signing-key.pem",
    "superlink/ca.pem",
    "superlink/superlink-key.pem",
    "superlink/superlink.pem",
    "supernode-1/ca.pem",
    "supernode-1/server-key.txt",
    "supernode-1/supernode-key",
    "supernode-2/ca.pem",
    "supernode-2/server-key.txt",
    "supernode-2/supernode-key",
}
PRIVATE = {path for path in FILES if path.endswith(("-key.pem", "supernode-key"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys for two SuperNodes."""
    made = tmp_path_factory.mktemp("made") / "keys"
    make_keys(made, 2, ("fleet.example.org", "10.0.0.7", "fd00::7"), 30)
    return made


def test_each_machine_has_its_files_and_private_keys_are_for_their_owner_alone(folder: Path) -> None:
    """No file is missing or more than planned; no group or other bit on a private key or on a folder."""
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == FILES
    for path in PRIVATE:
        assert stat.S_IMODE((folder / path).stat().st_mode) == 0o600, path
    for path in (folder, *(path for path in folder.iterdir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    texts = [(folder / path).read_bytes() for path in PRIVATE]
    assert len(set(texts)) == len(PRIVATE)
    assert [path for path in FILES - PRIVATE if b"PRIVATE" in (folder / path).read_bytes()] == []


def test_the_certificate_is_for_the_hosts_and_for_the_days_asked(folder: Path) -> None:
    """Loopback and the given hosts are its names; it holds for 30 days, as does the authority's."""
    for path in ("superlink/superlink.pem", "ca/ca.pem"):
        certificate = x509.load_pem_x509_certificate((folder / path).read_bytes())
        left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        assert datetime.timedelta(days=29, hours=23) < left <= datetime.timedelta(days=30)
    leaf = x509.load_pem_x509_certificate((folder / "superlink/superlink.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "fleet.example.org"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "10.0.0.7",
        "fd00::7",
    ]


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Shake hands in memory; raises what the client raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass


def test_a_client_trusts_this_authority_for_these_hosts_alone(folder: Path, tmp_path: Path) -> None:
    """A strict TLS client shakes hands for each host; another host and another authority are refused."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "superlink/superlink.pem", folder / "superlink/superlink-key.pem")
    client = ssl.create_default_context(cafile=str(folder / "supernode-1/ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for host in ("localhost", "127.0.0.1", "fleet.example.org", "fd00::7"):
        _handshake(server, client, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        _handshake(server, client, "other.example.org")
    make_keys(tmp_path / "other", 1, (), 30)
    stranger = ssl.create_default_context(cafile=str(tmp_path / "other/ca/ca.pem"))
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, stranger, "localhost")


def test_public_keys_belong_to_the_private_ones(folder: Path) -> None:
    """What the operator registers is the SuperNode's own key; `server-key.txt` is the signing key's."""
    for number in (1, 2):
        private = load_ssh_private_key((folder / f"supernode-{number}/supernode-key").read_bytes(), None)
        public = load_ssh_public_key((folder / f"operator/supernode-{number}.pub").read_bytes())
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert private.public_key().public_numbers() == public.public_numbers()
        assert public.curve.name == "secp384r1"
        text = (folder / f"supernode-{number}/server-key.txt").read_text()
        assert text.strip() == public_key_text(
            load_private_key(folder / "server/signing-key.pem").public_key()
        )


def test_the_command_says_what_goes_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The host given first is in the addresses, and the connection names a certificate that exists."""
    assert call("keys", [str(tmp_path / "k"), "--supernodes", "1", "--host", "10.0.0.7"]) == 0
    said = capsys.readouterr().out
    assert 'address = "10.0.0.7:9091"' in said
    assert f'root-certificates = "{tmp_path / "k/operator/ca.pem"}"' in said
    assert (tmp_path / "k/operator/ca.pem").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--supernodes", "0"), "supernodes(=0) must be between 1 and 10,000"),
        (("--supernodes", "10001"), "supernodes(=10001) must be between 1 and 10,000"),
        (("--supernodes", "two"), "'two' is not a valid integer"),
        ((), "Missing option '--supernodes'"),
        (("--supernodes", "1", "--valid-days", "0"), "valid_days(=0) must be between 1 and 3,650"),
        (("--supernodes", "1", "--host", "https://a.b"), "host(='https://a.b') must be a DNS name"),
        (("--supernodes", "1", "--host", "a.b:9091"), "host(='a.b:9091') must be a DNS name"),
        (("--supernodes", "1", "--host", "10.0.0.300"), "host(='10.0.0.300') must be a DNS name or an IP"),
        (("--supernodes", "1", "--host", "*.example.org"), "must be a DNS name"),
        (("--supernodes", "1", "--host", ""), "host(='') must be a DNS name"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """Exit code 2, the rule in one line, and no folder, not even a temporary one."""
    assert call("keys", [str(tmp_path / "k"), *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_keys_are_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that exists, even an empty one, is left as it is; a wrong path is one line."""
    (tmp_path / "k").mkdir()
    assert call("keys", [str(tmp_path / "k"), "--supernodes", "1"]) == 2
    assert "must not exist yet" in capsys.readouterr().err
    assert call("keys", [str(tmp_path / "no" / "k"), "--supernodes", "1"]) == 2
    assert "lie in a folder that exists" in capsys.readouterr().err
    assert call("keys", [str(tmp_path / ("n" * 300)), "--supernodes", "1"]) == 2
    assert "could not be written: File name too long" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["k"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file cannot be written, the temporary folder goes too, and the line says why."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(FedbertError, match="could not be written: No space left on device"):
        make_keys(tmp_path / "k", 1, (), 1)
    assert list(tmp_path.iterdir()) == []
