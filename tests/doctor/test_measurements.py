"""Measurements: named values that are given or derived, each computed once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thalweg.doctor.checks import init_checks, training_checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measure_run import measurements_of
from thalweg.doctor.measurements import QUANTITIES, Measurements
from thalweg.doctor.normal import normal
from thalweg.doctor.registry import CHECKS
from thalweg.doctor.step_statistics import StepStatistics
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.training.session import Session


class NoRemedies:
    """Remedies of a source that can only name them."""

    suited_output = "softmax"

    def effective(self, remedies):
        return remedies

    def __getattr__(self, name):
        return lambda *arguments: name


def test_a_value_is_computed_on_first_use_and_only_once():
    calls = []

    def losses():
        calls.append(1)
        return np.array([4.0, 2.0, 1.0])

    m = Measurements(losses=losses, updates_per_epoch=5)
    assert calls == []
    assert (m.updates, m.updates, len(m.losses)) == (15.0, 15.0, 3)
    assert calls == [1]


def test_unknown_names_are_rejected():
    with pytest.raises(TypeError, match="lossess"):
        Measurements(lossess=np.zeros(1))


def test_without_a_source_nothing_is_measured_and_no_check_finds_anything():
    m = Measurements(task="classification", remedies=NoRemedies())
    assert all(math.isnan(value) for value in m.quantities.values())
    assert [finding for check in CHECKS for finding in check(m)] == []


def test_a_given_quantity_replaces_the_derived_one():
    m = Measurements(start=StepStatistics(deltas=np.array([1.0, 2.0, 9.0])), sharpness=3.0)
    assert (m.flow, m.sharpness) == (0.5, 3.0)
    assert Measurements(start=m.start, flow=7.0).flow == 7.0
    assert set(m.quantities) == set(QUANTITIES)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        # The mean change of the second half (1, 2, 1, 2) is 1; the loss fell from 5 to 1.5.
        ([5.0, 3.0, 2.0, 2.0, 1.0, 2.0, 1.0, 2.0], 1 / 3.5),
        ([5.0, 4.0, 3.0, 2.0, 1.9, 1.8, 1.7, 1.6], 0.0),
        ([5.0, 4.0, 3.0], math.nan),
    ],
)
def test_jump_is_the_mean_change_in_parts_of_the_fall(losses, expected):
    assert Measurements(losses=np.array(losses)).jump == pytest.approx(expected, nan_ok=True)


def test_noise_is_that_of_a_batch_of_rows():
    m = Measurements(signal_to_noise=np.full(8, 0.01), rows=1000, updates_per_epoch=10)
    assert m.noise == pytest.approx(1.0)
    assert math.isnan(Measurements(signal_to_noise=np.full(7, 0.01), rows=1000).noise)


def test_two_thirds_of_the_gap_count_as_learned_and_lower_the_severity():
    learned = Measurements(learned=Learned("accuracy", score=0.9, constant=0.5, attainable=1.0))
    stuck = Measurements(learned=Learned("accuracy", score=0.8, constant=0.5, attainable=1.0))
    nothing = Measurements(learned=Learned("accuracy", score=0.5, constant=0.5, attainable=0.52))
    assert (learned.learns, stuck.learns, nothing.learns) == (True, False, False)
    assert (learned.severity(certain=True), stuck.severity(), stuck.severity(certain=True)) == (
        "note",
        "warning",
        "severe",
    )


STEP = StepStatistics(
    dense=("layer 1 (dense 4)", "layer 3 (dense 4)", "layer 5 (dense 2)"),
    outputs=np.array([1.0, 1.0, 1.0]),
    deltas=np.array([1.0, 1.0, 1.0]),
    activations=("layer 2 (relu)", "layer 4 (relu)"),
    hidden=(True, True),
    units=(4, 4),
    dead=np.array([0.0, 0.0]),
    saturated=np.array([0.0, 0.0]),
    spread=1.0,
    level=1.0,
    loss=0.7,
)


@pytest.mark.parametrize(
    ("check", "stage", "changes", "code", "place", "value"),
    [
        ("dead_units_at_start", "start", {"dead": np.array([0.25, 1.0])}, "dying-relu", "layer 4 (relu)", 0),
        ("vanishing_start", "start", {"deltas": np.array([1e-5, 1.0, 1.0])}, "vanishing", "layer 1 (dense 4)", 1e-5),
        ("saturated_at_start", "start", {"saturated": np.array([0.9, 0])}, "saturating-hidden", "layer 2 (relu)", 0.9),
        ("dead_units", "end", {"dead": np.array([0.75, 0.0])}, "dying-relu", "layer 2 (relu)", 1),
        ("vanishing_gradient", "end", {"deltas": np.array([0, 1.0, 1])}, "vanishing", "layer 1 (dense 4)", 0),
        ("saturated_units", "end", {"saturated": np.array([0, 0.95])}, "saturating-hidden", "layer 4 (relu)", 0.95),
        ("constant_output", "end", {"spread": 1e-9}, "blind", "network", 1e-9),
    ],
)
def test_checks_of_a_step_need_nothing_but_its_statistics(check, stage, changes, code, place, value):
    module = init_checks if stage == "start" else training_checks
    run = getattr(module, check)
    healthy = {"start": STEP, "end": STEP, "remedies": NoRemedies()}
    assert list(run(Measurements(**healthy))) == []
    (found,) = run(Measurements(**healthy | {stage: STEP._replace(**changes)}))
    assert (found.code, found.place) == (code, place)
    assert found.value == pytest.approx(value)


def test_few_weights_deviate_by_chance_and_no_start_of_theirs_is_too_small():
    layers = [*["dense 3", "relu"] * 20, "dense 1"]
    x = np.random.default_rng(0).standard_normal((40, 3))
    data = {"source": (x, x[:, 0]), "validation": 0, "test": 0}

    def weights_small(init, seed):
        spec = Spec.of({"data": data, "network": {"layers": layers, "init": init}, "training": {"seed": seed}})
        split = spec.data.load(0)
        return measurements_of(completed(spec, split.train), split, 10).weights_small

    least = normal("weights_small").far().low
    assert all(weights_small("lecun_normal", seed) > least for seed in range(5))
    assert all(weights_small("normal 0.05", seed) < least**2 for seed in range(5))


@pytest.mark.parametrize(
    ("scale", "first", "are_scaled"),
    [
        ("standard", "dense 4", True),
        ("robust", "smooth_clip", True),
        ("robust", "dense 4", False),
        ("none", "tanh", False),
    ],
)
def test_inputs_are_scaled_by_their_deviation_or_by_quartiles_and_a_bound(scale, first, are_scaled):
    rows = {"source": "rings 100", "scale": scale}
    session = Session.load(Spec.of({"data": rows, "network": [first, "dense 2", "softmax"], "training": {"epochs": 1}}))
    assert measurements_of(session.spec, session.split, session.batches.per_epoch).standardized_inputs is are_scaled
