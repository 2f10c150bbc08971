"""A sigmoid with squared error, and with binary cross-entropy, where it is saturated."""

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
from .answers import Case, Mistake, formula, numbers
from .exercise import Exercise, Question, Task, worked

# The identity stands for the layer before, so that the engine tells dE/dz.
_NETWORK = Network((Identity(), Sigmoid()))
_POINTS, _FAR = 12, (-12.0, 12.0)
_NAMES = ("z", "y", "t")


@dataclass(frozen=True)
class SigmoidLosses(Exercise, kind="sigmoid-losses"):
    """A sigmoid that is surely wrong: what squared error and binary cross-entropy tell it.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2.2.2.

    >>> SigmoidLosses().check({"a": "y - t"})["a"].says
    'dy/dz = y (1 - y), the derivative of the sigmoid, is missing'
    """

    title = "A sigmoid with two losses"
    subject = "sigmoid with squared error against cross-entropy, where the unit is saturated and wrong"

    def pose(self, rng: np.random.Generator) -> Question:
        t = float(rng.integers(2))
        z = float(rng.integers(30, 71)) / 10 * (1 - 2 * t)
        squared, cross = _case(SquaredError(), z, t), _case(BinaryCrossEntropy(), z, t)
        given = (
            Text("One sigmoid unit that is far on the wrong side of its target."),
            Formula("y = σ(z) = 1 / (1 + exp(-z))\nsquared error: E = 1/2 (y - t)²"),
            Formula("binary cross-entropy: E = -(t log y + (1 - t) log(1 - y))\nδ = dE/dz"),
            ArrayBlock("z", np.asarray(z)),
            ArrayBlock("t", np.asarray(t)),
        )
        no_slope = Mistake("y - t", "dy/dz = y (1 - y), the derivative of the sigmoid, is missing")
        half_slope = Mistake("(y - t) * y", "the derivative of the sigmoid is y (1 - y), not y")
        at_z = Mistake("(y - t) * z * (1 - z)", "the derivative of the sigmoid is y (1 - y): y in it, not z")
        by_output = Mistake("(y - t) / (y * (1 - y))", "that is dE/dy; dy/dz = y (1 - y) is still to be multiplied")
        twice = Mistake("(y - t) * y * (1 - y)", "that is the delta of squared error: here y (1 - y) cancels out")
        slope_alone = Mistake("y * (1 - y)", "that is squared error's δ divided by cross-entropy's: turn it over")
        chain = "dE/dy = y - t\ndy/dz = y (1 - y)\nδ = (y - t) y (1 - y)"
        short = "dE/dy = (y - t) / (y (1 - y))\ndy/dz = y (1 - y)\nδ = y - t: the saturation cancels out"
        ratio = cross.right / squared.right
        tasks = (
            Task(
                "What is δ with squared error?",
                formula(_NAMES, _cases(rng, SquaredError()), [no_slope, half_slope, at_z]),
                chain,
                "(y - t) * y * (1 - y)",
            ),
            Task(
                "What is δ with binary cross-entropy?",
                formula(_NAMES, _cases(rng, BinaryCrossEntropy()), [by_output, twice]),
                short,
                "y - t",
            ),
            Task(
                "How large is δ here with squared error?",
                numbers(squared.values, squared.right, [no_slope, half_slope, at_z]),
                chain,
            ),
            Task(
                "How large is δ here with binary cross-entropy?",
                numbers(cross.values, cross.right, [by_output, twice]),
                short,
            ),
            Task(
                "How many times larger is δ with binary cross-entropy than with squared error?",
                numbers(cross.values, ratio, [slope_alone]),
                "(y - t) / ((y - t) y (1 - y)) = 1 / (y (1 - y))",
            ),
        )
        return Question(given, tasks)


def _case(loss: Loss, z: float, t: float) -> Case:
    """dE/dz by the engine, which runs sigmoid and cross-entropy as one."""
    y = worked(_NETWORK, SquaredError(), ((), ()), np.array([[z]]), np.array([[t]])).outputs[-1]
    done = worked(*fused(_NETWORK, loss), ((), ()), np.array([[z]]), np.array([[t]]))
    return Case({"z": z, "y": float(y[0, 0]), "t": t}, done.deltas[0][0, 0])


def _cases(rng: np.random.Generator, loss: Loss) -> Iterator[Case]:
    for z in (*rng.uniform(-4, 4, _POINTS), *_FAR):
        yield _case(loss, float(z), float(rng.integers(2)))
