"""Softmax and cross-entropy where the logits are large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...core.functions import log_softmax, softmax
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Formula, Text
from ...parts.layers import Identity
from ...parts.losses import SoftmaxCrossEntropy
from .answers import Case, Mistake, formula, numbers
from .exercise import Exercise, Question, Task, worked

_POINTS = 8
_FAR = ((1000.0, 999.0, 0.0), (-1000.0, -1001.0, -1002.5), (800.0, -800.0))
_READY = ("softmax", "log_softmax", "sigmoid", "sigma", "softplus")
_OVERFLOW = "right for small logits alone: at z = 1000 exp overflows, at z = -1000 the sum is 0; subtract max(z) first"


@dataclass(frozen=True)
class StableSoftmax(Exercise, kind="stable-softmax"):
    """Softmax and its logarithm in a form that holds for logits of ±1000, and the delta of cross-entropy.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 4.1.

    >>> print(StableSoftmax().check({"a": "exp(z) / sum(exp(z))"})["a"].says)
    right for small logits alone: at z = 1000 exp overflows, at z = -1000 the sum is 0; subtract max(z) first
    """

    title = "A softmax that does not overflow"
    subject = "softmax and its logarithm for logits of any size, by subtracting the maximum; the delta p - t"

    def pose(self, rng: np.random.Generator) -> Question:
        # Neighbours that far apart that no probability is lost in rounding.
        z = 1000 + np.cumsum(rng.integers(3, 13, 3)) / 10
        z = rng.permutation(z)
        t = np.eye(3)[rng.integers(3)]
        done = worked(Network((Identity(),)), SoftmaxCrossEntropy(), ((),), z[None], t[None])
        values = {"z": z, "t": t, "p": softmax(z)}
        given = (
            Text("Logits of this size come up in networks that have been trained for long."),
            Formula("p_k = exp(z_k) / Σ exp(z_j)\nE = -Σ t_k log p_k"),
            ArrayBlock("z", z),
            ArrayBlock("t", t),
        )
        naive = Mistake("exp(z) / sum(exp(z))", _OVERFLOW)
        undivided = Mistake("exp(z - max(z))", "the sum of the exponentials is missing below: these do not add up to 1")
        naive_log = Mistake("log(exp(z) / sum(exp(z)))", _OVERFLOW)
        log_of_zero = Mistake(
            "log(exp(z - max(z)) / sum(exp(z - max(z))))",
            "where a probability underflows to 0 its logarithm is -inf: write log of the quotient as a difference",
        )
        without_sum = Mistake("z - max(z)", "the logarithm of the sum of the exponentials is missing")
        other_sum = Mistake("z - log(sum(exp(z)))", _OVERFLOW)
        mistakes = (
            Mistake("1 - sum(t * p)", "that is 1 - p of the class; asked for is -log p"),
            Mistake("-sum(t * log(p)) / log(2)", "log is the natural logarithm, not that to the base 2"),
            Mistake("-sum(t * log(p)) / log(10)", "log is the natural logarithm, not that to the base 10"),
            Mistake("-sum(t * log(p)) / 3", "the loss is a sum over the classes, not their mean"),
        )
        deltas = (
            Mistake("p", "the target t is missing: p - t"),
            Mistake("(p - t) * p * (1 - p)", "softmax and cross-entropy together give p - t: no p (1 - p) remains"),
        )
        shift = "exp(z - m) / Σ exp(z - m) = exp(-m) exp(z) / (exp(-m) Σ exp(z)): equal for any m\nm = max(z)"
        tasks = (
            Task(
                "Write p so that it holds for all finite logits.",
                formula(["z"], (Case({"z": at}, softmax(at)) for at in _logits(rng)), [naive, undivided], _READY),
                shift,
                "exp(z - max(z)) / sum(exp(z - max(z)))",
            ),
            Task(
                "Write log p so that it holds for all finite logits.",
                formula(
                    ["z"],
                    (Case({"z": at}, log_softmax(at)) for at in _logits(rng)),
                    [naive_log, log_of_zero, without_sum, other_sum],
                    _READY,
                ),
                "s = z - max(z)\nlog p = log(exp(s) / Σ exp(s)) = s - log Σ exp(s)",
                "z - max(z) - log(sum(exp(z - max(z))))",
            ),
            Task("What is p here?", numbers(values, values["p"], [undivided]), shift),
            Task("How large is E here?", numbers(values, done.loss, mistakes), "E = -log p of the class with t = 1"),
            Task("What is dE/dz here?", numbers(values, done.deltas[0][0], deltas), "dE/dz = p - t"),
        )
        return Question(given, tasks)


def _logits(rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(_POINTS):
        yield rng.normal(scale=2, size=int(rng.integers(2, 6)))
    yield from (np.array(logits) for logits in _FAR)
