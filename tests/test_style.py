"""Rules of style that a script can hold: types, names, choices by layer, sizes of functions."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import thalweg
from thalweg.parts.layers import Activation
from thalweg.parts.part import Layer

ROOT = Path(thalweg.__file__).parent
TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}
MOST_ANY = 100
MOST_LINES = 60
# Long by their parameters alone, each documented on a line of its own.
LONG = {"runs.train.train"}
# Layers that a converter from scikit-learn's words makes and recognises.
CONVERTERS = {"sklearn.settings"}
# Estimators and the parts of a spec have the same established names; so have an initializer and a schedule.
SHARED = {"Adaline", "Constant", "Perceptron"}


def test_any_is_rare_and_has_no_alias():
    uses = [
        node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "Any"
    ]
    assert len(uses) <= MOST_ANY
    aliases = [
        (name, node.lineno)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Name) and node.value.id == "Any"
    ]
    assert aliases == []


def concrete_layers() -> set[str]:
    """The names of all layer classes that a spec can name."""
    return {kind.__name__ for kind in Layer.kinds.values()} - {Activation.__name__}


def names_in(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)} | {
        child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)
    }


def layer_choices(tree: ast.AST) -> list[int]:
    """Lines that decide by a concrete layer: isinstance, match, type() is, or a comparison of its kind."""
    layers = concrete_layers()
    kinds = set(Layer.kinds)
    lines = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"isinstance", "issubclass"}
        ):
            if names_in(node.args[1]) & layers:
                lines.append(node.lineno)
        elif isinstance(node, ast.MatchClass) and names_in(node.cls) & layers:
            lines.append(node.cls.lineno)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            typed = any(isinstance(side, ast.Call) and names_in(side.func) == {"type"} for side in sides)
            kind = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
            words = {item.value for side in sides for item in ast.walk(side) if isinstance(item, ast.Constant)}
            if (typed and any(names_in(side) & layers for side in sides)) or (kind and words & kinds):
                lines.append(node.lineno)
    return sorted(lines)


def test_choices_by_layer_are_found():
    source = """
isinstance(layer, Dense)
isinstance(layer, (layers.ReLU, Other))
match layer:
    case Tanh():
        pass
type(layer) is Softmax
layer.kind == "relu"
layer.kind in ("step", "sign")
isinstance(layer, Activation)
"""
    assert layer_choices(ast.parse(source)) == [2, 3, 5, 7, 8, 9]


@pytest.mark.parametrize(
    "name", sorted(name for name in TREES if not name.startswith("parts.") and name not in CONVERTERS)
)
def test_no_choice_by_a_concrete_layer_outside_of_parts(name):
    assert layer_choices(TREES[name]) == []


def test_no_two_public_classes_share_a_name():
    homes = defaultdict(list)
    for module, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1 and name not in SHARED} == {}


def test_functions_are_short():
    long = set()
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > MOST_LINES:
                long.add(f"{module}.{node.name}")
    assert {name for name in long if not name.endswith(".__init__")} == LONG


# Attributes of `os` and `signal` that Windows lacks.
UNIX_ONLY = {
    "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE",
    "SIGQUIT", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "alarm", "chown", "fchmod", "fork", "getegid", "geteuid",
    "getgid", "getpgid", "getuid", "killpg", "lchown", "mkfifo", "nice", "posix_fallocate", "posix_spawn", "pread",
    "pthread_sigmask", "pwrite", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "setitimer", "setsid",
    "statvfs", "sync", "sysconf", "uname", "wait4",
}  # fmt: skip
ASKS = {"hasattr", "getattr"}


def called(node: ast.Call) -> str:
    """The name of the called function or method."""
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def is_text_without_encoding(node: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text in the encoding of the system."""
    if any(keyword.arg == "encoding" for keyword in node.keywords):
        return False
    if called(node) in {"read_text", "write_text"}:
        return True
    if isinstance(node.func, ast.Name) and node.func.id == "open":
        modes = [word.value for word in [*node.args[1:2], *(word.value for word in node.keywords)]
                 if isinstance(word, ast.Constant) and isinstance(word.value, str)]  # fmt: skip
        return not any("b" in mode for mode in modes)
    return False


@pytest.mark.parametrize("name", sorted(TREES))
def test_text_is_read_and_written_in_a_stated_encoding(name):
    calls = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
    assert [node.lineno for node in calls if is_text_without_encoding(node)] == []


@pytest.mark.parametrize("name", sorted(TREES))
def test_what_windows_lacks_is_asked_for_first(name):
    used = {
        node.attr
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"os", "signal"}
        and node.attr in UNIX_ONLY
    }
    asked = {
        node.args[1].value
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call) and called(node) in ASKS and isinstance(node.args[1], ast.Constant)
    }
    assert used <= asked


def test_the_public_names_are_read_in_any_encoding():
    # lazy-loader reads the stub in the encoding of the system.
    assert (ROOT / "__init__.pyi").read_bytes().isascii()
