"""Softmax and cross-entropy with large logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Array
from ...core.functions import log_softmax, softmax
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Formula, Text
from ...parts.layers import Identity
from ...parts.losses import SoftmaxCrossEntropy
from ..answers import AnswerPoint, Mistake, formula_answer, numeric_answer
from ..exercise import Exercise, Question, Task, network_pass

_POINTS = 8
_FAR = ((1000.0, 999.0, 0.0), (-1000.0, -1001.0, -1002.5), (800.0, -800.0))
_READY_MADE = ("softmax", "log_softmax", "sigmoid", "sigma", "softplus")

_OVERFLOW = "right for small logits only: at z = 1000 exp overflows, at z = -1000 the sum is 0; subtract max(z) first"
_UNDIVIDED = Mistake("exp(z - max(z))", "the sum of the exponentials is missing: these do not add up to 1")
_SOFTMAX_MISTAKES = (Mistake("exp(z) / sum(exp(z))", _OVERFLOW), _UNDIVIDED)
_LOG_MISTAKES = (
    Mistake("log(exp(z) / sum(exp(z)))", _OVERFLOW),
    Mistake(
        "log(exp(z - max(z)) / sum(exp(z - max(z))))",
        "if a probability underflows to 0, its logarithm is -inf: write the log of the quotient as a difference",
    ),
    Mistake("z - max(z)", "the logarithm of the sum of the exponentials is missing"),
    Mistake("z - log(sum(exp(z)))", _OVERFLOW),
)
_LOSS_MISTAKES = (
    Mistake("1 - sum(t * p)", "this is 1 - p of the class; -log p is asked for"),
    Mistake("-sum(t * log(p)) / log(2)", "log is the natural logarithm, not the one to base 2"),
    Mistake("-sum(t * log(p)) / log(10)", "log is the natural logarithm, not the one to base 10"),
    Mistake("-sum(t * log(p)) / 3", "the loss is a sum over the classes, not their mean"),
)
_DELTA_MISTAKES = (
    Mistake("p", "the target t is missing: p - t"),
    Mistake("(p - t) * p * (1 - p)", "softmax and cross-entropy together give p - t: no p (1 - p) remains"),
)


@dataclass(frozen=True)
class StableSoftmax(Exercise, kind="stable-softmax"):
    """Softmax and its logarithm in a form that is valid for logits of ±1000, and the delta of cross-entropy.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 4.1.

    >>> print(StableSoftmax().check({"a": "exp(z) / sum(exp(z))"})["a"].says)
    right for small logits only: at z = 1000 exp overflows, at z = -1000 the sum is 0; subtract max(z) first
    """

    title = "A softmax that does not overflow"
    subject = "softmax and its logarithm for logits of any size, by subtracting the maximum; the delta p - t"
    place = 3

    def make_question(self, rng: np.random.Generator) -> Question:
        # The logits are close enough together that no probability is lost to rounding.
        z = 1000 + np.cumsum(rng.integers(3, 13, 3)) / 10
        z = rng.permutation(z)
        t = np.eye(3)[rng.integers(3)]
        result = network_pass(Network((Identity(),)), SoftmaxCrossEntropy(), ((),), z[None], t[None])
        values = {"z": z, "t": t, "p": softmax(z)}
        given = (
            Text("Networks that are trained for a long time can produce logits of this size."),
            Formula("p_k = exp(z_k) / Σ exp(z_j)\nE = -Σ t_k log p_k"),
            ArrayBlock("z", z),
            ArrayBlock("t", t),
        )
        shift = "exp(z - m) / Σ exp(z - m) = exp(-m) exp(z) / (exp(-m) Σ exp(z)): equal for any m\nm = max(z)"
        tasks = (
            Task(
                "Write p so that it is valid for all finite logits.",
                formula_answer(["z"], _points(rng, softmax), _SOFTMAX_MISTAKES, _READY_MADE),
                shift,
                "exp(z - max(z)) / sum(exp(z - max(z)))",
            ),
            Task(
                "Write log p so that it is valid for all finite logits.",
                formula_answer(["z"], _points(rng, log_softmax), _LOG_MISTAKES, _READY_MADE),
                "s = z - max(z)\nlog p = log(exp(s) / Σ exp(s)) = s - log Σ exp(s)",
                "z - max(z) - log(sum(exp(z - max(z))))",
            ),
            Task("What is p here?", numeric_answer(values, values["p"], [_UNDIVIDED]), shift),
            Task(
                "How large is E here?",
                numeric_answer(values, result.loss, _LOSS_MISTAKES),
                "E = -log p of the class with t = 1",
            ),
            Task("What is dE/dz here?", numeric_answer(values, result.deltas[0][0], _DELTA_MISTAKES), "dE/dz = p - t"),
        )
        return Question(given, tasks)


def _points(rng: np.random.Generator, function: Callable[[Array], Array]) -> Iterator[AnswerPoint]:
    """The function at random logits and at extreme ones."""
    for _ in range(_POINTS):
        z = rng.normal(scale=2, size=int(rng.integers(2, 6)))
        yield AnswerPoint({"z": z}, function(z))
    for logits in _FAR:
        z = np.array(logits)
        yield AnswerPoint({"z": z}, function(z))
