"""Checks of the rows: rows with a fault that was made on purpose, and healthy rows of the same kind."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg import train
from thalweg.doctor.checks import row_checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.rows.row_statistics import TargetOrder

RNG = np.random.default_rng(0)
CLASSES = ["dense 16", "tanh", "dense 2", "softmax"]
NUMBER = ["dense 16", "tanh", "dense 1"]
X = RNG.standard_normal((600, 5))
Y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)
T = X[:, 0] + np.sin(X[:, 1])


def run_on(layers, x, y, epochs=60, optimizer="adam 0.01", **data):
    source = {"source": (x, y), "validation": 0.2, "test": 0.2, **data}
    return train(layers, source, epochs=epochs, batch_size=16, optimizer=optimizer, engine="eager", progress=False)


def findings(*arguments, **options):
    """The findings by code; those above a note replace notes."""
    found = run_on(*arguments, **options).diagnose().findings
    return {finding.code: finding for finding in reversed(found)}


def root(*arguments, **options):
    return run_on(*arguments, **options).diagnose().causes[0].finding.code


@pytest.fixture(scope="module")
def healthy():
    return run_on(CLASSES, X, Y).diagnose(), run_on(NUMBER, X, T).diagnose()


def test_healthy_rows_raise_nothing_above_a_note(healthy):
    for diagnosis in healthy:
        assert diagnosis.healthy
        assert not {finding.code for finding in diagnosis.findings} & {"wrong-labels", "target-leak", "mismatch"}


# Targets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets", [RNG.integers(0, 2, 600), (RNG.random(600) < 0.1).astype(int), RNG.standard_normal(600)]
)
@pytest.mark.parametrize("init", ["glorot_uniform", "normal 0.001"])
@pytest.mark.slow
def test_of_random_targets_nothing_else_is_the_cause(targets, init):
    layers = [*["dense 8", "relu"] * 4, "dense 1" if targets.dtype.kind == "f" else "dense 2"]
    layers += [] if targets.dtype.kind == "f" else ["softmax"]
    diagnosis = run_on({"layers": layers, "init": init}, X, targets, epochs=4).diagnose()
    assert [cause.finding.code for cause in diagnosis.causes] == ["data-unlearnable"]
    assert diagnosis.causes[0].finding.severity == "severe"


@pytest.mark.parametrize(("layers", "targets"), [(NUMBER, np.full(600, 3.0)), (CLASSES, np.arange(600) % 301 == 0)])
def test_constant_targets_are_a_cause_of_their_own(layers, targets):
    if layers is CLASSES:
        targets = targets.astype(int)
    assert root(layers, X, targets, epochs=3, validation=0.0, test=0.0) == "constant-target"


def test_a_small_gap_is_learnable_only_beyond_chance():
    def measured(gap, error):
        return Measurements(learned=Learned("balanced_accuracy", 0.5, 0.5, 0.5 + gap, error))

    assert measured(0.2, 0.05).learnable
    assert not measured(0.08, 0.05).learnable
    assert not measured(0.04, 0.001).learnable
    assert Measurements().learnable
    # Where nothing can be learned, an unusual number is no reason for it.
    assert measured(0.0, 0.0).severity(certain=True) == "note"


def rare(rows=1200):
    y = (np.arange(rows) % 40 == 0).astype(int)
    x = np.random.default_rng(2).standard_normal((rows, 3))
    x[:, 0] += 4 * y
    return x, y


def test_a_neglected_rare_class_is_a_fault_and_a_balanced_order_its_remedy():
    x, y = rare()
    run = run_on(CLASSES, x, y, epochs=4, optimizer="sgd 0.03")
    diagnosis = run.diagnose()
    learned = diagnosis.learned
    # By its accuracy the network would be close to what is attainable.
    assert run.measures["training"]["accuracy"] > 0.97
    assert (learned.measure, learned.constant) == ("balanced_accuracy", 0.5)
    assert learned.score < 0.7 < 0.9 < learned.attainable
    (cause, *_) = diagnosis.causes
    assert (cause.finding.code, cause.finding.severity) == ("imbalance", "warning")
    (remedy,) = cause.finding.remedies
    assert dict(remedy.changes) == {"data.order": "balanced"}
    repaired = run_on(CLASSES, x, y, epochs=4, optimizer="sgd 0.03", order="balanced").diagnose()
    assert repaired.learned.share > 2 / 3
    assert {finding.code: finding.severity for finding in repaired.findings}["imbalance"] == "note"


# Order ----------------------------------------------------------------------------------------------------------------


def test_numbers_that_drift_along_the_rows_are_unshuffled():
    order = np.argsort(T)
    found = findings(NUMBER, X[order], T[order], order="time", optimizer="sgd 0.1", epochs=2)
    assert found["unshuffled"].value > 0.95
    assert dict(found["unshuffled"].remedies[0].changes) == {"data.order": "shuffled"}
    assert "unshuffled" not in findings(NUMBER, X, T, order="time", epochs=2)
    assert "unshuffled" not in findings(NUMBER, X[order], T[order], epochs=2)


def test_a_single_batch_has_all_rows_in_any_order():
    assert list(row_checks.sorted_rows(Measurements(target_order=TargetOrder(0.99, 0.0, 100, 1)))) == []


# Labels and columns ---------------------------------------------------------------------------------------------------


def test_flipped_labels():
    x = X + 2 * (2 * Y[:, None] - 1)
    flipped = np.where(RNG.random(600) < 0.15, 1 - Y, Y)
    found = findings(CLASSES, x, flipped)["wrong-labels"]
    assert found.severity == "warning"
    assert 0.05 < found.value < 0.2
    assert "wrong-labels" not in findings(CLASSES, x, Y)


def test_a_column_that_was_made_from_the_target():
    found = findings(CLASSES, np.column_stack([X, Y + 0.01 * RNG.standard_normal(600)]), Y)["target-leak"]
    assert (found.severity, found.place) == ("warning", "column x5")
    # A target that depends on one of the inputs alone is no fault.
    x = X + 0.2 * np.sign(X)
    assert findings(CLASSES, x, (X[:, 1] > 0).astype(int), epochs=5)["target-leak"].severity == "note"


def test_copies_are_named():
    found = findings(CLASSES, np.column_stack([X, X[:, 3]]), Y, epochs=1)["duplicate-input"]
    assert found.value == 1.0
    assert "x5 of x3" in found.measured
    doubled = findings(CLASSES, np.tile(X, (2, 1)), np.tile(Y, 2), epochs=1, validation=0.0, test=0.0)
    assert doubled["duplicate-rows"].value == pytest.approx(0.5)
    assert doubled["duplicate-rows"].severity == "note"


# Other rows -----------------------------------------------------------------------------------------------------------


def test_a_network_that_memorizes_random_labels():
    labels = RNG.integers(0, 2, 600)
    found = findings(["dense 200", "relu", "dense 2", "softmax"], X, labels, epochs=120)
    assert found["memorised"].severity == "warning"


def test_a_score_that_a_single_row_wrecks():
    x = X.copy()
    # The last 120 rows are the test rows, the 96 rows before them the validation rows.
    x[-121, 2] = 900.0
    found = findings(["dense 32", "relu", "dense 1"], x, T, split="time")
    assert (found["outlying-rows"].severity, found["outlying-rows"].place) == ("warning", "data.validation")
    assert "x2" in found["outlying-rows"].measured


def test_an_input_that_one_row_stretches():
    x = X.copy()
    x[5, 0] = 1e4
    found = findings(CLASSES, x, Y, epochs=20, validation=0.0, test=0.0)["outlying-inputs"]
    assert (found.severity, found.place) == ("warning", "column x0")
    heavy = RNG.standard_t(2.5, (600, 4))
    assert "outlying-inputs" not in findings(CLASSES, heavy, (heavy[:, 0] > 0).astype(int), epochs=2)


def test_a_single_row_far_away_shifts_no_mean():
    x = X.copy()
    x[-130, 1] = 500.0
    assert run_on(CLASSES, x, Y, split="time", epochs=1).measurements.validation_shift.deviations < 0.5
    x = X.copy()
    x[-216:, 1] += 2.0
    assert run_on(CLASSES, x, Y, split="time", epochs=1).measurements.validation_shift.deviations > 1


def test_sets_whose_distributions_differ_though_their_means_hardly_do():
    x = X.copy()
    x[-216:, 3] = np.sign(x[-216:, 3])
    found = findings(CLASSES, x, Y, split="time", epochs=2)["mismatch"]
    assert "x3" in found.measured
    assert dict(found.remedies[0].changes) == {"data.split": "random"}
    assert "mismatch" not in findings(CLASSES, X, Y, split="time", epochs=2)


def test_labels_are_scored_each_and_rare_ones_as_much_as_others():
    labels = np.column_stack([X[:, 0] > 0, X[:, 1] > 1.5]).astype(int)
    data = {"source": (X, labels), "task": "multilabel", "validation": 0.0, "test": 0.0}
    never = ["dense 2", "sigmoid"]
    run = train(never, data, epochs=1, optimizer="sgd 1e-9", engine="eager", progress=False)
    learned = run.diagnose().learned
    assert (learned.measure, learned.constant) == ("balanced_accuracy", 0.5)
    assert learned.attainable > 0.9
    decided = run.decided(run.outputs_of(run.split.train.x))
    recalls = [np.mean(decided[labels[:, index] == value, index] == value) for index in (0, 1) for value in (0, 1)]
    assert learned.score == pytest.approx(np.mean(recalls))


def test_equal_rows_of_few_values_are_no_leak():
    counts = RNG.integers(0, 5, (700, 4)).astype(float)
    y = (counts[:, 0] + counts[:, 1] > 4).astype(int)
    assert "leak" not in findings(CLASSES, counts, y, epochs=20)
