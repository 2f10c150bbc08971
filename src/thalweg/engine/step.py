"""The one shape of training: step(state, batch) -> (state, report)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.arrays import Array, Tree, map_arrays, namespace
from ..core.noise import Noise
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.layers import Identity
from ..parts.losses import as_targets
from ..parts.metrics import Metric
from ..parts.part import Count, ForwardContext, Fraction, Loss, Optimizer, Part, at
from ..parts.regularization import Regularization


class Batch(NamedTuple):
    """One row a sample: x (n, features), y (n,) or (n, K), weight (n,). Rows of weight 0 are padding."""

    x: Array
    y: Array
    weight: Array


class State(NamedTuple):
    """All that a training carries from step to step.

    Parameters, states of the layers, moments, the updates done, the key of all noise (2,), and the running average of
    the parameters (`()` where none is kept).
    """

    params: Tree
    layers: Tree
    moments: Tree
    step: Array
    key: Array
    average: Tree = ()


class Trace(NamedTuple):
    """Every number of one step. deltas[i] = dL/d(outputs[i]): behind a dense layer the local sensitivity dL/dz.

    Where the output activation and the loss run fused, the activation stands as an identity here: outputs[-1] are the
    logits, and deltas[-1] is y - t over the batch. `grads` is the gradient of the loss; `clipped` is 1 where clipping
    acted on this step, and `penalty` what L1 and L2 add to the loss; either is `()` where there is no such thing.
    """

    batch: Batch
    loss: Array
    outputs: tuple[Array, ...]
    deltas: tuple[Array, ...]
    grads: Tree
    updates: Tree
    learning_rate: Array
    clipped: Array
    penalty: Array


class StepMetrics(NamedTuple):
    """What the probes make of a step."""

    learning_rate: Array
    scores: Any
    clipped: Array
    penalty: Array


def fused(network: Network, loss: Loss) -> tuple[Network, Loss]:
    """The same function with a known last pair as one: Softmax + CrossEntropy, Sigmoid + BinaryCrossEntropy.

    The pair's delta at the logits is y - t: exact where the two factors of the chain rule would be 0 times infinity.

    >>> from thalweg.parts.losses import CrossEntropy
    >>> network, loss = fused(Network(["dense 2", "softmax"]), CrossEntropy())
    >>> network.layers[-1], loss.kind
    (Identity(), 'softmax_cross_entropy')
    """
    on_logits = loss.fused_with(network.layers[-1])
    if on_logits is None:
        return network, loss
    return dataclasses.replace(network, layers=(*network.layers[:-1], Identity())), on_logits


@dataclass(frozen=True)
class Plan(Part):
    """What decides a training besides its data and its start: descriptions only.

    A pair that `fused` knows stands here as one. A batch is worked off in `accumulate` pieces, one after another, whose
    gradients add up to that of the whole. `average` is how much of the running average of the parameters an update
    leaves.
    """

    network: Network
    loss: Loss
    optimizer: Optimizer
    scores: Metric
    regularization: Regularization = Regularization()
    clip: Clipping | None = None
    average: Fraction | None = None
    accumulate: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, part in zip(("network", "loss"), fused(self.network, self.loss), strict=True):
            object.__setattr__(self, name, part)


def batch_at(data: Batch, rows: Array, index: Array) -> Batch:
    """The batch of one step: the rows of the data that rows[index] names; -1 is padding and weighs nothing."""
    xp = namespace(data.x)
    chosen = rows[index]
    weight = data.weight[chosen]
    return Batch(data.x[chosen], data.y[chosen], xp.where(chosen >= 0, weight, xp.zeros_like(weight)))


class ForwardBackward(NamedTuple):
    """One way forward and back: the loss, outputs and deltas of every layer, gradients, new states of the layers."""

    loss: Array
    outputs: tuple[Array, ...]
    deltas: tuple[Array, ...]
    grads: Tree
    layers: Tree


def forward_backward(
    network: Network,
    loss: Loss,
    params: Tree,
    layers: Tree,
    batch: Batch,
    mode: ForwardContext,
    total: Array | None = None,
) -> ForwardBackward:
    """Forward, loss, backward: over a batch, or a piece of one whose weights sum to `total`."""
    outputs, layers, caches = network.forward(params, layers, batch.x, mode)
    value, delta = loss(outputs[-1], as_targets(outputs[-1], batch.y), batch.weight, total)
    deltas, grads = network.backward(params, caches, delta)
    return ForwardBackward(value, outputs, deltas, grads, layers)


def pieces(plan: Plan, state: State, batch: Batch) -> Iterator[tuple[Batch, ForwardContext]]:
    """What a step works off, one after another: the batch, or the pieces that it accumulates; each with its mode."""
    count, noise = plan.accumulate, Noise(state.key, state.step)
    rows = len(batch.weight) // count
    for index in range(count):
        piece = batch if count == 1 else Batch(*(array[index * rows : (index + 1) * rows] for array in batch))
        yield piece, ForwardContext(True, piece.weight, noise if count == 1 else noise.at(index))


def _forward_backward(plan: Plan, state: State, batch: Batch) -> ForwardBackward:
    """The survey of a whole batch, though it comes in pieces."""
    xp = namespace(batch.x)
    total = None if plan.accumulate == 1 else xp.sum(batch.weight)
    layers, found = state.layers, []
    for piece, mode in pieces(plan, state, batch):
        found.append(forward_backward(plan.network, plan.loss, state.params, layers, piece, mode, total))
        layers = found[-1].layers
    if len(found) == 1:
        return found[0]
    values, outputs, deltas, grads, _ = zip(*found, strict=True)

    def joined(*arrays: Array) -> Array:
        return xp.concat(arrays)

    return ForwardBackward(
        sum(values),
        map_arrays(joined, *outputs),
        map_arrays(joined, *deltas),
        map_arrays(lambda *arrays: sum(arrays[1:], arrays[0]), *grads),
        layers,
    )


def _averaged(average: Tree, params: Tree, decay: Array, time: Array) -> Tree:
    """d average + (1-d) params with d = min(decay, (1+t)/(10+t)): short at first, so that the start is soon forgotten.

    Source: Polyak and Juditsky 1992; the short memory at first is TensorFlow's ExponentialMovingAverage.
    """
    now = namespace(time).minimum((1 + time) / (10 + time), decay)
    return map_arrays(lambda a, p: a + (1 - now) * (p - a), average, params)


def make_trace(plan: Plan) -> Callable[[State, Batch], tuple[State, Trace]]:
    """The step of a plan with all its numbers: forward, loss, backward, clip and decay, optimizer."""
    optimizer, regularization = plan.optimizer, plan.regularization

    def step(state: State, batch: Batch) -> tuple[State, Trace]:
        xp = namespace(batch.x)
        found = _forward_backward(plan, state, batch)
        time = xp.astype(state.step, batch.x.dtype)
        total = xp.sum(batch.weight)
        grads, clipped = regularization.gradients(found.grads, state.params, total), ()
        if plan.clip:
            grads, clipped = plan.clip(grads)
        updates, moments = optimizer.update(grads, state.moments, state.params, time)
        decay = regularization.weight_decay
        updates = optimizer.decayed(updates, state.params, time, decay, regularization.biases)
        params = map_arrays(lambda p, u: p + u, state.params, updates)
        if regularization.max_norm is not None:
            params = regularization.constrained(params)
            updates = map_arrays(lambda new, old: new - old, params, state.params)
        average = state.average
        if plan.average is not None:
            average = _averaged(average, params, plan.average, time)
        rate = at(optimizer.learning_rate, time)
        penalty = regularization.penalty(state.params, total) if regularization.penalizes else ()
        trace = Trace(batch, found.loss, found.outputs, found.deltas, found.grads, updates, rate, clipped, penalty)
        return State(params, found.layers, moments, state.step + 1, state.key, average), trace

    return step


def loss_and_gradient(plan: Plan, state: State, batch: Batch) -> tuple[Array, Tree]:
    """What a step goes down, without a step: L + R and its gradient, for rules with a search of their own.

    Raises InputError where a layer draws noise: L would be another function at each step.
    """
    mode, total = ForwardContext(True, batch.weight), namespace(batch.x).sum(batch.weight)
    found = forward_backward(plan.network, plan.loss, state.params, state.layers, batch, mode)
    penalty = plan.regularization.penalty(state.params, total)
    return found.loss + penalty, plan.regularization.gradients(found.grads, state.params, total)


def make_step(plan: Plan) -> Callable[[State, Batch], tuple[State, StepMetrics]]:
    """The step of a plan, observed by its probes. Pure: it changes nothing that it is given."""
    trace = make_trace(plan)

    def step(state: State, batch: Batch) -> tuple[State, StepMetrics]:
        state, seen = trace(state, batch)
        return state, observe(plan, seen)

    return step


def observe(plan: Plan, trace: Trace) -> StepMetrics:
    """The report of a step."""
    # An array of its own, also where the rate is a plain number.
    rate = namespace(trace.loss).full_like(trace.loss, trace.learning_rate)
    return StepMetrics(
        rate, _update_metric(plan, trace.outputs[-1], trace.batch, trace.loss), trace.clipped, trace.penalty
    )


def _update_metric(plan: Plan, outputs: Array, batch: Batch, loss: Array) -> Any:
    seen = plan.loss.probabilities(outputs) if plan.scores.of_answers else outputs
    return plan.scores.update(seen, batch.y, batch.weight, loss)


def inference_state(state: State) -> State:
    """The state that answers: with the averaged parameters where an average is kept, and without what only training
    needs.
    """
    return state._replace(params=state.average or state.params, moments=(), average=())


def measure(plan: Plan, state: State, batch: Batch) -> Any:
    """The scores of a batch without learning from it, as sums."""
    params = inference_state(state).params
    outputs = plan.network.forward(params, state.layers, batch.x, ForwardContext(training=False)).outputs[-1]
    value, _ = plan.loss(outputs, as_targets(outputs, batch.y), batch.weight)
    return _update_metric(plan, outputs, batch, value)


def measure_at(plan: Plan, state: State, data: Batch, rows: Array, index: Array) -> Any:
    """The scores of the batch that rows[index] names."""
    return measure(plan, state, batch_at(data, rows, index))


def predict(network: Network, loss: Loss, params: Tree, layers: Tree, x: Array) -> Array:
    """What the network answers for x: probabilities where the loss speaks of probabilities, else its plain outputs."""
    return loss.probabilities(network.forward(params, layers, x, ForwardContext(training=False)).outputs[-1])
