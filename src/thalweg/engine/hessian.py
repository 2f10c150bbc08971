"""Exact products of the Hessian with a direction, written by hand like the gradient: no differences and no tape.

The R-operator R{f} = ∂/∂r f(params + r v) at r = 0 is the derivative along a direction v of the parameters. Applied to
every number of the forward and the backward pass, it gives R{gradient} = H v:

    forward:   R{y} = `Layer.jvp`: by the layer's own parameters, and by R{x}
    loss:      R{delta} = `Loss.backward_jvp`: the Hessian of the loss by the outputs, times R{outputs}
    backward:  R{backward(delta)} = backward(R{delta}) + `Layer.backward_jvp`, since backward is linear in delta

A product costs about two additional gradients.

Source: Pearlmutter 1994, Fast exact multiplication by the Hessian.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.arrays import Array, Params, Tree, map_arrays, namespace, replaced
from ..parts.losses import as_targets
from .step import Batch, Plan, State, batch_at, pieces


class Slopes(NamedTuple):
    """The loss of each sample and its derivative along a direction of the parameters, both (n,)."""

    values: Array
    slopes: Array


class _Motion(NamedTuple):
    """The forward pass of a piece of a batch, and the derivative of each output along the direction.

    piece: the piece.
    outputs: the last output.
    targets: the targets, in the shape of the outputs.
    caches: caches of the layers.
    output_dots: derivative of the output of each layer; None where it does not move.
    output_dot: derivative of the last output.
    """

    piece: Batch
    outputs: Array
    targets: Array
    caches: tuple[Tree, ...]
    output_dots: tuple[Array | None, ...]
    output_dot: Array


def product(plan: Plan, state: State, batch: Batch, direction: tuple[Params, ...]) -> Tree:
    """H v: the derivative of the gradient of the training objective over a batch along `direction` = v.

        H v = Σ_i w_i R{dl_i/dparams} / Σ_i w_i + l2 v,  the last term where l2 and alpha apply; l1 adds nothing.

    The objective is that of the next step at `state`: with its dropout mask and noise, and the statistics of this
    batch, or of the pieces that a step accumulates. Both trees have the type of the parameters; those that are held do
    not move, and the product has `()` in their place. At a kink (ReLU, |y - t|) the second derivative is that of one
    side. Decay, clipping and bounds are not part of the objective.

    Source: Pearlmutter 1994, section 3.1.

    >>> import numpy as np
    >>> from thalweg.parts.layers import Affine
    >>> from thalweg.parts.losses import SquaredError
    >>> from thalweg.models.network import Network
    >>> from thalweg.parts.optimizers import SGD
    >>> from thalweg.parts.task_metrics import RegressionMetric
    >>> plan = Plan(Network(["dense 1"]), SquaredError(), SGD(0.1), RegressionMetric(variance=(1.0,), unit=(1.0,)))
    >>> at, v = Affine(np.array([[5.0]]), np.array([7.0])), Affine(np.array([[1.0]]), np.array([0.0]))
    >>> state = State((at,), ((),), (), np.array(0), np.zeros(2, np.uint32))
    >>> batch = Batch(np.array([[3.0]]), np.array([4.0]), np.ones(1))
    >>> (Hv,) = product(plan, state, batch, (v,))
    >>> Hv.W.tolist(), Hv.b.tolist()  # L = (3 W + b - 4)² / 2: the Hessian is ((9, 3), (3, 1))
    ([[9.0]], [3.0])
    """
    network, loss, params = plan.network, plan.loss, state.params
    direction = _of_all(plan, state, direction)
    total = namespace(batch.weight).sum(batch.weight)
    products = []
    for piece, outputs, targets, caches, output_dots, output_dot in _motions(plan, state, batch, direction):
        _, delta = loss(outputs, targets, piece.weight, total)
        deltas, _ = network.backward(params, caches, delta)
        delta_dot = loss.backward_jvp(outputs, targets, piece.weight, output_dot, total)
        products.append(network.backward_jvp(params, caches, direction, output_dots, deltas, delta_dot))
    whole = map_arrays(lambda *arrays: sum(arrays[1:], arrays[0]), *products)
    trained = plan.network.trained
    return plan.regularization.backward_jvp(trained(whole), trained(direction), total)


def product_at(plan: Plan, state: State, data: Batch, rows: Array, direction: tuple[Params, ...]) -> Tree:
    """H v over the batch that rows[0] names."""
    return product(plan, state, batch_at(data, rows, 0), direction)


def slopes(plan: Plan, state: State, batch: Batch, direction: tuple[Params, ...]) -> Slopes:
    """Each sample's loss, and its derivative along a direction of the parameters:  dl_i = Σ_k (dl_i/dy_k) R{y_k}.

    It takes a single forward pass: no gradient of a sample is formed. Σ w_i dl_i / Σ w_i is the slope of the loss
    (without penalty) along that direction. With batch statistics, a sample's loss depends on them too.

    Source: Pearlmutter 1994, section 3.1, the forward pass.
    """
    samples = []
    for motion in _motions(plan, state, batch, _of_all(plan, state, direction)):
        values, by_outputs = plan.loss.terms(motion.outputs, motion.targets)
        samples.append(Slopes(values, namespace(values).sum(by_outputs * motion.output_dot, axis=-1)))
    return map_arrays(lambda *arrays: namespace(arrays[0]).concat(arrays), *samples)


def _of_all(plan: Plan, state: State, direction: tuple[Params, ...]) -> tuple[Params, ...]:
    """The direction with 0 for every parameter that is held."""
    zeros = map_arrays(lambda array: namespace(array).zeros_like(array), state.params)
    return replaced(zeros, plan.network.trained(direction))


def _motions(plan: Plan, state: State, batch: Batch, direction: tuple[Params, ...]) -> Iterator[_Motion]:
    layers = state.layers
    for piece, context in pieces(plan, state, batch):
        outputs, layers, caches = plan.network.forward(state.params, layers, piece.x, context)
        output_dots = plan.network.jvp(state.params, caches, direction)
        # Without parameters nothing moves.
        output_dot = namespace(piece.x).zeros_like(outputs[-1]) if output_dots[-1] is None else output_dots[-1]
        yield _Motion(
            piece, outputs[-1], as_targets(outputs[-1], piece.y, plan.loss.members), caches, output_dots, output_dot
        )
