"""The layout: folders in one strict order, no circle of files, JAX in one folder; the design's table says the same."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import thalweg

ROOT = Path(thalweg.__file__).parent
DESIGN = Path(__file__).parents[1] / "docs" / "design.md"

# A file imports from its own folder and from the folders before it.
FOLDERS = [
    "core",
    "parts",
    "data",
    "models",
    "export",
    "spec",
    "engine",
    "training",
    "probes",
    "pages",
    "doctor",
    "runs",
    "insight",
    "experiments",
    "learn",
    "sklearn",
    "watching",
    "playground",
    "cli",
]
TOP = ["__init__", "__main__"]
MOST_MODULES = 16
# One file for each lesson and for each command.
LARGER = {"learn/lessons", "cli/commands"}

FILES = sorted(ROOT.rglob("*.py"))


def name_of(file: Path) -> str:
    """The module's name below thalweg; that of a package ends with __init__."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


BY_NAME = {name_of(file): file for file in FILES}


def imported(file: Path) -> set[str]:
    """All modules that a file imports, anywhere in it, by absolute names; `__init__` for a package's own names."""
    package = ["thalweg", *file.relative_to(ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            stem = package[: len(package) - node.level + 1] if node.level else []
            stem = [*stem, *(node.module.split(".") if node.module else [])]
            found |= {resolved([*stem, alias.name]) for alias in node.names}
    return found


def resolved(path: list[str]) -> str:
    """The module that `from path[:-1] import path[-1]` reads: path itself, its package, or the module it is in."""
    if path[0] != "thalweg":
        return ".".join(path[:-1])
    for candidate in (path, [*path, "__init__"], path[:-1], [*path[:-1], "__init__"]):
        if ".".join(candidate[1:]) in BY_NAME:
            return ".".join(candidate)
    raise AssertionError(f"no module of thalweg holds {'.'.join(path)}")


def inner_imports(file: Path) -> set[str]:
    return {name.removeprefix("thalweg.") for name in imported(file) if name.startswith("thalweg.")}


IMPORTS = {name: inner_imports(file) for name, file in BY_NAME.items()}


def test_imports_are_found_in_all_their_forms():
    assert {"jax", "jax.numpy", "thalweg.core.arrays"} <= imported(ROOT / "engine" / "compiled.py")
    # Inside of a function, of a package and of a module itself.
    assert "engine.eager" in IMPORTS["engine.engine"]
    assert "parts.layers.__init__" in IMPORTS["engine.step"]
    assert "engine.hessian" in IMPORTS["probes.curvature"]


def test_every_file_is_in_a_folder_that_has_a_place():
    top = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES}
    assert top == {*FOLDERS, *TOP}


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - set(TOP)))
def test_a_file_imports_from_its_own_folder_and_those_before_it(name):
    allowed = FOLDERS[: FOLDERS.index(name.split(".")[0]) + 1]
    assert {other for other in IMPORTS[name] if other.split(".")[0] not in allowed} == set()


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that can be reached from themselves."""
    left = {name: set(others) for name, others in graph.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    # What is left leads to a circle; what nothing in it imports only leads there.
    while outer := left.keys() - {other for others in left.values() for other in others}:
        for name in outer:
            del left[name]
    return sorted(left)


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_files_import_each_other_in_a_circle():
    assert circles(IMPORTS) == []


def test_no_folder_is_too_large_to_look_through():
    sizes = {str(path.relative_to(ROOT)): len(list(path.glob("[!_]*.py"))) for path in ROOT.rglob("*") if path.is_dir()}
    assert {folder for folder, size in sizes.items() if size > MOST_MODULES} <= LARGER


@pytest.mark.parametrize("name", sorted(name for name in BY_NAME if not name.startswith("engine.")))
def test_jax_is_imported_in_the_engine_folder_only(name):
    assert not {other for other in imported(BY_NAME[name]) if other.split(".")[0] in {"jax", "jaxlib"}}


def test_no_optax_and_no_pickle_in_the_product():
    banned = {"optax", "pickle", "orbax", "mlflow", "dill", "cloudpickle"}
    assert not {name for file in FILES for name in imported(file) if name.split(".")[0] in banned}


def test_the_table_in_the_design_is_written_from_this_order():
    sys.path.append(str(DESIGN.parent))
    import write_layout

    text = DESIGN.read_text(encoding="utf-8")
    assert write_layout.written(text) == text, "run docs/write_layout.py"
    assert write_layout.folders() == FOLDERS


def test_tests_mirror_the_folders():
    tests = Path(__file__).parent
    folders = {path.name for path in tests.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*FOLDERS, "campaign", "support"}
