"""The delta of a linear output with squared error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Text
from ...parts.layers import Affine, Dense, Identity
from ...parts.losses import MeanSquaredError, SquaredError
from .answers import Case, Mistake, formula, numbers
from .exercise import Exercise, Question, Task, tenths, worked

_POINTS = 12
_NETWORK = Network((Dense(1), Identity()))
_OUTPUT = Network((Identity(),))
_LOSS_ITSELF = Mistake("(y - t)**2 / 2", "that is the loss itself; asked for is its derivative")
_OTHER_SLOPE = Mistake("(y - t) * y * (1 - y)", "y (1 - y) is the sigmoid's derivative; the identity's is 1")


@dataclass(frozen=True)
class IdentityMSE(Exercise, kind="identity-mse"):
    """One linear unit with squared error: its delta by formula and by numbers, and the mean over several outputs.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2.2.1.

    >>> exercise = IdentityMSE(seed=1)
    >>> [verdict.says for verdict in exercise.check({"b": "-(t - y)", "c": "[1, 2]"}).values()]
    ['right', 'the shape is wrong: expected a single number, received shape (2,)']
    """

    title = "The delta of a linear output"
    subject = "identity and squared error: delta = y - t, and what a mean over outputs changes"

    def pose(self, rng: np.random.Generator) -> Question:
        x, w, b, t = tenths(rng, 1, 3), tenths(rng, 3, 1), tenths(rng, 1), tenths(rng, 1, 1)
        done = worked(_NETWORK, SquaredError(), (Affine(w, b), ()), x, t)
        values = {"x": x[0], "w": w[:, 0], "b": float(b[0]), "t": float(t[0, 0]), "y": float(done.outputs[-1][0, 0])}
        given: tuple[Block, ...] = (
            Text("A unit with the identity as its activation, and half the squared error of one sample."),
            Formula("y = z = w·x + b\nE = 1/2 (y - t)²\nδ = dE/dz"),
            *(ArrayBlock(name, np.asarray(values[name])) for name in ("x", "w", "b", "t")),
        )
        y, delta, slope = done.outputs[-1][0, 0], done.deltas[0][0, 0], done.grads[0].W[:, 0]
        ways = {
            "y": "y = w·x + b",
            "delta": "dE/dy = 1/2 · 2 (y - t) = y - t\ndy/dz = 1\nδ = dE/dy · dy/dz = y - t",
            "slope": "dz/dw = x\ndE/dw = δ x",
            "mean": "E = (1/K) Σ (y_k - t_k)²\ndE/dy_k = 2 (y_k - t_k) / K: no 1/2 takes the 2 away\nδ = 2 (y - t) / K",
        }
        without_b = Mistake("w @ x", "the bias b is missing")
        no_input = Mistake("(y - t) * x**0", "dz/dw = x is missing: this is δ, once for each weight")
        means = (
            Mistake("2 * (y - t)", "the mean over the K outputs is missing: 1/K"),
            Mistake("y - t", "that is the delta of 1/2 Σ (y - t)²: here is a mean, and no 1/2"),
            Mistake("(y - t) / K", "the 2 of the square remains: there is no 1/2 before this mean"),
        )
        mistakes = (_LOSS_ITSELF, _OTHER_SLOPE)
        tasks = (
            Task("What is the output y?", numbers(values, y, [without_b]), ways["y"]),
            Task("What is δ?", formula(["y", "t"], _single(rng), mistakes), ways["delta"], "y - t"),
            Task("How large is δ here?", numbers(values, delta, mistakes), ways["delta"]),
            Task("What is dE/dw here?", numbers(values, slope, [no_input]), ways["slope"]),
            Task(
                "Now there are K outputs (y and t are vectors), and E = (1/K) Σ (y - t)². What is δ, all K of them?",
                formula(["y", "t", "K"], _several(rng), means),
                ways["mean"],
                "2 * (y - t) / K",
            ),
        )
        return Question(given, tasks)


def _single(rng: np.random.Generator) -> Iterator[Case]:
    for size in (*np.ones(_POINTS), 1000.0, 1e-3):
        y, t = size * rng.normal(size=2)
        delta = worked(_OUTPUT, SquaredError(), ((),), np.array([[y]]), np.array([[t]])).deltas[0]
        yield Case({"y": float(y), "t": float(t)}, delta[0, 0])


def _several(rng: np.random.Generator) -> Iterator[Case]:
    for size in (*np.ones(_POINTS), 1000.0):
        width = int(rng.integers(2, 6))
        y, t = size * rng.normal(size=(2, width))
        delta = worked(_OUTPUT, MeanSquaredError(), ((),), y[None], t[None]).deltas[0]
        yield Case({"y": y, "t": t, "K": float(width)}, delta[0])
