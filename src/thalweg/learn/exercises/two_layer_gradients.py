"""All gradients of a network of two layers, ReLU and softmax, over a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import Tree
from ...engine.step import fused
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Text
from ...parts.layers import Affine, Dense, ReLU, Softmax
from ...parts.losses import CrossEntropy
from .answers import Case, Mistake, formula, numbers
from .exercise import Exercise, Pass, Question, Task, tenths, worked

_SIZES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 30.0, 1e-2)
_DELTA2 = (
    Mistake("p - t", "the mean over the n samples is missing: 1/n"),
    Mistake("(p - t) * p * (1 - p) / n", "softmax and cross-entropy together give p - t: no p (1 - p) remains"),
    Mistake("p - t / n", "1/n belongs to the whole difference: (p - t) / n"),
)
_NO_SLOPE = Mistake("delta2 @ W2.T", "the derivative of ReLU is missing: 1 where z1 > 0, else 0")
_DELTA1 = (
    _NO_SLOPE,
    Mistake("(delta2 @ W2.T) * relu(z1)", "the derivative of ReLU is 1 where z1 > 0, not z1 itself"),
    Mistake("(delta2 @ W2.T) * (z1 > 0) * n", "the 1/n of delta2 has been lost"),
)
_WEIGHTS1 = (
    Mistake("x.T @ (delta2 @ W2.T)", _NO_SLOPE.hint),
    Mistake("x.T @ delta1 * n", "the mean over the n samples is missing: 1/n"),
)


@dataclass(frozen=True)
class TwoLayerGradients(Exercise, kind="two-layer-gradients"):
    """Dense, ReLU, dense, softmax with cross-entropy: every delta and every gradient, by formula and by numbers.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, algorithm 6.4.

    >>> verdicts = TwoLayerGradients().check({"d": "(δ2 @ W2ᵀ) · (z1 > 0)", "e": "δ1ᵀ @ x"})
    >>> [verdict.says for verdict in verdicts.values()]
    ['right', 'the right numbers, transposed: rows and columns are exchanged']
    """

    title = "All gradients of a two-layer network"
    subject = "back-propagation through softmax with cross-entropy, dense, ReLU and dense, with matrices of a batch"

    def pose(self, rng: np.random.Generator) -> Question:
        # Both classes occur.
        x, t = tenths(rng, 3, 2), np.eye(2)[rng.permutation([0, 1, int(rng.integers(2))])]
        params = (Affine(tenths(rng, 2, 3), tenths(rng, 3)), (), Affine(tenths(rng, 3, 2), tenths(rng, 2)), ())
        values, done = _values(params, x, t)
        given: tuple[Block, ...] = (
            Text("Rows are samples. The loss is the mean over the n samples of the batch."),
            Formula("z1 = x W1 + b1        a1 = relu(z1)\nz2 = a1 W2 + b2       p = softmax(z2)"),
            Formula("E = -(1/n) Σ t log p\ndelta1 = dE/dz1       delta2 = dE/dz2"),
            *(ArrayBlock(name, np.asarray(values[name])) for name in ("x", "W1", "b1", "W2", "b2", "t")),
        )
        cases = [_values(*_random(rng, size)) for size in _SIZES]
        here = _answers(done)

        def asked(quantity: str, names: str, mistakes: tuple[Mistake, ...], way: str, model: str) -> Task:
            points = [Case(values, _answers(done)[quantity]) for values, done in cases]
            return Task(f"What is {quantity}?", formula(names.split(), points, mistakes), way, model)

        def computed(quantity: str, mistakes: tuple[Mistake, ...], way: str) -> Task:
            return Task(f"How large is {quantity} here?", numbers(values, here[quantity], mistakes), way)

        delta2 = "dE/dz2 = (p - t) / n"
        delta1 = "dE/da1 = delta2 W2ᵀ\nda1/dz1 = 1 where z1 > 0, else 0\ndelta1 = (delta2 W2ᵀ) ⊙ (z1 > 0)"
        dW2 = "z2 = a1 W2 + b2, so dE/dW2 = a1ᵀ delta2: (width, n) times (n, outputs)"
        dW1 = "z1 = x W1 + b1, so dE/dW1 = xᵀ delta1: (inputs, n) times (n, width)"
        db2 = "b2 is added to each sample: dE/db2 = Σ delta2 over the samples"
        db1 = "b1 is added to each sample: dE/db1 = Σ delta1 over the samples"
        tasks = (
            asked("delta2", "p t n", _DELTA2, delta2, "(p - t) / n"),
            asked("dE/dW2", "a1 delta2 n", _twice("a1.T @ delta2 / n"), dW2, "a1.T @ delta2"),
            asked("dE/db2", "delta2 n", _twice("mean(delta2, axis=0)"), db2, "sum(delta2, axis=0)"),
            asked("delta1", "delta2 W2 z1 a1", _DELTA1, delta1, "(delta2 @ W2.T) * (z1 > 0)"),
            asked("dE/dW1", "x delta1 n", _twice("x.T @ delta1 / n"), dW1, "x.T @ delta1"),
            asked("dE/db1", "delta1 n", _twice("mean(delta1, axis=0)"), db1, "sum(delta1, axis=0)"),
            computed("delta2", _DELTA2, delta2),
            computed("delta1", _DELTA1, delta1),
            computed("dE/dW1", _WEIGHTS1, dW1),
        )
        return Question(given, tasks)


def _twice(gradient: str) -> tuple[Mistake, ...]:
    hint = "the 1/n stands in the delta already: here samples are added up, not averaged"
    return (Mistake(gradient, hint),)


def _random(rng: np.random.Generator, size: float) -> tuple[tuple[Tree, ...], np.ndarray, np.ndarray]:
    """Parameters, inputs of about that size, and one-hot targets, all of random shapes."""
    samples, inputs, width, outputs = (int(number) for number in rng.integers(2, 6, 4))
    first = Affine(rng.normal(size=(inputs, width)), rng.normal(size=width))
    second = Affine(rng.normal(size=(width, outputs)), rng.normal(size=outputs))
    t = np.eye(outputs)[rng.integers(outputs, size=samples)]
    return (first, (), second, ()), size * rng.normal(size=(samples, inputs)), t


def _values(params: tuple[Tree, ...], x: np.ndarray, t: np.ndarray) -> tuple[dict[str, np.ndarray | float], Pass]:
    """All quantities by their names, and the engine's pass that they come from."""
    width, outputs = params[0].b.size, params[2].b.size
    plain = Network((Dense(width), ReLU(), Dense(outputs), Softmax()))
    network, loss = fused(plain, CrossEntropy())
    done = worked(network, loss, params, x, t)
    z1, a1, z2, _ = done.outputs
    names = {"x": x, "t": t, "W1": params[0].W, "b1": params[0].b, "W2": params[2].W, "b2": params[2].b}
    found = {"z1": z1, "a1": a1, "p": loss.probabilities(z2), "n": float(len(x))}
    answers = _answers(done)
    return {**names, **found, **{name: answers[name] for name in ("delta1", "delta2")}}, done


def _answers(done: Pass) -> dict[str, np.ndarray]:
    """What the engine says to each question."""
    first, _, second, _ = done.grads
    gradients = {"dE/dW1": first.W, "dE/db1": first.b, "dE/dW2": second.W, "dE/db2": second.b}
    return {"delta1": done.deltas[0], "delta2": done.deltas[2], **gradients}
