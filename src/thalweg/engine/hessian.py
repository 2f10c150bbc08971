"""Exact products of the Hessian with a direction, by hand as the gradient itself: no differences, and no tape.

While the parameters move along v, every number of the way forward and of the way back moves too. The R-operator,
R{f} = ∂/∂r f(params + r v) at r = 0, is the chain rule of that motion, and R{gradient} = H v:

    forward:   R{y} = `Layer.jvp`: by the layer's own parameters, and by R{x}
    loss:      R{delta} = `Loss.backward_jvp`: the Hessian of the loss by the outputs, times R{outputs}
    backward:  R{backward(delta)} = backward(R{delta}) + `Layer.backward_jvp`, for backward is linear in delta

Such a product costs about two gradients more.

Source: Pearlmutter 1994, Fast exact multiplication by the Hessian.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.arrays import Array, Tree, map_arrays, namespace
from ..parts.losses import as_targets
from .step import Batch, Plan, State, batch_at, pieces


class Slopes(NamedTuple):
    """The loss of each sample and its derivative along a direction of the parameters, both (n,)."""

    values: Array
    slopes: Array


class _Motion(NamedTuple):
    """The way forward of a piece of a batch, and how its outputs move; `turned` is how its last output does."""

    piece: Batch
    outputs: Array
    targets: Array
    caches: tuple[Tree, ...]
    tangents: tuple[Array | None, ...]
    turned: Array


def product(plan: Plan, state: State, batch: Batch, direction: Tree) -> Tree:
    """H v: the derivative of the gradient of the training objective over a batch along `direction` = v.

        H v = Σ_i w_i R{dl_i/dparams} / Σ_i w_i + l2 v,  the last term for what l2 and alpha hold of; l1 adds nothing.

    The objective is that of the next step at `state`: with its dropout mask and noise, and the statistics of this
    batch, or of the pieces that a step accumulates. Both trees have the type of the parameters. At a kink (ReLU,
    |y - t|) the second derivative is that of one side. Decay, clipping and bounds are no part of the objective.

    Source: Pearlmutter 1994, section 3.1.

    >>> import numpy as np
    >>> from thalweg.parts.layers import Affine
    >>> from thalweg.parts.losses import SquaredError
    >>> from thalweg.models.network import Network
    >>> from thalweg.parts.optimizers import SGD
    >>> from thalweg.parts.metrics import RegressionMetric
    >>> plan = Plan(Network(["dense 1"]), SquaredError(), SGD(0.1), RegressionMetric(variance=(1.0,), unit=(1.0,)))
    >>> at, v = Affine(np.array([[5.0]]), np.array([7.0])), Affine(np.array([[1.0]]), np.array([0.0]))
    >>> state = State((at,), ((),), (), np.array(0), np.zeros(2, np.uint32))
    >>> batch = Batch(np.array([[3.0]]), np.array([4.0]), np.ones(1))
    >>> (Hv,) = product(plan, state, batch, (v,))
    >>> Hv.W.tolist(), Hv.b.tolist()  # L = (3 W + b - 4)² / 2: the Hessian is ((9, 3), (3, 1))
    ([[9.0]], [3.0])
    """
    network, loss, params = plan.network, plan.loss, state.params
    total = namespace(batch.weight).sum(batch.weight)
    products = []
    for piece, outputs, targets, caches, tangents, turned in _motions(plan, state, batch, direction):
        _, delta = loss(outputs, targets, piece.weight, total)
        deltas, _ = network.backward(params, caches, delta)
        turn = loss.backward_jvp(outputs, targets, piece.weight, turned, total)
        products.append(network.backward_jvp(params, caches, direction, tangents, deltas, turn))
    whole = map_arrays(lambda *arrays: sum(arrays[1:], arrays[0]), *products)
    return plan.regularization.backward_jvp(whole, direction, total)


def product_at(plan: Plan, state: State, data: Batch, rows: Array, direction: Tree) -> Tree:
    """H v over the batch that rows[0] names."""
    return product(plan, state, batch_at(data, rows, 0), direction)


def slopes(plan: Plan, state: State, batch: Batch, direction: Tree) -> Slopes:
    """Each sample's loss, and its derivative along a direction of the parameters:  dl_i = Σ_k (dl_i/dy_k) R{y_k}.

    One way forward, and none back: no gradient is formed for any sample. Σ w_i dl_i / Σ w_i is the slope of the loss
    (without penalty) along that direction. Where batch statistics are taken, a sample's loss moves by them too.

    Source: Pearlmutter 1994, section 3.1, its way forward.
    """
    found = []
    for motion in _motions(plan, state, batch, direction):
        values, by_outputs = plan.loss.terms(motion.outputs, motion.targets)
        found.append(Slopes(values, namespace(values).sum(by_outputs * motion.turned, axis=-1)))
    return map_arrays(lambda *arrays: namespace(arrays[0]).concat(arrays), *found)


def _motions(plan: Plan, state: State, batch: Batch, direction: Tree) -> Iterator[_Motion]:
    layers = state.layers
    for piece, mode in pieces(plan, state, batch):
        outputs, layers, caches = plan.network.forward(state.params, layers, piece.x, mode)
        tangents = plan.network.jvp(state.params, caches, direction)
        # A network that learns nothing stays where it is.
        turned = namespace(piece.x).zeros_like(outputs[-1]) if tangents[-1] is None else tangents[-1]
        yield _Motion(piece, outputs[-1], as_targets(outputs[-1], piece.y), caches, tangents, turned)
