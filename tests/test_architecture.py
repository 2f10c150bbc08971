"""The house: a file imports only from floors below its own, and JAX lives in the engines alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import thalweg

ROOT = Path(thalweg.__file__).parent

# The ground floor is a stair of its own: each may import those before it.
STAIR = ["errors", "files", "arrays", "noise", "functions", "expressions", "parts"]
FLOORS = [
    STAIR,
    [
        "initializers",
        "layers",
        "losses",
        "optimizers",
        "schedules",
        "clipping",
        "regularization",
        "intervals",
        "landscapes",
        "data",
        "probes",
    ],
    ["network", "figures", "stopping", "mean_field"],
    ["step", "linear_units", "multilayer", "pages", "views"],
    ["hessian", "curvature"],
    ["observation"],
    ["engines", "checkpoint", "worksheet"],
    ["blocks"],
    ["divergence", "frames"],
    ["training", "probing"],
    ["spec"],
    ["report", "display", "folders", "snapshots", "trail", "inspection"],
    ["doctor"],
    ["runs", "lr_range", "gradient_check", "contest", "propagation"],
    ["trainer", "explanation"],
    ["lessons", "exercises", "loss_landscape", "decision", "experiments"],
    ["proof"],
    ["cli", "estimators", "web", "__init__", "__main__"],
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
# On the stair, only these steps down.
STAIR_IMPORTS = {
    "errors": set(),
    "files": {"errors"},
    "arrays": set(),
    "noise": {"arrays"},
    "functions": {"arrays"},
    "expressions": {"arrays", "errors", "functions"},
    "parts": {"arrays", "errors", "noise"},
}
# The door of the house stands on the same floor as what it opens to.
NEIGHBOURS = {("__main__", "cli")}

FILES = sorted(ROOT.rglob("*.py"))


def own_name(file: Path) -> str:
    """The module or package of thalweg that a file belongs to."""
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(file: Path) -> set[str]:
    """All modules that a file imports, anywhere in it, by absolute names."""
    package = ["thalweg", *file.relative_to(ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            # `from . import figures` names the module last.
            found |= (
                {".".join([*stem, alias.name]) for alias in node.names} if stem == ["thalweg"] else {".".join(stem)}
            )
    return found


def inner_imports(file: Path) -> set[str]:
    """The modules and packages of thalweg that a file imports, without its own package."""
    names = {name.split(".")[1] for name in imports(file) if name.startswith("thalweg.")}
    return names - ({own_name(file)} if file.parent != ROOT else set())


def test_the_imports_are_found_in_all_their_forms():
    assert {"thalweg.arrays", "thalweg.step", "jax", "jax.numpy"} <= imports(ROOT / "engines" / "compiled.py")
    assert inner_imports(ROOT / "engines" / "__init__.py") >= {"errors", "step", "network"}
    # Inside of a function counts too.
    assert "thalweg.engines.eager" in imports(ROOT / "engines" / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_only_from_floors_below_its_own(file):
    own = own_name(file)
    assert own in FLOOR_OF, f"{own} has no floor yet: enter it in FLOORS"
    if own in STAIR:
        assert inner_imports(file) <= STAIR_IMPORTS[own]
        return
    for name in inner_imports(file):
        assert name in FLOOR_OF, f"{own} imports {name}, which has no floor"
        assert FLOOR_OF[name] < FLOOR_OF[own] or (own, name) in NEIGHBOURS, (
            f"{own} imports {name}, which is not below it"
        )


def test_the_stair_goes_down():
    for name, below in STAIR_IMPORTS.items():
        assert all(STAIR.index(other) < STAIR.index(name) for other in below)


@pytest.mark.parametrize(
    "file", [f for f in FILES if own_name(f) != "engines"], ids=lambda file: str(file.relative_to(ROOT))
)
def test_jax_is_imported_in_the_engines_only(file):
    assert not {name for name in imports(file) if name.split(".")[0] in {"jax", "jaxlib"}}


def test_no_optax_and_no_pickle_in_the_product():
    banned = {"optax", "pickle", "orbax", "mlflow", "dill", "cloudpickle"}
    assert not {name for file in FILES for name in imports(file) if name.split(".")[0] in banned}
