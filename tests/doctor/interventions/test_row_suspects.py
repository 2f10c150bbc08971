"""Suspects of the rows: trainings without them, scored on held-out rows, confirm them or clear them."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.interventions.paired_test import gain_error
from thalweg.doctor.registry import explanation_graph
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec

RNG = np.random.default_rng(21)
X = RNG.standard_normal((700, 4))
T = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(700)
CENTRES = 3 * RNG.standard_normal((4, 4))
Y = RNG.integers(0, 4, 700)
CLOUDS = X + CENTRES[Y]
COUNTS = RNG.integers(0, 9, (700, 6)).astype(float)


def diagnosed(x, y, epochs=40, **data):
    numbers = y.dtype.kind == "f"
    ends = ["dense 1"] if numbers else [f"dense {len(np.unique(y))}", "softmax"]
    table = {
        "data": {"source": (x, y), "validation": 0.25, "test": 0.0, **data},
        "network": {"layers": ["dense 32", "relu", "dense 32", "relu", *ends]},
        "optimizer": "adam 0.005",
        "training": {"epochs": epochs, "engine": "eager", "precision": "float32"},
        "probes": "standard",
    }
    return run_spec(Spec.of(table)).diagnose(confirm=True)


def far(t):
    t = t.copy()
    t[RNG.choice(400, 6, replace=False)] = 500.0
    return t


def wrong(y):
    y = y.copy()
    rows = RNG.random(700) < 0.4
    y[rows] = (y[rows] + RNG.integers(1, 4, rows.sum())) % 4
    return y


def marked(x):
    # A generator of its own: what the other cases draw does not depend on this one.
    return np.where(np.random.default_rng(22).random(x.shape) < 0.1, -99999.0, x)


FAULTS = {
    "filled-input": lambda: (marked(X), T, {}),
    "out-of-step": lambda: (X, np.roll(T, 1), {"split": "time"}),
    "filled-targets": lambda: (X, np.where(RNG.random(700) < 0.6, 0.4, T), {}),
    "outlying-targets": lambda: (X, far(T), {"split": "time"}),
    # Columns of noise make it easy to learn wrong labels by heart.
    "wrong-labels": lambda: (np.hstack([CLOUDS, RNG.standard_normal((700, 16))]), wrong(Y), {}),
    "few-training-rows": lambda: (X, T, {"validation": 0.96}),
    "duplicate-input": lambda: (np.hstack([X[:, :2], np.repeat(RNG.standard_normal((700, 1)), 300, axis=1)]), T, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_of_the_rows_is_confirmed_on_held_out_rows(code):
    x, y, data = FAULTS[code]()
    diagnosis = diagnosed(x, y, **data)
    root = diagnosis.causes[0].finding
    assert root.code == code
    assert root.confirmation.status == "confirmed"
    assert root.confirmation.scored == "held-out"
    # What the root explains is no further cause.
    assert not {cause.finding.code for cause in diagnosis.causes[1:]} & explanation_graph()[code]
    assert root.confirmation.after - root.confirmation.before > 0.05
    # What no change of a spec takes away has no repair.
    assert (diagnosis.repair is None) == (code != "few-training-rows")


def test_inputs_of_many_magnitudes_are_tried_by_their_ranks():
    """Nearly all rows of a lognormal column are alike once it is scaled; the order of its values tells the target."""
    stretched = np.exp(4 * X)
    diagnosis = diagnosed(stretched, T, epochs=25)
    root = diagnosis.causes[0].finding
    assert (root.code, root.confirmation.status) == ("outlying-inputs", "confirmed")
    assert root.confirmation.scored == "training"
    assert root.confirmation.after - root.confirmation.before > 0.1
    # The spec has no setting for it.
    assert diagnosis.repair is None


HEALTHY = {
    "numbers": lambda: (X, T),
    "classes": lambda: (CLOUDS, Y),
    "counts": lambda: (COUNTS, RNG.poisson(np.exp(COUNTS[:, 0] / 3)).astype(float)),
    "noisy labels": lambda: (CLOUDS, np.where(RNG.random(700) < 0.06, RNG.integers(0, 4, 700), Y)),
    "heavy tails": lambda: (X, np.exp(1.5 * T)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_rows_are_cleared(name):
    diagnosis = diagnosed(*HEALTHY[name]())
    assert diagnosis.healthy, diagnosis.verdict


def test_the_error_of_gains_on_the_same_rows_is_that_of_their_sum():
    """For gains that are drawn anew, the standard deviation of the score is what the error says on average."""
    drawn = np.random.default_rng(0).standard_normal((2000, 50)) / 50
    assert np.mean([gain_error([gains]) for gains in drawn]) == pytest.approx(drawn.sum(axis=1).std(), rel=0.05)
    # Pairs on the same rows with the same gains know no more than one pair.
    assert gain_error([drawn[0]] * 3) == pytest.approx(gain_error([drawn[0]]))
