"""Layers for the columns of a table: categories, embeddings of them and of numbers, scaling, smooth clipping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array, map_arrays, namespace
from ...core.errors import InputError, Problem
from ...core.functions import cosine, scattered_sum, sine
from ..initializers import Normal, Ones
from ..part import (
    Count,
    ForwardContext,
    InitContext,
    Initializer,
    Layer,
    Positive,
    Trainable,
    check_trainable,
    only_trained,
)
from .activations import Activation
from .base import ParameterFree, flat_width

Places = tuple[Annotated[int, Field(ge=0, strict=True)], ...]
"""Numbers of columns, from 0."""


@dataclass(frozen=True)
class SmoothClip(Activation, kind="smooth_clip"):
    """Almost z where it is small, and never beyond ±bound: y = z r, r = 1 / √(1 + (z/bound)²);  dy/dz = r³.

    Absurd numbers of a table become unusual ones, and the order of all is kept.
    d²y/dz² = -3 z r⁵ / bound².

    bound: what y approaches far from 0.

    Source: Holzmüller, Grinsztajn, Steinwart 2024, Better by default, section 3.

    >>> import numpy as np
    >>> SmoothClip(3.0).value(np.array([0.0, 0.3, -4.0, 1e300])).round(3).tolist()
    [0.0, 0.299, -2.4, 3.0]
    """

    bound: Positive = 3.0

    @property
    def output_range(self) -> tuple[float, float]:
        return -self.bound, self.bound

    @property
    def steepest_slope(self) -> float:
        """1, at 0."""
        return 1.0

    def _parts(self, z: Array) -> tuple[Array, Array]:
        """(z/bound) r and r; no square is larger than 1."""
        xp = namespace(z)
        u = z / self.bound
        most = xp.maximum(xp.abs(u), 1.0)
        u = u / most
        length = xp.sqrt(1 / most / most + u * u)
        return u / length, 1 / most / length

    def value(self, z: Array) -> Array:
        return self.bound * self._parts(z)[0]

    def derivative(self, z: Array, y: Array) -> Array:
        r = self._parts(z)[1]
        return r * r * r

    def second_derivative(self, z: Array, y: Array) -> Array:
        clipped, r = self._parts(z)
        return -3 * clipped * r * r * r * r / self.bound


class Factors(NamedTuple):
    """Parameters of a scaling, and their gradients: s (width,)."""

    s: Array


@dataclass(frozen=True)
class Scaling(Layer[Factors, tuple[()], Array], kind="scaling"):
    """A learned scale of each feature: y = s x, a diagonal matrix.

    Backward, with d = dL/dy (n, width):  dL/dx = s d,  dL/ds = Σ x d over the samples.

    Along s_dot and x_dot: y_dot = x s_dot + s x_dot. The derivative of dL/dx is s_dot d, that of dL/ds is Σ x_dot d.

    Where the inputs of a table have a scale each, a training that changes it early chooses between them.

    init: initializer of s; None: ones.
    trainable: whether a training changes s.

    Raises InputError for samples that are not flat, and for unknown names in `trainable`.

    Source: Holzmüller, Grinsztajn, Steinwart 2024, Better by default, section 3.

    >>> import numpy as np
    >>> Scaling().forward(Factors(np.array([2.0, 0.5])), (), np.array([[3.0, 4.0]]), ForwardContext(True))[0].tolist()
    [[6.0, 2.0]]
    """

    transparent = True
    is_linear = True

    init: Initializer | None = None
    trainable: Trainable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trainable(self, self.trainable, Factors._fields)

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Factors, tuple[()], tuple[int, ...]]:
        return Factors(context.draw(self.init or Ones(), (flat_width(self, shape),))), (), shape

    def trained(self, params: Factors) -> Factors:
        return only_trained(params, self.trainable)

    def forward(
        self, params: Factors, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return params.s * x, state, x

    def backward(self, params: Factors, cache: Array, delta: Array) -> tuple[Array, Factors]:
        return params.s * delta, self.gradients(params, cache, delta)

    def gradients(self, params: Factors, cache: Array, delta: Array) -> Factors:
        return Factors(namespace(delta).sum(cache * delta, axis=0))

    def jvp(self, params: Factors, cache: Array, direction: Factors, x_dot: Array | None) -> Array:
        y_dot = cache * direction.s
        return y_dot if x_dot is None else y_dot + params.s * x_dot

    def backward_jvp(
        self, params: Factors, cache: Array, direction: Factors, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Factors]:
        if x_dot is None:
            return None, map_arrays(namespace(delta).zeros_like, params)
        return direction.s * delta, self.gradients(params, x_dot, delta)


class CategoryVectors(NamedTuple):
    """Parameters of an embedding, and their gradients: E (sum of the sizes, width), a row for each category."""

    E: Array


@dataclass(frozen=True)
class Embedding(Layer[CategoryVectors, tuple[()], Array], kind="embedding"):
    """A learned vector for each category: y = (x without the columns, E_1[c_1], E_2[c_2], ...), with codes c_j = x_j.

    A dense layer on one input for each category would compute the same, at a cost that grows with their number.

    Backward, with d_j = dL/dy at the vector of column j:  dL/dE_j[c] = Σ d_j over the samples with the code c. The
    codes have no gradient: dL/dx_j = 0.

    Along E_dot and x_dot: y_dot = (x_dot without the columns, E_dot_1[c_1], ...). Both results of the backward pass are
    independent of E and of small changes of x: their derivatives are 0.

    Shapes: x (n, d), E (sum of the sizes, width), y (n, d - columns + columns * width).

    columns: the columns that hold codes: whole numbers from 0.
    sizes: number of codes of each of these columns; a larger code counts as the last one.
    width: numbers of each vector.
    init: initializer of E; None: normal with the standard deviation 1 / √width. The vectors of the codes 0, which stand
        for missing and unknown categories, start at 0.
    trainable: whether a training changes E.

    Raises InputError for samples that are not flat, for columns that are not there or not as many as sizes, and for
    unknown names.

    Source: Guo and Berkhahn 2016, Entity embeddings of categorical variables.

    >>> import numpy as np
    >>> E = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> x = np.array([[2.0, 7.0], [0.0, 8.0]])
    >>> Embedding((0,), (3,), 2).forward(CategoryVectors(E), (), x, ForwardContext(training=True))[0].tolist()
    [[7.0, 3.0, 4.0], [8.0, 0.0, 0.0]]
    """

    columns: Places
    sizes: tuple[Count, ...]
    width: Count = 8
    init: Initializer | None = None
    trainable: Trainable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trainable(self, self.trainable, CategoryVectors._fields)
        _check_codes(self, self.columns, self.sizes)

    def initialize(
        self, context: InitContext, shape: tuple[int, ...]
    ) -> tuple[CategoryVectors, tuple[()], tuple[int, ...]]:
        total = flat_width(self, shape)
        _check_places(self, self.columns, total)
        init = self.init or Normal(1 / math.sqrt(self.width))
        E = np.array(context.draw(init, (sum(self.sizes), self.width)))
        E[list(self._first_rows)] = 0.0
        return CategoryVectors(E), (), (total + len(self.columns) * (self.width - 1),)

    @property
    def code_columns(self) -> tuple[int, ...]:
        return self.columns

    @property
    def _first_rows(self) -> tuple[int, ...]:
        """The row of E that has the code 0 of each column."""
        return tuple(sum(self.sizes[:index]) for index in range(len(self.sizes)))

    def trained(self, params: CategoryVectors) -> CategoryVectors:
        return only_trained(params, self.trainable)

    def _rows(self, x: Array) -> Array:
        """The rows of E for the codes of x, (n, columns)."""
        xp = namespace(x)
        codes = _taken(x, self.columns)
        last = np.array(self.sizes, codes.dtype) - 1
        codes = xp.minimum(xp.maximum(codes, 0), last) + np.array(self._first_rows, codes.dtype)
        # Halves are added because a conversion cuts.
        return xp.astype(codes + 0.5, np.dtype("int32"))

    def _joined(self, x: Array, rows: Array, E: Array) -> Array:
        """The other columns of x and the vectors of the rows side by side."""
        xp = namespace(x)
        e = xp.take(E, rows, axis=0)
        e = xp.reshape(e, (x.shape[0], len(self.columns) * self.width))
        return xp.concat([*_without(x, self.columns), e], axis=1)

    def forward(
        self, params: CategoryVectors, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return self._joined(x, self._rows(x), params.E), state, x

    def backward(self, params: CategoryVectors, cache: Array, delta: Array) -> tuple[Array, CategoryVectors]:
        others = _other_places(cache, self.columns)
        return _placed(delta[:, : len(others)], others, cache), self.gradients(params, cache, delta)

    def gradients(self, params: CategoryVectors, cache: Array, delta: Array) -> CategoryVectors:
        xp = namespace(delta)
        d = delta[:, cache.shape[1] - len(self.columns) :]
        d = xp.reshape(d, (delta.shape[0], len(self.columns), self.width))
        return CategoryVectors(scattered_sum(self._rows(cache), d, params.E.shape[0]))

    def jvp(self, params: CategoryVectors, cache: Array, direction: CategoryVectors, x_dot: Array | None) -> Array:
        moved = namespace(cache).zeros_like(cache) if x_dot is None else x_dot
        return self._joined(moved, self._rows(cache), direction.E)

    def backward_jvp(
        self, params: CategoryVectors, cache: Array, direction: CategoryVectors, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, CategoryVectors]:
        zeros = map_arrays(namespace(delta).zeros_like, params)
        return None if x_dot is None else namespace(delta).zeros_like(cache), zeros


@dataclass(frozen=True)
class OneHot(ParameterFree[tuple[()], Array], kind="one_hot"):
    """A number of 0 or 1 for each category: y = (x without the columns, [x_1 = 1], ..., [x_1 = size_1 - 1], [x_2 = 1],
    ...). The code 0, of missing and unknown categories, is 0 everywhere.

    Backward: dL/dx = dL/dy at the other columns, and 0 at the codes. The derivatives of y along x_dot are x_dot at the
    other columns, and 0.

    Rows of codes take less memory than rows of 0 and 1, and a few categories more or less leave the sizes as they are.

    Shapes: x (n, d), y (n, d - columns + Σ (size - 1)).

    columns: the columns that hold codes: whole numbers from 0.
    sizes: number of codes of each of these columns; a larger code is 0 everywhere.

    Raises InputError for samples that are not flat, and for columns that are not there or not as many as sizes.

    >>> import numpy as np
    >>> x = np.array([[2.0, 7.0], [0.0, 8.0]])
    >>> OneHot((0,), (3,)).forward((), (), x, ForwardContext(training=True))[0].tolist()
    [[7.0, 0.0, 1.0], [8.0, 0.0, 0.0]]
    """

    columns: Places
    sizes: tuple[Count, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_codes(self, self.columns, self.sizes)

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        total = flat_width(self, shape)
        _check_places(self, self.columns, total)
        return (), (), (total + sum(size - 2 for size in self.sizes),)

    @property
    def code_columns(self) -> tuple[int, ...]:
        return self.columns

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        # Each code once for each of its numbers, and the code that the number stands for.
        repeated = [x[:, place : place + 1] for place in self.columns]
        codes = [np.arange(1, size, dtype=x.dtype) for size in self.sizes]
        xp = namespace(x)
        ones = [xp.astype(xp.abs(code - own) < 0.5, x.dtype) for code, own in zip(repeated, codes, strict=True)]
        return xp.concat([*_without(x, self.columns), *ones], axis=1), state, x

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        others = _other_places(cache, self.columns)
        return _placed(delta[:, : len(others)], others, cache), params

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        xp = namespace(x_dot)
        width = sum(size - 1 for size in self.sizes)
        return xp.concat([*_without(x_dot, self.columns), xp.zeros((x_dot.shape[0], width), dtype=x_dot.dtype)], axis=1)

    def backward_jvp(
        self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        return namespace(x_dot).zeros_like(x_dot), params


def _check_codes(layer: Layer, columns: Places, sizes: tuple[int, ...]) -> None:
    """Raise InputError unless there are columns, each once, and a size for each."""
    if len(columns) != len(sizes) or not columns:
        message = f"expected a size for each column, received {len(columns)} columns, {len(sizes)} sizes"
        raise InputError(layer.kind, [Problem("sizes", message)])
    if len(set(columns)) < len(columns):
        raise InputError(layer.kind, [Problem("columns", "expected each column once")])


def _other_places(x: Array, columns: Places) -> Places:
    return tuple(place for place in range(x.shape[1]) if place not in columns)


def _without(x: Array, columns: Places) -> list[Array]:
    """The other columns of x, as one array or none."""
    others = _other_places(x, columns)
    return [_taken(x, others)] if others else []


def _taken(x: Array, columns: Sequence[int]) -> Array:
    """The columns of x, (n, columns)."""
    # One slice for each run of neighbours: a compiler takes its time with each of them.
    starts = [0, *(place for place in range(1, len(columns)) if columns[place] != columns[place - 1] + 1), len(columns)]
    runs = [x[:, columns[start] : columns[stop - 1] + 1] for start, stop in itertools.pairwise(starts)]
    return namespace(x).concat(runs, axis=1) if len(runs) > 1 else runs[0]


def _placed(numbers: Array, columns: Places, x: Array) -> Array:
    """Numbers (n, columns) at the places of the columns among zeros like x."""
    xp = namespace(x)
    of = {place: index for index, place in enumerate(columns)}
    places = [of.get(place, len(columns) + place) for place in range(x.shape[1])]
    return _taken(xp.concat([numbers, xp.zeros_like(x)], axis=1), places)


def _check_places(layer: Layer, columns: Places, total: int) -> None:
    """Raise InputError for a column that samples of `total` numbers have not."""
    if missing := [place for place in columns if place >= total]:
        message = f"expected columns below {total}, the number of inputs, received {missing[0]}"
        raise InputError(layer.kind, [Problem("columns", message)])


class Waves(NamedTuple):
    """Parameters of a periodic embedding, and their gradients.

    w: angular frequencies (columns, waves).
    p: phases (columns, waves).
    A: weights of the embeddings (columns, waves, width).
    b: their offsets (columns, width).
    """

    w: Array
    p: Array
    A: Array
    b: Array


@dataclass(frozen=True)
class Periodic(Layer[Waves, tuple[()], Array], kind="periodic"):
    """Embeddings of numbers: y = (x, e) with e_jk = Σ_l h_jl A_jlk + b_jk and h_jl = cos(w_jl x_j + p_jl).

    Each embedded column x_j becomes `width` functions of it, made of waves whose frequencies and phases are learned; a
    network sees fine steps in one number by them. The inputs themselves come first.

    Backward, with d = dL/de (n, columns, width) and g_jl = -sin(w_jl x_j + p_jl) Σ_k A_jlk d_jk:
    dL/dA_jlk = Σ h_jl d_jk,  dL/db = Σ d,  dL/dw_jl = Σ x_j g_jl,  dL/dp = Σ g over the samples, and
    dL/dx_j = dL/dy_j + Σ_l w_jl g_jl.

    Along a direction, with a_dot = x w_dot + w x_dot + p_dot and h_dot = -sin(w x + p) a_dot: e_dot = h_dot A + h A_dot
    + b_dot; all sums above follow by the product rule, with g_dot = -h a_dot Σ A d - sin(w x + p) Σ A_dot d.

    Shapes: x (n, d), y (n, d + columns * width).

    width: functions of each number.
    waves: waves that they are made of.
    deviation: standard deviation of the initial frequencies, in waves for each unit of x.
    columns: the columns that are embedded; empty: all.
    trainable: which parameters a training changes.

    Raises InputError for samples that are not flat, for columns that are not there, and for unknown names.

    Source: Gorishniy, Rubachev, Babenko 2022, On embeddings for numerical features, section 3.3; the phases and the
    inputs beside the waves as in Holzmüller, Grinsztajn, Steinwart 2024.

    >>> import numpy as np
    >>> one = Waves(np.full((1, 1), np.pi), np.zeros((1, 1)), np.full((1, 1, 1), 2.0), np.zeros((1, 1)))
    >>> Periodic(1, 1).forward(one, (), np.array([[0.0], [1.0]]), ForwardContext(True))[0].tolist()
    [[0.0, 2.0], [1.0, -2.0]]
    """

    width: Count = 4
    waves: Count = 16
    deviation: Positive = 0.1
    columns: Places = ()
    trainable: Trainable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trainable(self, self.trainable, Waves._fields)

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Waves, tuple[()], tuple[int, ...]]:
        total = flat_width(self, shape)
        _check_places(self, self.columns, total)
        columns = len(self.columns) or total
        draw = context.rng
        params = Waves(
            w=draw.normal(0, 2 * math.pi * self.deviation, (columns, self.waves)),
            p=draw.uniform(-math.pi, math.pi, (columns, self.waves)),
            A=draw.normal(0, 1 / math.sqrt(self.waves), (columns, self.waves, self.width)),
            b=draw.uniform(-1, 1, (columns, self.width)) / math.sqrt(self.waves),
        )
        return params, (), (total + columns * self.width,)

    def trained(self, params: Waves) -> Waves:
        return only_trained(params, self.trainable)

    def _chosen(self, x: Array) -> Array:
        """The embedded columns (columns, n, 1): all products over the waves are those of stacks of matrices."""
        xp = namespace(x)
        if not self._is_all(x):
            x = _taken(x, self.columns)
        return xp.permute_dims(x, (1, 0))[:, :, None]

    def _is_all(self, x: Array) -> bool:
        return not self.columns or self.columns == tuple(range(x.shape[1]))

    def _placed(self, chosen: Array, x: Array) -> Array:
        """Numbers (columns, n) of the embedded columns at their places among zeros like x."""
        chosen = namespace(x).permute_dims(chosen, (1, 0))
        return chosen if self._is_all(x) else _placed(chosen, self.columns, x)

    def _joined(self, x: Array, e: Array) -> Array:
        """Inputs (n, d) and their functions (columns, n, width) side by side."""
        xp = namespace(e)
        e = xp.permute_dims(e, (1, 0, 2))
        return xp.concat([x, xp.reshape(e, (e.shape[0], e.shape[1] * e.shape[2]))], axis=1)

    def _angle(self, params: Waves, chosen: Array) -> Array:
        """w_jl x_j + p_jl, (columns, n, waves)."""
        return chosen * params.w[:, None, :] + params.p[:, None, :]

    def forward(
        self, params: Waves, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        h = cosine(self._angle(params, self._chosen(x)))
        return self._joined(x, h @ params.A + params.b[:, None, :]), state, x

    def _split(self, x: Array, delta: Array) -> tuple[Array, Array]:
        """dL/dy of the inputs (n, d) and dL/de (columns, n, width)."""
        xp = namespace(delta)
        total = x.shape[1]
        columns = len(self.columns) or total
        d = xp.reshape(delta[:, total:], (delta.shape[0], columns, self.width))
        return delta[:, :total], xp.permute_dims(d, (1, 0, 2))

    def backward(self, params: Waves, cache: Array, delta: Array) -> tuple[Array, Waves]:
        past, d = self._split(cache, delta)
        chosen = self._chosen(cache)
        angle = self._angle(params, chosen)
        g = -sine(angle) * (d @ _transposed(params.A))
        dx = past + self._placed(namespace(g).sum(params.w[:, None, :] * g, axis=-1), cache)
        return dx, _sums(chosen, g, cosine(angle), d)

    def jvp(self, params: Waves, cache: Array, direction: Waves, x_dot: Array | None) -> Array:
        chosen = self._chosen(cache)
        angle = self._angle(params, chosen)
        h_dot = -sine(angle) * self._angle_dot(params, chosen, direction, x_dot)
        e_dot = h_dot @ params.A + cosine(angle) @ direction.A + direction.b[:, None, :]
        return self._joined(namespace(cache).zeros_like(cache) if x_dot is None else x_dot, e_dot)

    def _angle_dot(self, params: Waves, chosen: Array, direction: Waves, x_dot: Array | None) -> Array:
        a_dot = self._angle(direction, chosen)
        return a_dot if x_dot is None else a_dot + self._chosen(x_dot) * params.w[:, None, :]

    def backward_jvp(
        self, params: Waves, cache: Array, direction: Waves, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Waves]:
        xp = namespace(cache)
        _, d = self._split(cache, delta)
        chosen = self._chosen(cache)
        angle = self._angle(params, chosen)
        s, h = sine(angle), cosine(angle)
        a_dot = self._angle_dot(params, chosen, direction, x_dot)
        pulled = d @ _transposed(params.A)
        g = -s * pulled
        g_dot = -h * a_dot * pulled - s * (d @ _transposed(direction.A))
        moved = _sums(chosen, g_dot, -s * a_dot, d)._replace(b=xp.zeros_like(params.b))
        if x_dot is None:
            return None, moved
        dx_dot = self._placed(xp.sum(direction.w[:, None, :] * g + params.w[:, None, :] * g_dot, axis=-1), cache)
        return dx_dot, moved._replace(w=moved.w + xp.sum(self._chosen(x_dot) * g, axis=1))


def _transposed(stack: Array) -> Array:
    """Each matrix of a stack transposed."""
    return namespace(stack).permute_dims(stack, (0, 2, 1))


def _sums(x: Array, g: Array, h: Array, d: Array) -> Waves:
    """The gradients as sums over the samples, the second axis of all."""
    xp = namespace(g)
    return Waves(w=xp.sum(x * g, axis=1), p=xp.sum(g, axis=1), A=_transposed(h) @ d, b=xp.sum(d, axis=1))
