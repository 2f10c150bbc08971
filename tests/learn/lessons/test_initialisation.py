"""The lesson on initialisation, against a forward pass by hand and the factors that the theory gives."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed

from thalweg.core.noise import generator
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.initialisation import InitialisationArm, InitialisationLesson
from thalweg.pages.blocks import Check, Table

X = generator(0, "x").standard_normal((50, 64))


def test_every_check_holds_in_the_quick_form():
    page = lesson_of("initialisation", quick=True).page()
    assert len(blocks_of(page, Check)) == 8
    assert not failed(page)


@pytest.mark.slow
def test_every_check_holds_on_mnist(mnist_folder):
    assert not failed(InitialisationLesson(seeds=3).page())


@pytest.mark.parametrize("activation", ["tanh", "ReLU"])
@pytest.mark.parametrize("start", ["Glorot", "He"])
def test_sizes_are_those_of_a_forward_pass_by_hand(activation, start):
    lesson = InitialisationLesson(seeds=2)
    arm = InitialisationArm(3, activation, start)
    squares = np.zeros(3)
    for seed in range(2):
        a = X
        params = lesson.network(arm).initialize(seed, (64,)).params
        for layer in range(3):
            z = a @ params[2 * layer].W + params[2 * layer].b
            a = np.tanh(z) if activation == "tanh" else np.maximum(z, 0)
            squares[layer] += np.mean(a**2) / 2
    np.testing.assert_allclose(lesson.activation_sizes(arm, X), np.sqrt(squares / np.mean(X**2)))


@pytest.mark.parametrize(("start", "factor"), [("Glorot", 0.5**0.5), ("He", 1.0)])
def test_wide_relu_layers_change_the_size_by_the_factor_of_the_theory(start, factor):
    # E[ReLU(z)²] = ½ n Var(W) E[a²] for symmetric z: ½ with Glorot, 1 with He.
    sizes = InitialisationLesson(width=800, seeds=2).activation_sizes(InitialisationArm(4, "ReLU", start), X)
    assert sizes[3] / sizes[2] == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize(("start", "variance"), [("Glorot", 2 / (300 + 300)), ("He", 2 / 300)])
def test_weights_have_the_variance_that_the_page_states(start, variance):
    weights = (
        InitialisationLesson(width=300).network(InitialisationArm(2, "ReLU", start)).initialize(0, (64,)).params[2].W
    )
    assert np.var(weights) == pytest.approx(variance, rel=0.03)


def test_both_differences_of_each_pair_are_shown():
    lesson = InitialisationLesson(data="digits", samples=1797, batch_size=32, epochs=1, seeds=2)
    tables = blocks_of(lesson.page(), Table)
    assert [row[:2] for row in tables[1].rows] == [(2, "tanh"), (2, "ReLU"), (10, "tanh"), (10, "ReLU")]
    means = {row[:3]: row[3] for row in tables[0].rows}
    for depth, name, change, *_ in tables[1].rows:
        expected = means[depth, name, "He"] - means[depth, name, "Glorot"]
        assert float(change.split()[0]) == pytest.approx(expected, rel=0.01)
