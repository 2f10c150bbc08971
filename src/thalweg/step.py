"""The one shape of training: step(state, batch) -> (state, report)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from .arrays import Array, Tree, map_arrays, namespace
from .layers import Identity, Sigmoid, Softmax
from .losses import BinaryCrossEntropy, CrossEntropy, SigmoidBinaryCrossEntropy, SoftmaxCrossEntropy, as_targets
from .network import Network
from .parts import Loss, Mode, Optimizer, at
from .probes import Scores


class Batch(NamedTuple):
    """One row a sample: x (n, features), y (n,) or (n, K), weight (n,). Rows of weight 0 are padding."""

    x: Array
    y: Array
    weight: Array


class State(NamedTuple):
    """All that a training carries from step to step: parameters, states of the layers, moments, the updates done."""

    params: Tree
    layers: Tree
    moments: Tree
    step: Array


class Trace(NamedTuple):
    """Every number of one step. deltas[i] = dL/d(outputs[i]): behind a dense layer the local sensitivity dL/dz.

    Where the output activation and the loss run fused, the activation stands as an identity here: outputs[-1] are the
    logits, and deltas[-1] is y - t over the batch.
    """

    batch: Batch
    loss: Array
    outputs: tuple[Array, ...]
    deltas: tuple[Array, ...]
    grads: Tree
    updates: Tree
    learning_rate: Array


class Report(NamedTuple):
    """What the probes make of a step."""

    learning_rate: Array
    scores: Any


class Plan(NamedTuple):
    """What decides a training besides its data and its start: descriptions only."""

    network: Network
    loss: Loss
    optimizer: Optimizer
    scores: Scores


def fused(network: Network, loss: Loss) -> tuple[Network, Loss]:
    """The same function with a known last pair as one: Softmax + CrossEntropy, Sigmoid + BinaryCrossEntropy.

    The pair's delta at the logits is y - t: exact where the two factors of the chain rule would be 0 times infinity.

    >>> network, loss = fused(Network(["dense 2", "softmax"]), CrossEntropy())
    >>> network.layers[-1], loss
    (Identity(), SoftmaxCrossEntropy())
    """
    pairs: dict[tuple[type, type], Loss] = {
        (Softmax, CrossEntropy): SoftmaxCrossEntropy(),
        (Sigmoid, BinaryCrossEntropy): SigmoidBinaryCrossEntropy(),
    }
    logits = pairs.get((type(network.layers[-1]), type(loss)))
    if logits is None:
        return network, loss
    return dataclasses.replace(network, layers=(*network.layers[:-1], Identity())), logits


def batch_at(data: Batch, rows: Array, index: Array) -> Batch:
    """The batch of one step: the rows of the data that rows[index] names; -1 is padding and weighs nothing."""
    xp = namespace(data.x)
    chosen = rows[index]
    weight = data.weight[chosen]
    return Batch(data.x[chosen], data.y[chosen], xp.where(chosen >= 0, weight, xp.zeros_like(weight)))


def make_step(plan: Plan) -> Callable[[State, Batch], tuple[State, Report]]:
    """The step of a plan: forward, loss, backward, optimizer, probes. Pure: it changes nothing that it is given."""
    network, loss = fused(plan.network, plan.loss)
    optimizer = plan.optimizer

    def step(state: State, batch: Batch) -> tuple[State, Report]:
        xp = namespace(batch.x)
        outputs, layers, caches = network.forward(state.params, state.layers, batch.x, Mode(training=True))
        value, delta = loss(outputs[-1], as_targets(outputs[-1], batch.y), batch.weight)
        deltas, grads = network.backward(state.params, caches, delta)
        time = xp.astype(state.step, batch.x.dtype)
        updates, moments = optimizer.update(grads, state.moments, state.params, time)
        params = map_arrays(lambda p, u: p + u, state.params, updates)
        rate = at(optimizer.learning_rate, time)
        trace = Trace(batch, value, outputs, deltas, grads, updates, rate)
        return State(params, layers, moments, state.step + 1), observe(plan.scores, trace)

    return step


def observe(scores: Scores, trace: Trace) -> Report:
    """The report of a step."""
    batch = trace.batch
    # An array of its own, also where the rate is a plain number.
    rate = namespace(trace.loss).full_like(trace.loss, trace.learning_rate)
    return Report(rate, scores.tally(trace.outputs[-1], batch.y, batch.weight, trace.loss))


def make_measure(plan: Plan) -> Callable[[State, Batch], Any]:
    """The scores of a batch without learning from it: (state, batch) -> sums."""
    network, loss = fused(plan.network, plan.loss)

    def measure(state: State, batch: Batch) -> Any:
        outputs = network.forward(state.params, state.layers, batch.x, Mode(training=False)).outputs[-1]
        value, _ = loss(outputs, as_targets(outputs, batch.y), batch.weight)
        return plan.scores.tally(outputs, batch.y, batch.weight, value)

    return measure


def predict(network: Network, loss: Loss, params: Tree, layers: Tree, x: Array) -> Array:
    """What the network answers for x: probabilities where the loss speaks of probabilities, else its plain outputs."""
    return loss.probabilities(network.forward(params, layers, x, Mode(training=False)).outputs[-1])
