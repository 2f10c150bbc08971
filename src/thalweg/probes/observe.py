"""Observing a step: the probes and the function that runs them.

An observation repeats the step on the same state and discards its result. So it cannot change the training, and the
program of the training is the same with probes and without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..core.arrays import Array, Params, Tree, arrays_of, map_arrays, namespace
from ..engine import hessian
from ..engine.step import Batch, Plan, State, Trace, batch_at, make_trace
from ..parts.layers import Activation, Affine, Weights
from ..parts.layers.members import by_member
from ..parts.part import normalized_weights
from ..parts.settings import Light, Standard
from . import quantities as q
from .layer_step import LayerStep, each_layer, evaluated, layer_steps, saturation, slope
from .registry import PRESETS, PROBES, Recorded, describe_probe, probe

Observed = dict[str, dict[str, Array]]
"""{"whole": {quantity: number}, "layers": {quantity: one entry for each layer, in an array}}"""


@dataclass(frozen=True, eq=False)
class ObservedStep:
    """A step with its layers, and the step after it."""

    plan: Plan
    """The plan of the training."""
    state: State
    """The state before the step."""
    after: State
    """The state after it."""
    trace: Trace
    """The step."""
    layers: list[LayerStep]
    """The layers, those inside of residual blocks too."""
    weights: Array
    """The part of the batch that each row is (n,)."""
    following: Batch | None = None
    """The batch after that of the step; None where no probe asks for it."""
    next_trace: Trace | None = None
    """The step on that batch."""

    def by_layer(self, measure: Callable[[LayerStep], Array | None]) -> Array:
        """A number of each layer (layers,); NaN where it is None."""
        return _stacked([measure(layer) for layer in self.layers], self.weights)

    @cached_property
    def noise(self) -> tuple[list[Array | None], list[Array | None]]:
        """|g|² and the variance of the gradients of single samples, of each dense layer; None for other layers."""
        noise = [self._noise_of(layer) for layer in self.layers]
        return [square for square, _ in noise], [variance for _, variance in noise]

    def _noise_of(self, layer: LayerStep) -> tuple[Array | None, Array | None]:
        if not isinstance(layer.params, Affine | Weights):
            return None, None
        learning = {name for name, _ in arrays_of(layer.grads)}
        if not learning:
            return None, None
        x, delta = layer.x, layer.delta
        if layer.params.W.ndim == 3:
            members = layer.params.W.shape[0]
            x, delta = by_member(x, members), by_member(delta, members)
        square = q.square(layer.grads)
        x = x if "W" in learning else x[..., :0]
        return square, q.gradient_variance(x, delta, self.weights, square, "b" in learning)

    @cached_property
    def weight_norms(self) -> Array:
        """|W| of each layer (layers,)."""
        return self.by_layer(lambda layer: _norm(_matrices(layer.params)))


def observe(plan: Plan, probes: Light, state: State, start: Params, data: Batch, rows: Array) -> Observed:
    """What the probes record of a step.

    Args:
        plan: the plan of the training.
        probes: the preset; its cadence is not used.
        state: the state before the step.
        start: the parameters at the start of the training.
        data: all rows that the engine holds.
        rows: the rows of the step, and those of the batch after it, -1 for none (2, batch size).

    Returns:
        The quantities of the whole network and of its layers, in the order of `each_layer`.
    """
    step = make_trace(plan)
    after, trace = step(state, batch_at(data, rows, 0))
    following = batch_at(data, rows, 1) if isinstance(probes, Standard) else None
    observed = ObservedStep(
        plan=plan,
        state=state,
        after=after,
        trace=trace,
        layers=layer_steps(plan, state, start, trace),
        weights=normalized_weights(trace.batch.weight),
        following=following,
        next_trace=None if following is None else step(after, following)[1],
    )
    result: Observed = {"whole": {}, "layers": {}}
    for entry in PROBES:
        if entry.measure is not None and isinstance(probes, PRESETS[entry.preset]):
            recorded = entry.measure(observed)
            result["whole"] |= recorded.whole
            result["layers"] |= recorded.layers
    return result


def alive(plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array | tuple[()], ...]:
    """Which units of each elementwise activation pass a gradient for some of the rows[0]; () for other layers.

    The layers are in evaluation mode and in the order of `each_layer`.
    """
    batch = batch_at(data, rows, 0)
    weights = normalized_weights(batch.weight)
    layers = evaluated(plan.network.layers, state.params, state.layers, batch.x)
    slopes = (slope(layer, x, y) for layer, x, y in layers)
    return tuple(() if slope is None else q.alive(slope, weights) for slope in slopes)


# --- light


@probe(
    "loss",
    preset="light",
    scope="whole",
    formula="Σ p l, of the batch before its update",
    unit="of the loss",
    healthy="falls",
)
def _loss(step: ObservedStep) -> Recorded:
    return Recorded(whole={"loss": step.trace.loss})


@probe("learning_rate", preset="light", scope="whole", formula="η of this step")
def _learning_rate(step: ObservedStep) -> Recorded:
    xp = namespace(step.weights)
    return Recorded(whole={"learning_rate": xp.full_like(step.trace.loss, step.trace.learning_rate)})


@probe(
    "input_rms",
    preset="light",
    scope="whole",
    formula="√(mean x²)",
    unit="of the inputs",
    healthy="about 1: scaled inputs",
)
def _inputs(step: ObservedStep) -> Recorded:
    return Recorded(whole={"input_rms": q.moments(step.trace.batch.x, step.weights).rms})


@probe(
    "output_mean",
    "output_deviation",
    "output_rms",
    preset="light",
    scope="layers",
    formula="mean y; √(mean (y - mean)²); √(mean y²)",
    unit="of the outputs",
    healthy="rms neither grows nor shrinks from layer to layer; deviation not 0",
)
def _outputs(step: ObservedStep) -> Recorded:
    moments = [q.moments(layer.outputs, step.weights) for layer in step.layers]
    columns = zip(q.Moments._fields, zip(*moments, strict=True), strict=True)
    return Recorded(layers={f"output_{name}": _stacked(list(values), step.weights) for name, values in columns})


@probe(
    "delta_rms",
    "delta_max",
    preset="light",
    scope="layers",
    formula="√(mean delta²); largest |delta|",
    unit="loss per output",
    healthy="much the same in all layers: within a factor of 100 of what theory predicts",
)
def _deltas(step: ObservedStep) -> Recorded:
    return Recorded(
        layers={
            "delta_rms": step.by_layer(lambda layer: q.moments(layer.delta, step.weights).rms),
            "delta_max": step.by_layer(lambda layer: q.largest(layer.delta, step.weights)),
        }
    )


@probe(
    "gradient_norm",
    preset="light",
    scope="layers, whole",
    formula="|g|",
    unit="loss per weight",
    healthy="falls slowly, without leaps",
)
def _gradients(step: ObservedStep) -> Recorded:
    return Recorded(
        whole={"gradient_norm": namespace(step.weights).sqrt(q.square(step.trace.grads))},
        layers={"gradient_norm": step.by_layer(lambda layer: _norm(layer.grads))},
    )


@probe("update_norm", preset="light", scope="whole", formula="|Δ|", unit="of the weights")
def _updates(step: ObservedStep) -> Recorded:
    return Recorded(whole={"update_norm": namespace(step.weights).sqrt(q.square(step.trace.updates))})


@probe("weight_norm", preset="light", scope="layers", formula="|W|", unit="of the weights", healthy="grows slowly")
def _weights(step: ObservedStep) -> Recorded:
    return Recorded(layers={"weight_norm": step.weight_norms})


@probe(
    "update_ratio",
    preset="light",
    scope="layers",
    formula="|ΔW| / |W|",
    unit="1",
    healthy="1e-4 to 1e-2, around 1e-3",
)
def _update_ratio(step: ObservedStep) -> Recorded:
    updates = step.by_layer(lambda layer: _norm(_matrices(layer.updates)))
    return Recorded(layers={"update_ratio": updates / step.weight_norms})


@probe(
    "distance",
    preset="light",
    scope="layers",
    formula="|W - W at the start|",
    unit="of the weights",
    healthy="grows, then levels off; 0 is a layer that does not learn",
)
def _distance(step: ObservedStep) -> Recorded:
    def moved(layer: LayerStep) -> Array | None:
        return _norm(_matrices(map_arrays(lambda p, s: p - s, layer.params, layer.start)))

    return Recorded(layers={"distance": step.by_layer(moved)})


@probe(
    "dead",
    preset="light",
    scope="layers",
    formula="fraction of the units whose derivative f'(z) is 0 for every row of the batch",
    unit="0 to 1",
    healthy="below a half for ReLU, 0 for others",
)
def _dead(step: ObservedStep) -> Recorded:
    def dead(layer: LayerStep) -> Array | None:
        slope = layer.slope
        return None if slope is None else q.dead(slope, step.weights)

    return Recorded(layers={"dead": step.by_layer(dead)})


@probe(
    "saturated",
    preset="light",
    scope="layers",
    formula="fraction of the outputs with a derivative below 5 % of its largest: 1 - y² (tanh), y (1 - y) (sigmoid, "
    "softmax)",
    unit="0 to 1",
    healthy="low in hidden layers; the output layer saturates as it becomes confident",
)
def _saturated(step: ObservedStep) -> Recorded:
    def saturated(layer: LayerStep) -> Array | None:
        if layer.outputs is not layer.y:
            return q.saturated_probabilities(layer.outputs, step.weights)
        return saturation(layer.layer, layer.x, layer.y, step.weights)

    return Recorded(layers={"saturated": step.by_layer(saturated)})


# --- standard


@probe(
    "effective_rank",
    preset="standard",
    scope="layers (activations)",
    formula="(Σλ)² / Σλ², λ the eigenvalues of the covariance of the units",
    unit="directions, 1 to the number of units",
    healthy="well above 1; it falls to about classes - 1 in the last layers",
)
def _effective_rank(step: ObservedStep) -> Recorded:
    def rank(layer: LayerStep) -> Array | None:
        acts = isinstance(layer.layer, Activation) or layer.layer.sums_to_one
        return q.effective_rank(layer.outputs, step.weights) if acts else None

    return Recorded(layers={"effective_rank": step.by_layer(rank)})


@probe(
    "output_histogram",
    "output_low",
    "output_high",
    preset="standard",
    scope="layers",
    formula="fractions of 32 equal bins between the lowest and the highest output",
    unit="1",
    healthy="no heap at the ends of the activation",
)
def _output_histogram(step: ObservedStep) -> Recorded:
    flat = [_flat(layer.outputs) for layer in step.layers]
    return _histograms(step, "output", [q.histogram(values, _counted(values, step.weights)) for values in flat])


@probe(
    "delta_histogram",
    "delta_low",
    "delta_high",
    preset="standard",
    scope="layers",
    formula="the same of log10 |delta|, zeros left out",
    unit="1",
    healthy="the layers lie below each other",
)
def _delta_histogram(step: ObservedStep) -> Recorded:
    xp = namespace(step.weights)

    def magnitudes(delta: Array) -> q.Histogram:
        size = xp.abs(delta)
        known = _counted(delta, step.weights) & (size > 0) & xp.isfinite(size)
        return q.histogram(xp.log10(xp.where(known, size, xp.ones_like(size))), known)

    return _histograms(step, "delta", [magnitudes(_flat(layer.delta)) for layer in step.layers])


@probe(
    "gradient_cosine",
    preset="standard",
    scope="layers, whole",
    formula="g·g' / (|g| |g'|), g' the gradient of the next batch after the update",
    unit="-1 to 1",
    healthy="above 0; near 0 is noise, below 0 the steps go back and forth",
)
def _gradient_cosine(step: ObservedStep) -> Recorded:
    assert step.next_trace is not None
    whole, layers = _cosines(step, step.next_trace.grads)
    return Recorded(whole={"gradient_cosine": whole}, layers={"gradient_cosine": layers})


@probe(
    "update_angle",
    preset="standard",
    scope="layers, whole",
    formula="angle between Δ and -g",
    unit="degrees",
    healthy="0 for plain `sgd`; below 90: downhill",
)
def _update_angle(step: ObservedStep) -> Recorded:
    whole, layers = _cosines(step, step.trace.updates)
    return Recorded(whole={"update_angle": q.degrees(-whole)}, layers={"update_angle": q.degrees(-layers)})


@probe(
    "gradient_variance",
    preset="standard",
    scope="dense layers, whole",
    formula="Σ p |g_i|² - |g|², g_i the gradient of sample i",
    unit="of |g|²",
)
def _gradient_variance(step: ObservedStep) -> Recorded:
    _, variances = step.noise
    return Recorded(
        whole={"gradient_variance": _total(variances, step.weights)},
        layers={"gradient_variance": _stacked(variances, step.weights)},
    )


@probe(
    "signal_to_noise",
    preset="standard",
    scope="dense layers, whole",
    formula="|g|² / `gradient_variance`",
    unit="1",
    healthy="above 1 / batch size",
)
def _signal_to_noise(step: ObservedStep) -> Recorded:
    squares, variances = step.noise
    return Recorded(
        whole={"signal_to_noise": _total(squares, step.weights) / _total(variances, step.weights)},
        layers={"signal_to_noise": _stacked(squares, step.weights) / _stacked(variances, step.weights)},
    )


@probe(
    "noise_scale",
    preset="standard",
    scope="whole",
    formula="tr S / |G|²: the batch size at which noise and gradient are equal, both without bias",
    unit="samples",
    healthy="near the batch size or below; batches far larger bring little",
)
def _noise_scale(step: ObservedStep) -> Recorded:
    squares, variances = step.noise
    signal = _total(squares, step.weights)
    return Recorded(whole={"noise_scale": q.noise_scale(signal, _total(variances, step.weights), step.weights)})


@probe(
    "step_length",
    preset="standard",
    scope="whole",
    formula="α = -q'(1) / q'(0), q the parabola along the step from losses and slopes of this batch and the next",
    unit="-1 stayed, 0 the lowest point, 1 the other side",
    healthy="-1/2 to 0",
)
def _step_length(step: ObservedStep) -> Recorded:
    assert step.following is not None
    ends = []
    for state, batch in ((step.state, step.trace.batch), (step.after, step.following)):
        slopes = hessian.slopes(step.plan, state, batch, step.trace.updates)
        weights = normalized_weights(batch.weight)
        ends += [q.estimate(slopes.values, weights), q.estimate(slopes.slopes, weights)]
    alpha = q.step_length(*ends)
    xp = namespace(step.weights)
    # The loss of padding alone is 0, which is not a loss.
    known = xp.any(step.following.weight > 0)
    return Recorded(whole={"step_length": xp.where(known, alpha, xp.full_like(alpha, xp.nan))})


describe_probe(
    "dead_over_set",
    preset="standard",
    scope="layers",
    formula="as `dead`, over all training rows and without dropout or noise: at the end of training; `full`: also at "
    "every fifth observation",
    unit="0 to 1",
    healthy="0",
)

# --- full

describe_probe(
    "largest_eigenvalue",
    preset="full",
    scope="whole",
    formula="of the Hessian of the loss over the batch, with `l2`",
    unit="loss per weight²",
    healthy="for plain gradient descent below 2/η: above it steps overshoot and grow",
)
describe_probe(
    "hessian_trace",
    "hessian_trace_error",
    preset="full",
    scope="whole",
    formula="the sum of all eigenvalues, and its standard error",
    unit="loss per weight²",
)

# --- shared by several probes


def _matrices(params: Tree) -> tuple[Array, ...]:
    """The arrays of a tree without its biases."""
    return tuple(array for _, array in arrays_of(params) if array.ndim > 1)


def _norm(tree: Tree) -> Array | None:
    """The norm of a tree; None for an empty one."""
    arrays = list(arrays_of(tree))
    return namespace(arrays[0][1]).sqrt(q.square(tree)) if arrays else None


def _stacked(values: Sequence[Array | None], like: Array) -> Array:
    """One entry for each layer; NaN where it is None."""
    xp = namespace(like)
    shape = next((value.shape for value in values if value is not None), ())
    nothing = xp.full(shape, xp.nan, dtype=like.dtype)
    return xp.stack([nothing if value is None else xp.astype(value, like.dtype) for value in values])


def _total(values: Sequence[Array | None], like: Array) -> Array:
    """The sum over the layers that have the quantity."""
    return sum((value for value in values if value is not None), namespace(like).zeros_like(like[0]))


def _flat(values: Array) -> Array:
    """One row for each sample."""
    return namespace(values).reshape(values, (values.shape[0], -1))


def _counted(values: Array, weights: Array) -> Array:
    """Which of the numbers (n, k) belong to rows that count."""
    return (weights[:, None] > 0) & namespace(values).full_like(values, True, dtype=bool)


def _histograms(step: ObservedStep, name: str, histograms: Sequence[q.Histogram]) -> Recorded:
    bars, low, high = (_stacked(values, step.weights) for values in zip(*histograms, strict=True))
    return Recorded(layers={f"{name}_histogram": bars, f"{name}_low": low, f"{name}_high": high})


def _cosines(step: ObservedStep, other: Tree) -> tuple[Array, Array]:
    """The cosine between the gradient and another tree: of the whole network, and of each layer (layers,)."""
    xp = namespace(step.trace.loss)
    zero = xp.zeros_like(step.trace.loss)

    def cosine(a: Tree, b: Tree) -> Array:
        return q.cosine(zero + q.dot(a, b), zero + q.square(a), zero + q.square(b))

    layers = step.plan.network.layers
    pairs = zip(each_layer(layers, step.trace.grads), each_layer(layers, other), strict=True)
    return cosine(step.trace.grads, other), xp.stack([cosine(a, b) for a, b in pairs])
