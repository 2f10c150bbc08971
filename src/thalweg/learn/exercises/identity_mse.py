"""The delta of a linear output with squared error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Text
from ...parts.layers import Affine, Dense, Identity
from ...parts.losses import MeanSquaredError, SquaredError
from ..affine import affine_at
from ..answers import AnswerPoint, Mistake, formula_answer, numeric_answer
from ..exercise import Exercise, Question, Task, network_pass, random_tenths

_POINTS = 12
_NETWORK = Network((Dense(1), Identity()))
_OUTPUT = Network((Identity(),))

_DELTA_MISTAKES = (
    Mistake("(y - t)**2 / 2", "this is the loss itself; its derivative is asked for"),
    Mistake("(y - t) * y * (1 - y)", "y (1 - y) is the derivative of the sigmoid; that of the identity is 1"),
)
_MEAN_MISTAKES = (
    Mistake("2 * (y - t)", "the mean over the K outputs is missing: 1/K"),
    Mistake("y - t", "this is the delta of 1/2 Σ (y - t)²; here the loss is a mean, without 1/2"),
    Mistake("(y - t) / K", "the 2 of the square remains: there is no 1/2 before this mean"),
)
_DERIVATIONS = {
    "y": "y = w·x + b",
    "delta": "dE/dy = 1/2 · 2 (y - t) = y - t\ndy/dz = 1\nδ = dE/dy · dy/dz = y - t",
    "dE/dw": "dz/dw = x\ndE/dw = δ x",
    "mean": "E = (1/K) Σ (y_k - t_k)²\ndE/dy_k = 2 (y_k - t_k) / K: no 1/2 cancels the 2\nδ = 2 (y - t) / K",
}


@dataclass(frozen=True)
class IdentityMSE(Exercise, kind="identity-mse"):
    """One linear unit with squared error: its delta as a formula and as a number, and the mean over several outputs.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2.2.1.

    >>> exercise = IdentityMSE(seed=1)
    >>> [check.says for check in exercise.check({"b": "-(t - y)", "c": "[1, 2]"}).values()]
    ['right', 'the shape is wrong: expected a single number, received shape (2,)']
    """

    title = "The delta of a linear output"
    subject = "identity and squared error: delta = y - t, and what a mean over outputs changes"
    place = 1

    def make_question(self, rng: np.random.Generator) -> Question:
        x = random_tenths(rng, 1, 3)
        w = random_tenths(rng, 3, 1)
        b = random_tenths(rng, 1)
        t = random_tenths(rng, 1, 1)
        result = network_pass(_NETWORK, SquaredError(), (Affine(w, b), ()), x, t)
        y = result.outputs[-1][0, 0]
        delta = result.deltas[0][0, 0]
        slope = affine_at(result.grads).W[:, 0]
        values = {"x": x[0], "w": w[:, 0], "b": float(b[0]), "t": float(t[0, 0]), "y": float(y)}
        given: tuple[Block, ...] = (
            Text("A unit with the identity as its activation, and half the squared error of one sample."),
            Formula("y = z = w·x + b\nE = 1/2 (y - t)²\nδ = dE/dz"),
            *(ArrayBlock(name, np.asarray(values[name])) for name in ("x", "w", "b", "t")),
        )
        without_b = Mistake("w @ x", "the bias b is missing")
        no_input = Mistake("(y - t) * x**0", "the factor dz/dw = x is missing: this is δ, once for each weight")
        tasks = (
            Task("What is the output y?", numeric_answer(values, y, [without_b]), _DERIVATIONS["y"]),
            Task(
                "What is δ?",
                formula_answer(["y", "t"], _single_output(rng), _DELTA_MISTAKES),
                _DERIVATIONS["delta"],
                "y - t",
            ),
            Task("How large is δ here?", numeric_answer(values, delta, _DELTA_MISTAKES), _DERIVATIONS["delta"]),
            Task("What is dE/dw here?", numeric_answer(values, slope, [no_input]), _DERIVATIONS["dE/dw"]),
            Task(
                "Now there are K outputs (y and t are vectors), and E = (1/K) Σ (y - t)². What is δ, all K of them?",
                formula_answer(["y", "t", "K"], _several_outputs(rng), _MEAN_MISTAKES),
                _DERIVATIONS["mean"],
                "2 * (y - t) / K",
            ),
        )
        return Question(given, tasks)


def _single_output(rng: np.random.Generator) -> Iterator[AnswerPoint]:
    for size in (*np.ones(_POINTS), 1000.0, 1e-3):
        y, t = size * rng.normal(size=2)
        delta = network_pass(_OUTPUT, SquaredError(), ((),), np.array([[y]]), np.array([[t]])).deltas[0]
        yield AnswerPoint({"y": float(y), "t": float(t)}, delta[0, 0])


def _several_outputs(rng: np.random.Generator) -> Iterator[AnswerPoint]:
    for size in (*np.ones(_POINTS), 1000.0):
        width = int(rng.integers(2, 6))
        y, t = size * rng.normal(size=(2, width))
        delta = network_pass(_OUTPUT, MeanSquaredError(), ((),), y[None], t[None]).deltas[0]
        yield AnswerPoint({"y": y, "t": t, "K": float(width)}, delta[0])
