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
from fedbert.files import write_bytes

STUDENT_FILE, TEACHER_FILE, SERVER_MANIFEST = "student.safetensors", "teacher.safetensors", "server.json"


def write_server_folder(folder: Path, artefact: Artefact, student: Student, teacher: Teacher) -> None:
    """Write the folder of `artefact`, its manifest last: a folder that has one is whole.

    Weights are rounded to float16, as the compression rounded them before it exported `artefact`.
    """
    own = {key: value.half().contiguous() for key, value in student.state_dict().items() if key != "head"}
    last = teacher.body.layers[-1].state_dict()
    tuned = {f"layer.{key}": value.half().contiguous() for key, value in last.items()}
    tuned["head"] = student.head.detach().half().contiguous()
    write_bytes(folder / STUDENT_FILE, save(own))
    write_bytes(folder / TEACHER_FILE, save(tuned))
    hashes = {name: _sha256((folder / name).read_bytes()) for name in (STUDENT_FILE, TEACHER_FILE)}
    manifest = {"artefact": artefact.sha256, "files": hashes, "teacher_sha256": teacher.sha256}
    write_bytes(folder / SERVER_MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def read_server_folder(folder: Path, artefact: Artefact) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the float states (student, teacher's tuned part) that belong to `artefact`.

    Raises FedbertError for a file that is missing, foreign, damaged or of another artefact.
    """
    try:
        manifest = json.loads((folder / SERVER_MANIFEST).read_bytes())
        blobs = {name: (folder / name).read_bytes() for name in (STUDENT_FILE, TEACHER_FILE)}
        expected = {name: str(manifest["files"][name]) for name in blobs}
        belongs = str(manifest["artefact"])
    except OSError as error:
        raise FedbertError(
            f"server folder {folder}: {error.strerror}; rebuild it with simulations/compress.py"
        ) from error
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
