"""The direction of imports: docs/architecture.md as a test."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fedbert"

LAYERS = [
    {"flower_app", "cli", "api", "__init__"},
    {"reporting"},
    {"planning"},
    {"simulation"},
    {"resume", "tracking"},
    {"federation"},
    {"signals"},
    {"recommendation", "privacy", "devices", "ei_bert", "selection"},
    {"scenario", "results", "tier_rates", "comparison", "findings", "dictionary"},
    {"files", "journal", "table_files", "commits", "run_folder", "output_folder", "provenance"}
    | {"plugins", "parts"}
    | {"kernels", "randomness", "device_range", "intervals", "budget", "units", "errors", "paths", "machine"}
    | {"records", "settings", "interrupts", "display", "version", "waiting"}
    | {"separated_text", "user_tables", "evidence", "kept_work"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FREE = LAYERS[0] | LAYERS[-2] | LAYERS[-1]
"""Parts that may import others of their own layer."""
ONLY_IMPORTER = {
    "flwr": "federation",
    "ray": "federation",
    "torch": "ei_bert",
    "numba": "kernels",
    "llvmlite": "kernels",
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
            if words[0] != "fedbert" or len(words) < 2 or words[1] == part:
                continue
            other = words[1]
            beside = LEVEL[other] == LEVEL[part]
            if LEVEL[other] < LEVEL[part] or (beside and part not in FREE):
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


def _graph() -> dict[str, set[str]]:
    """Return the modules of fedbert that each of them imports, for types or within a function too."""
    modules = {_module(path): path for path in PACKAGE.rglob("*.py")}
    graph = {}
    for name, path in modules.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{name}: relative imports hide where they lead"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inner & modules.keys() or {node.module}
        graph[name] = found & modules.keys()
    return graph


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the names along a circle of arrows; empty if there is none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def _reached(start: str) -> set[str]:
    graph, reached, waiting = _graph(), set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def test_files_import_in_no_circle() -> None:
    """No file imports another that leads back to it: not even for types, or within a function."""
    assert _circle({"block": {"shard"}, "shard": {"report", "block"}, "report": set()}) != []
    assert _circle(_graph()) == []


def test_inner_folders_have_arrows_one_way() -> None:
    """Between a folder, its inner folders and these among themselves, imports go one way only."""
    arrows: dict[str, set[str]] = {}
    inside = {name: others for name, others in _graph().items() if name.count(".") > 1}
    for name, others in inside.items():
        for other in others & inside.keys():
            ends = [end.rpartition(".")[0] for end in (name, other)]
            if ends[0] != ends[1] and name.split(".")[1] == other.split(".")[1]:
                arrows.setdefault(ends[0], set()).add(ends[1])
    assert arrows["fedbert.signals.prototypes"] == {"fedbert.signals"}
    assert _circle(arrows) == []


def test_the_server_reaches_no_private_text_and_no_other_role() -> None:
    """Nothing that the server's code imports, directly or not, loads a world, or is another role's."""
    reached = _reached("fedbert.federation.server")
    roles = ("aggregator", "observer", "shard", "block_round", "phones", "phone_state", "environment")
    assert not reached & {f"fedbert.federation.{name}" for name in roles}
    assert "fedbert.privacy.secure_sum" not in reached
    assert {name for name in reached if name.startswith("fedbert.recommendation.")} == {
        "fedbert.recommendation.catalogue",
        "fedbert.recommendation.metrics",
    }


def test_the_aggregator_reaches_no_text_and_no_model() -> None:
    """Nothing that the aggregator's code imports, directly or not, knows texts, models or the server."""
    reached = _reached("fedbert.federation.aggregator")
    assert not [name for name in reached if name.split(".")[1] in ("recommendation", "ei_bert", "devices")]
    roles = ("server", "observer", "shard", "block_round", "phones", "phone_state", "environment")
    assert not reached & {f"fedbert.federation.{name}" for name in roles}
