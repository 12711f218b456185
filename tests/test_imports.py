"""The direction of imports: docs/architecture.md as a test."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fedbert"

LAYERS = [
    {
        "flower_app",
        "cli",
        "cli_run",
        "cli_report",
        "cli_profiles",
        "cli_compress",
        "cli_keys",
        "compress_screen",
    },
    {"reporting", "planning"},
    {"simulation"},
    {"summary", "resume", "tracking"},
    {"federation"},
    {"signals"},
    {"recommendation", "privacy", "devices", "ei_bert"},
    {"scenario", "results"},
    {"randomness", "errors", "plugins", "units", "paths", "machine", "table_files", "__init__"}
    | {"files", "commits", "run_folder", "interrupts", "display", "device_range", "comparison"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MIDDLE = LAYERS[6]
MAY_READ_BESIDE = {("planning", "reporting")}
ONLY_IMPORTER = {
    "flwr": "federation",
    "ray": "federation",
    "torch": "ei_bert",
    "tensorboard": "tracking",
    "mlflow": "tracking",
    "wandb": "tracking",
}


def _imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names if node.module == "fedbert"]
    return found


def _files() -> list[tuple[str, Path]]:
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in PACKAGE.rglob("*.py")]


def test_imports_go_down_only() -> None:
    """A part imports parts below it, or itself; the four in the middle do not import each other."""
    wrong = []
    for part, path in _files():
        for name in _imports(path):
            words = name.split(".")
            if words[0] != "fedbert" or len(words) < 2 or words[1] == part or words[1] == "__version__":
                continue
            other = words[1]
            beside = LEVEL[other] == LEVEL[part] and (part in MIDDLE or (part, other) not in MAY_READ_BESIDE)
            if LEVEL[other] < LEVEL[part] or (beside and part not in LAYERS[0] | LAYERS[7] | LAYERS[8]):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_great_packages_have_one_importer() -> None:
    """Flower and Ray are imported in federation only, torch in ei_bert, trackers' packages in tracking."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for part, path in _files()
        for name in _imports(path)
        if ONLY_IMPORTER.get(name.split(".")[0], part) != part
    ]
    assert not wrong


def test_trackers_see_settings_and_results_only() -> None:
    """A tracker knows what is simulated and what came out, and nothing of how."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for part, path in _files()
        for name in _imports(path)
        if part == "tracking"
        and name.startswith("fedbert.")
        and name.split(".")[1] not in {"tracking", "results", "scenario", "errors", "plugins"}
    ]
    assert not wrong


def test_every_part_has_a_layer() -> None:
    """A new module or package must be given its place in the order."""
    assert {part for part, _ in _files()} <= set(LEVEL)


def test_the_server_reaches_no_private_text() -> None:
    """No module that the server's code imports, directly or not, loads private texts, users or histories."""
    private = {
        "fedbert.recommendation.world",
        "fedbert.recommendation.services",
        "fedbert.recommendation.sequences",
    }
    reached: set[str] = set()
    waiting = ["fedbert.federation.server"]
    while waiting:
        name = waiting.pop()
        path = PACKAGE.parent / (name.replace(".", "/") + ".py")
        if name in reached or not path.is_file():
            continue
        reached.add(name)
        waiting += [other for other in _imports(path) if other.startswith("fedbert.")]
    assert not reached & private
