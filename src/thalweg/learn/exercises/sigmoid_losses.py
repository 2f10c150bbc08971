"""A saturated sigmoid with squared error, and with binary cross-entropy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...engine.step import fused
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Formula, Text
from ...parts.layers import Identity, Sigmoid
from ...parts.losses import BinaryCrossEntropy, SquaredError
from ...parts.part import Loss
from ..answers import AnswerPoint, Mistake, formula_answer, numeric_answer
from ..exercise import Exercise, Question, Task, network_pass

# With the identity as the layer before the sigmoid, the engine returns dE/dz.
_NETWORK = Network((Identity(), Sigmoid()))
_POINTS = 12
_FAR = (-12.0, 12.0)
_NAMES = ("z", "y", "t")

_SQUARED_MISTAKES = (
    Mistake("y - t", "dy/dz = y (1 - y), the derivative of the sigmoid, is missing"),
    Mistake("(y - t) * y", "the derivative of the sigmoid is y (1 - y), not y"),
    Mistake("(y - t) * z * (1 - z)", "the derivative of the sigmoid is y (1 - y), in terms of y, not of z"),
)
_CROSS_MISTAKES = (
    Mistake("(y - t) / (y * (1 - y))", "this is dE/dy; multiply it by dy/dz = y (1 - y)"),
    Mistake("(y - t) * y * (1 - y)", "this is the delta of squared error: here y (1 - y) cancels out"),
)
_RATIO_MISTAKE = Mistake("y * (1 - y)", "this is δ of squared error divided by δ of cross-entropy: invert it")


@dataclass(frozen=True)
class SigmoidLosses(Exercise, kind="sigmoid-losses"):
    """A sigmoid that is confident and wrong: its delta with squared error and with binary cross-entropy.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2.2.2.

    >>> SigmoidLosses().check({"a": "y - t"})["a"].says
    'dy/dz = y (1 - y), the derivative of the sigmoid, is missing'
    """

    title = "A sigmoid with two losses"
    subject = "sigmoid with squared error against cross-entropy, where the unit is saturated and wrong"
    place = 2

    def make_question(self, rng: np.random.Generator) -> Question:
        t = float(rng.integers(2))
        z = float(rng.integers(30, 71)) / 10 * (1 - 2 * t)
        squared = _point(SquaredError(), z, t)
        cross = _point(BinaryCrossEntropy(), z, t)
        given = (
            Text("One sigmoid unit that is far on the wrong side of its target."),
            Formula("y = σ(z) = 1 / (1 + exp(-z))\nsquared error: E = 1/2 (y - t)²"),
            Formula("binary cross-entropy: E = -(t log y + (1 - t) log(1 - y))\nδ = dE/dz"),
            ArrayBlock("z", np.asarray(z)),
            ArrayBlock("t", np.asarray(t)),
        )
        by_chain_rule = "dE/dy = y - t\ndy/dz = y (1 - y)\nδ = (y - t) y (1 - y)"
        cancelled = "dE/dy = (y - t) / (y (1 - y))\ndy/dz = y (1 - y)\nδ = y - t: the saturation cancels out"
        tasks = (
            Task(
                "What is δ with squared error?",
                formula_answer(_NAMES, _points(rng, SquaredError()), _SQUARED_MISTAKES),
                by_chain_rule,
                "(y - t) * y * (1 - y)",
            ),
            Task(
                "What is δ with binary cross-entropy?",
                formula_answer(_NAMES, _points(rng, BinaryCrossEntropy()), _CROSS_MISTAKES),
                cancelled,
                "y - t",
            ),
            Task(
                "How large is δ here with squared error?",
                numeric_answer(squared.values, squared.right, _SQUARED_MISTAKES),
                by_chain_rule,
            ),
            Task(
                "How large is δ here with binary cross-entropy?",
                numeric_answer(cross.values, cross.right, _CROSS_MISTAKES),
                cancelled,
            ),
            Task(
                "How many times larger is δ with binary cross-entropy than with squared error?",
                numeric_answer(cross.values, cross.right / squared.right, [_RATIO_MISTAKE]),
                "(y - t) / ((y - t) y (1 - y)) = 1 / (y (1 - y))",
            ),
        )
        return Question(given, tasks)


def _point(loss: Loss, z: float, t: float) -> AnswerPoint:
    """dE/dz by the engine, which computes sigmoid and cross-entropy as one loss on z."""
    y = network_pass(_NETWORK, SquaredError(), ((), ()), np.array([[z]]), np.array([[t]])).outputs[-1]
    result = network_pass(*fused(_NETWORK, loss), ((), ()), np.array([[z]]), np.array([[t]]))
    return AnswerPoint({"z": z, "y": float(y[0, 0]), "t": t}, result.deltas[0][0, 0])


def _points(rng: np.random.Generator, loss: Loss) -> Iterator[AnswerPoint]:
    for z in (*rng.uniform(-4, 4, _POINTS), *_FAR):
        yield _point(loss, float(z), float(rng.integers(2)))
