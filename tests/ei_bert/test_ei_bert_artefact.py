"""The artefact: budget, hashes, transport, and one clear line for each way it can be broken."""

import json
import lzma
from pathlib import Path

import pytest

from fedbert.ei_bert.artefact.artefact import (
    Artefact,
    build_artefact,
    download_bytes,
    load_artefact,
    memory_bytes,
    pack,
    parts,
    save_artefact,
    unpack,
    with_heads,
)
from fedbert.ei_bert.artefact.entropy import coded, decoded
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

SMALL = build_artefact(b"graph", ("[PAD]", "a"), {"shape": {"dim": 3}})
HEADED = with_heads(SMALL, {"news": b"four", "banking77": b"eight..."})


def test_the_shipped_artefact_fits() -> None:
    """Everything a phone fetches is at most 1,910,000 bytes, and the folder holds nothing else."""
    folder = models_folder() / "default"
    artefact = load_artefact(folder)
    assert artefact.total_bytes <= 1_910_000
    assert artefact.total_bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_the_shipped_artefact_says_what_it_is_made_of() -> None:
    """The manifest says: public text alone, which, what teacher, what scores, what command."""
    manifest = load_artefact(models_folder() / "default").manifest
    assert manifest["training"]["public_text_only"] is True
    assert set(manifest["training"]["sources_sha256"]) == {
        "services/public.parquet",
        "services/items.parquet",
        "movietweetings/items.parquet",
    }
    assert manifest["teacher"]["sha256"].startswith("53aa51172d14")
    assert manifest["unknown_token_share"] < 0.001
    scores = manifest["scores"]
    assert scores["student, int8"]["ndcg_at_10"] > scores["student, float"]["ndcg_at_10"] - 0.01
    assert "compress.py" in manifest["command"]


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    """Saving and loading keeps every byte and the hash; nothing else is left in the folder."""
    save_artefact(SMALL, tmp_path / "model")
    again = load_artefact(tmp_path / "model")
    assert again == Artefact(SMALL.files, SMALL.manifest)
    assert again.sha256 == SMALL.sha256
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.onnx",
        "vocab.txt",
        "manifest.json",
    }


def test_transport_keeps_every_byte() -> None:
    """Packing is deterministic and unpacking gives the artefact back."""
    assert pack(SMALL) == pack(SMALL)
    assert unpack(pack(SMALL)) == SMALL


def test_the_hash_covers_names_and_contents() -> None:
    """Another graph, vocabulary or manifest gives another hash."""
    others = [
        build_artefact(b"graph2", ("[PAD]", "a"), {"shape": {"dim": 3}}),
        build_artefact(b"graph", ("[PAD]", "b"), {"shape": {"dim": 3}}),
        build_artefact(b"graph", ("[PAD]", "a"), {"shape": {"dim": 4}}),
    ]
    assert len({SMALL.sha256, *(other.sha256 for other in others)}) == 4


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt", "manifest.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """Each file is needed; the message names file and folder."""
    save_artefact(SMALL, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FedbertError, match=name):
        load_artefact(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    """A byte more, and the manifest's hash no longer fits."""
    save_artefact(SMALL, tmp_path)
    with (tmp_path / name).open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(FedbertError, match=rf"{name} has SHA-256"):
        load_artefact(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": {}}', json.dumps({"files": {"model.onnx": 1}})])
def test_a_foreign_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """What is no manifest of fedbert is one line."""
    save_artefact(SMALL, tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(FedbertError, match="not a manifest of fedbert"):
        load_artefact(tmp_path)


def test_an_artefact_over_the_budget_is_refused(tmp_path: Path) -> None:
    """One byte over the budget is too much."""
    save_artefact(SMALL, tmp_path)
    load_artefact(tmp_path, budget_bytes=SMALL.total_bytes)
    with pytest.raises(FedbertError, match="must be at most"):
        load_artefact(tmp_path, budget_bytes=SMALL.total_bytes - 1)


def test_noise_in_transport_is_refused() -> None:
    """Bytes that are no packed artefact are one line, a changed payload too."""
    with pytest.raises(FedbertError, match="no packed artefact"):
        unpack(b"nothing of the kind")
    blob = bytearray(pack(SMALL))
    blob[blob.index(b"graph")] ^= 1
    with pytest.raises(FedbertError):
        unpack(bytes(blob))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Where a file stands in the folder's place the message says so, and nothing is left behind."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(FedbertError, match="must be a folder, not a file"):
        save_artefact(SMALL, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_heads_are_files_of_the_artefact(tmp_path: Path) -> None:
    """Heads count towards the bytes, have their hash in the manifest, survive folder and transport."""
    save_artefact(HEADED, tmp_path)
    assert HEADED.heads == {"news": b"four", "banking77": b"eight..."}
    assert HEADED.manifest["files"]["heads/news.safetensors"]["bytes"] == 4
    assert load_artefact(tmp_path) == unpack(pack(HEADED)) == HEADED
    assert HEADED.total_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert HEADED.files["model.onnx"] == SMALL.files["model.onnx"]
    assert with_heads(HEADED, {}) == SMALL


def test_heads_of_another_artefact_do_not_stay(tmp_path: Path) -> None:
    """Saving over a folder removes the heads that the artefact does not have."""
    save_artefact(HEADED, tmp_path)
    save_artefact(SMALL, tmp_path)
    assert load_artefact(tmp_path) == SMALL


def test_a_changed_or_missing_head_is_refused(tmp_path: Path) -> None:
    """A head is checked as the other files are."""
    save_artefact(HEADED, tmp_path)
    head = tmp_path / "heads" / "news.safetensors"
    head.write_bytes(b"fore")
    with pytest.raises(FedbertError, match=r"heads/news\.safetensors has SHA-256"):
        load_artefact(tmp_path)
    head.unlink()
    with pytest.raises(FedbertError, match=r"heads/news\.safetensors cannot be read"):
        load_artefact(tmp_path)


def test_a_head_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """A head beside the artefact whose hash stands nowhere is not loaded silently, nor left out silently."""
    save_artefact(HEADED, tmp_path)
    (tmp_path / "heads" / "extra.safetensors").write_bytes(b"?")
    with pytest.raises(FedbertError, match=r"extra\.safetensors is not in its manifest"):
        load_artefact(tmp_path)


@pytest.mark.parametrize("task", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_task_is_a_file_name(task: str) -> None:
    """A task that would leave the folder or hide in it is refused by name."""
    with pytest.raises(FedbertError, match=r"task\(="):
        with_heads(SMALL, {task: b""})


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "heads/../../outside.safetensors", "other.bin"]
)
def test_a_manifest_names_only_files_of_an_artefact(tmp_path: Path, name: str) -> None:
    """A manifest cannot make the reader open other files."""
    save_artefact(SMALL, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": 1, "sha256": "0"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FedbertError, match="not a manifest of fedbert"):
        load_artefact(tmp_path)


def test_entropy_coded_and_plain_folders_are_the_same_artefact(tmp_path: Path) -> None:
    """The shipped artefact takes a sixth less to fetch, and loads from either form to the same bytes."""
    artefact = load_artefact(models_folder() / "default")
    save_artefact(artefact, tmp_path, entropy_coded=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.onnx.xz", "vocab.txt.xz", "manifest.json"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == download_bytes(artefact)
    assert download_bytes(artefact) < 0.85 * artefact.total_bytes
    assert load_artefact(tmp_path) == artefact


def test_saving_leaves_one_form(tmp_path: Path) -> None:
    """Saving over a folder in the other form replaces it."""
    save_artefact(HEADED, tmp_path, entropy_coded=True)
    save_artefact(SMALL, tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == set(SMALL.files)
    save_artefact(SMALL, tmp_path, entropy_coded=True)
    assert not (tmp_path / "model.onnx").exists()
    assert load_artefact(tmp_path) == SMALL


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (coded(b"graph" * 100)[:-20], "cut off"),
        (coded(b"graph" * 100)[:30] + b"??" + coded(b"graph" * 100)[32:], "cannot be decoded"),
        (b"graph", "cannot be decoded"),
        (b"", "cut off"),
        (coded(b"graph") + b"more", "other bytes follow"),
        (coded(bytes(5_000_000)), "at most 1910000 bytes"),
        (lzma.compress(b"graph", preset=9), "cannot be decoded"),
        (coded(b"other"), "has SHA-256"),
    ],
    ids=["cut off", "damaged", "noise", "empty", "followed", "bomb", "hungry", "another"],
)
def test_a_damaged_coded_file_is_one_line(tmp_path: Path, body: bytes, message: str) -> None:
    """Cut off, damaged, foreign, a bomb of 5 MB, one whose decoder wants 64 MB: each a line that names the
    folder and what is wrong.
    """
    save_artefact(SMALL, tmp_path, entropy_coded=True)
    (tmp_path / "model.onnx.xz").write_bytes(body)
    with pytest.raises(FedbertError, match=message) as raised:
        load_artefact(tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_decoding_stops_at_its_limit(size: int) -> None:
    """Up to the limit all bytes come back; one more is refused."""
    content = bytes(range(256)) * 4
    assert decoded(coded(content[:size]), 1000, "it") == content[:size]
    with pytest.raises(FedbertError, match="it must decode to at most 1000 bytes"):
        decoded(coded(content[:1001]), 1000, "it")


def test_parts_add_up() -> None:
    """The parts of the shipped artefact are all its bytes; tables and matrices have those of their shape."""
    artefact = load_artefact(models_folder() / "default")
    listed, shape = parts(artefact), artefact.manifest["shape"]
    width, inner = shape["width"], shape["inner"]
    assert sum(listed.values()) == artefact.total_bytes
    assert listed["word embeddings"] == shape["vocabulary"] * width
    assert listed["position embeddings"] == 64 * width
    assert listed["layers' weights"] == shape["layers"] * (4 * width * width + 2 * width * inner)
    assert listed["heads"] == width * shape["dim"] + shape["adapter"] * (width + shape["dim"])
    assert listed["graph"] < 20_000
    kept = artefact.total_bytes - listed["graph"] - listed["manifest"] + 3 * listed["position embeddings"]
    assert kept <= memory_bytes(artefact) <= kept + listed["scales and biases"]


def test_no_graph_has_no_parts() -> None:
    """What is no ONNX file cannot be taken apart."""
    with pytest.raises(FedbertError, match=r"model\.onnx must be an ONNX model"):
        parts(SMALL)
