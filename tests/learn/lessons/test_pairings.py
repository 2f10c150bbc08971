"""The pairings of output and loss: against jax.grad, jax.jacobian, and numbers worked by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from page_blocks import blocks_of, check_about, failed, table_of

from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.learn.lessons.pairings import PairingsLesson, output_delta
from thalweg.models.network import Network
from thalweg.pages.blocks import ArrayBlock, Table
from thalweg.parts.layers import Identity, Sigmoid, Softmax
from thalweg.parts.losses import BinaryCrossEntropy, CrossEntropy, MeanAbsoluteError, SquaredError


def arrays(lesson):
    return {block.name: block.values for block in blocks_of(lesson.page(), ArrayBlock)}


PAIRS = {
    "identity": (Identity(), SquaredError(), lambda z, t: jnp.sum((z - t) ** 2) / 2),
    "sigmoid": (Sigmoid(), SquaredError(), lambda z, t: jnp.sum((jax.nn.sigmoid(z) - t) ** 2) / 2),
    "entropy": (
        Sigmoid(),
        BinaryCrossEntropy(),
        lambda z, t: -jnp.sum(t * jax.nn.log_sigmoid(z) + (1 - t) * jax.nn.log_sigmoid(-z)),
    ),
    "softmax": (Softmax(), CrossEntropy(), lambda z, t: -jnp.sum(t * jax.nn.log_softmax(z))),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_delta_is_the_gradient_of_jax(pair):
    output, loss, by_jax = PAIRS[pair]
    z = np.array([[0.3, -1.2, 2.0], [0.0, 4.0, -3.0]])
    targets = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    result = output_delta(output, loss, z, targets)
    with jax.enable_x64(True):
        expected = np.stack([jax.grad(by_jax)(*rows) for rows in zip(z, targets, strict=True)])
    np.testing.assert_allclose(result.delta, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.measured, expected, atol=1e-8)


def test_a_wrong_delta_would_be_noticed():
    # The mean absolute error has a kink at the target: differences across it do not give its slope of 0.
    result = output_delta(Identity(), MeanAbsoluteError(), np.array([[1.0 + 4e-6]]), np.array([[1.0]]))
    assert result.delta.item() == 1
    assert result.measured.item() == pytest.approx(0.4, rel=1e-3)


def test_the_jacobian_is_that_of_jax():
    with jax.enable_x64(True):
        expected = np.asarray(jax.jacobian(jax.nn.softmax)(jnp.array([2.0, 1.0, 0.1])))
    by_name = arrays(PairingsLesson())
    np.testing.assert_allclose(by_name["J"], expected, rtol=1e-12)
    np.testing.assert_allclose(by_name["y - t"][0], [-0.341, 0.242, 0.099], atol=5e-4)
    np.testing.assert_allclose(by_name["dL/dy"], [[1 - 1 / 0.6590011388859679, 1, 1]], rtol=1e-9)


def test_the_saturated_sigmoid_by_hand():
    rows = {
        block.caption: {row[0]: row[1:] for row in block.rows}
        for block in blocks_of(PairingsLesson().page(), Table)
        if "Sigmoid" in block.caption
    }
    y = 1 / (1 + np.exp(8.0))
    squared = rows["Sigmoid and squared error, t = 1"][-8.0]
    entropy = rows["Sigmoid and binary cross-entropy, t = 1"][-8.0]
    assert squared[:4] == pytest.approx((y, y - 1, y * (1 - y), (y - 1) * y * (1 - y)), rel=1e-10)
    assert entropy[3] == pytest.approx(y - 1, rel=1e-10)


def test_large_logits_by_hand():
    by_name = arrays(PairingsLesson())
    e = np.exp([0.0, 1.0, 2.0])
    assert np.isnan(by_name["naive"]).all()
    np.testing.assert_allclose(by_name["y"][0], e / e.sum(), rtol=1e-12)
    assert by_name["L"].item() == pytest.approx(np.log(e.sum()), rel=1e-12)


def test_with_logits_that_exp_can_take_the_naive_softmax_is_a_number():
    assert not check_about(PairingsLesson(large=700.0).page(), "naive").holds


def test_the_gradients_of_the_batch_are_those_of_jax():
    lesson = PairingsLesson(samples=7, features=2, seed=3)
    rng = generator(3, "lesson")
    x = rng.standard_normal((7, 2))
    labels = rng.integers(3, size=7)
    dense = Network.of({"layers": ["dense 3", "softmax"]}).initialize(3, (2,)).params[0]

    def loss(W, b):
        return -jnp.mean(jax.nn.log_softmax(x @ W + b)[jnp.arange(7), labels])

    with jax.enable_x64(True):
        by_W, by_b = jax.grad(loss, argnums=(0, 1))(jnp.array(dense.W), jnp.array(dense.b))
    by_name = arrays(lesson)
    np.testing.assert_allclose(by_name["dL/dW"], by_W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_name["dL/db"], by_b, rtol=1e-9, atol=1e-12)
    assert by_name["delta"].shape == (7, 3)


def test_the_shapes_of_the_matrices():
    page = PairingsLesson(samples=7, features=2, logits=(1.0, 2.0, 3.0, 4.0)).page()
    rows = table_of(page, "n = 7").rows
    shapes = {name: shape for name, _, shape in rows}
    assert shapes == {
        "x": "7 × 2",
        "W": "2 × 4",
        "b": "4",
        "z": "7 × 4",
        "y": "7 × 4",
        "t": "7 × 4",
        "delta": "7 × 4",
        "dL/dW": "2 × 4",
        "dL/db": "4",
    }


@pytest.mark.parametrize(
    "settings", [{}, {"target": 0, "saturated": 8.0}, {"samples": 32, "features": 10}, {"truth": 2}]
)
def test_the_checks_hold_for_other_numbers_too(settings):
    assert not failed(PairingsLesson(**settings).page())


def test_where_probabilities_are_clipped_a_check_fails():
    page = PairingsLesson(saturated=-40.0).page()
    assert not check_about(page, "Cross-entropy: delta is y - t").holds
    assert check_about(page, "Fused, delta is still y - t").holds


def test_an_unknown_class_is_rejected():
    with pytest.raises(InputError, match="0 to 2, received 5") as error:
        PairingsLesson(truth=5)
    assert [problem.place for problem in error.value.problems] == ["truth"]
