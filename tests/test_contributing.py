"""The places that CONTRIBUTING.md names suffice: one new thing of each kind in a copy of the project works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package, the tests of parts and the documents."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "format_0"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "clinic").mkdir()
    return folder


def add(copy: Path, path: str, text: str, before: str | None = None) -> None:
    """Write a new file, or put text into one that exists: before the line that matches, else at its end."""
    file = copy / path
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    if before is None:
        file.write_text(f"{old}\n{text}" if old else text, encoding="utf-8")
        return
    place = re.search(before, old, re.MULTILINE)
    assert place, f"{path} has no {before}"
    file.write_text(old[: place.start()] + text + old[place.start() :], encoding="utf-8")


def python(copy: Path, *arguments: str) -> str:
    """What Python prints in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def run_tests(copy: Path, *arguments: str) -> None:
    """Run tests in the copy."""
    python(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments)


MISH = '''
@dataclass(frozen=True)
class Mish(Activation, kind="mish"):
    """y = z tanh(softplus(z));  dy/dz = t + z (1 - t²) σ(z), t = tanh(softplus(z)).

    Source: Misra 2019.

    >>> float(Mish().value(0.0))
    0.0
    """

    output_range = (-0.3088434130, math.inf)
    steepest_slope = 1.0884981613

    def value(self, z: Array) -> Array:
        return z * namespace(z).tanh(softplus(z))

    def derivative(self, z: Array, y: Array) -> Array:
        t = namespace(z).tanh(softplus(z))
        return t + z * (1 - t * t) * sigmoid(z)

    def second_derivative(self, z: Array, y: Array) -> Array:
        t = namespace(z).tanh(softplus(z))
        s = sigmoid(z)
        return (1 - t * t) * s * (2 - 2 * t * s * z + z * (1 - s))


'''


def layers_of(copy: Path, layer: str) -> str:
    """The layers of a network that was trained with a layer."""
    options = "epochs=2, engine='eager', progress=False"
    return python(
        copy, "-c", f"import thalweg; print(thalweg.train(['{layer}', 'dense 2'], 'xor', {options}).network.layers)"
    )


def generated(copy: Path, table: str) -> str:
    """A table of docs/ as the copy generates it."""
    return python(copy, "-c", f"import sys; sys.path.append('docs'); import write_tables; print(write_tables.{table})")


def test_an_activation_needs_its_class_and_a_row_of_the_table(copy):
    add(copy, "src/thalweg/parts/layers/activations.py", MISH, before=r"^@dataclass\(frozen=True\)\nclass Softmax")
    row = '    LayerEntry(layers.Mish(), _activation("mish")),\n'
    add(copy, "tests/support/parts_table.py", row, before=r"^    LayerEntry\(layers\.Swish\(\),")
    assert "Mish()" in layers_of(copy, "mish")
    run_tests(copy, "tests/parts/layers", "-k", "mish or table")


DOUBLE = '''
@dataclass(frozen=True)
class Double(ParameterFreeLinear[tuple[()]], kind="double"):
    """A scaled sample: y = 2 x;  dL/dx = 2 dL/dy.

    Shapes: x and y (n, width).

    >>> Double().forward((), (), 1.5, ForwardContext(training=False))[0]
    3.0
    """

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[()]]:
        return 2 * x, state, ()

    def backward(self, params: tuple[()], cache: tuple[()], delta: Array) -> tuple[Array, tuple[()]]:
        return 2 * delta, params

    def jvp(self, params: tuple[()], cache: tuple[()], direction: tuple[()], x_dot: Array) -> Array:
        return 2 * x_dot
'''


def test_a_layer_needs_its_class_and_a_row_of_the_table(copy):
    add(copy, "src/thalweg/parts/layers/shape.py", DOUBLE)
    row = "    BlockEntry(layers.Double(), lambda torch, params, state, x, training: 2 * x),\n"
    add(copy, "tests/support/parts_table.py", row, before=r"^    BlockEntry\(layers\.Flatten\(\)")
    assert "Double()" in layers_of(copy, "double")
    run_tests(copy, "tests/parts/layers", "-k", "double or table")


FORMULA = '''

def largest_output(outputs: Array) -> Array:
    """max |y|."""
    xp = namespace(outputs)
    return xp.max(xp.abs(outputs))
'''
PROBE = """

@probe("largest_output", preset="light", scope="whole", formula="max |y|")
def _largest_output(step: ObservedStep) -> Recorded:
    return Recorded(whole={"largest_output": q.largest_output(step.trace.outputs[-1])})
"""


def test_a_probe_needs_its_formula_and_where_it_is_taken(copy):
    add(copy, "src/thalweg/probes/quantities.py", FORMULA)
    add(copy, "src/thalweg/probes/observe.py", PROBE)
    code = """
import thalweg
run = thalweg.train(["dense 2"], "xor", epochs=3, engine="eager", progress=False)
print(len(run.observations["largest_output"]))
"""
    assert int(python(copy, "-c", code)) > 0
    assert "`largest_output`" in generated(copy, "probes_table('light')")


CHECK = '''

@check(code="odd-outputs", stage="before training", rank=990, meaning="an odd number of outputs", advice="another one")
def odd_outputs(m: Measurements) -> Iterator[Finding]:
    """Whether the network has an odd number of outputs."""
    if m.outputs % 2:
        yield odd_outputs.finding(
            severity="note", place="network", value=1.0, measured="odd", normal="even", sentence="It is odd."
        )
'''


def test_a_check_needs_its_function(copy):
    add(copy, "src/thalweg/doctor/checks/static_checks.py", CHECK)
    code = """
import thalweg
run = thalweg.train(None, "iris", epochs=2, engine="eager", progress=False)
print([finding.code for finding in run.diagnose().findings])
"""
    assert "odd-outputs" in python(copy, "-c", code)
    assert "`odd-outputs`" in generated(copy, "codes_table()")


COMMAND = '''"""`thalweg hello`."""

from ..registry import command


@command(position=999)
def hello() -> None:
    """Say hello."""
    print("hello")
'''


def test_a_command_needs_its_file(copy):
    add(copy, "src/thalweg/cli/commands/hello.py", COMMAND)
    assert python(copy, "-m", "thalweg", "hello") == "hello\n"
    assert "hello" in python(copy, "-m", "thalweg", "--help")


LESSON = '''"""One and one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...pages.blocks import Block, Check
from ..lesson import Lesson


@dataclass(frozen=True)
class SumLesson(Lesson, kind="sum"):
    """One and one are two."""

    title = "A sum"
    subject = "One and one."
    chapter = "One unit"
    place = 99

    def blocks(self) -> Iterator[Block]:
        yield Check("one and one are two", 1 + 1, 2)
'''


def test_a_lesson_needs_its_file(copy):
    add(copy, "src/thalweg/learn/lessons/sum.py", LESSON)
    assert "one and one are two" in python(copy, "-m", "thalweg", "lesson", "sum")
    assert "One and one." in python(copy, "-m", "thalweg", "lesson")
