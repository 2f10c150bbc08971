"""Vanishing gradients, against PyTorch's deltas and against known bounds of the slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from page_blocks import blocks_of, failed, table_of
from torch_twin import Twin

from thalweg.data import Source
from thalweg.engine.step import Batch
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.vanishing import ACTIVATIONS, VanishingLesson
from thalweg.learn.recorded_training import classification_rows, record_training
from thalweg.models.network import Network
from thalweg.pages.blocks import Check
from thalweg.parts.initializers import GlorotNormal, HeNormal, Normal
from thalweg.parts.layers import Dense, Identity, ReLU, Sigmoid, Tanh
from thalweg.training.batch_plan import as_batch


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: activation.kind)
def test_delta_by_layer_is_pytorchs(activation):
    flow = VanishingLesson(width=16).flow(activation, HeNormal(), depth=7, seed=4)
    rows = classification_rows(Source.of("digits"), seed=0)
    network = Network((*[Dense(16), activation] * 7, Dense(10)), HeNormal())
    twin = Twin(network, network.initialize(4, (64,)).params)
    twin.survey(Batch(*(array[:128] for array in as_batch(rows))))
    np.testing.assert_allclose(flow.deltas, [math.sqrt((delta**2).mean()) for delta in twin.deltas[:-1:2]], rtol=1e-9)


def test_the_formula_is_exact_in_the_mean_of_a_linear_stack():
    """With f' = 1 and independent weights the two differ by the draw of the weights only."""
    flows = [VanishingLesson().flow(Identity(), Normal(0.1), depth=20, seed=seed) for seed in range(4)]
    for flow in flows:
        # sqrt(64 * 0.1²) = 0.8 in each layer.
        np.testing.assert_allclose(flow.factors, 0.8, rtol=0.05)
    assert np.mean([math.log(flow.ratio / flow.predicted) for flow in flows]) == pytest.approx(0, abs=0.4)


def test_the_sigmoid_loses_at_least_a_factor_of_four_against_its_weights():
    flow = VanishingLesson().flow(Sigmoid(), GlorotNormal(), depth=10, seed=0)
    weights = VanishingLesson().flow(Identity(), GlorotNormal(), depth=10, seed=0).factors
    assert (flow.factors <= weights / 4).all()


def test_he_and_glorot_differ_by_the_root_of_two_in_each_layer_of_relu():
    """The same draws, scaled: scaling changes no sign, so the slopes are the same."""
    he, glorot = (VanishingLesson().flow(ReLU(), init, depth=12, seed=1) for init in (HeNormal(), GlorotNormal()))
    np.testing.assert_allclose(glorot.factors * math.sqrt(2), he.factors, rtol=1e-9)


def test_the_checks_of_the_quick_form_hold():
    page = lesson_of("vanishing", quick=True).page()
    assert len(blocks_of(page, Check)) == 13
    assert not failed(page)


def test_other_parameters_have_other_tables_and_failed_checks():
    """Weights of deviation 0.25 are not too small for 32 units: the factor is 0.25 √32 = 1.4."""
    lesson = VanishingLesson(depths=(5, 2), draws=1, width=32, deviation=0.25, depth=2, epochs=1, trained=("relu",))
    page = lesson.page()
    assert any("too small for every activation" in says for says in failed(page))
    table = table_of(page, "first hidden layer")
    assert table.columns[2:4] == ["2 layers", "5 layers"]
    rows = {tuple(row[:2]): row[2:] for row in table.rows}
    assert len(rows) == 15
    assert rows["tanh", "he_normal"][1] == pytest.approx(lesson.flow(Tanh(), HeNormal(), 5, seed=0).ratio, rel=0.05)


def test_the_table_by_activation_shows_the_traces_of_these_trainings():
    lesson = VanishingLesson(depths=(2,), draws=1, width=16, depth=3, epochs=2, trained=("tanh",))
    table = table_of(lesson.page(), "accuracy on the test rows")
    run = record_training(
        {
            "data": {"source": "digits", "validation": 0.0},
            "network": {"layers": [*["dense 16", "tanh"] * 3, "dense 10", "softmax"], "init": "he_normal"},
            "optimizer": "sgd 0.02",
            "training": {"epochs": 2},
        }
    )
    fractions = run.deltas()[:, 0] / run.deltas()[:, -1]
    assert table.rows[1][:2] == ["tanh", "he_normal"]
    expected = [fractions[0], fractions.mean(), fractions[-1], run.score("accuracy")]
    np.testing.assert_allclose(table.rows[1][2:], expected, rtol=0.05)
