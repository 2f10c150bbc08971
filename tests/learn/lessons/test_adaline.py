"""ADALINE: one step by hand, the least squares of NumPy, and the limits that the eigenvalues set."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import check_about, failed, table_of, text_of

import thalweg
from thalweg.learn.lessons.adaline import AdalineLesson
from thalweg.models.linear_units import Adaline

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
ONES = np.column_stack([X, np.ones(4)])
TARGETS = {"and": np.array([0, 0, 0, 1.0]), "or": np.array([0, 1, 1, 1.0]), "xor": np.array([0, 1, 1, 0.0])}


def as_vector(affine):
    return np.append(affine.W[:, 0], affine.b)


def test_the_step_by_hand():
    # z = 0, t - z = 1: w = 0.1 (1, 1), b = 0.1; then z = 0.3.
    rows = {name: value for name, _, value in table_of(AdalineLesson().page(), "η = 0.1").rows}
    assert rows["net input"] == "0"
    assert rows["error"] == "1"
    assert rows["weights after"] == "(0.1, 0.1)"
    assert rows["bias after"] == "0.1"
    assert rows["net input after"] == "0.3"


def test_another_sample_by_hand():
    # From zero z = 0, t = 1: w = 0.2 (2, -1), b = 0.2; then z = 0.8 + 0.2 + 0.2.
    page = AdalineLesson(x=(2.0, -1.0), learning_rate=0.2).page()
    rows = {name: value for name, _, value in table_of(page, "η = 0.2").rows}
    assert rows["weights after"] == "(0.4, -0.2)"
    assert rows["net input after"] == "1.2"


@pytest.mark.parametrize("gate", TARGETS)
def test_batch_follows_the_rule_written_out(gate):
    w = np.zeros(3)
    for _ in range(25):
        w = w + 0.1 * ONES.T @ (TARGETS[gate] - ONES @ w) / 4
    weights = AdalineLesson(gate=gate, epochs=25).weights_by_epoch(0.1)
    assert len(weights) == 26
    np.testing.assert_allclose(as_vector(weights[-1]), w, rtol=1e-12)


@pytest.mark.parametrize("gate", TARGETS)
def test_batch_ends_at_the_least_squares(gate):
    expected = np.linalg.lstsq(ONES, TARGETS[gate], rcond=None)[0]
    np.testing.assert_allclose(as_vector(AdalineLesson(gate=gate).weights_by_epoch(1.0)[-1]), expected, atol=1e-9)


def test_online_uses_each_sample_once_an_epoch():
    lesson = AdalineLesson(epochs=6)
    weights = [as_vector(affine) for affine in lesson.weights_by_epoch(0.1, online=True)]
    w = np.zeros(3)
    batches = lesson._shuffled_rows()
    for epoch in range(6):
        inputs = []
        for _ in range(4):
            batch = next(batches)
            x = np.append(batch.x[0], 1)
            w = w + 0.1 * (batch.y[0] - x @ w) * x
            inputs.append(batch.x[0].tolist())
        assert sorted(inputs) == X.tolist()
        np.testing.assert_allclose(weights[epoch + 1], w, rtol=1e-12)


def test_the_losses_are_half_of_the_mean_square():
    lesson = AdalineLesson(epochs=3)
    weights = lesson.weights_by_epoch(0.1)
    for loss, affine in zip(lesson.losses(weights), weights, strict=True):
        assert loss == pytest.approx(np.mean((TARGETS["and"] - ONES @ as_vector(affine)) ** 2) / 2, rel=1e-12)


def test_the_safe_rate_separates_convergence_from_divergence():
    largest = np.linalg.eigvalsh(ONES.T @ ONES / 4)[-1]
    text = text_of(AdalineLesson().page())
    assert f"λ = {largest:.4g}" in text
    assert f"below {2 / largest:.4g}" in text
    lesson = AdalineLesson(epochs=300)
    assert lesson.losses(lesson.weights_by_epoch(0.99 * 2 / largest))[-1] < 0.0313
    assert lesson.losses(lesson.weights_by_epoch(1.01 * 2 / largest))[-1] > 1


def test_the_unit_trained_by_train_reaches_the_same_weights():
    data = {"source": "and", "scale": "none"}
    run = thalweg.train(Adaline(0.1, rule="batch"), data, engine="eager", epochs=50, progress=False)
    final = AdalineLesson(epochs=50).weights_by_epoch(0.1)[-1]
    np.testing.assert_allclose(as_vector(run.params[0]), as_vector(final), rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_the_claims_hold_for_every_order(seed):
    assert not failed(AdalineLesson(seed=seed).page())


def test_with_a_rate_too_large_the_check_fails():
    page = AdalineLesson(learning_rate=1.3, epochs=50).page()
    assert not check_about(page, "batch loss never rises").holds
    assert "λ = " in text_of(page)
