"""scikit-learn's own tests of its Perceptron, from the installed package, with Thalweg's class in its place."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sklearn import linear_model
from thalweg import Perceptron

SOURCE = Path(inspect.getfile(linear_model)).with_name("tests") / "test_perceptron.py"


def own_tests() -> Iterator[tuple[str, Callable[[], object]]]:
    """The tests of scikit-learn's module, one for each set of its parameters; none if they are not shipped."""
    if not SOURCE.exists():
        return
    spec = importlib.util.spec_from_file_location("sklearn_own_test_perceptron", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Perceptron is linear_model.Perceptron
    module.Perceptron = Perceptron
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_"):
            yield from _cases(name, function)


def _cases(name: str, function: Callable[..., object]) -> Iterator[tuple[str, Callable[[], object]]]:
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    choices = [[(mark.args[0], value) for value in mark.args[1]] for mark in marks]
    for number, chosen in enumerate(itertools.product(*choices)):
        arguments = dict(chosen)
        yield f"{name}-{number}", lambda arguments=arguments: function(**arguments)


CASES = list(own_tests())


@pytest.mark.skipif(not CASES, reason="the installed scikit-learn has no tests")
def test_all_tests_are_found():
    assert len(CASES) >= 6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_of_scikit_learn(case):
    case()
