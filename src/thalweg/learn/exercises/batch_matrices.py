"""A batch as matrices: shapes, sums and means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import Array
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Text
from ...parts.layers import Affine, Dense, Identity
from ...parts.losses import SquaredError
from ..affine import affine_at
from ..answers import AnswerPoint, Mistake, formula_answer, numeric_answer
from ..exercise import Exercise, Question, Task, network_pass, random_tenths

_SIZES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1000.0, 1e-3)
_Values = dict[str, Array | float]

_NO_MEAN = "the mean over the n samples is missing: 1/n"
_SUM_OUTPUTS = "the mean is over the n samples; the outputs of a sample are summed"
_TWICE = "1/n is applied twice"
_MISTAKES = {
    "shape": (Mistake("[K, d]", "this is the shape of Wᵀ: a gradient has the shape of its matrix"),),
    "Z": (Mistake("X @ W", "the bias b is missing"),),
    "delta": (
        Mistake("Y - T", _NO_MEAN),
        Mistake("(Y - T) / (n * K)", _SUM_OUTPUTS),
        Mistake("2 * (Y - T) / n", "the 1/2 before the square cancels its 2"),
    ),
    "dW": (
        Mistake("X.T @ (Y - T)", _NO_MEAN),
        Mistake("X.T @ (Y - T) / n**2", _TWICE),
        Mistake("X.T @ (Y - T) / (n * K)", "the mean is over the n samples; the outputs are not averaged"),
    ),
    "db": (Mistake("sum(Y - T, axis=0)", _NO_MEAN), Mistake("mean(Y - T, axis=0) / n", _TWICE)),
    "E": (
        Mistake("sum((Y - T)**2) / 2", _NO_MEAN),
        Mistake("mean((Y - T)**2) / 2", _SUM_OUTPUTS),
        Mistake("sum((Y - T)**2) / n", "the 1/2 of the loss is missing"),
    ),
}
_DERIVATIONS = {
    "shape": "dE/dW has the shape of W: (d, K)",
    "Z": "Z = X W + b, b added to each row: (n, d) times (d, K)",
    "delta": "dE/dZ = dE/dY = (Y - T) / n",
    "dW": "dE/dW = Xᵀ delta = Xᵀ (Y - T) / n: (d, n) times (n, K)",
    "db": "dE/db = Σ delta over the samples: the mean of Y - T over the rows",
    "E": "E = 1/2 Σ (Y - T)² / n",
}


@dataclass(frozen=True)
class BatchMatrices(Exercise, kind="batch-matrices"):
    """A linear layer applied to a batch: the shapes of its matrices, and where the mean over the samples enters.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.5.6.

    >>> BatchMatrices().check({"d": "Xᵀ @ (Y - T)"})["d"].says
    'the mean over the n samples is missing: 1/n'
    """

    title = "A batch as matrices"
    subject = "shapes, sums and means: forward, delta and gradients of a batch of samples"
    place = 4

    def make_question(self, rng: np.random.Generator) -> Question:
        samples = 4
        inputs = 2
        outputs = 3
        params = Affine(random_tenths(rng, inputs, outputs), random_tenths(rng, outputs))
        values, right = _quantities(params, random_tenths(rng, samples, inputs), random_tenths(rng, samples, outputs))
        right["shape"] = np.array(right["dW"].shape, float)
        points = [_quantities(*_random(rng, size)) for size in _SIZES]
        given: tuple[Block, ...] = (
            Text("Rows are samples: X (n, d), W (d, K), b (K,), T (n, K). The loss is the mean over the samples."),
            Formula("Y = Z = X W + b\nE = (1/n) Σ over samples of 1/2 Σ over outputs of (Y - T)²\ndelta = dE/dZ"),
            *(ArrayBlock(name, np.asarray(values[name])) for name in ("X", "W", "b", "T")),
        )

        def derived(question: str, quantity: str, names: str, model_answer: str) -> Task:
            at_points = [AnswerPoint(at, answers[quantity]) for at, answers in points]
            answer = formula_answer(names.split(), at_points, _MISTAKES[quantity])
            return Task(question, answer, _DERIVATIONS[quantity], model_answer)

        def computed(question: str, quantity: str) -> Task:
            answer = numeric_answer(values, right[quantity], _MISTAKES[quantity])
            return Task(question, answer, _DERIVATIONS[quantity])

        tasks = (
            computed("What is the shape of dE/dW, as [rows, columns]?", "shape"),
            computed("What is Z here?", "Z"),
            derived("What is delta?", "delta", "Y T n", "(Y - T) / n"),
            derived("What is dE/dW?", "dW", "X Y T n", "X.T @ (Y - T) / n"),
            derived("What is dE/db?", "db", "Y T n", "sum(Y - T, axis=0) / n"),
            computed("How large is E here?", "E"),
            computed("What is dE/dW here?", "dW"),
            computed("What is dE/db here?", "db"),
        )
        return Question(given, tasks)


def _random(rng: np.random.Generator, size: float) -> tuple[Affine, Array, Array]:
    """Parameters, inputs and targets of random shapes, inputs and targets of about that size."""
    samples, inputs, outputs = (int(number) for number in rng.integers(2, 6, 3))
    params = Affine(rng.normal(size=(inputs, outputs)), rng.normal(size=outputs))
    return params, size * rng.normal(size=(samples, inputs)), size * rng.normal(size=(samples, outputs))


def _quantities(params: Affine, X: Array, T: Array) -> tuple[_Values, dict[str, Array]]:
    """The values by their names, and the engine's answer for each quantity."""
    samples, inputs = X.shape
    outputs = T.shape[1]
    result = network_pass(Network((Dense(outputs), Identity())), SquaredError(), (params, ()), X, T)
    Z, Y = result.outputs
    sizes = {"n": float(samples), "d": float(inputs), "K": float(outputs)}
    grads = affine_at(result.grads)
    answers = {
        "Z": Z,
        "E": result.loss,
        "delta": result.deltas[0],
        "dW": grads.W,
        "db": grads.b,
    }
    return {"X": X, "Y": Y, "T": T, "W": params.W, "b": params.b, **sizes}, answers
