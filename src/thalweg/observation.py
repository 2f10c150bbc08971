"""One look at a training: what the probes make of a step, worked out beside it.

A look repeats the step on the same state and throws its result away. So it can not change the training, and the
program of the training is the same with probes and without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import hessian
from .arrays import Array, Tree, arrays_of, map_arrays, namespace
from .layers import Activation, Affine, Identity, Sigmoid, Softmax, Tanh
from .parts import Layer, Mode, shares
from .probes import quantities as q
from .probes.presets import Light, Standard
from .step import Batch, Plan, State, Trace, batch_at, make_trace

Found = dict[str, dict[str, Any]]
"""{"whole": {quantity: number}, "layers": {quantity: one entry a layer, in an array}}"""


class _Step(NamedTuple):
    """A step with what the probes need besides its trace: the parameters before it, and the share of each row."""

    params: Tree
    trace: Trace
    share: Array


def observe(plan: Plan, probes: Light, state: State, start: Tree, data: Batch, rows: Array) -> Found:
    """What the probes record of the step that is to come from `state`: rows[0] (batch size,) are those of its batch.

    `start` are the parameters that the training began with, rows[1] the rows of the batch after it (-1: none).
    """
    step, batch = make_trace(plan), batch_at(data, rows, 0)
    after, trace = step(state, batch)
    seen = _Step(state.params, trace, shares(batch.weight))
    outputs = _outputs(plan, trace)
    found = _light(plan, seen, outputs, start)
    if isinstance(probes, Standard):
        following = batch_at(data, rows, 1)
        _add(found, _distributions(plan, seen, outputs))
        _add(found, _directions(seen, step(after, following)[1].grads))
        _add(found, _noise(plan, seen))
        found["whole"]["step_length"] = _step_length(plan, state, after, batch, following, trace.updates)
    return found


def alive(plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, ...]:
    """Which units of each elementwise activation let a gradient pass for some of the rows; () for other layers.

    With the layers in evaluation mode, and the parameters that training goes on with.
    """
    batch = batch_at(data, rows, 0)
    found = plan.network.forward(state.params, state.layers, batch.x, Mode(training=False))
    share = shares(batch.weight)
    slopes = _slopes(plan.network.layers, found.outputs, batch.x)
    return tuple(() if slope is None else q.alive(slope, share) for slope in slopes)


def _outputs(plan: Plan, trace: Trace) -> tuple[Array, ...]:
    """The outputs of every layer; of an output activation that runs fused with the loss its probabilities."""
    if not isinstance(plan.network.layers[-1], Identity):
        return trace.outputs
    return (*trace.outputs[:-1], plan.loss.probabilities(trace.outputs[-1]))


def _slopes(layers: Sequence[Layer], outputs: Sequence[Array], x: Array) -> list[Array | None]:
    """f'(z) of every elementwise activation, None for the other layers."""
    inputs = (x, *outputs[:-1])
    return [
        layer.slope(z, y) if isinstance(layer, Activation) and not isinstance(layer, Identity) else None
        for layer, z, y in zip(layers, inputs, outputs, strict=True)
    ]


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


def _light(plan: Plan, seen: _Step, outputs: tuple[Array, ...], start: Tree) -> Found:
    xp, trace, share = namespace(seen.trace.loss), seen.trace, seen.share

    def each(measure: Callable[..., Array | None], *trees: Sequence[Any]) -> Array:
        return _by_layer([measure(*own) for own in zip(*trees, strict=True)], trace.loss)

    def norm(own: Tree) -> Array | None:
        return xp.sqrt(q.square(own)) if list(arrays_of(own)) else None

    def distance(own: Tree, begin: Tree) -> Array | None:
        return norm(_weights(map_arrays(lambda p, s: p - s, own, begin)))

    weights = each(lambda own: norm(_weights(own)), seen.params)
    moments = [q.moments(y, share) for y in outputs]
    layers = {f"output_{name}": each(lambda m, n=name: getattr(m, n), moments) for name in q.Moments._fields}
    layers |= {
        "delta_rms": each(lambda d: q.moments(d, share).rms, trace.deltas),
        "delta_max": each(lambda d: q.largest(d, share), trace.deltas),
        "gradient_norm": each(norm, trace.grads),
        "weight_norm": weights,
        "update_ratio": each(lambda own: norm(_weights(own)), trace.updates) / weights,
        "distance": each(distance, seen.params, start),
        **_activity(plan, seen, outputs),
    }
    whole = {
        "loss": trace.loss,
        "learning_rate": xp.full_like(trace.loss, trace.learning_rate),
        "input_rms": q.moments(trace.batch.x, share).rms,
        "gradient_norm": xp.sqrt(q.square(trace.grads)),
        "update_norm": xp.sqrt(q.square(trace.updates)),
    }
    return {"whole": whole, "layers": layers}


def _activity(plan: Plan, seen: _Step, outputs: tuple[Array, ...]) -> dict[str, Array]:
    """The shares of units that are dead on the batch, and of numbers that are saturated, by layer."""
    xp, share = namespace(seen.share), seen.share
    slopes = _slopes(plan.network.layers, seen.trace.outputs, seen.trace.batch.x)
    dead = [None if slope is None else 1 - xp.mean(xp.astype(q.alive(slope, share), share.dtype)) for slope in slopes]
    full: list[Array | None] = []
    for number, (layer, slope, y) in enumerate(zip(plan.network.layers, slopes, outputs, strict=True)):
        # The last outputs are probabilities here, whatever activation made them.
        chances = number == len(outputs) - 1 and y is not seen.trace.outputs[-1]
        match layer:
            case Tanh():
                full.append(q.saturated(slope, 1.0, share))
            case Sigmoid():
                full.append(q.saturated(slope, 0.25, share))
            case Softmax():
                full.append(q.saturated(y * (1 - y), 0.25, share))
            case Identity() if chances:
                full.append(q.saturated(y * (1 - y), 0.25, share))
            case _:
                full.append(None)
    return {"dead": _by_layer(dead, share), "saturated": _by_layer(full, share)}


def _distributions(plan: Plan, seen: _Step, outputs: tuple[Array, ...]) -> Found:
    """Histograms of outputs and of log10 |delta|, and the effective rank of what activations say."""
    xp, share = namespace(seen.share), seen.share

    def there(values: Array) -> Array:
        return (share[:, None] > 0) & xp.full_like(values, True, dtype=bool)

    def magnitudes(delta: Array) -> q.Histogram:
        size = xp.abs(delta)
        known = there(delta) & (size > 0) & xp.isfinite(size)
        return q.histogram(xp.log10(xp.where(known, size, xp.ones_like(size))), known)

    flat = [xp.reshape(y, (y.shape[0], -1)) for y in outputs]
    deltas = [xp.reshape(delta, (delta.shape[0], -1)) for delta in seen.trace.deltas]
    ranks = [
        q.effective_rank(y, share) if isinstance(layer, Activation | Softmax) else None
        for layer, y in zip(plan.network.layers, flat, strict=True)
    ]
    layers = {"effective_rank": _by_layer(ranks, share)}
    for name, found in (
        ("output", [q.histogram(y, there(y)) for y in flat]),
        ("delta", [magnitudes(delta) for delta in deltas]),
    ):
        bars, low, high = (_by_layer(values, share) for values in zip(*found, strict=True))
        layers |= {f"{name}_histogram": bars, f"{name}_low": low, f"{name}_high": high}
    return {"whole": {}, "layers": layers}


def _directions(seen: _Step, following: Tree) -> Found:
    """The cosine between this gradient and the next, and the angle between the update and straight downhill."""
    like = seen.trace.loss

    def turned(first: Tree, second: Tree) -> Array:
        """The products of two trees and their own squares, layer by layer: (layers, 3)."""
        nothing = namespace(like).zeros_like(like)
        return namespace(like).stack(
            [
                namespace(like).stack([nothing + q.dot(a, b), nothing + q.square(a), nothing + q.square(b)])
                for a, b in zip(first, second, strict=True)
            ]
        )

    def cosines(products: Array) -> tuple[Array, Array]:
        return q.cosine(*namespace(products).sum(products, axis=0)), q.cosine(*products.T)

    (turn, turns) = cosines(turned(seen.trace.grads, following))
    (way, ways) = (-c for c in cosines(turned(seen.trace.grads, seen.trace.updates)))
    return {
        "whole": {"gradient_cosine": turn, "update_angle": q.degrees(way)},
        "layers": {"gradient_cosine": turns, "update_angle": q.degrees(ways)},
    }


def _noise(plan: Plan, seen: _Step) -> Found:
    """How much the samples' own gradients differ: exact where the parameters are those of dense layers."""
    xp, trace, share = namespace(seen.share), seen.trace, seen.share
    inputs = (trace.batch.x, *trace.outputs[:-1])
    gradients, variances = zip(
        *(
            (square := q.square(own), q.gradient_variance(x, delta, share, square))
            if isinstance(own, Affine)
            else (None, None)
            for own, x, delta in zip(trace.grads, inputs, trace.deltas, strict=True)
        ),
        strict=True,
    )
    gradient, variance = _by_layer(gradients, share), _by_layer(variances, share)
    zero = xp.zeros_like(trace.loss)
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
        found, share = hessian.slopes(plan, at, rows, updates), shares(rows.weight)
        ends += [q.estimate(found.values, share), q.estimate(found.slopes, share)]
    alpha, xp = q.step_length(*ends), namespace(batch.weight)
    # Padding alone has a loss of 0, which is none.
    return xp.where(xp.any(following.weight > 0), alpha, xp.full_like(alpha, xp.nan))
