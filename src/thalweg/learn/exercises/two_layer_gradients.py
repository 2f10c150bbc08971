"""All gradients of a network of two layers, ReLU and softmax, over a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import Array
from ...engine.step import fused
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Text
from ...parts.layers import Affine, Dense, ReLU, Softmax
from ...parts.losses import CrossEntropy
from ..affine import affine_at
from ..answers import AnswerPoint, Mistake, formula_answer, numeric_answer
from ..exercise import Exercise, NetworkPass, Question, Task, network_pass, random_tenths

_Params = tuple[Affine, tuple[()], Affine, tuple[()]]
_Values = dict[str, Array | float]

_SIZES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 30.0, 1e-2)
_NO_MEAN = "the mean over the n samples is missing: 1/n"
_NO_SLOPE = Mistake("delta2 @ W2.T", "the derivative of ReLU is missing: 1 where z1 > 0, else 0")
_DELTA2 = (
    Mistake("p - t", _NO_MEAN),
    Mistake("(p - t) * p * (1 - p) / n", "softmax and cross-entropy together give p - t: no p (1 - p) remains"),
    Mistake("p - t / n", "1/n applies to the whole difference: (p - t) / n"),
)
_DELTA1 = (
    _NO_SLOPE,
    Mistake("(delta2 @ W2.T) * relu(z1)", "the derivative of ReLU is 1 where z1 > 0, not z1 itself"),
    Mistake("(delta2 @ W2.T) * (z1 > 0) * n", "the 1/n of delta2 is lost"),
)
_WEIGHTS1 = (Mistake("x.T @ (delta2 @ W2.T)", _NO_SLOPE.hint), Mistake("x.T @ delta1 * n", _NO_MEAN))

_DERIVATIONS = {
    "delta2": "dE/dz2 = (p - t) / n",
    "dE/dW2": "z2 = a1 W2 + b2, so dE/dW2 = a1ᵀ delta2: (width, n) times (n, outputs)",
    "dE/db2": "b2 is added to each sample: dE/db2 = Σ delta2 over the samples",
    "delta1": "dE/da1 = delta2 W2ᵀ\nda1/dz1 = 1 where z1 > 0, else 0\ndelta1 = (delta2 W2ᵀ) ⊙ (z1 > 0)",
    "dE/dW1": "z1 = x W1 + b1, so dE/dW1 = xᵀ delta1: (inputs, n) times (n, width)",
    "dE/db1": "b1 is added to each sample: dE/db1 = Σ delta1 over the samples",
}


@dataclass(frozen=True)
class TwoLayerGradients(Exercise, kind="two-layer-gradients"):
    """Dense, ReLU, dense, softmax with cross-entropy: every delta and every gradient, as formulas and as numbers.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, algorithm 6.4.

    >>> checks = TwoLayerGradients().check({"d": "(δ2 @ W2ᵀ) · (z1 > 0)", "e": "δ1ᵀ @ x"})
    >>> [check.says for check in checks.values()]
    ['right', 'the right numbers, transposed: rows and columns are exchanged']
    """

    title = "All gradients of a two-layer network"
    subject = "back-propagation through softmax with cross-entropy, dense, ReLU and dense, with matrices of a batch"
    place = 5

    def make_question(self, rng: np.random.Generator) -> Question:
        x = random_tenths(rng, 3, 2)
        # Both classes occur.
        t = np.eye(2)[rng.permutation([0, 1, int(rng.integers(2))])]
        first = Affine(random_tenths(rng, 2, 3), random_tenths(rng, 3))
        second = Affine(random_tenths(rng, 3, 2), random_tenths(rng, 2))
        values, result = _quantities((first, (), second, ()), x, t)
        given: tuple[Block, ...] = (
            Text("Rows are samples. The loss is the mean over the n samples of the batch."),
            Formula("z1 = x W1 + b1        a1 = relu(z1)\nz2 = a1 W2 + b2       p = softmax(z2)"),
            Formula("E = -(1/n) Σ t log p\ndelta1 = dE/dz1       delta2 = dE/dz2"),
            *(ArrayBlock(name, np.asarray(values[name])) for name in ("x", "W1", "b1", "W2", "b2", "t")),
        )
        points = [_quantities(*_random(rng, size)) for size in _SIZES]
        right = _answers(result)

        def derived(quantity: str, names: str, mistakes: tuple[Mistake, ...], model_answer: str) -> Task:
            at_points = [AnswerPoint(values, _answers(result)[quantity]) for values, result in points]
            answer = formula_answer(names.split(), at_points, mistakes)
            return Task(f"What is {quantity}?", answer, _DERIVATIONS[quantity], model_answer)

        def computed(quantity: str, mistakes: tuple[Mistake, ...]) -> Task:
            answer = numeric_answer(values, right[quantity], mistakes)
            return Task(f"How large is {quantity} here?", answer, _DERIVATIONS[quantity])

        tasks = (
            derived("delta2", "p t n", _DELTA2, "(p - t) / n"),
            derived("dE/dW2", "a1 delta2 n", _averaged_twice("a1.T @ delta2 / n"), "a1.T @ delta2"),
            derived("dE/db2", "delta2 n", _averaged_twice("mean(delta2, axis=0)"), "sum(delta2, axis=0)"),
            derived("delta1", "delta2 W2 z1 a1", _DELTA1, "(delta2 @ W2.T) * (z1 > 0)"),
            derived("dE/dW1", "x delta1 n", _averaged_twice("x.T @ delta1 / n"), "x.T @ delta1"),
            derived("dE/db1", "delta1 n", _averaged_twice("mean(delta1, axis=0)"), "sum(delta1, axis=0)"),
            computed("delta2", _DELTA2),
            computed("delta1", _DELTA1),
            computed("dE/dW1", _WEIGHTS1),
        )
        return Question(given, tasks)


def _averaged_twice(gradient: str) -> tuple[Mistake, ...]:
    return (Mistake(gradient, "the delta already contains 1/n: here the samples are summed, not averaged"),)


def _random(rng: np.random.Generator, size: float) -> tuple[_Params, Array, Array]:
    """Parameters, inputs of about that size, and one-hot targets, all of random shapes."""
    samples, inputs, width, outputs = (int(number) for number in rng.integers(2, 6, 4))
    first = Affine(rng.normal(size=(inputs, width)), rng.normal(size=width))
    second = Affine(rng.normal(size=(width, outputs)), rng.normal(size=outputs))
    t = np.eye(outputs)[rng.integers(outputs, size=samples)]
    return (first, (), second, ()), size * rng.normal(size=(samples, inputs)), t


def _quantities(params: _Params, x: Array, t: Array) -> tuple[_Values, NetworkPass]:
    """All quantities by their names, and the forward and backward pass that they come from."""
    first, _, second, _ = params
    network, loss = fused(Network((Dense(first.b.size), ReLU(), Dense(second.b.size), Softmax())), CrossEntropy())
    result = network_pass(network, loss, params, x, t)
    z1, a1, z2, _ = result.outputs
    answers = _answers(result)
    values: _Values = {
        "x": x,
        "t": t,
        "W1": first.W,
        "b1": first.b,
        "W2": second.W,
        "b2": second.b,
        "z1": z1,
        "a1": a1,
        "p": loss.probabilities(z2),
        "n": float(len(x)),
        "delta1": answers["delta1"],
        "delta2": answers["delta2"],
    }
    return values, result


def _answers(result: NetworkPass) -> dict[str, Array]:
    """The engine's answer for each quantity."""
    first = affine_at(result.grads, 0)
    second = affine_at(result.grads, 2)
    return {
        "delta1": result.deltas[0],
        "delta2": result.deltas[2],
        "dE/dW1": first.W,
        "dE/db1": first.b,
        "dE/dW2": second.W,
        "dE/db2": second.b,
    }
