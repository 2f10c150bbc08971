"""A batch as matrices: shapes, sums and means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Text
from ...parts.layers import Affine, Dense, Identity
from ...parts.losses import SquaredError
from .answers import Case, Mistake, formula, numbers
from .exercise import Exercise, Question, Task, tenths, worked

_SIZES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1000.0, 1e-3)
_Values = dict[str, np.ndarray | float]


@dataclass(frozen=True)
class BatchMatrices(Exercise, kind="batch-matrices"):
    """A linear layer of a batch: the shapes of its matrices, and where the mean over the samples stands.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.5.6.

    >>> BatchMatrices().check({"d": "Xᵀ @ (Y - T)"})["d"].says
    'the mean over the n samples is missing: 1/n'
    """

    title = "A batch as matrices"
    subject = "shapes, sums and means: forward, delta and gradients of a batch of samples"

    def pose(self, rng: np.random.Generator) -> Question:
        samples, inputs, outputs = 4, 2, 3
        params = Affine(tenths(rng, inputs, outputs), tenths(rng, outputs))
        values, right = _worked(params, tenths(rng, samples, inputs), tenths(rng, samples, outputs))
        cases = [_worked(*_random(rng, size)) for size in _SIZES]

        def points(name: str) -> list[Case]:
            return [Case(at, answers[name]) for at, answers in cases]

        given: tuple[Block, ...] = (
            Text("Rows are samples: X (n, d), W (d, K), b (K,), T (n, K). The loss is the mean over the samples."),
            Formula("Y = Z = X W + b\nE = (1/n) Σ over samples of 1/2 Σ over outputs of (Y - T)²\ndelta = dE/dZ"),
            *(ArrayBlock(name, np.asarray(values[name])) for name in ("X", "W", "b", "T")),
        )
        shape = np.array(right["dW"].shape, float)
        deltas = (
            Mistake("Y - T", "the mean over the n samples is missing: 1/n"),
            Mistake("(Y - T) / (n * K)", "the mean runs over the n samples; the outputs of a sample are added up"),
            Mistake("2 * (Y - T) / n", "the 1/2 in front of the square takes its 2 away"),
        )
        weights = (
            Mistake("X.T @ (Y - T)", "the mean over the n samples is missing: 1/n"),
            Mistake("X.T @ (Y - T) / n**2", "1/n is taken twice"),
            Mistake("X.T @ (Y - T) / (n * K)", "the mean runs over the n samples; the outputs are not averaged"),
        )
        biases = (
            Mistake("sum(Y - T, axis=0)", "the mean over the n samples is missing: 1/n"),
            Mistake("mean(Y - T, axis=0) / n", "1/n is taken twice"),
        )
        losses = (
            Mistake("sum((Y - T)**2) / 2", "the mean over the n samples is missing: 1/n"),
            Mistake("mean((Y - T)**2) / 2", "the mean runs over the n samples; the outputs of a sample are added up"),
            Mistake("sum((Y - T)**2) / n", "the 1/2 of the loss is missing"),
        )
        delta = "dE/dZ = dE/dY = (Y - T) / n"
        dW = "dE/dW = Xᵀ delta = Xᵀ (Y - T) / n: (d, n) times (n, K)"
        db = "dE/db = Σ delta over the samples: the mean of Y - T over the rows"
        tasks = (
            Task(
                "What is the shape of dE/dW, as [rows, columns]?",
                numbers(values, shape, [Mistake("[K, d]", "that is Wᵀ: a gradient has the shape of its matrix")]),
                "dE/dW has the shape of W: (d, K)",
            ),
            Task(
                "What is Z here?",
                numbers(values, right["Z"], [Mistake("X @ W", "the bias b is missing")]),
                "Z = X W + b, b added to each row: (n, d) times (d, K)",
            ),
            Task("What is delta?", formula(["Y", "T", "n"], points("delta"), deltas), delta, "(Y - T) / n"),
            Task("What is dE/dW?", formula(["X", "Y", "T", "n"], points("dW"), weights), dW, "X.T @ (Y - T) / n"),
            Task("What is dE/db?", formula(["Y", "T", "n"], points("db"), biases), db, "sum(Y - T, axis=0) / n"),
            Task("How large is E here?", numbers(values, right["E"], losses), "E = 1/2 Σ (Y - T)² / n"),
            Task("What is dE/dW here?", numbers(values, right["dW"], weights), dW),
            Task("What is dE/db here?", numbers(values, right["db"], biases), db),
        )
        return Question(given, tasks)


def _random(rng: np.random.Generator, size: float) -> tuple[Affine, np.ndarray, np.ndarray]:
    samples, inputs, outputs = (int(number) for number in rng.integers(2, 6, 3))
    params = Affine(rng.normal(size=(inputs, outputs)), rng.normal(size=outputs))
    return params, size * rng.normal(size=(samples, inputs)), size * rng.normal(size=(samples, outputs))


def _worked(params: Affine, X: np.ndarray, T: np.ndarray) -> tuple[_Values, dict[str, np.ndarray]]:
    """The values by their names, and what the engine says to each question."""
    (samples, inputs), outputs = X.shape, T.shape[1]
    done = worked(Network((Dense(outputs), Identity())), SquaredError(), (params, ()), X, T)
    Z, Y = done.outputs
    sizes = {"n": float(samples), "d": float(inputs), "K": float(outputs)}
    answers = {"Z": Z, "E": done.loss, "delta": done.deltas[0], "dW": done.grads[0].W, "db": done.grads[0].b}
    return {"X": X, "Y": Y, "T": T, "W": params.W, "b": params.b, **sizes}, answers
