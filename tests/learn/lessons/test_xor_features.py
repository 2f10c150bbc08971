"""XOR by features: the weights by hand, and the LMS rule against itself written out."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.learn.lessons.xor_features import XorFeatures
from thalweg.models.linear_units import Adaline
from thalweg.pages.blocks import Check, Table

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
SEEN = np.column_stack([X, X[:, 0] * X[:, 1], np.ones(4)])
TARGETS = np.array([0, 1, 1, 0.0])


def test_the_four_points_by_hand():
    features, z = XorFeatures().answers()
    assert features.tolist() == SEEN[:, :3].tolist()
    assert z[:, 0].tolist() == [0, 1, 1, 0]


def test_other_weights_and_points():
    lesson = XorFeatures(w=(0.5, -1.0, 3.0), b=0.25)
    x = np.array([[2.0, 3.0], [-1.0, 0.5]])
    assert lesson.answers(x)[-1][:, 0].tolist() == pytest.approx([1 - 3 + 18 + 0.25, -0.5 - 0.5 - 1.5 + 0.25])


@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [0, 1, 3]], ids=["with the product", "without"])
def test_learning_follows_the_rule_written_out(columns):
    lesson, seen, w = XorFeatures(epochs=12), SEEN[:, columns], np.zeros(len(columns))
    for _ in range(12):
        for x, t in zip(seen, TARGETS, strict=True):
            w = w + 0.4 * (t - x @ w) * x
    unit = lesson.unit if len(columns) == 4 else Adaline(0.4)
    params = lesson.learned(unit)[-1].params[-1]
    np.testing.assert_allclose(np.append(params.W[:, 0], params.b), w, rtol=1e-12)


def test_what_is_learned_solves_the_four_equations():
    wanted = np.linalg.solve(SEEN, TARGETS)
    assert wanted.tolist() == pytest.approx([1, 1, -2, 0], abs=1e-12)
    blocks = XorFeatures(epochs=400).page().blocks
    learned = next(block.measured for block in blocks if isinstance(block, Check) and "The rule finds" in block.says)
    np.testing.assert_allclose(learned, wanted, atol=1e-12)


def test_without_the_product_no_weights_are_better_than_one_half():
    best = np.linalg.lstsq(SEEN[:, [0, 1, 3]], TARGETS, rcond=None)[0]
    assert SEEN[:, [0, 1, 3]] @ best == pytest.approx([0.5] * 4)
    rows = next(
        block.rows for block in XorFeatures().page().blocks if isinstance(block, Table) and "Loss" in block.caption
    )
    assert rows[0][1:] == (0.25, 0.25)
    assert all(row[2] >= 0.125 for row in rows)


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.2}, {"learning_rate": 0.3, "epochs": 300}])
def test_the_claims_hold(settings):
    assert all(block.holds for block in XorFeatures(**settings).page().blocks if isinstance(block, Check))


def test_a_rate_too_large_is_told_and_not_hidden():
    blocks = XorFeatures(learning_rate=9.0).page().blocks
    claims = {block.says: block.holds for block in blocks if isinstance(block, Check)}
    assert not claims["Its loss goes to 0"]
