"""The documents are correct: all commands and Python blocks run, and all public names have a docstring."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from own_kinds import forgotten_kinds

import thalweg
from thalweg import linear_units
from thalweg.core.errors import InputError
from thalweg.doctor.registry import ordered_codes
from thalweg.experiments.experiment import Experiment
from thalweg.learn.exercises import EXERCISES
from thalweg.learn.lessons import LESSONS
from thalweg.models.mlp import MultiLayerPerceptron
from thalweg.parts.part import Part
from thalweg.spec.spec import Spec
from thalweg.watching import checks  # noqa: F401 - registers all codes, the doctor's among them

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
]


NEED_TORCH = {"Watch", "watch"}


def imported(name):
    """A module; None where it needs a library that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.startswith("thalweg"):
            raise
        return None


NAMES = [module.name for module in pkgutil.walk_packages(thalweg.__path__, "thalweg.")]
MODULES = [module for name in NAMES if name != "thalweg.__main__" and (module := imported(name))]


# They take more than ten seconds.
LONG = {("console", "learning.md", 4), ("python", "doctor.md", 1)}


def blocks(language):
    return [
        pytest.param(
            block,
            id=f"{page.name}-{number}",
            marks=[pytest.mark.slow] if (language, page.name, number) in LONG else [],
        )
        for page in PAGES
        for number, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S))
    ]


@pytest.mark.parametrize("block", blocks("python"))
def test_python_in_the_documents_runs(block, tmp_path, monkeypatch):
    if re.search(r"^(import|from) torch", block, re.M):
        pytest.importorskip("torch", reason="LEFT OUT: a document's example with PyTorch, which is not installed")
    monkeypatch.chdir(tmp_path)
    with forgotten_kinds():
        exec(compile(block, "document", "exec"), {})


@pytest.mark.parametrize("block", blocks("console"))
def test_commands_in_the_documents_run(block, shell, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for line in block.splitlines():
        assert line.startswith("$ thalweg "), line
        finished = shell(*shlex.split(line, comments=True)[2:], cwd=tmp_path)
        assert finished.returncode == 0, (line, finished.stderr)


@pytest.mark.parametrize("block", blocks("toml"))
def test_specs_in_the_documents_are_valid(block):
    table = tomllib.loads(block)
    if "vary" not in table:
        Spec.of(table)
        return
    experiment = Experiment.of(table)
    assert all(experiment.spec(arm) for arm in experiment.arms)


def script_of_docs(name):
    """A script of the folder docs/ as a module."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def test_list_of_parts_is_up_to_date():
    write_parts = script_of_docs("write_parts")
    assert (ROOT / "docs" / "parts.md").read_text() == write_parts.text(), "run python docs/write_parts.py"


def test_list_of_commands_is_up_to_date():
    write_shell = script_of_docs("write_shell")
    assert (ROOT / "docs" / "shell.md").read_text() == write_shell.text(), "run python docs/write_shell.py"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_a_dead_link(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(ROOT / "docs"), str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    # The lessons are made by a command of their own.
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "index.html").touch()
    check_site = script_of_docs("check_site")
    assert not list(check_site.dead_links(tmp_path))
    (tmp_path / "broken.html").write_text('<a href="index.html#nowhere">1</a> <a href="absent.html">2</a>')
    assert len(list(check_site.dead_links(tmp_path))) == 2


def test_links_between_documents_resolve():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)


def test_spec_page_explains_every_section_and_key():
    text = (ROOT / "docs" / "spec.md").read_text()
    for section in dataclasses.fields(Spec):
        assert f"[{section.name}]" in text
    hints = [thalweg.Data, thalweg.Network, thalweg.Training]
    hints += [thalweg.Regularization, thalweg.Stopping, thalweg.Checkpoints]
    hints += [linear_units.Perceptron, linear_units.Adaline, MultiLayerPerceptron]
    for part in hints:
        for field in dataclasses.fields(part):
            assert re.search(rf"(^{field.name} = |`{field.name}`)", text, re.M), (part.__name__, field.name)


def test_the_lists_of_lessons_and_exercises_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    write_learning = importlib.import_module("write_learning")
    text = write_learning.PAGE.read_text(encoding="utf-8")
    assert write_learning.written(text) == text, "run python docs/write_learning.py"
    assert all(f"| `{kind.kind}` |" in text for kind in [*LESSONS, *EXERCISES])


def test_doctor_page_explains_every_code():
    rows = re.findall(r"^\| (`[a-z`, -]+`) \|", (ROOT / "docs" / "doctor.md").read_text(), re.M)
    assert sorted(code for row in rows for code in re.findall(r"`([a-z-]+)`", row)) == sorted(ordered_codes())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_has_a_docstring(module):
    assert module.__doc__
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{module.__name__}.{name}"
            if inspect.isclass(value) and not value.__doc__.startswith(f"{name}("):
                for method, function in vars(value).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        assert inspect.getdoc(getattr(value, method)), f"{module.__name__}.{name}.{method}"


@pytest.mark.parametrize(
    "part", sorted({c for f in Part.__subclasses__() for c in f.kinds.values()}, key=str), ids=lambda p: p.__name__
)
def test_every_part_has_an_example_that_runs_or_a_source(part):
    if part.__module__.startswith("thalweg."):
        assert ">>>" in part.__doc__ or ">>>" in importlib.import_module(part.__module__).__doc__, part


def test_every_public_name_can_be_imported():
    for name in thalweg.__all__:
        if name in NEED_TORCH and find_spec("torch") is None:
            with pytest.raises(InputError, match=re.escape("thalweg[torch]")):
                getattr(thalweg, name)
        else:
            assert getattr(thalweg, name) is not None
    assert set(thalweg.__all__) <= set(dir(thalweg))
    with pytest.raises(AttributeError, match="nothing"):
        _ = thalweg.nothing
