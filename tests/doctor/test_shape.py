"""The shape of a network: layers that act as one, and networks that find no more than a straight line."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from thalweg.doctor.attainable import line_score, standard_error
from thalweg.doctor.checks import init_checks, shape_checks, training_checks
from thalweg.doctor.examination import diagnose
from thalweg.doctor.findings import Learned
from thalweg.doctor.measure_run import measurements_of
from thalweg.doctor.measurements import LayerFacts, Measurements
from thalweg.doctor.normal import normal
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec

RNG = np.random.default_rng(5)
X = RNG.uniform(-1, 1, (300, 2))


def rows(x, y):
    return {"source": (x, y), "validation": 0, "test": 0, "scale": "none"}


def before(layers, x=X, y=X[:, 0], **sections):
    spec = Spec.of({"data": rows(x, y), "network": layers, **sections})
    split = spec.data.load(0)
    return measurements_of(completed(spec, split.train), split, 10)


def after(layers, x, y, **sections):
    training = {"epochs": 40, "batch_size": 20, "engine": "eager"}
    spec = {"data": rows(x, y), "network": layers, "optimizer": "adam 0.01", "training": training, **sections}
    return run_spec(Spec.of(spec))


def codes(diagnosis):
    return {finding.code: finding.severity for finding in diagnosis.findings}


# The best line --------------------------------------------------------------------------------------------------------


def test_the_best_line_is_that_of_another_library():
    numbers = X[:, 0] ** 2 + X @ [1.0, 2.0]
    assert line_score(X, numbers, "regression") == pytest.approx(LinearRegression().fit(X, numbers).score(X, numbers))
    several = np.column_stack([numbers, X[:, 1] ** 3])
    residual = several - LinearRegression().fit(X, several).predict(X)
    expected = 1 - (residual**2).sum() / ((several - several.mean(axis=0)) ** 2).sum()
    assert line_score(X, several, "regression") == pytest.approx(expected)
    classes = (numbers > 0.5).astype(int)
    assert line_score(X, classes, "classification") == pytest.approx(
        LogisticRegression(C=100).fit(X, classes).score(X, classes), abs=0.01
    )


def test_a_line_of_constant_columns_or_of_one_class_is_the_constant():
    assert line_score(np.ones((4, 2)), np.array([0, 1, 1, 1]), "classification") == pytest.approx(0.5)
    assert line_score(np.ones((4, 2)), np.array([0.0, 1, 2, 3]), "regression") == pytest.approx(0.0)
    labels = np.array([[0, 1], [1, 1], [1, 1], [0, 1]])
    assert line_score(np.array([[0.0], [1.0], [2.0], [-1.0]]), labels, "multilabel") == 1.0


def test_the_standard_error_of_an_accuracy_is_that_of_a_mean():
    right = RNG.random((4000, 200)) < 0.8
    assert standard_error(0.8, 200, "accuracy") == pytest.approx(right.mean(axis=1).std(), rel=0.05)


# Layers that act as one -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (["dense 8", "dense 1"], True),
        (["dense 8", "linear", "dense 4", "linear", "dense 1"], True),
        (["dense 8", "batch_norm", "dropout 0.1", {"kind": "gaussian_noise"}, "dense 1"], True),
        (["dense 8", "dense 8", "relu", "dense 1"], True),
        (["dense 8", {"kind": "residual", "layers": ["dense 8"]}, "dense 1"], True),
        (["dense 8", "relu", "dense 1"], False),
        (["dense 8", "batch_norm", "tanh", "dropout 0.1", "dense 1"], False),
        (["dense 8", "layer_norm", "dense 1"], False),
        (["dense 8", {"kind": "residual", "layers": ["dense 8", "tanh"]}, "dense 1"], False),
        (["dense 1"], False),
    ],
    ids=str,
)
def test_layers_with_nothing_nonlinear_between_them(layers, found):
    m = before(layers)
    assert ("linear-stack" in codes(diagnose(m))) == found
    for remedy in [remedy for finding in shape_checks.linear_stack(m) for remedy in finding.remedies]:
        table = {"data": rows(X, X[:, 0]), "network": layers}
        for path, value in remedy.changes:
            set_value(table, path, value)
        assert "linear-stack" not in codes(diagnose(before(Spec.of(table).network.describe())))


def test_a_stack_that_found_the_line_has_not_learned_a_square():
    square = (X[:, 0] + 1) ** 2
    run = after(["dense 20", "dense 20", "dense 1"], X, square)
    diagnosis = run.diagnose()
    assert diagnosis.learned.line == pytest.approx(LinearRegression().fit(X, square).score(X, square))
    # The share of the gap from the best constant alone would count as learned.
    assert diagnosis.learned.share > 0.85
    assert diagnosis.causes[0].finding.code == "linear-stack"
    assert diagnosis.causes[0].finding.place == "layer 1 (dense 20) to layer 3 (dense 1)"
    table = {**run.spec.describe(), "data": rows(X, square)}
    for path, value in diagnosis.remedies[0].changes:
        set_value(table, path, value)
    repaired = run_spec(Spec.of(table)).diagnose()
    assert repaired.healthy
    assert repaired.learned.score > 0.99


def test_a_stack_is_no_fault_where_the_line_is_all_there_is():
    diagnosis = after(["dense 20", "dense 1"], X, X @ [1.0, -2.0]).diagnose()
    assert diagnosis.healthy
    assert codes(diagnosis) == {"linear-stack": "note"}


def test_one_layer_is_a_line_on_purpose():
    diagnosis = after(["dense 1"], X, (X[:, 0] + 1) ** 2).diagnose()
    assert diagnosis.healthy
    assert np.isnan(diagnosis.learned.line)


# Networks that found no more than the line ----------------------------------------------------------------------------

HIDDEN = (
    LayerFacts("layer 1 (dense 8)", "dense", (-np.inf, np.inf), weighted=True, is_linear=True),
    LayerFacts("layer 2 (tanh)", "tanh", (-1.0, 1.0), hidden=True),
    LayerFacts("layer 3 (dense 1)", "dense", (-np.inf, np.inf), weighted=True, is_linear=True),
)


@pytest.mark.parametrize(
    ("score", "line", "attainable", "rows", "found"),
    [
        (0.90, 0.90, 0.99, 1000, True),
        (0.93, 0.90, 0.99, 1000, False),
        (0.90, 0.90, 0.93, 1000, False),
        # Few rows can be memorized, so more than the line may be chance.
        (0.90, 0.90, 0.99, 60, False),
        # Below the line something else is wrong; the plateau says so.
        (0.70, 0.90, 0.99, 1000, False),
        # A line that is no better than a constant is no line.
        (0.50, 0.50, 0.99, 1000, False),
    ],
)
def test_hidden_layers_that_add_nothing(score, line, attainable, rows, found):
    learned = Learned("accuracy", score=score, constant=0.5, attainable=attainable, line=line)
    m = Measurements(task="classification", learned=learned, rows=rows, layers=HIDDEN, remedies=Remedies())
    assert [finding.code for finding in shape_checks.linear_fit(m)] == ["linear-fit"] * found
    # What closed two thirds of the gap has learned, as far as no change takes it further; a line gets no further.
    assert m.learns == (learned.share > 0.75)
    if found:
        layers = (HIDDEN[0], HIDDEN[1]._replace(is_linear=True), HIDDEN[2])
        line = Measurements(task="classification", learned=learned, rows=rows, layers=layers, remedies=Remedies())
        assert not line.learns


@pytest.mark.parametrize(
    ("score", "line", "attainable", "rows", "learns"),
    [
        (0.87, 0.99, 0.99, 1000, False),
        (0.95, 0.99, 0.99, 1000, True),
        # A line that knows its rows by heart is no measure.
        (0.87, 1.00, 0.90, 1000, True),
        # Of few rows, chance alone may miss as much.
        (0.90, 0.97, 0.99, 40, True),
        (0.90, float("nan"), 0.99, 1000, True),
    ],
)
def test_a_network_worse_than_a_line_has_not_learned(score, line, attainable, rows, learns):
    learned = Learned("accuracy", score=score, constant=0.5, attainable=attainable, line=line)
    m = Measurements(task="classification", learned=learned, rows=rows, layers=HIDDEN, remedies=Remedies())
    assert m.learns == learns
    assert bool(list(training_checks.plateau(m))) == (not learns)


class Remedies:
    def __getattr__(self, name):
        return lambda *arguments: name


# Layers that are too narrow -------------------------------------------------------------------------------------------

RING = (np.hypot(X[:, 0], X[:, 1]) < 0.7).astype(int)


FIVE = RNG.uniform(-1, 1, (300, 5))
SECTORS = np.digitize(np.arctan2(X[:, 1], X[:, 0]), [-1.5, 0.0, 1.5])


@pytest.mark.parametrize(
    ("layers", "x", "y", "measure"),
    [
        # One number orders the rows along a line, and the sectors stand around a point.
        (["dense 1", "tanh", "dense 4", "softmax"], X, SECTORS, "accuracy"),
        # Five independent numbers cannot pass as one.
        (["dense 16", "tanh", "dense 1", "tanh", "dense 16", "tanh", "dense 5"], FIVE, FIVE, "r2"),
    ],
    ids=["classes", "bottleneck"],
)
def test_a_hidden_layer_of_one_unit_is_too_narrow(layers, x, y, measure):
    run = after(layers, x, y)
    found = next(finding for finding in run.diagnose().findings if finding.code == "too-narrow")
    assert found.value == 1
    assert "dense 1)" in found.place
    table = {**run.spec.describe(), "data": rows(x, y)}
    for path, value in found.remedies[0].changes:
        set_value(table, path, value)
    wide = run_spec(Spec.of(table))
    assert wide.measures["training"][measure] > run.measures["training"][measure] + 0.1
    assert "too-narrow" not in codes(wide.diagnose())


@pytest.mark.parametrize(
    ("layers", "y", "sections"),
    [
        # Narrow and enough.
        (["dense 2", "tanh", "dense 1", "sigmoid"], (X[:, 0] > 0).astype(int), {}),
        # A few sigmoid units that learn slowly, at a rate that is too small.
        (["dense 4", "sigmoid", "dense 1", "sigmoid"], (X[:, 0] * X[:, 1] > 0).astype(int), {"optimizer": "sgd 0.001"}),
        # Wide, and stuck for another reason.
        (["dense 16", "tanh", "dense 1", "sigmoid"], RING, {"optimizer": "sgd 1e-5"}),
        # Narrow, and no width helps.
        (["dense 2", "tanh", "dense 1", "sigmoid"], RNG.integers(0, 2, 300), {}),
    ],
    ids=["enough", "slow", "wide", "chance"],
)
def test_layers_that_are_not_too_narrow(layers, y, sections):
    assert "too-narrow" not in codes(after(layers, X, y, **sections).diagnose())


# Depth that makes all rows alike --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (["dense 6", "sigmoid"] * 9, True),
        (["dense 3", "relu"] * 25, True),
        (["dense 32", "relu"] * 12, False),
        (["dense 12", "tanh"] * 12, False),
        (["dense 16", "sigmoid"] * 2, False),
        (["dense 8", "batch_norm", "relu"] * 9, False),
    ],
    ids=lambda layers: f"{len(layers)} {layers[-1]}" if isinstance(layers, list) else None,
)
def test_rows_that_become_alike_from_layer_to_layer(layers, found):
    m = before([*layers, "dense 1"])
    merged = list(init_checks.merging_rows(m))
    assert bool(merged) == found
    if merged:
        # The layer below it still tells the rows apart.
        index = m.start.dense.index(merged[0].place)
        least = m.start.differences[0] * normal("separation").far().low
        assert m.start.differences[index] < least <= m.start.differences[index - 1]


def test_a_dead_layer_of_two_units_is_dead():
    network = {"layers": ["dense 8", "tanh", "dense 2", "relu", "dense 1"], "bias_init": "constant -50"}
    m = before(network)
    assert m.alive_at_start == 0
    assert "dying-relu" in codes(diagnose(m))
    # One that is off for some rows alone is not counted.
    assert np.isnan(before(["dense 2", "relu", "dense 1"]).alive_at_start)


# Near two thirds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "rows", "learns", "severity"),
    [
        (0.60, 2000, False, "severe"),
        (0.66, 2000, False, "warning"),
        (0.68, 2000, False, "warning"),
        (0.72, 2000, True, "note"),
        # With few rows the score says less; at most a twelfth to either side.
        (0.60, 50, False, "warning"),
        (0.74, 50, False, "warning"),
        (0.76, 50, True, "note"),
    ],
)
def test_near_two_thirds_a_finding_stays_a_warning(share, rows, learns, severity):
    m = Measurements(learned=Learned("accuracy", score=0.5 + share / 2, constant=0.5, attainable=1.0), rows=rows)
    assert (m.learns, m.severity(certain=True)) == (learns, severity)
