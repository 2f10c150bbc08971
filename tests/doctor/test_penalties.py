"""Penalties that cost accuracy, also in networks that learned most of what can be learned."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.checks import training_checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measurements import Measurements
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec


class Remedies:
    def __getattr__(self, name):
        return lambda *arguments: name


@pytest.mark.parametrize(
    ("penalty", "score", "rows", "expected"),
    [
        (0.8, 0.88, 1000, ["warning"]),
        (0.8, 0.96, 1000, ["note"]),
        # Of few rows, chance alone may miss as much.
        (0.8, 0.90, 40, ["note"]),
        (0.8, 0.70, 1000, ["warning"]),
        (0.01, 0.88, 1000, []),
    ],
)
def test_a_heavy_penalty_is_a_note_only_where_nothing_is_missing(penalty, score, rows, expected):
    learned = Learned("accuracy", score=score, constant=0.5, attainable=0.98)
    m = Measurements(learned=learned, rows=rows, penalty=penalty, remedies=Remedies())
    assert [finding.severity for finding in training_checks.strong_penalty(m)] == expected


def test_a_penalty_that_costs_a_tenth_is_not_healthy():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (400, 2))
    y = (x[:, 1] > 0.6 * np.sin(3.5 * x[:, 0])).astype(int)
    spec = {
        "data": {"source": (x, y), "validation": 0, "test": 0, "scale": "none"},
        "network": ["dense 16", "tanh", "dense 16", "tanh", "dense 1", "sigmoid"],
        "optimizer": "adam 0.01",
        "training": {"epochs": 40, "batch_size": 20, "engine": "eager"},
    }
    assert run_spec(Spec.of(spec)).diagnose().healthy
    penalized = run_spec(Spec.of(spec | {"regularization": {"l2": 0.1}})).diagnose()
    assert penalized.causes[0].finding.code == "regularization-too-strong"
    assert run_spec(Spec.of(spec | {"regularization": {"l2": 0, "l1": 0, "alpha": 0}})).diagnose().healthy
