"""ADALINE: one step by hand, the least squares of NumPy, and the limits that the eigenvalues set."""

from __future__ import annotations

import numpy as np
import pytest

import thalweg
from thalweg.learn.lessons.adaline import AdalineStep
from thalweg.models.linear_units import Adaline
from thalweg.pages.blocks import Check, Table, Text

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
ONES = np.column_stack([X, np.ones(4)])
TARGETS = {"and": np.array([0, 0, 0, 1.0]), "or": np.array([0, 1, 1, 1.0]), "xor": np.array([0, 1, 1, 0.0])}


def as_vector(affine):
    return np.append(affine.W[:, 0], affine.b)


def test_the_step_by_hand():
    # z = 0, t - z = 1: w = 0.1 (1, 1), b = 0.1; then z = 0.3.
    blocks = AdalineStep().page().blocks
    rows = {name: value for name, _, value in next(block for block in blocks if isinstance(block, Table)).rows}
    assert rows["net input"] == "0"
    assert rows["error"] == "1"
    assert rows["weights after"] == "(0.1, 0.1)"
    assert rows["bias after"] == "0.1"
    assert rows["net input after"] == "0.3"


def test_another_sample_by_hand():
    # From zero z = 0, t = 1: w = 0.2 (2, -1), b = 0.2; then z = 0.8 + 0.2 + 0.2.
    blocks = AdalineStep(x=(2.0, -1.0), learning_rate=0.2).page().blocks
    rows = {name: value for name, _, value in next(block for block in blocks if isinstance(block, Table)).rows}
    assert rows["weights after"] == "(0.4, -0.2)"
    assert rows["net input after"] == "1.2"


@pytest.mark.parametrize("gate", TARGETS)
def test_batch_follows_the_rule_written_out(gate):
    w = np.zeros(3)
    for _ in range(25):
        w = w + 0.1 * ONES.T @ (TARGETS[gate] - ONES @ w) / 4
    way = AdalineStep(gate=gate, epochs=25).way(0.1)
    assert len(way) == 26
    np.testing.assert_allclose(as_vector(way[-1]), w, rtol=1e-12)


@pytest.mark.parametrize("gate", TARGETS)
def test_batch_ends_at_the_least_squares(gate):
    wanted = np.linalg.lstsq(ONES, TARGETS[gate], rcond=None)[0]
    np.testing.assert_allclose(as_vector(AdalineStep(gate=gate).way(1.0)[-1]), wanted, atol=1e-9)


def test_online_sees_each_sample_once_an_epoch():
    lesson = AdalineStep(epochs=6)
    found, w = [as_vector(one) for one in lesson.way(0.1, online=True)], np.zeros(3)
    batches = lesson._one_by_one()
    for epoch in range(6):
        met = []
        for _ in range(4):
            batch = next(batches)
            x, t = np.append(batch.x[0], 1), batch.y[0]
            w = w + 0.1 * (t - x @ w) * x
            met.append(batch.x[0].tolist())
        assert sorted(met) == X.tolist()
        np.testing.assert_allclose(found[epoch + 1], w, rtol=1e-12)


def test_the_losses_are_half_of_the_mean_square():
    lesson = AdalineStep(epochs=3)
    for loss, affine in zip(lesson.losses(way := lesson.way(0.1)), way, strict=True):
        assert loss == pytest.approx(np.mean((TARGETS["and"] - ONES @ as_vector(affine)) ** 2) / 2, rel=1e-12)


def test_the_safe_rate_divides_the_runs():
    largest = np.linalg.eigvalsh(ONES.T @ ONES / 4)[-1]
    text = next(block.text for block in AdalineStep().page().blocks if "are safe" in getattr(block, "text", ""))
    assert f"λ = {largest:.4g}" in text
    assert f"below {2 / largest:.4g} are safe" in text
    lesson = AdalineStep(epochs=300)
    assert lesson.losses(lesson.way(0.99 * 2 / largest))[-1] < 0.0313
    assert lesson.losses(lesson.way(1.01 * 2 / largest))[-1] > 1


def test_the_unit_trained_in_the_usual_way_comes_to_the_same_weights():
    data = {"source": "and", "scale": "none"}
    run = thalweg.train(Adaline(0.1, rule="batch"), data, engine="eager", epochs=50, progress=False)
    found = AdalineStep(epochs=50).way(0.1)[-1]
    np.testing.assert_allclose(as_vector(run.params[0]), as_vector(found), rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_the_claims_hold_for_every_order(seed):
    assert all(block.holds for block in AdalineStep(seed=seed).page().blocks if isinstance(block, Check))


def test_a_rate_too_large_is_told_and_not_hidden():
    blocks = AdalineStep(learning_rate=1.3, epochs=50).page().blocks
    claims = {block.says: block.holds for block in blocks if isinstance(block, Check)}
    assert not claims["By batch the loss never rises"]
    assert any("are safe" in block.text for block in blocks if isinstance(block, Text))
