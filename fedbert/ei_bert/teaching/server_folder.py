"""What a server keeps of a model beside the stock teacher: the float student and the teacher's tuned part."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import FedbertError
from fedbert.files import WEIGHTS_LIMIT_BYTES, UnreadableFile, read_bytes, read_json
from fedbert.output_folder import write_together
from fedbert.run_folder import holding, recover

STUDENT_FILE, TEACHER_FILE, SERVER_MANIFEST = "student.safetensors", "teacher.safetensors", "server.json"


def write_server_folder(folder: Path, artefact: Artefact, student: Student, teacher: Teacher) -> None:
    """Write the folder of `artefact`, all of it or nothing.

    Weights are rounded to float16, as the compression rounded them before it exported `artefact`.
    """
    own = {key: value.half().contiguous() for key, value in student.state_dict().items() if key != "head"}
    last = teacher.body.layers[-1].state_dict()
    tuned = {f"layer.{key}": value.half().contiguous() for key, value in last.items()}
    tuned["head"] = student.head.detach().half().contiguous()
    blobs = {STUDENT_FILE: save(own), TEACHER_FILE: save(tuned)}
    hashes = {name: _sha256(blob) for name, blob in blobs.items()}
    manifest = {"artefact": artefact.sha256, "files": hashes, "teacher_sha256": teacher.sha256}
    with holding(folder):
        write_together(folder, {**blobs, SERVER_MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode()})


def read_server_folder(folder: Path, artefact: Artefact) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the float states (student, teacher's tuned part) that belong to `artefact`.

    Raises FedbertError for a file that is missing, foreign, damaged or of another artefact.
    """
    recover(folder)
    try:
        manifest = read_json(folder / SERVER_MANIFEST)
        blobs = {
            name: read_bytes(folder / name, WEIGHTS_LIMIT_BYTES) for name in (STUDENT_FILE, TEACHER_FILE)
        }
        expected = {name: str(manifest["files"][name]) for name in blobs}
        belongs = str(manifest["artefact"])
    except UnreadableFile as error:
        raise FedbertError(f"server folder {folder}: {error}; rebuild it with `fedbert compress`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FedbertError(
            f"server folder {folder}: {SERVER_MANIFEST} is not a manifest of fedbert"
        ) from error
    for name, blob in blobs.items():
        if _sha256(blob) != expected[name]:
            raise FedbertError(
                f"server folder {folder}: {name} differs from its SHA-256; rebuild or fetch the folder"
            )
    if belongs != artefact.sha256:
        raise FedbertError(
            f"server folder {folder} belongs to another artefact; give the pair that compress.py wrote"
        )
    try:
        states = [{key: value.float() for key, value in load(blobs[name]).items()} for name in blobs]
    except SafetensorError as error:
        raise FedbertError(f"server folder {folder}: not a safetensors file ({error})") from error
    return states[0], states[1]


def restore(
    artefact: Artefact, own: dict[str, Tensor], tuned: dict[str, Tensor], teacher: Teacher
) -> Student:
    """Return the float student of `artefact`, and put the tuned last layer into `teacher`.

    Raises FedbertError if the weights are of other sizes.
    """
    try:
        shape = StudentShape(**artefact.manifest["shape"])
        student = Student(shape, nn.Parameter(tuned["head"].clone()))
        student.load_state_dict({**own, "head": tuned["head"]})
        layer = {
            key.removeprefix("layer."): value for key, value in tuned.items() if key.startswith("layer.")
        }
        teacher.body.layers[-1].load_state_dict(layer)
    except (RuntimeError, TypeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise FedbertError(
            f"the server's weights do not fit the artefact or the teacher ({first[:80]})"
        ) from error
    return student.eval()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
