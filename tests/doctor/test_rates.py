"""Learning rates as the steps had them: too small, too large, gone too early, or never reached."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.checks import static_checks, training_checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measure_run import measurements_of
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.normal import normal, usual
from thalweg.doctor.step_statistics import StepStatistics
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec

RNG = np.random.default_rng(8)
X = RNG.uniform(-1, 1, (60, 2))
WAVE = np.sin(3 * X[:, 0]) + X[:, 1]
LAYERS = ["dense 16", "tanh", "dense 1"]


class Remedies:
    """Remedies that are their factors."""

    def rate(self, factor):
        return float(factor)

    def __getattr__(self, name):
        return lambda *arguments: name


def rows(x, y):
    return {"source": (x, y), "validation": 0, "test": 0, "scale": "none"}


def trained(rate, x=X, y=WAVE, kind="sgd", epochs=60, batch=10, **sections):
    spec = {"data": rows(x, y), "network": LAYERS, "optimizer": {"kind": kind, "learning_rate": rate}}
    training = {"epochs": epochs, "batch_size": batch, "engine": "eager"}
    return run_spec(Spec.of({**spec, "training": training, "probes": "standard", **sections}))


def stuck(**facts):
    """Measurements of a network that has not learned."""
    learned = Learned("r2", score=0.1, constant=0.0, attainable=1.0)
    facts = {"learned": learned, "losses": np.ones(20), "remedies": Remedies(), "task": "regression"} | facts
    return Measurements(**facts)


def found(check, m):
    return [finding.code for finding in check(m)]


# Too small ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "good"), [("sgd", 0.3), ("momentum", 0.05), ("adam", 0.02)])
def test_a_rate_too_small_gets_one_that_learns(kind, good):
    run = trained(good / 300, kind=kind)
    diagnosis = run.diagnose()
    assert diagnosis.causes[0].finding.code == "lr-too-low"
    rates = [dict(remedy.changes).get("optimizer.learning_rate") for remedy in diagnosis.remedies]
    assert good / 10 < rates[0] < good * 10
    assert all(rate > good / 300 for rate in rates if rate is not None)
    assert trained(rates[0], kind=kind).measures["training"]["r2"] > 0.9 > run.measures["training"]["r2"]


def test_the_factor_comes_from_the_curvature_or_from_the_size_of_the_weights():
    m = stuck(moved=0.01, sharpness=0.002, learning_rate=0.1, first_step=0.1)
    (low,) = training_checks.still_weights(m)
    assert low.remedies[:2] == (pytest.approx(0.5 / 0.002), pytest.approx(usual("sharpness") / 0.002))
    # With a schedule the rate later in the training counts.
    m = stuck(moved=0.01, sharpness=0.002, learning_rate=0.1, learning_rates=np.linspace(0.1, 1.0, 10))
    assert next(iter(training_checks.still_weights(m))).remedies[0] == pytest.approx(0.5 / 0.02)
    m = stuck(moved=0.01, first_step=1e-4)
    assert next(iter(training_checks.still_weights(m))).remedies[0] == pytest.approx(usual("first_step") / 1e-4)
    m = stuck(moved=0.01)
    assert next(iter(training_checks.still_weights(m))).remedies[0] == pytest.approx(usual("moved") / 0.01)


def test_steps_far_below_the_curvature_are_too_short_although_a_bias_moved():
    low = normal("sharpness").far().low
    assert found(training_checks.still_weights, stuck(moved=0.6, sharpness=low / 2, learning_rate=1.0)) == [
        "lr-too-low"
    ]
    assert found(training_checks.still_weights, stuck(moved=0.6, sharpness=low * 2, learning_rate=1.0)) == []


def test_rows_that_contradict_each_other_one_by_one_say_nothing_of_the_length_of_a_step():
    truth = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    run = trained(0.002, truth, np.array([1.0, 0, 0, 1]), epochs=200, batch=1)
    codes = {finding.code for finding in run.diagnose().findings}
    assert "step-too-long" not in codes
    assert "lr-too-low" in codes
    lengths = np.full(20, 1.5)
    assert np.isnan(Measurements(step_lengths=lengths, rows=40, updates_per_epoch=40).step_length)
    assert Measurements(step_lengths=lengths, rows=40, updates_per_epoch=20).step_length == 1.5


def test_steps_at_a_rate_far_too_small_are_not_told_to_shrink():
    long = {"step_lengths": np.full(20, 1.5), "rows": 40, "updates_per_epoch": 10}
    assert found(training_checks.step_too_long, stuck(**long)) == ["step-too-long"]
    assert found(training_checks.step_too_long, stuck(**long, moved=0.01)) == []
    (high,) = training_checks.step_too_long(stuck(**long, sharpness=50.0, learning_rate=1.0))
    assert high.remedies[0] == pytest.approx(0.5 / 50)


def test_a_batch_of_all_rows_has_no_noise():
    signal = np.full(20, 1e-9)
    assert np.isnan(Measurements(signal_to_noise=signal, rows=40, updates_per_epoch=1).noise)
    assert Measurements(signal_to_noise=signal, rows=40, updates_per_epoch=4).noise > 1e6
    run = trained(0.001, batch="full")
    assert "noisy-gradient" not in {finding.code for finding in run.diagnose().findings}


# Schedules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rates", "decayed"),
    [
        (0.5 ** np.arange(64.0), True),
        (1 / (1 + 20 * np.arange(64.0)), True),
        (0.9 ** np.arange(200.0), True),
        (np.ones(64), False),
        (np.linspace(1, 0, 64), False),
        (1 + np.cos(np.linspace(0, np.pi, 64)), False),
        (np.repeat([1.0, 0.1, 0.01], 30), False),
        (1 / np.sqrt(1 + np.arange(64.0)), False),
        (np.minimum(np.linspace(0, 4, 64), 1), False),
    ],
)
def test_a_schedule_that_leaves_hardly_any_rate(rates, decayed):
    assert found(training_checks.decayed_rate, stuck(learning_rates=0.1 * rates)) == ["decayed-rate"] * decayed


@pytest.mark.parametrize(
    ("schedule", "peak"),
    [
        ({"kind": "linear_warmup", "then": 0.3, "steps": "200 epochs"}, 0.3),
        ({"kind": "cosine_warmup", "then": 0.3, "steps": 1000}, 0.3),
        ({"kind": "cosine", "peak": 0.2}, 0.2),
        # It never stops rising.
        ({"kind": "exponential", "initial": 0.01, "factor": 1.1}, None),
        (0.3, None),
    ],
    ids=str,
)
def test_the_peak_of_a_schedule_may_come_after_the_training(schedule, peak):
    optimizer = {"kind": "sgd", "learning_rate": schedule}
    spec = Spec.of({"data": rows(X, WAVE), "network": LAYERS, "optimizer": optimizer, "training": {"epochs": 30}})
    split = spec.data.load(0)
    measured = measurements_of(completed(spec, split.train), split, 6).scheduled_peak
    assert measured == pytest.approx(peak, rel=1e-3) if peak else np.isnan(measured)


def test_a_warm_up_longer_than_the_training():
    run = trained({"kind": "linear_warmup", "then": 0.3, "steps": "20000 epochs"})
    # Beyond ten times the training nobody knows.
    assert "unfinished-warm-up" not in {finding.code for finding in run.diagnose().findings}
    run = trained({"kind": "linear_warmup", "then": 0.01, "steps": "300 epochs"})
    root = run.diagnose().causes[0].finding
    assert root.code == "unfinished-warm-up"
    assert root.remedies[0].changes == (("optimizer.learning_rate", 0.01),)
    m = stuck(learning_rates=np.linspace(0.0, 0.3, 20), scheduled_peak=0.3)
    assert found(training_checks.unfinished_rise, m) == []


def test_no_remedy_proposes_the_rate_that_the_training_has():
    remedies = trained(0.0012345, epochs=1).measurements.remedies
    assert remedies.effective([remedies.rate(1.0), remedies.rate(1.001)]) == ()
    constant = trained({"kind": "constant", "value": 0.01}, epochs=1).measurements.remedies
    assert constant.effective([constant.rate(1.0)]) == ()
    assert len(constant.effective([constant.rate(2.0)])) == 1
    decaying = trained({"kind": "exponential", "initial": 0.01, "factor": 0.9}, epochs=1).measurements.remedies
    assert len(decaying.effective([decaying.rate(1.0)])) == 1


# Sizes of targets that explain nothing --------------------------------------------------------------------------------


def test_small_targets_are_not_blamed_for_a_rate_that_moved_nothing():
    run = trained(1e-4, y=0.15 * WAVE, batch="full")
    codes = [cause.finding.code for cause in run.diagnose().causes]
    assert codes[0] == "lr-too-low"
    assert "missing-target-scaling" not in codes


@pytest.mark.parametrize(
    ("size", "level", "moved", "blamed"),
    [
        (0.15, 0.12, 0.5, False),
        (0.15, 1.5, 0.5, True),
        (0.15, 1.5, 0.01, False),
        (5.0, 4.0, 0.5, False),
        (5.0, 0.5, 0.5, True),
        (5.0, float("nan"), 0.5, True),
        # So far from 1 that nothing else has to be asked.
        (1e4, 1e4, 0.01, True),
        (1e-3, 1e-3, 0.01, True),
    ],
)
def test_the_size_of_targets_is_blamed_where_outputs_have_another(size, level, moved, blamed):
    m = stuck(target_size=size, target_deviation=size, moved=moved, end=StepStatistics(level=level))
    assert found(static_checks.target_scale, m) == ["missing-target-scaling"] * blamed
