"""One step of training: step(state, batch) -> (state, metrics), a pure function for both engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from ..core.arrays import Array, Grads, LayerState, Moments, Params, Updates, map_arrays, namespace, replaced
from ..core.noise import Noise, noise_key
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.layers import Identity
from ..parts.losses import as_targets
from ..parts.part import Count, ForwardContext, Fraction, Loss, Optimizer, Part, at
from ..parts.regularization import Regularization
from ..parts.task_metrics import MetricSums, TaskMetric


class Batch(NamedTuple):
    """Rows of a batch, one sample each: x (n, features), y (n,) or (n, K), weight (n,). Padding has weight 0."""

    x: Array
    y: Array
    weight: Array


class State(NamedTuple):
    """Everything that a training carries from step to step."""

    params: tuple[Params, ...]
    """Parameters, an entry for each layer."""
    layers: tuple[LayerState, ...]
    """States of the layers, an entry for each."""
    moments: Moments
    """Memory of the optimizer."""
    step: Array
    """Updates done so far."""
    key: Array
    """Key of all noise, (2,)."""
    average: tuple[Params, ...] = ()
    """Running average of the parameters; `()` where none is kept."""


class Trace(NamedTuple):
    """Every number of one step.

    Where the last activation and the loss run fused, the activation is an identity here: outputs[-1] are the logits,
    and deltas[-1] is y - t over the batch.
    """

    batch: Batch
    """The rows of the step."""
    loss: Array
    """L, the weighted mean over the batch."""
    outputs: tuple[Array, ...]
    """Output of each layer, (n, width)."""
    deltas: tuple[Array, ...]
    """deltas[i] = dL/d(outputs[i]): for a dense layer the local sensitivity dL/dz."""
    grads: tuple[Grads, ...]
    """Gradient of the loss; `()` in place of an array that is held."""
    updates: tuple[Updates, ...]
    """What the step adds to the parameters; `()` in place of an array that is held."""
    learning_rate: Array
    """The rate of the step."""
    clipped: Array | tuple[()]
    """1 where clipping changed the gradient, else 0; `()` without clipping."""
    penalty: Array | tuple[()]
    """What L1 and L2 add to the loss; `()` without a penalty."""


class StepMetrics(NamedTuple):
    """What is kept of each step of a training."""

    learning_rate: Array
    """The rate of the step."""
    sums: MetricSums
    """Sums of the metric over the batch."""
    clipped: Array | tuple[()]
    """As in `Trace`."""
    penalty: Array | tuple[()]
    """As in `Trace`."""


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
    """What decides the steps of a training besides its rows and its start: descriptions only.

    Attributes:
        network: the layers; a last activation that runs fused with the loss is an identity.
        loss: the loss; on logits where it runs fused.
        optimizer: the update rule.
        metric: what each batch sums up.
        regularization: penalties, decay and bounds of the weights.
        clip: how gradients are bounded.
        average: weight of the running average of the parameters in an update.
        accumulate: pieces of a batch, worked off one after another, whose gradients add up to that of the batch.
    """

    network: Network
    loss: Loss
    optimizer: Optimizer
    metric: TaskMetric
    regularization: Regularization = Regularization()
    clip: Clipping | None = None
    average: Fraction | None = None
    accumulate: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, part in zip(("network", "loss"), fused(self.network, self.loss), strict=True):
            object.__setattr__(self, name, part)

    def start(self, seed: int, features: int) -> State:
        """The state before the first step, as NumPy arrays in float64.

        Args:
            seed: decides the weights and the noise of layers.
            features: number of inputs of the network.
        """
        start = self.network.initialize(seed, (features,))
        return State(
            params=start.params,
            layers=start.states,
            moments=self.optimizer.init(self.network.trained(start.params)),
            step=np.array(0),
            key=noise_key(seed),
            average=start.params if self.average is not None else (),
        )


def batch_at(data: Batch, rows: Array, index: Array | int) -> Batch:
    """The batch of one step: the rows of the data that rows[index] names. -1 is padding and has weight 0."""
    xp = namespace(data.x)
    chosen = rows[index]
    weight = data.weight[chosen]
    return Batch(data.x[chosen], data.y[chosen], xp.where(chosen >= 0, weight, xp.zeros_like(weight)))


class ForwardBackward(NamedTuple):
    """One forward and one backward pass."""

    loss: Array
    """L, the weighted mean over the batch."""
    outputs: tuple[Array, ...]
    """Output of each layer, (n, width)."""
    deltas: tuple[Array, ...]
    """dL/d(output) of each layer, (n, width)."""
    grads: tuple[Grads, ...]
    """Gradient of the loss."""
    layers: tuple[LayerState, ...]
    """New states of the layers."""


def forward_backward(
    network: Network,
    loss: Loss,
    params: tuple[Params, ...],
    layers: tuple[LayerState, ...],
    batch: Batch,
    context: ForwardContext,
    total: Array | None = None,
) -> ForwardBackward:
    """Forward, loss, backward: over a batch, or over a piece of one whose weights sum to `total`."""
    outputs, states, caches = network.forward(params, layers, batch.x, context)
    value, delta = loss(outputs[-1], as_targets(outputs[-1], batch.y, loss.members), batch.weight, total)
    deltas, grads = network.backward(params, caches, delta)
    return ForwardBackward(loss=value, outputs=outputs, deltas=deltas, grads=grads, layers=states)


def pieces(plan: Plan, state: State, batch: Batch) -> Iterator[tuple[Batch, ForwardContext]]:
    """The pieces of a batch that a step works off one after another, each with its context."""
    count = plan.accumulate
    noise = Noise(state.key, state.step)
    rows = len(batch.weight) // count
    for index in range(count):
        piece = batch if count == 1 else Batch(*(array[index * rows : (index + 1) * rows] for array in batch))
        yield piece, ForwardContext(True, piece.weight, noise if count == 1 else noise.at(index))


def _whole_batch(plan: Plan, state: State, batch: Batch) -> ForwardBackward:
    """`forward_backward` of a batch that may come in pieces."""
    xp = namespace(batch.x)
    total = None if plan.accumulate == 1 else xp.sum(batch.weight)
    layers = state.layers
    passes = []
    for piece, context in pieces(plan, state, batch):
        passes.append(forward_backward(plan.network, plan.loss, state.params, layers, piece, context, total))
        layers = passes[-1].layers
    if len(passes) == 1:
        return passes[0]
    losses, outputs, deltas, grads, _ = zip(*passes, strict=True)

    def joined(*arrays: Array) -> Array:
        return xp.concat(arrays)

    return ForwardBackward(
        loss=sum(losses[1:], losses[0]),
        outputs=map_arrays(joined, *outputs),
        deltas=map_arrays(joined, *deltas),
        grads=map_arrays(lambda *arrays: sum(arrays[1:], arrays[0]), *grads),
        layers=layers,
    )


def _averaged(
    average: tuple[Params, ...], params: tuple[Params, ...], decay: Array | float, time: Array
) -> tuple[Params, ...]:
    """d average + (1-d) params with d = min(decay, (1+t)/(10+t)): short at first, so that the start is soon forgotten.

    Source: Polyak and Juditsky 1992; the short memory at first is that of TensorFlow's ExponentialMovingAverage.
    """
    now = namespace(time).minimum((1 + time) / (10 + time), decay)
    return map_arrays(lambda a, p: a + (1 - now) * (p - a), average, params)


def make_trace(plan: Plan) -> Callable[[State, Batch], tuple[State, Trace]]:
    """The step of a plan with all its numbers: forward, loss, backward, clip and decay, optimizer."""
    optimizer = plan.optimizer
    regularization = plan.regularization

    def step(state: State, batch: Batch) -> tuple[State, Trace]:
        xp = namespace(batch.x)
        passes = _whole_batch(plan, state, batch)
        time = xp.astype(state.step, batch.x.dtype)
        total = xp.sum(batch.weight)
        before = plan.network.trained(state.params)
        by_loss = plan.network.trained(passes.grads)
        grads = regularization.gradients(by_loss, before, total)
        clipped: Array | tuple[()] = ()
        if plan.clip:
            grads, acted = plan.clip(grads)
            clipped = cast(Array, acted)
        updates, moments = optimizer.update(grads, state.moments, before, time)
        decay = regularization.weight_decay
        updates = optimizer.decayed(updates, before, time, decay, regularization.biases)
        after = map_arrays(lambda p, u: p + u, before, updates)
        if regularization.max_norm is not None:
            after = regularization.constrained(after)
            updates = map_arrays(lambda new, old: new - old, after, before)
        params = replaced(state.params, after)
        average = state.average
        if plan.average is not None:
            average = _averaged(average, params, plan.average, time)
        trace = Trace(
            batch=batch,
            loss=passes.loss,
            outputs=passes.outputs,
            deltas=passes.deltas,
            grads=by_loss,
            updates=updates,
            learning_rate=cast(Array, at(optimizer.learning_rate, time)),
            clipped=clipped,
            penalty=cast(Array, regularization.penalty(before, total)) if regularization.penalizes else (),
        )
        state = State(
            params=params,
            layers=passes.layers,
            moments=moments,
            step=state.step + 1,
            key=state.key,
            average=average,
        )
        return state, trace

    return step


def loss_and_gradient(plan: Plan, state: State, batch: Batch) -> tuple[Array, tuple[Grads, ...]]:
    """The objective L + R of a batch and its gradient, without a step: for rules that search by themselves.

    The gradient is 0 for parameters that are held.

    Raises InputError where a layer draws noise: L would be another function at each step.
    """
    total = namespace(batch.x).sum(batch.weight)
    context = ForwardContext(True, batch.weight)
    passes = forward_backward(plan.network, plan.loss, state.params, state.layers, batch, context)
    trained = plan.network.trained(state.params)
    penalty = plan.regularization.penalty(trained, total)
    grads = plan.regularization.gradients(plan.network.trained(passes.grads), trained, total)
    return passes.loss + penalty, replaced(map_arrays(namespace(batch.x).zeros_like, state.params), grads)


def make_step(plan: Plan) -> Callable[[State, Batch], tuple[State, StepMetrics]]:
    """The step of a plan, with the metrics that are kept of it. Pure: it changes nothing that it is given."""
    trace = make_trace(plan)

    def step(state: State, batch: Batch) -> tuple[State, StepMetrics]:
        state, numbers = trace(state, batch)
        return state, step_metrics(plan, numbers)

    return step


def step_metrics(plan: Plan, trace: Trace) -> StepMetrics:
    """The metrics of a step."""
    return StepMetrics(
        # An array, even where the rate is a plain number.
        learning_rate=namespace(trace.loss).full_like(trace.loss, trace.learning_rate),
        sums=plan.metric.sums(plan.loss, trace.outputs[-1], trace.batch.y, trace.batch.weight, trace.loss),
        clipped=trace.clipped,
        penalty=trace.penalty,
    )


def inference_state(state: State) -> State:
    """The state that predicts: with the averaged parameters where an average is kept, without what training needs."""
    return state._replace(params=state.average or state.params, moments=(), average=())


def measure(plan: Plan, state: State, batch: Batch) -> MetricSums:
    """The sums of the metric over a batch, without learning from it."""
    params = inference_state(state).params
    outputs = plan.network.forward(params, state.layers, batch.x, ForwardContext(training=False)).outputs[-1]
    value, _ = plan.loss(outputs, as_targets(outputs, batch.y, plan.loss.members), batch.weight)
    sums: MetricSums = plan.metric.sums(plan.loss, outputs, batch.y, batch.weight, value)
    return sums


def measure_at(plan: Plan, state: State, data: Batch, rows: Array, index: Array | int) -> MetricSums:
    """`measure` of the batch that rows[index] names."""
    return measure(plan, state, batch_at(data, rows, index))


def predict(
    network: Network, loss: Loss, params: tuple[Params, ...], layers: tuple[LayerState, ...], x: Array
) -> Array:
    """The outputs (n, K) of a network for x (n, features): probabilities where the loss takes logits."""
    return loss.probabilities(network.forward(params, layers, x, ForwardContext(training=False)).outputs[-1])
