"""Public names are complete for editors and type checkers."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import thalweg

GOOD = """
import thalweg

run = thalweg.train(["dense 4", "tanh", "dense 2", "softmax"], "rings", epochs=3, probes="off")
loss: float = run.history[-1]["loss"]
labels = run.predict([[0.0, 1.0]])
again: thalweg.Run = thalweg.load("runs/rings")
rate: float | None = thalweg.range_test("iris").chosen
network = thalweg.Network([thalweg.layers.Dense(4), thalweg.layers.Tanh(), "dense 2"])
rule = thalweg.optimizers.Adam(0.01)
model = thalweg.MLPClassifier((8,), random_state=1)
"""
WRONG = {
    'thalweg.train(None, "xor", epochs="3")': "reportArgumentType",
    'thalweg.load("runs/rings").foo': "reportAttributeAccessIssue",
    "thalweg.nothing": "reportAttributeAccessIssue",
}


def checked(path: Path) -> list[dict]:
    """The errors that pyright finds in a file."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        pytest.skip(f"LEFT OUT: pyright does not start here: {done.stderr.strip()[-200:]}")
    return [found for found in report["generalDiagnostics"] if found["severity"] == "error"]


def test_a_users_file_is_checked_against_the_public_names(tmp_path):
    path = tmp_path / "user.py"
    path.write_text(GOOD + "\n".join(WRONG) + "\n")
    errors = checked(path)
    first = GOOD.count("\n")
    expected = {(first + number, rule) for number, rule in enumerate(WRONG.values())}
    assert {(error["range"]["start"]["line"], error["rule"]) for error in errors} == expected


@pytest.mark.slow
def test_mypy_knows_the_public_names_too(tmp_path):
    path = tmp_path / "user.py"
    path.write_text(GOOD + "\n".join(WRONG) + "\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--no-error-summary",
        "--cache-dir",
        tmp_path,
        "--follow-imports=silent",
        path,
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=tmp_path)
    first = GOOD.count("\n")
    expected = {(first + number + 1, rule) for number, rule in enumerate(["arg-type", "attr-defined", "attr-defined"])}
    found = re.findall(r"^user\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    assert {(int(line), rule) for line, rule in found} == expected, done.stdout


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import thalweg\nthalweg.", {"train", "load", "watch", "compare", "MLPClassifier"}),
        ("import thalweg\nrun = thalweg.train(None, 'xor')\nrun.", {"predict", "history", "diagnose", "measures"}),
        ("import thalweg\nthalweg.layers.", {"Dense", "ReLU", "Layer"}),
    ],
)
def test_editors_complete_names_and_fields(text, names):
    jedi = pytest.importorskip("jedi", reason="LEFT OUT: no completion without jedi")
    assert names <= {found.name for found in jedi.Script(text).complete()}


FUNCTIONS = [name for name in thalweg.__all__ if inspect.isfunction(getattr(thalweg, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_explains_every_parameter(name):
    function = getattr(thalweg, name)
    parameters = inspect.signature(function).parameters.values()
    named = {one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    assert {one for one in named if not re.search(rf"\b{one}\b", inspect.getdoc(function))} == set()


def test_every_public_name_exists():
    assert {name for name in thalweg.__all__ if not hasattr(thalweg, name)} == set()
    assert set(thalweg.__all__) <= set(dir(thalweg))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = thalweg.nothing
