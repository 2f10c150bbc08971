"""One look at a training: what the probes make of a step, worked out beside it.

A look repeats the step on the same state and throws its result away. So it can not change the training, and the
program of the training is the same with probes and without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.arrays import Array, Tree, arrays_of, map_arrays, namespace
from ..engine import hessian
from ..engine.step import Batch, Plan, State, Trace, batch_at, make_trace, pieces
from ..parts.layers import Activation, Affine, Identity, Residual, Sigmoid, Softmax, Tanh, stack
from ..parts.part import ForwardContext, Layer, normalized_weights
from ..parts.settings import Light, Standard
from . import quantities as q

Found = dict[str, dict[str, Any]]
"""{"whole": {quantity: number}, "layers": {quantity: one entry a layer, in an array}}"""
_Spans = Sequence[tuple[slice, ForwardContext]]


class _Place(NamedTuple):
    """A layer at a step: its parameters before it and at the start, its gradient and update, what came in and went out.

    `said` is y, or the probabilities that an output activation makes of it which runs fused with the loss.
    """

    layer: Layer
    params: Tree
    start: Tree
    grads: Tree
    updates: Tree
    x: Array
    y: Array
    delta: Array
    said: Array

    @property
    def slope(self) -> Array | None:
        """f'(z) of an elementwise activation."""
        return _slope(self.layer, self.x, self.y)


def observe(plan: Plan, probes: Light, state: State, start: Tree, data: Batch, rows: Array) -> Found:
    """What the probes record of the step that is to come from `state`: rows[0] (batch size,) are those of its batch.

    `start` are the parameters that the training began with, rows[1] the rows of the batch after it (-1: none). The
    layers inside of a residual block stand behind it, as `each_layer` counts them.
    """
    step, batch = make_trace(plan), batch_at(data, rows, 0)
    after, trace = step(state, batch)
    places, share = _places(plan, state, start, trace), normalized_weights(batch.weight)
    found = _light(places, trace, share)
    if isinstance(probes, Standard):
        following = batch_at(data, rows, 1)
        _add(found, _distributions(places, share))
        _add(found, _directions(plan, trace, step(after, following)[1].grads))
        _add(found, _noise(places, share))
        found["whole"]["step_length"] = _step_length(plan, state, after, batch, following, trace.updates)
    return found


def alive(plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, ...]:
    """Which units of each elementwise activation let a gradient pass for some of the rows[0]; () for other layers.

    With the layers in evaluation mode, and the parameters that training goes on with; counted as `each_layer` does.
    """
    batch = batch_at(data, rows, 0)
    share = normalized_weights(batch.weight)
    heard = _forward(plan.network.layers, state.params, state.layers, batch.x)
    slopes = (_slope(layer, x, y) for layer, x, y in heard)
    return tuple(() if slope is None else q.alive(slope, share) for slope in slopes)


def each_layer(layers: Sequence[Layer], trees: Sequence[Any]) -> list[Any]:
    """The tree of each layer, that of a residual block before those of the layers inside of it.

    >>> from thalweg.parts.layers import Branch, Dense, ReLU
    >>> each_layer([Dense(2), Residual([ReLU()])], ["W", Branch(("inner",), ())])
    ['W', Branch(layers=('inner',), projection=()), 'inner']
    """
    found = []
    for layer, own in zip(layers, trees, strict=True):
        found += [own, *(each_layer(layer.layers, own.layers) if isinstance(layer, Residual) else [])]
    return found


def _forward(layers: Sequence[Layer], params: Tree, states: Tree, x: Array) -> list[tuple[Layer, Array, Array]]:
    """Each layer with its input and its output in evaluation mode, those inside of blocks too."""
    mode, found = ForwardContext(training=False), []
    outputs = stack.forward(layers, params, states, x, mode).outputs
    for layer, own, state, z, y in zip(layers, params, states, (x, *outputs[:-1]), outputs, strict=True):
        found += [(layer, z, y), *(_forward(layer.layers, own.layers, state, z) if isinstance(layer, Residual) else [])]
    return found


def _places(plan: Plan, state: State, start: Tree, trace: Trace) -> list[_Place]:
    """Every layer of a step, in the order of `each_layer`."""
    rows, spans = 0, []
    for piece, mode in pieces(plan, state, trace.batch):
        spans.append((slice(rows, rows + len(piece.weight)), mode))
        rows += len(piece.weight)
    trees = (state.params, start, trace.grads, trace.updates)
    places = _opened(plan.network.layers, trees, state.layers, (trace.batch.x, trace.outputs, trace.deltas), spans)
    if isinstance(plan.network.layers[-1], Identity):
        places[-1] = places[-1]._replace(said=plan.loss.probabilities(places[-1].y))
    return places


def _opened(
    layers: Sequence[Layer], trees: Sequence[Tree], states: Tree, flow: tuple[Array, Tree, Tree], spans: _Spans
) -> list[_Place]:
    """The places of a stack, and of what is inside of its blocks.

    `trees` are the parameters, those of the start, gradients and updates; `flow` the input, the outputs and the deltas
    of the stack; `spans` the rows that were worked off together, each with its mode.
    """
    x, outputs, deltas = flow
    found = []
    for index, own in enumerate(zip(layers, *trees, (x, *outputs[:-1]), outputs, deltas, outputs, strict=True)):
        place = _Place(*own)
        found.append(place)
        if isinstance(place.layer, Residual):
            inner = tuple(tree.layers for tree in own[1:5])
            modes = [(rows, mode.at(index)) for rows, mode in spans]
            flow = _inside(place, place.layer.layers, states[index], modes)
            found += _opened(place.layer.layers, inner, states[index], flow, modes)
    return found


def _inside(block: _Place, layers: Sequence[Layer], states: Tree, spans: _Spans) -> tuple[Array, Tree, Tree]:
    """What goes through the layers of a residual block: its input, their outputs, their deltas."""
    params, parts = block.params.layers, []
    for rows, mode in spans:
        outputs, _, caches = stack.forward(layers, params, states, block.x[rows], mode)
        parts.append((outputs, stack.gradients(layers, params, caches, block.delta[rows])[0]))
    outputs, deltas = map_arrays(lambda *arrays: namespace(block.x).concat(arrays), *parts)
    return block.x, outputs, deltas


def _slope(layer: Layer, z: Array, y: Array) -> Array | None:
    return layer.derivative(z, y) if isinstance(layer, Activation) and not isinstance(layer, Identity) else None


def _weights(own: Tree) -> tuple[Array, ...]:
    return tuple(array for _, array in arrays_of(own) if array.ndim > 1)


def _by_layer(values: Sequence[Array | None], like: Array) -> Array:
    """One entry a layer; NaN where a layer has none."""
    xp = namespace(like)
    shape = next((value.shape for value in values if value is not None), ())
    nothing = xp.full(shape, xp.nan, dtype=like.dtype)
    return xp.stack([nothing if value is None else xp.astype(value, like.dtype) for value in values])


def _add(found: Found, more: Found) -> None:
    for kind, quantities in more.items():
        found[kind] |= quantities


def _light(places: list[_Place], trace: Trace, share: Array) -> Found:
    xp = namespace(share)

    def each(measure: Callable[[_Place], Array | None]) -> Array:
        return _by_layer([measure(place) for place in places], share)

    def norm(own: Tree) -> Array | None:
        return xp.sqrt(q.square(own)) if list(arrays_of(own)) else None

    def dead(place: _Place) -> Array | None:
        slope = place.slope
        return None if slope is None else 1 - xp.mean(xp.astype(q.alive(slope, share), share.dtype))

    weights = each(lambda place: norm(_weights(place.params)))
    moments = [q.moments(place.said, share) for place in places]
    layers = {
        f"output_{name}": _by_layer(list(values), share)
        for name, values in zip(q.Moments._fields, zip(*moments, strict=True), strict=True)
    }
    layers |= {
        "delta_rms": each(lambda place: q.moments(place.delta, share).rms),
        "delta_max": each(lambda place: q.largest(place.delta, share)),
        "gradient_norm": each(lambda place: norm(place.grads)),
        "weight_norm": weights,
        "update_ratio": each(lambda place: norm(_weights(place.updates))) / weights,
        "distance": each(lambda place: norm(_weights(map_arrays(lambda p, s: p - s, place.params, place.start)))),
        "dead": each(dead),
        "saturated": each(lambda place: _saturated(place, share)),
    }
    whole = {
        "loss": trace.loss,
        "learning_rate": xp.full_like(trace.loss, trace.learning_rate),
        "input_rms": q.moments(trace.batch.x, share).rms,
        "gradient_norm": xp.sqrt(q.square(trace.grads)),
        "update_norm": xp.sqrt(q.square(trace.updates)),
    }
    return {"whole": whole, "layers": layers}


def _saturated(place: _Place, share: Array) -> Array | None:
    """The share of numbers that are saturated, of an activation that can be."""
    match place.layer:
        case Tanh():
            return q.saturated(1 - place.y * place.y, 1.0, share)
        case Sigmoid() | Softmax():
            return q.saturated(place.y * (1 - place.y), 0.25, share)
        case Identity() if place.said is not place.y:
            return q.saturated(place.said * (1 - place.said), 0.25, share)
    return None


def _distributions(places: list[_Place], share: Array) -> Found:
    """Histograms of outputs and of log10 |delta|, and the effective rank of what activations say."""
    xp = namespace(share)

    def there(values: Array) -> Array:
        return (share[:, None] > 0) & xp.full_like(values, True, dtype=bool)

    def outputs(y: Array) -> q.Histogram:
        return q.histogram(y, there(y))

    def magnitudes(delta: Array) -> q.Histogram:
        size = xp.abs(delta)
        known = there(delta) & (size > 0) & xp.isfinite(size)
        return q.histogram(xp.log10(xp.where(known, size, xp.ones_like(size))), known)

    def flat(values: Array) -> Array:
        return xp.reshape(values, (values.shape[0], -1))

    ranks = [
        q.effective_rank(place.said, share) if isinstance(place.layer, Activation | Softmax) else None
        for place in places
    ]
    layers = {"effective_rank": _by_layer(ranks, share)}
    for name, found in (
        ("output", [outputs(flat(place.said)) for place in places]),
        ("delta", [magnitudes(flat(place.delta)) for place in places]),
    ):
        bars, low, high = (_by_layer(values, share) for values in zip(*found, strict=True))
        layers |= {f"{name}_histogram": bars, f"{name}_low": low, f"{name}_high": high}
    return {"whole": {}, "layers": layers}


def _directions(plan: Plan, trace: Trace, following: Tree) -> Found:
    """The cosine between this gradient and the next, and the angle between the update and straight downhill."""
    xp, zero = namespace(trace.loss), namespace(trace.loss).zeros_like(trace.loss)
    grads, updates, nexts = (each_layer(plan.network.layers, tree) for tree in (trace.grads, trace.updates, following))

    def cosine(a: Tree, b: Tree) -> Array:
        return q.cosine(*(zero + product for product in (q.dot(a, b), q.square(a), q.square(b))))

    turns, ways = ([cosine(a, b) for a, b in zip(grads, trees, strict=True)] for trees in (nexts, updates))
    return {
        "whole": {
            "gradient_cosine": cosine(trace.grads, following),
            "update_angle": q.degrees(-cosine(trace.grads, trace.updates)),
        },
        "layers": {"gradient_cosine": xp.stack(turns), "update_angle": q.degrees(-xp.stack(ways))},
    }


def _noise(places: list[_Place], share: Array) -> Found:
    """How much the samples' own gradients differ: exact where the parameters are those of dense layers."""
    gradients = [q.square(place.grads) if isinstance(place.grads, Affine) else None for place in places]
    variances = [
        None if square is None else q.gradient_variance(place.x, place.delta, share, square)
        for place, square in zip(places, gradients, strict=True)
    ]
    gradient, variance = _by_layer(gradients, share), _by_layer(variances, share)
    zero = namespace(share).zeros_like(share[0])
    signal, noise = (sum((v for v in values if v is not None), zero) for values in (gradients, variances))
    return {
        "whole": {
            "gradient_variance": noise,
            "signal_to_noise": signal / noise,
            "noise_scale": q.noise_scale(signal, noise, share),
        },
        "layers": {"gradient_variance": variance, "signal_to_noise": gradient / variance},
    }


def _step_length(plan: Plan, state: State, after: State, batch: Batch, following: Batch, updates: Tree) -> Array:
    ends = []
    for at, rows in ((state, batch), (after, following)):
        found, share = hessian.slopes(plan, at, rows, updates), normalized_weights(rows.weight)
        ends += [q.estimate(found.values, share), q.estimate(found.slopes, share)]
    alpha, xp = q.step_length(*ends), namespace(batch.weight)
    # Padding alone has a loss of 0, which is none.
    return xp.where(xp.any(following.weight > 0), alpha, xp.full_like(alpha, xp.nan))
