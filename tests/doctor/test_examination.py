"""What the doctor measures and finds, against numbers worked out by hand and networks whose fault is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thalweg import train
from thalweg.data import Dataset
from thalweg.doctor.causes import causes
from thalweg.doctor.checks import training_checks
from thalweg.doctor.examination import diagnose
from thalweg.doctor.findings import Finding
from thalweg.doctor.measure_run import measurements_of
from thalweg.doctor.measurements import QUANTITIES, Measurements
from thalweg.doctor.normal import normal
from thalweg.doctor.rows.measure_rows import TrainingRecord
from thalweg.doctor.step_statistics import StepStatistics
from thalweg.parts.layers import ReLU
from thalweg.runs.train import run_spec as train_spec
from thalweg.spec.complete import completed
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec


def case_of(layers, data, **sections):
    """The measurements before a training."""
    spec = Spec.of({"data": data, "network": layers, **sections})
    split = spec.data.load(spec.training.seed)
    return measurements_of(completed(spec, split.train), split, 10)


def codes(measurements, severity=None):
    findings = diagnose(measurements).findings
    return {finding.code for finding in findings if severity in (None, finding.severity)}


def rows(x, y):
    return {"source": (np.asarray(x, dtype=float), np.asarray(y)), "validation": 0, "test": 0, "scale": "none"}


RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((120, 2))
CLASSES = (POINTS[:, 0] * POINTS[:, 1] > 0).astype(int)
GOOD = ["dense 8", "tanh", "dense 2", "softmax"]


# Quantities -----------------------------------------------------------------------------------------------------------


def test_sizes_of_rows_are_those_worked_out_by_hand():
    case = case_of(["dense 1"], rows([[3.0, 10.0], [-3.0, 14.0]], [2.0, 6.0]), loss="mean_squared_error")
    assert case.input_size == pytest.approx(np.sqrt((100 + 196) / 2))
    # All numbers: mean square (9 + 9 + 100 + 196) / 4; variances 9 and 4.
    assert case.input_offset == pytest.approx(np.sqrt((314 / 4) / 6.5))
    assert case.target_size == pytest.approx(np.sqrt((4 + 36) / 2))
    assert case.constant_loss == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("layers", "loss", "expected"),
    [
        (["dense 2", "softmax"], "cross_entropy", 0.5 * np.log(2) + 0.5 * np.log(2)),
        (["dense 1", "sigmoid"], "binary_cross_entropy", np.log(2)),
        (["dense 2", "softmax"], "mean_squared_error", 0.25),
        (["dense 1", "sigmoid"], "mean_absolute_error", 0.5),
    ],
)
def test_the_loss_of_the_best_constant_answer(layers, loss, expected):
    case = case_of(layers, rows([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]), loss=loss)
    assert case.constant_loss == pytest.approx(expected)


def test_the_curvature_of_a_linear_unit_is_that_of_its_inputs():
    # L = mean (w x + b - y)²: the Hessian is 2 E[(x, 1)(x, 1)ᵀ], for x = -2 and 2 with the eigenvalues 8 and 2.
    data = rows([[2.0], [-2.0]], [1.0, 3.0])
    case = case_of(["dense 1"], data, loss="mean_squared_error", optimizer="sgd 0.5")
    assert case.sharpness == pytest.approx(0.5 * 8 / 2, rel=0.02)
    momentum = {"kind": "momentum", "learning_rate": 0.5, "momentum": 0.5}
    case = case_of(["dense 1"], data, loss="mean_squared_error", optimizer=momentum)
    assert case.sharpness == pytest.approx(0.5 * 8 / 3, rel=0.02)


def test_gains_compare_with_the_nearest_textbook_start():
    layers = [{"kind": "dense", "width": 400, "init": "normal 0.01"}, "relu", "dense 2", "softmax"]
    case = case_of(layers, rows(np.tile(POINTS, (1, 50)), CLASSES))
    # 100 inputs, 400 units: the smallest start is Glorot's, √(2/500).
    assert case.gains["layer 1 (dense 400)"] == pytest.approx(0.01 / np.sqrt(2 / 500), rel=0.05)
    assert case.gains["layer 3 (dense 2)"] == 1.0


def test_what_is_attainable_by_heart_and_by_a_forest():
    x = [[0.0], [0.0], [1.0], [2.0]]
    y = [0, 1, 1, 1]
    run = train(["dense 2", "softmax"], rows(x, y), epochs=1, engine="eager", progress=False)
    learned = run.diagnose().learned
    # In balanced accuracy: the row of class 0 is worth as much as the three of class 1.
    assert (learned.measure, learned.constant, learned.attainable) == ("balanced_accuracy", 0.5, pytest.approx(5 / 6))
    run = train(GOOD, rows(POINTS, CLASSES), epochs=1, engine="eager", progress=False)
    assert 0.8 < run.diagnose().learned.attainable <= 1.0


# Before the training --------------------------------------------------------------------------------------------------

OUTPUTS = [
    (["dense 8", "tanh", "dense 1", "softmax"], "binary_cross_entropy", "severe"),
    (["dense 8", "tanh", "dense 1", "relu"], "binary_cross_entropy", "severe"),
    (["dense 8", "tanh", "dense 2", "relu"], "cross_entropy", "severe"),
    (["dense 8", "tanh", "dense 2"], "cross_entropy", "severe"),
    (["dense 8", "tanh", "dense 2", "tanh"], "binary_cross_entropy", "severe"),
    (["dense 8", "tanh", "dense 2", "softmax"], "softmax_cross_entropy", "warning"),
]


@pytest.mark.parametrize(("layers", "loss", "severity"), OUTPUTS)
def test_outputs_that_do_not_suit_the_loss(layers, loss, severity):
    spec = Spec.of({"data": rows(POINTS, CLASSES), "network": layers, "loss": loss})
    split = spec.data.load(0)
    spec = completed(spec, split.train)
    measurements = measurements_of(spec, split, 10)
    found = next(finding for finding in diagnose(measurements).findings if finding.code == "output-activation")
    place = f"layer {len(layers)} ({layers[-1]})"
    assert (found.severity, found.place) == (severity, place)
    # The remedy makes a spec without the fault.
    table = {**spec.describe(), "data": spec.data}
    for path, value in found.remedies[0].changes:
        set_value(table, path, value)
    spec = Spec.of(table)
    split = spec.data.load(0)
    assert "output-activation" not in codes(measurements_of(completed(spec, split.train), split, 10))


@pytest.mark.parametrize(
    ("last", "low", "high", "found"),
    [("relu", -1.0, 1.0, True), ("tanh", -3.0, 3.0, True), ("sigmoid", 0.1, 0.9, False), ("linear", -9.0, 9.0, False)],
)
def test_targets_that_the_output_can_not_answer(last, low, high, found):
    y = np.linspace(low, high, 120)
    case = case_of(["dense 8", "tanh", "dense 1", last], rows(POINTS, y), loss="mean_squared_error")
    assert ("output-activation" in codes(case)) == found


def test_independent_labels_under_a_softmax():
    labels = (POINTS > 0).astype(int)
    data = {**rows(POINTS, labels), "task": "multilabel"}
    assert "output-activation" in codes(case_of(["dense 8", "tanh", "dense 2", "softmax"], data), "severe")
    assert "output-activation" not in codes(case_of(["dense 8", "tanh", "dense 2", "sigmoid"], data))


def test_classes_that_are_given_as_labels():
    data = {**rows(POINTS, np.eye(2, dtype=int)[CLASSES]), "task": "multilabel"}
    assert "encoding-bug" in codes(case_of(["dense 8", "tanh", "dense 2", "sigmoid"], data), "note")


def test_scales_of_inputs_and_targets():
    assert not codes(case_of(GOOD, rows(POINTS, CLASSES))) & {"missing-input-scaling", "constant-input"}
    assert "missing-input-scaling" in codes(case_of(GOOD, rows(1e4 * POINTS, CLASSES)), "severe")
    assert "missing-input-scaling" in codes(case_of(GOOD, rows(POINTS + 1000, CLASSES)), "severe")
    assert "missing-input-scaling" in codes(case_of(GOOD, rows(1e-4 * POINTS, CLASSES)), "severe")
    far = case_of(["dense 8", "tanh", "dense 1"], rows(POINTS, 1e4 * POINTS[:, 0]))
    assert "missing-target-scaling" in codes(far, "severe")


def test_columns_that_say_nothing_or_say_it_twice():
    x = np.column_stack([POINTS, np.ones(120), POINTS[:, 0]])
    assert codes(case_of(GOOD, rows(x, CLASSES)), "note") >= {"constant-input", "duplicate-input"}


def test_units_that_start_as_copies():
    network = {"layers": GOOD, "init": "zeros"}
    assert "init-symmetric" in codes(case_of(network, rows(POINTS, CLASSES)), "severe")
    # A single layer has no symmetry to break.
    assert "init-symmetric" not in codes(case_of({"layers": ["dense 3", "softmax"], "init": "zeros"}, "iris"))


def test_rows_that_leak_and_rows_that_come_again_and_again():
    doubled = (np.tile(POINTS, (2, 1)), np.tile(CLASSES, 2))
    assert "leak" in codes(case_of(GOOD, {"source": doubled, "validation": 0.3}), "warning")
    table = (np.tile([[0.0, 0], [0, 1], [1, 0], [1, 1]], (30, 1)), np.tile([0, 1, 1, 0], 30))
    assert "leak" not in codes(case_of(GOOD, {"source": table, "validation": 0.3}))
    assert "leak" not in codes(case_of(GOOD, {"source": (POINTS, CLASSES), "validation": 0.3}))


def test_rows_sorted_by_class():
    order = np.argsort(CLASSES, kind="stable")
    data = rows(POINTS[order], CLASSES[order])
    assert "unshuffled" in codes(case_of(GOOD, {**data, "order": "time"}), "severe")
    assert "unshuffled" not in codes(case_of(GOOD, {**rows(POINTS, CLASSES), "order": "time"}))
    # This order is shuffled once.
    assert "unshuffled" not in codes(case_of(GOOD, {**data, "order": "fixed"}))


def test_hidden_units_without_a_slope_and_dropout_without_a_layer():
    assert "step-activation" in codes(
        case_of(["dense 8", "step", "dense 2", "softmax"], rows(POINTS, CLASSES)), "severe"
    )
    layers = ["dense 8", "tanh", "dropout 0.95", "dense 2", "softmax"]
    assert "dropout-too-strong" in codes(case_of(layers, rows(POINTS, CLASSES)))


# At the start ---------------------------------------------------------------------------------------------------------


def stack(depth, activation, init):
    return {"layers": [*["dense 10", activation] * depth, "dense 2", "softmax"], "init": init}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (stack(10, "sigmoid", "glorot_uniform"), "vanishing"),
        (stack(6, "relu", "uniform"), "init-too-small"),
        (stack(3, "tanh", "normal 5"), "init-too-large"),
        (stack(8, "exponential", "he_uniform"), "exploding"),
    ],
)
def test_depth_and_start_against_theory(network, expected):
    case = case_of(network, rows(POINTS, CLASSES))
    assert expected in codes(case)
    assert causes(diagnose(case).findings)[0].finding.code == expected


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
@pytest.mark.parametrize("depth", [1, 4, 12])
def test_suitable_starts_raise_nothing(activation, depth):
    layers = [*["dense 32", activation] * depth, "dense 2", "softmax"]
    case = case_of(layers, rows(POINTS, CLASSES))
    assert not codes(case, "warning") | codes(case, "severe")


def test_a_wrong_gradient_is_found_at_the_layer_before_it(monkeypatch):
    layers = ["dense 8", "tanh", "dense 8", "relu", "dense 2", "softmax"]
    assert "wrong-gradient" not in codes(case_of(layers, rows(POINTS, CLASSES)))
    slope = ReLU.derivative
    monkeypatch.setattr(ReLU, "derivative", lambda self, z, y: 1.5 * slope(self, z, y))
    found = diagnose(case_of(layers, rows(POINTS, CLASSES))).findings[0]
    assert (found.code, found.severity, found.place) == ("wrong-gradient", "severe", "layer 3 (dense 8)")


def test_a_rate_beyond_the_curvature():
    case = case_of(GOOD, rows(POINTS, CLASSES), optimizer="sgd 1000")
    assert "lr-too-high" in codes(case)
    assert "lr-too-high" not in codes(case_of(GOOD, rows(POINTS, CLASSES), optimizer="sgd 0.5"))


# During the training --------------------------------------------------------------------------------------------------


def root(layers=GOOD, data=(POINTS, CLASSES), **options):
    settings = {"epochs": 100, "batch_size": 16, "engine": "eager", "probes": "standard", "progress": False}
    found = train(layers, rows(*data), **settings | options).diagnose()
    return found.causes[0].finding.code if found.causes else "healthy"


def test_a_network_that_learns_is_healthy_and_says_why():
    found = train(
        GOOD, data=(POINTS, CLASSES), optimizer="adam 0.02", epochs=150, engine="eager", progress=False
    ).diagnose()
    assert found.healthy
    assert found.learned.share > 0.75
    assert found.evidence
    assert found.describe()["healthy"] is True


def test_a_rate_too_low():
    assert root(optimizer="sgd 1e-6") in ("lr-too-low", "epochs-too-few")


def test_too_few_epochs():
    assert root(optimizer="adam 0.002", epochs=3) in ("epochs-too-few", "lr-too-low")


def test_a_rate_too_high():
    assert root(optimizer="sgd 300") in ("lr-too-high", "exploding")


def test_targets_that_have_nothing_to_do_with_the_inputs():
    chance = np.random.default_rng(1).integers(0, 2, 400)
    x = np.random.default_rng(2).standard_normal((400, 2))
    assert (
        root(["dense 4", "tanh", "dense 2", "softmax"], (x, chance), optimizer="adam 0.001", epochs=20)
        == "data-unlearnable"
    )


def test_a_schedule_that_ends_the_training():
    rate = {"kind": "exponential", "initial": 0.05, "factor": 0.2}
    assert root(optimizer={"kind": "sgd", "learning_rate": rate}) == "decayed-rate"


def test_a_penalty_that_takes_the_weights():
    assert root(optimizer="adam 0.02", regularization={"l2": 50.0}) == "regularization-too-strong"


@pytest.mark.parametrize(
    ("count", "best", "last", "severity"),
    [
        (1000, 0.90, 0.60, "warning"),
        # Certainly worse, but by too little to matter.
        (1000, 0.99, 0.96, "note"),
        # Chance alone may lose this much on 30 rows.
        (30, 0.70, 0.60, "note"),
    ],
)
def test_validation_rows_that_get_worse(count, best, last, severity):
    x = np.random.default_rng(3).standard_normal((count, 2))
    held_out = Dataset(x, (x[:, 0] * x[:, 1] > 0).astype(np.int32), "classification")
    losses = [0.6, 0.4, 0.3, 0.2, 0.1]
    validation_losses = [0.6, 0.3, 0.4, 0.5, 0.6]
    scores = [0.5, best, last, last, last]
    history = [
        {"loss": own, "validation_loss": other, "validation_accuracy": score}
        for own, other, score in zip(losses, validation_losses, scores, strict=True)
    ]
    spec = Spec.of({"data": (POINTS, CLASSES), "network": GOOD})
    split = dataclasses.replace(spec.data.load(0), validation=held_out)
    spec = completed(spec, split.train)
    start = spec.network.initialize(0, (2,))
    measures = {"training": {"loss": 0.1, "accuracy": 1.0}, "validation": {"loss": 0.6, "accuracy": last}}
    record = TrainingRecord(
        params=start.params, layers=start.states, history=history, measures=measures, predict=lambda x: x[:, 0] > 0
    )
    (found,) = training_checks.overfitting(measurements_of(spec, split, 10, record))
    assert (found.code, found.severity) == ("overfitting", severity)
    assert found.value == pytest.approx(2.0)


# Causes ---------------------------------------------------------------------------------------------------------------


def finding(code, severity="warning"):
    return Finding(
        code=code,
        stage="during training",
        severity=severity,
        place="somewhere",
        value=1.0,
        measured="so much",
        normal="less",
        sentence="It is so.",
    )


def test_the_root_comes_first_and_what_it_explains_is_no_cause():
    found = causes([finding("plateau"), finding("dying-relu", "severe"), finding("lr-too-high")])
    assert [cause.finding.code for cause in found] == ["lr-too-high"]
    assert [other.code for other in found[0].explains] == ["dying-relu", "plateau"]


def test_notes_are_no_causes():
    assert causes([finding("missing-input-scaling", "note")]) == ()


def test_the_gravest_cluster_comes_first():
    found = causes([finding("loss"), finding("exploding", "severe")])
    assert [cause.finding.code for cause in found] == ["exploding", "loss"]


def test_every_quantity_has_a_normal_range():
    measurements = case_of(GOOD, rows(POINTS, CLASSES))
    assert tuple(measurements.quantities) == QUANTITIES
    for name in QUANTITIES:
        assert normal(name).low <= normal(name).high


# Remedies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sections",
    [
        {"optimizer": {"kind": "sgd", "learning_rate": 0}},
        {"optimizer": {"kind": "adam", "learning_rate": 0.0}},
        {"optimizer": {"kind": "adam", "learning_rate": 0.001}},
        {"optimizer": {"kind": "momentum", "learning_rate": {"kind": "exponential", "initial": 0.0}}},
        {"optimizer": {"kind": "sgd", "learning_rate": {"kind": "exponential", "initial": 1.0, "factor": 1e-9}}},
        {"optimizer": {"kind": "sgd", "learning_rate": {"kind": "cosine", "peak": 0.1, "warmup": "1 epoch"}}},
        {"optimizer": {"kind": "sgd", "learning_rate": 1e-320}},
        {"optimizer": {"kind": "sgd", "learning_rate": 1e30}, "loss": "mean_squared_error"},
        {"regularization": {"l2": 1000.0}},
        {"regularization": {"alpha": 1e4, "l1": 3.0, "weight_decay": 0.5}},
        {"regularization": {"max_norm": 1e-9}},
        {"network": {"layers": ["dense 8", "sigmoid", "dense 2"]}},
        {"network": {"layers": ["dense 8", "relu", "dropout 0.99", "dense 2", "softmax"], "init": "zeros"}},
    ],
    ids=str,
)
def test_every_remedy_makes_another_valid_spec_with_a_rate_above_zero(sections):
    spec = Spec.of({"data": rows(100 * POINTS, CLASSES), "network": GOOD, "training": {"epochs": 2}, **sections})
    run = train_spec(spec)
    remedies = [remedy for finding in run.diagnose().findings for remedy in finding.remedies]
    present = run.spec.describe()
    for remedy in remedies:
        table = {**run.spec.describe()}
        set_value(table, "data.source", run.spec.data.source)
        for path, value in remedy.changes:
            set_value(table, path, value)
        changed = Spec.of(table)
        assert changed.describe() != present, remedy
        assert changed.optimizer.learning_rate != 0, remedy
        assert changed.optimizer.learning_rate != run.spec.optimizer.learning_rate or "rate of" not in remedy.label


@pytest.mark.parametrize(("kind", "default"), [("sgd", 0.01), ("adam", 0.001)])
def test_for_a_rate_of_zero_the_default_of_the_optimizer_is_proposed(kind, default):
    spec = Spec.of({"data": rows(POINTS, CLASSES), "network": GOOD, "optimizer": {"kind": kind, "learning_rate": 0}})
    (root, *_) = train_spec(spec).diagnose().causes
    assert root.finding.code == "lr-too-low"
    assert root.finding.remedies[0].changes == (("optimizer.learning_rate", default),)


# Effects are no causes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "regularization"),
    [
        ({"kind": "nesterov", "learning_rate": 1.0}, {"alpha": 1e-4}),
        ({"kind": "sgd", "learning_rate": 0.01}, {"l2": 1e-4}),
        ({"kind": "momentum", "learning_rate": 0.3}, {"l1": 1e-5}),
    ],
)
def test_a_penalty_that_only_exploded_weights_make_large_is_no_cause(optimizer, regularization):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1000, (300, 3))
    layers = ["dense 30", "relu", "dense 1"]
    training = {"epochs": 10, "batch_size": 100, "engine": "eager"}
    spec = Spec.of(
        {
            "data": rows(x, 1000 * x[:, 0] + x[:, 1] ** 2),
            "network": layers,
            "optimizer": optimizer,
            "regularization": regularization,
            "training": training,
            "loss": "half_mean_squared_error",
        }
    )
    diagnosis = train_spec(spec).diagnose()
    assert "regularization-too-strong" not in {finding.code for finding in diagnosis.findings}
    assert "lr-too-high" in {finding.code for finding in diagnosis.findings}


def test_the_penalty_counts_up_to_where_the_loss_rises():
    def penalty(losses):
        return Measurements(
            start=StepStatistics(loss=2.0),
            constant_loss=1.0,
            penalty_at_start=0.5,
            penalties=np.array([0.4, 0.3, 1e9]),
            losses=np.array(losses),
        ).penalty

    assert penalty([1.5, 1.2, 1.0]) == 1e9
    assert penalty([1.5, 1.2, 2.6]) == 0.3
    assert penalty([9.0, 1.0, 1.0]) == 0.5
    assert penalty([1.5, np.inf, np.nan]) == 0.4


def test_a_penalty_that_outweighs_the_loss_from_the_start_is_still_found():
    data = rows(POINTS, CLASSES)
    spec = Spec.of({"data": data, "network": GOOD, "regularization": {"l2": 10.0}, "training": {"epochs": 30}})
    assert "regularization-too-strong" in {finding.code for finding in train_spec(spec).diagnose().findings}


# Rows ----------------------------------------------------------------------------------------------------------------


def test_rows_sorted_by_class_and_split_in_time_are_to_be_split_at_random():
    points = POINTS[np.argsort(POINTS[:, 0])]
    data = rows(points, (points[:, 0] > 0).astype(int)) | {"validation": 0.4, "split": "time"}
    found = [
        finding
        for finding in train_spec(Spec.of({"data": data, "network": GOOD})).diagnose().findings
        if finding.place == "data.split"
    ]
    assert [remedy.changes for remedy in found[0].remedies] == [(("data.split", "random"),)]
