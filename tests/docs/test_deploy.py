"""The files of deploy/: their structure, the commands in them, and that they agree with the package."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from flwr.superlink.cli.flower_superlink import _parse_args_run_superlink
from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode
from pages import ROOT, commands
from ray.autoscaler._private.util import prepare_config, validate_config
from test_commands import check

from fedbert.version import __version__

DEPLOY = ROOT / "deploy"
TEXT = {path.name: path.read_text("utf-8") for path in sorted(DEPLOY.iterdir())}
SCHEMA = json.loads((ROOT / "tests" / "docs" / "deploy_schema.json").read_text("utf-8"))
KUBERNETES = {name: list(yaml.safe_load_all(TEXT[name])) for name in ("flower.yaml", "kuberay.yaml")}


def pods(part: Any) -> Iterator[dict[str, Any]]:
    """Return every pod's spec in an object."""
    if isinstance(part, dict):
        if "containers" in part:
            yield part
        for each in part.values():
            yield from pods(each)
    elif isinstance(part, list):
        for each in part:
            yield from pods(each)


CONTAINERS = [each for objects in KUBERNETES.values() for pod in pods(objects) for each in pod["containers"]]


@pytest.mark.parametrize("name", KUBERNETES)
def test_each_object_has_the_fields_that_its_kind_has(name: str) -> None:
    """Every object of a manifest follows the schema: no field is unknown, no pod runs as root."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for each in KUBERNETES[name]:
        jsonschema.validate(each, SCHEMA)


def test_a_wrong_field_or_a_pod_of_root_breaks_the_schema() -> None:
    """The schema refuses what it must: a misspelt field, root, an image without a version."""
    for old, new in (
        ("entrypoint", "entryPoint"),
        ("runAsUser: 1000", "runAsUser: 0"),
        ("fedbert:0.8.0", "fedbert:latest"),
    ):
        changed = [yaml.safe_load(part.replace(old, new)) for part in TEXT["kuberay.yaml"].split("\n---\n")]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed[1], SCHEMA)


def test_volumes_and_labels_lead_somewhere() -> None:
    """Each mount has its volume, each selector the labels of a pod."""
    for objects in KUBERNETES.values():
        for pod in pods(objects):
            volumes = {each["name"] for each in pod.get("volumes", ())}
            mounted = {mount["name"] for each in pod["containers"] for mount in each.get("volumeMounts", ())}
            assert mounted == volumes
    deployments = [each for each in KUBERNETES["flower.yaml"] if each["kind"] == "Deployment"]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    assert labels == [each["spec"]["selector"]["matchLabels"] for each in deployments]
    (service,) = [each for each in KUBERNETES["flower.yaml"] if each["kind"] == "Service"]
    assert service["spec"]["selector"] in labels


def test_flower_takes_the_arguments_of_its_pods() -> None:
    """Flower's own parsers take what the SuperLink and the SuperNodes are started with."""
    started = {}
    for container in CONTAINERS:
        if container["name"] == "superlink":
            link = _parse_args_run_superlink().parse_args(container["args"])
            assert (link.port, link.enable_supernode_auth) == (9091, True)
        elif container["name"] == "supernode":
            (line,) = container["args"]
            node = shlex.split(line.replace("$(cat /keys/server-key.txt)", "KEY"))
            assert node[:2] == ["exec", "flower-supernode"]
            given = _parse_args_run_supernode().parse_args(node[2:])
            started[container["name"]] = given
            assert given.superlink == "fedbert-superlink:9091"
            assert given.node_config == 'server-key="KEY" state-dir="/state"'
    assert started, "no SuperNode was found"


def entrypoints() -> list[str]:
    """Return the lines of all files, in comments too, that call a command of ours."""
    texts = [yaml.safe_load(TEXT["kuberay.yaml"].split("\n---\n")[1])["spec"]["entrypoint"]]
    for name, text in TEXT.items():
        for line in text.splitlines():
            found = re.search(r"(?:^#   |`|'|\s)(fedbert (?:run|keys|env)\b[^`']*)", line)
            if found and name != "slurm.sh":
                texts.append(found[1].strip())
    return list(dict.fromkeys(texts))


@pytest.mark.parametrize("line", entrypoints())
def test_our_commands_can_be_given(line: str) -> None:
    """Every command of fedbert in these files has flags and values that exist."""
    made = commands("deploy", f"```\n{line}\n```\n")
    assert made
    for command in made:
        check(command)


def test_the_slurm_script_is_bash_and_gives_ray_and_fedbert_their_flags() -> None:
    """bash parses it; with ray and fedbert replaced by echo it says what would be run."""
    script = DEPLOY / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    said = subprocess.run(
        ["bash", "-c", STUBS + TEXT["slurm.sh"], "slurm.sh", "--devices", "1000"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split() == [
        *("--nodes=2", "--ntasks-per-node=1", "ray", "symmetric-run", "--address", "first:20007"),
        *("--min-nodes", "2", "--num-cpus", "8", "--", "fedbert", "run", "--backend", "ray"),
        *("--ray-address", "first:20007", "--devices", "1000"),
    ]
    words = said.split()
    (command,) = commands("deploy", f"```\n{shlex.join(words[words.index('fedbert') :])}\n```\n")
    check(command)


STUBS = """
scontrol() { printf 'first\\nsecond\\n'; }
srun() { echo "$@"; }
SLURM_JOB_NODELIST=x SLURM_JOB_NUM_NODES=2 SLURM_CPUS_ON_NODE=8 SLURM_JOB_ID=7
"""


def test_ray_takes_the_cluster() -> None:
    """Ray's own validator takes the file of its cluster launcher."""
    config = yaml.safe_load(TEXT["ray-cluster.yaml"])
    validate_config(prepare_config(config))
    with pytest.raises(Exception, match="worker_node"):
        validate_config(prepare_config(dict(config, worker_nodes_of_mine={})))


def test_the_image_is_slim_for_cpus_and_without_root() -> None:
    """Both stages are slim, the last user is no root, and torch is that of constraints.txt."""
    lines = [line for line in TEXT["Dockerfile"].splitlines() if line and not line.startswith("#")]
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert bases == ["python:3.11-slim", "python:3.11-slim"]
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000"]
    assert "torch.version.cuda is None" in TEXT["Dockerfile"]
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert f"torch=={pinned['torch'].partition('+')[0]}" in TEXT["Dockerfile"]
    assert f"ray[default]=={pinned['ray']}" in TEXT["Dockerfile"]


def test_versions_agree_with_the_package() -> None:
    """Every image has the package's version, and KubeRay is told the Ray that is installed."""
    assert {each["image"] for each in CONTAINERS} == {f"fedbert:{__version__}"}
    assert f"fedbert:{__version__}" in TEXT["Dockerfile"]
    (job,) = [each for each in KUBERNETES["kuberay.yaml"] if each["kind"] == "RayJob"]
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == ray.__version__


def test_no_path_of_a_host_stands_in_them() -> None:
    """No manifest mounts a folder of the machine that a pod runs on, nor names a home on it."""
    for name, text in TEXT.items():
        assert "hostPath" not in text, name
        for path in re.findall(r"(?<![\w./~$:-])/[a-z][\w/.-]*", text):
            assert path.split("/")[1] in ("keys", "state", "runs", "opt", "src", "home", "bin"), (name, path)
