"""How far two computations of the same step may differ by rounding alone.

A sum of n products in numbers of unit roundoff u has, with a probability of at least 1 - 2 exp(-c²/2), the result of
an exact sum whose terms are changed by at most the fraction

    g(n) = exp(c √n u + n u² / (1 - u)) - 1 ≈ c √n u,    c = 6

in whatever order it is added up. A step of a training is a chain of such sums, so each of its quantities q has a
rounding error of at most about

    g(n) |q| + max |q(perturbed) - q| + 2 |q(rounded) - q|

q(perturbed) is the same quantity, computed in float64, when every number that the step starts from (weights, moments,
rows) and every output and delta of a layer is multiplied by 1 + g(n) or 1 - g(n) at random: it says how a change of the
terms grows where they cancel, as in y - t of a network that has learned, or in a gradient near a minimum.
q(rounded) is the quantity in the coarser precision of the two trainings, NumPy's: it has the rounding of settings, such
as that of 1 - beta_2 of Adam, twice for two trainings. q itself is computed in float64.

n counts the terms of the longest chain: forward and backward, for each layer the inputs of a unit, its outputs, and 16
for its elementwise functions, which libraries round by a few units; and the rows of the batch.

Source: Higham and Mary 2019, A New Approach to Probabilistic Rounding Error Analysis, theorem 2.4; Parker 1997, Monte
Carlo Arithmetic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Array, Cache, LayerState, Params, TreeT, leaves, map_arrays
from ...core.noise import generator
from ...engine.eager import Eager
from ...engine.step import Batch, Plan, State, Trace, make_trace
from ...models.network import Network
from ...parts.part import ForwardContext, Layer
from ...parts.settings import Precision

_C = 6.0
_DRAWS = 2
# Elementwise functions of libraries are exact to a few units in the last place.
_ELEMENTWISE = 16
# A GPU multiplies matrices of float32 in TensorFloat-32, which has 10 bits after the binary point.
_ROUNDOFF = {("float64", "cpu"): 2.0**-53, ("float64", "gpu"): 2.0**-53, ("float32", "cpu"): 2.0**-24}
_TENSOR_FLOAT = 2.0**-11


def unit_roundoff(kinds: Iterable[tuple[str, str]]) -> float:
    """The largest relative error of a rounded number on engines, each given by its precision and its device.

    >>> unit_roundoff([("float64", "cpu"), ("float32", "cpu")]) == 2.0**-24
    True
    """
    return max(_ROUNDOFF.get(kind, _TENSOR_FLOAT) for kind in kinds)


def roundoff_of_sum(terms: int, unit: float) -> float:
    """g(n) for n terms and the unit roundoff u: the relative change of the terms that explains a rounding error.

    >>> f"{roundoff_of_sum(100, 2.0**-24):.2g}"
    '3.6e-06'
    """
    return math.expm1(_C * math.sqrt(terms) * unit + terms * unit**2 / (1 - unit))


def terms_of_step(network: Network, features: int, rows: int) -> int:
    """The number of terms n of a step of a network for a number of inputs and of rows in the batch.

    >>> terms_of_step(Network(["dense 3", "tanh"]), features=2, rows=10)
    114
    """
    layout = network.layout((features,))
    count = rows + _ELEMENTWISE
    for layer, params, shape in zip(network.layers, layout.params, layout.shapes, strict=True):
        sums = sum(max(np.shape(array), default=1) for array in leaves(params))
        statistics = rows if layer.least_batch > 1 else 0
        count += 2 * (sums + math.prod(shape) + statistics + _ELEMENTWISE)
    return count


class StepRounding:
    """What rounding may do to the quantities of a step.

    Args:
        plan: what decides the step.
        state: the state before it.
        batch: its rows.
        size: g(n) of the step.
        precision: the coarser precision of the two trainings.

    Attributes:
        exact: the step in float64.
        rounded: the step in the coarser precision.
        perturbed: the step in float64 from numbers, outputs and deltas that are changed by at most `size`.
    """

    def __init__(self, plan: Plan, state: State, batch: Batch, size: float, precision: Precision) -> None:
        self.exact = _perturbed(plan, state, batch, 0.0, 0)
        eager = Eager(precision)
        self.rounded = eager.call(make_trace(plan), *eager.place((state, batch)))
        draws = [(sign * size, draw) for draw in range(_DRAWS) for sign in (1, -1)]
        self.perturbed = [_perturbed(plan, state, batch, change, draw) for change, draw in draws]


def _perturbed(plan: Plan, state: State, batch: Batch, size: float, draw: int) -> tuple[State, Trace]:
    """The step in float64, with every number changed by at most `size`."""
    eager = Eager()
    rng = generator(draw, "rounding")
    layers = tuple(_Perturbed(layer, size, int(rng.integers(2**31))) for layer in plan.network.layers)
    network = dataclasses.replace(plan.network, layers=layers)
    with np.errstate(all="ignore"):
        step = make_trace(dataclasses.replace(plan, network=network))
        return step(*eager.place((_changed(state, size, rng), _changed(batch, size, rng))))


@dataclass(frozen=True)
class _Perturbed(Layer):
    """A layer whose outputs, and whose delta, are multiplied by 1 + size or 1 - size at random."""

    layer: Layer
    size: float
    seed: int

    @property
    def inner(self) -> tuple[Layer, ...]:
        return self.layer.inner

    def trained(self, params: Params) -> Params:
        return self.layer.trained(params)

    def forward(
        self, params: Params, state: LayerState, x: Array, context: ForwardContext
    ) -> tuple[Array, LayerState, Cache]:
        y, state, cache = self.layer.forward(params, state, x, context)
        return _changed(y, self.size, generator(self.seed, "output")), state, cache

    def backward(self, params: Params, cache: Cache, delta: Array) -> tuple[Array, Params]:
        return self.layer.backward(params, cache, _changed(delta, self.size, generator(self.seed, "delta")))

    def gradients(self, params: Params, cache: Cache, delta: Array) -> Params:
        return self.layer.gradients(params, cache, _changed(delta, self.size, generator(self.seed, "delta")))

    def jvp(self, params: Params, cache: Cache, direction: Params, x_dot: Array) -> Array:
        return self.layer.jvp(params, cache, direction, x_dot)

    def backward_jvp(
        self, params: Params, cache: Cache, direction: Params, x_dot: Array, delta: Array
    ) -> tuple[Array | None, Params]:
        return self.layer.backward_jvp(params, cache, direction, x_dot, delta)


def _changed(tree: TreeT, size: float, rng: np.random.Generator) -> TreeT:
    """Every floating-point number times 1 + size or 1 - size, at random."""

    def changed(array: Array) -> np.ndarray:
        array = np.asarray(array)
        if array.dtype.kind != "f":
            return array
        return array.astype(np.float64) * (1 + size * rng.choice([-1.0, 1.0], array.shape))

    return map_arrays(changed, tree)


def relative_difference(one: Array, other: Array) -> float:
    """|a - b| / max(|a|, |b|) by Euclidean norms; 0 where both are 0, infinite where shapes or NaN differ.

    >>> relative_difference(np.array([3.0, 4.0]), np.array([3.0, 3.5])), relative_difference(np.ones(2), np.ones(3))
    (0.1, inf)
    """
    a = np.asarray(one, dtype=np.float64)
    b = np.asarray(other, dtype=np.float64)
    if a.shape != b.shape:
        return math.inf
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        if same.all():
            return 0.0
        size = max(float(np.linalg.norm(a)), float(np.linalg.norm(b)))
        difference = float(np.linalg.norm(np.where(same, 0.0, a - b)))
    return difference / size if math.isfinite(difference) and math.isfinite(size) else math.inf
