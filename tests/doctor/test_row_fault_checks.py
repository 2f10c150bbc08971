"""Checks of faults in single rows and columns: when they warn, when they note, and when they say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg import train
from thalweg.doctor.attainable import UncertainScore
from thalweg.doctor.causes import causes
from thalweg.doctor.checks import row_checks
from thalweg.doctor.checks import row_fault_checks as checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.rows.row_faults import Atom, CoarseInputs, FarTargets, FilledTargets, Shift
from thalweg.doctor.rows.row_statistics import DoubtfulLabels

SHORT = Learned("r2", 0.1, 0.0, 0.9)
SOUND = Learned("r2", 0.9, 0.0, 0.9)


def severity(check, **measured):
    found = [finding.severity for finding in check(Measurements(**measured))]
    return found[0] if found else None


def test_rows_out_of_step_are_the_cause_of_unlearnable_rows():
    m = Measurements(out_of_step=Shift(1, 0.5, 0.0, 0.01), learned=Learned("r2", 0.3, 0.0, 0.0))
    (step,) = checks.out_of_step(m)
    (unlearnable,) = row_checks.signal(m)
    assert [cause.finding for cause in causes([unlearnable, step])] == [step]
    assert severity(checks.out_of_step, out_of_step=None) is None


@pytest.mark.parametrize(
    ("told", "others", "expected"),
    [(0.5, 0.7, "warning"), (0.9, 0.7, None), (0.53, 0.7, "warning"), (0.5, 0.01, "note")],
)
def test_a_frequent_value_is_filled_in_if_inputs_tell_the_others_but_not_it(told, others, expected):
    found = FilledTargets(Atom(0, 0.0, 0.4), UncertainScore(told, 0.02), UncertainScore(others, 0.02), np.arange(4))
    assert severity(checks.filled_targets, filled_targets=found) == expected


@pytest.mark.parametrize(
    ("chance", "learned", "expected"), [(1e-9, SHORT, "warning"), (0.2, SHORT, "note"), (1e-9, SOUND, "note")]
)
def test_far_targets_warn_where_no_tail_explains_them_and_the_network_did_not_learn(chance, learned, expected):
    far = FarTargets(np.array([3, 8]), 300.0, 0.99, chance)
    assert severity(checks.outlying_targets, far_targets=far, learned=learned, rows=500) == expected


@pytest.mark.parametrize(("rows", "validation", "expected"), [(20, 400, "note"), (400, 100, None), (100, 0, None)])
def test_fewer_rows_that_train_than_validate_are_noted(rows, validation, expected):
    class Remedies:
        def held_out(self, share):
            return share

    measured = {"rows": rows, "validation_rows": validation, "remedies": Remedies()}
    assert severity(checks.few_training_rows, **measured) == expected


@pytest.mark.parametrize(("unrelated", "expected"), [(7, "note"), (5, None), (10, None)])
def test_unrelated_columns_are_noted_where_they_are_most_but_not_all(unrelated, expected):
    measured = {"unrelated_columns": tuple(range(unrelated)), "column_names": tuple("abcdefghij")}
    assert severity(checks.unrelated_columns, **measured) == expected


@pytest.mark.parametrize(("best", "expected"), [(0.7, "note"), (0.99, None)])
def test_coarse_inputs_are_noted_where_they_cost(best, expected):
    coarse = CoarseInputs(4, 0.9, best)
    assert severity(checks.coarse_inputs, coarse_inputs=coarse, learned=SHORT) == expected


def test_many_contradicted_labels_are_noted_even_where_classes_overlap():
    def labels(rows):
        return DoubtfulLabels(np.arange(rows), 1000, contradicted=0.3, lowest=0.25, expected=0.35)

    learned = Learned("balanced_accuracy", 0.9, 0.5, 0.7)
    assert severity(row_checks.wrong_labels, doubtful_labels=labels(300), learned=learned) == "note"
    assert severity(row_checks.wrong_labels, doubtful_labels=labels(20), learned=learned) is None


def test_a_filled_in_value_is_told_in_the_unit_of_the_source():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((400, 3))
    t = np.where(rng.random(400) < 0.5, 731.0, 500 + 40 * x[:, 0])
    layers = ["dense 8", "tanh", "dense 1"]
    run = train(layers, {"source": (x, t), "test": 0.2}, epochs=3, engine="eager", progress=False)
    found = run.measurements.filled_targets
    assert found.original == pytest.approx(731, rel=1e-4)
    rows = run.rows().train.y[found.rows, 0]
    assert np.unique(rows).size == 1
    assert len(rows) == pytest.approx(0.5 * 320, rel=0.2)
