"""Short computations with the initial network: finite differences, memorizing a few rows, the largest curvature."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from ..core.arrays import Params, Tree, map_arrays, replaced
from ..core.noise import generator, noise_key
from ..data import Dataset
from ..engine.eager import Eager
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State, Trace, make_step
from ..models.network import Network
from ..parts.layers.stack import Start
from ..parts.optimizers import SGD, Adam
from ..parts.part import Loss, Optimizer
from ..probes import quantities as q
from ..probes.curvature import curvature_at
from ..training.evaluate import metric_for
from ..training.inspect import inspect
from .measurements import Memorization

_MEMORY_ROWS = 8
_MEMORY_STEPS = 300
_MEMORY_RATE = 0.01
_FITTING_RATES = (0.01, 0.1)
_FITTING_STARTS = 2
_CURVATURE_ROWS = 128
_GRADIENT_ROWS = 32
_GRADIENT_ERROR = 0.02
# A directional derivative below this part of the loss is lost in its rounding.
_FAINT = 1e-6
_WIDTHS = (1e-4, 1e-6)


class Beginning(NamedTuple):
    """A network at its start, with rows to try it on."""

    network: Network
    """The network."""
    loss: Loss
    """The loss of the training."""
    start: Start
    """Initial parameters and states of the layers."""
    train: Dataset
    """The training rows that the network was made for."""
    x: np.ndarray
    """Inputs (n, features)."""
    y: np.ndarray
    """Targets as `train` has them (n,) or (n, outputs)."""
    targets: np.ndarray
    """The same targets as numbers (n, outputs)."""

    def step(self, params: Params, layers: Tree, rows: np.ndarray | slice) -> Trace:
        """A training step on some of the rows, with given parameters and states of the layers."""
        own = cast("tuple[Tree, ...]", params)
        states = cast("tuple[Tree, ...]", layers)
        return inspect(self.network, own, self.x[rows], self.y[rows], loss=self.loss, layers=states)

    def placed(self, engine: Engine, optimizer: Optimizer, rows: np.ndarray) -> tuple[Plan, State, Batch]:
        """A training by the given optimizer that is about to start, with some of the rows as its batch."""
        plan = Plan(self.network, self.loss, optimizer, metric_for(self.network, self.loss, self.train))
        params = self.start.params
        state = State(
            params, self.start.states, optimizer.init(plan.network.trained(params)), np.array(0), noise_key(0)
        )
        y = self.y if self.train.task == "classification" else self.targets
        state, batch = engine.place((state, Batch(self.x[rows], y[rows], np.ones(len(rows)))))
        return plan, state, batch


def wrong_gradient(begin: Beginning) -> tuple[int, float] | None:
    """The last layer whose gradient differs from finite differences of the loss, and the relative error.

    Compares the derivative along a random direction of the parameters of each layer with central differences of two
    widths. The parameters are moved away from the start, because biases of 0 may put units exactly on a kink.
    """
    rng = generator(2, "doctor")
    rows = slice(0, _GRADIENT_ROWS)

    def drawn(scale: float, tree: Tree) -> Tree:
        return map_arrays(lambda array: scale * rng.standard_normal(array.shape), tree)

    def step(params: Params) -> Trace:
        return begin.step(params, begin.start.states, rows)

    def difference(direction: Tree, h: float) -> float:
        def loss(along: float) -> float:
            moved = map_arrays(lambda p, v: p + along * v, trained, direction)
            return float(step(replaced(params, moved)).loss)

        return (loss(h) - loss(-h)) / (2 * h)

    with np.errstate(all="ignore"):
        params = map_arrays(lambda p, v: p + v, begin.start.params, drawn(0.1, begin.start.params))
        trained = begin.network.trained(params)
        trace = step(params)
        zeros = map_arrays(np.zeros_like, begin.network.trained(begin.start.params))
        least = _FAINT * max(1.0, abs(float(trace.loss)))
        # From the last layer down: the first layer that is wrong stands right below the fault.
        for index in reversed(range(len(zeros))):
            direction = (*zeros[:index], drawn(1.0, zeros[index]), *zeros[index + 1 :])
            slope = float(q.dot(trace.grads, direction))
            # A slope that is small by chance cannot be compared; |g| is the usual size along such a direction.
            size = max(abs(slope), float(np.sqrt(q.square(trace.grads[index]))), least)
            differences = [difference(direction, h) for h in _WIDTHS]
            error = abs(slope - differences[1]) / size
            # Differences that disagree with each other, because of kinks or rounding, decide nothing.
            agreement = 10 * abs(differences[0] - differences[1]) / size
            if np.isfinite(differences).all() and error > max(_GRADIENT_ERROR, agreement):
                return index, error
    return None


def memorization(begin: Beginning) -> Memorization:
    """Train the network by Adam on eight different rows alone."""
    return _trained(begin, _MEMORY_ROWS, _MEMORY_RATE)


def fitting(begin: Beginning) -> Memorization:
    """Train the network by Adam on up to 128 different rows, from several starts and at several rates, and take the
    best: what it can represent, rather than how fast it learns."""
    features = (begin.train.features,)
    starts = (begin.network.initialize(seed, features) for seed in range(_FITTING_STARTS))
    begins = [begin, *(begin._replace(start=start) for start in starts)]
    trials = [_trained(begin, _CURVATURE_ROWS, rate) for begin in begins for rate in _FITTING_RATES]
    return min(trials, key=lambda trial: trial.last if np.isfinite(trial.last) else np.inf)


def _trained(begin: Beginning, most_rows: int, rate: float) -> Memorization:
    distinct = np.unique(begin.x, axis=0, return_index=True)[1]
    rows = np.sort(generator(4, "doctor").permutation(distinct)[:most_rows])
    plan, state, batch = begin.placed(Eager(), Adam(rate), rows)
    step = make_step(plan)
    with np.errstate(all="ignore"):
        first = float(begin.step(state.params, state.layers, rows).loss)
        for _ in range(_MEMORY_STEPS):
            state, _ = step(state, batch)
        last = float(begin.step(state.params, state.layers, rows).loss)
    return Memorization(rows=len(rows), steps=_MEMORY_STEPS, rate=rate, first=first, last=last)


def largest_curvature(begin: Beginning) -> float:
    """The largest eigenvalue of the Hessian of the loss at the start, over up to 128 rows."""
    eager = Eager()
    rows = generator(3, "doctor").permutation(len(begin.x))[:_CURVATURE_ROWS]
    plan, state, batch = begin.placed(eager, SGD(0.0), rows)
    return curvature_at(eager, plan, state, batch, np.arange(len(rows))[None], generator(3, "doctor")).largest
