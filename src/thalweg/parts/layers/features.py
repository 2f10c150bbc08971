"""Feature maps: fixed functions of the inputs, in front of a linear unit that could not tell the classes apart else."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array, Tree, namespace
from ...core.errors import InputError
from ..part import Count, ForwardContext, InitContext, Initializer, Layer, Positive

_MOST_FEATURES = 100_000


class Monomials(Layer):
    """Products of inputs. A subclass says of which: each a tuple of the numbers of its factors.

    Shapes: x (n, d), y (n, products). Backward: dL/dx_j = Σ over the products and their factors x_j of dL/dy times the
    other factors. While x moves along x', a product moves along Σ over its factors of x' there times the others; so do
    the other factors, by which dL/dx bends.
    """

    @abstractmethod
    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        """The factors of each product, for samples of that width."""

    def _factors(self, width: int) -> np.ndarray:
        """(products, most factors): the column of each factor; `width` is a column of ones, that fills up."""
        products = list(itertools.islice(self.products(width), _MOST_FEATURES + 1))
        if len(products) > _MOST_FEATURES:
            raise InputError(self.kind, f"makes more than {_MOST_FEATURES:,} features of {width} inputs; take fewer")
        most = max(map(len, products))
        return np.array([(*product, *[width] * (most - len(product))) for product in products])

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        return (), (), (len(self._factors(_width(self, shape))),)

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        return namespace(x).prod(self._taken(x), axis=-1), state, x

    def _taken(self, x: Array, beside: float = 1.0) -> Array:
        """(n, products, factors): the factors of each product, filled up with `beside`."""
        xp = namespace(x)
        return xp.concat([x, xp.full_like(x[:, :1], beside)], axis=1)[:, self._factors(x.shape[1])]

    def _scattered(self, x: Array, delta: Array, others: Iterable[Array]) -> Array:
        """Σ over the places of delta * others[place], each brought to the column of the factor at that place."""
        xp, factors, dx = namespace(x), self._factors(x.shape[1]), namespace(x).zeros_like(x)
        for place, other in enumerate(others):
            chosen = xp.asarray(factors[:, place, None] == np.arange(x.shape[1]), dtype=x.dtype)
            dx = dx + (delta * other) @ chosen
        return dx

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        taken = self._taken(cache)
        others = (_without(taken, place) for place in range(taken.shape[-1]))
        return self._scattered(cache, delta, others), params

    def gradients(self, params: Tree, cache: Tree, delta: Array) -> Tree:
        return params

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array) -> Array:
        return _product_rule(self._taken(cache), self._taken(dx, beside=0.0))

    def backward_jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array, delta: Array) -> tuple[Array, Tree]:
        taken, moves = self._taken(cache), self._taken(dx, beside=0.0)
        others = (_product_rule(taken, moves, place) for place in range(taken.shape[-1]))
        return self._scattered(cache, delta, others), params


def _without(taken: Array, *places: int) -> Array:
    """The products (n, products) of the factors at all places but these."""
    kept = ~np.isin(np.arange(taken.shape[-1]), places)
    return namespace(taken).prod(taken[:, :, kept], axis=-1)


def _product_rule(taken: Array, moves: Array, *places: int) -> Array:
    """How the products of the factors at all places but these move while each factor moves along `moves`."""
    kept = [place for place in range(taken.shape[-1]) if place not in places]
    terms = (moves[:, :, place] * _without(taken, *places, place) for place in kept)
    return sum(terms, namespace(taken).zeros_like(taken[:, :, 0]))


@dataclass(frozen=True)
class Products(Monomials, kind="products"):
    """The inputs, and the product of each pair: (x₁, x₂) -> (x₁, x₂, x₁x₂);  dy/dx by the product rule.

    >>> import numpy as np
    >>> Products().forward((), (), np.array([[2.0, 3.0]]), ForwardContext(training=True))[0].tolist()
    [[2.0, 3.0, 6.0]]
    """

    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        for degree in (1, 2):
            yield from itertools.combinations(range(width), degree)


@dataclass(frozen=True)
class PolynomialFeatures(Monomials, kind="polynomial"):
    """All products of up to `degree` inputs, powers too: (x₁, x₂) -> (x₁, x₂, x₁², x₁x₂, x₂²);  dy/dx as for powers.

    The order is that of scikit-learn's PolynomialFeatures, without its column of ones: the unit has a bias.

    >>> import numpy as np
    >>> PolynomialFeatures(2).forward((), (), np.array([[2.0, 3.0]]), ForwardContext(training=True))[0].tolist()
    [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """

    degree: Annotated[int, Field(ge=1, le=20, strict=True)] = 2

    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        for degree in range(1, self.degree + 1):
            yield from itertools.combinations_with_replacement(range(width), degree)


class Centres(NamedTuple):
    """The centres of radial features, which do not learn: (units, d)."""

    c: Array


@dataclass(frozen=True)
class Radial(Layer, kind="radial"):
    """Closeness to fixed centres: y_k = exp(-|x - c_k|² / (2 width²));  dy_k/dx = y_k (c_k - x) / width².

    Shapes: x (n, d), c (units, d), y (n, units). The `centres` are drawn once and do not learn: from the standard
    normal distribution, as suits standardised inputs; `{ kind = "given", values = [[0, 1], [1, 0]] }` writes them out.

    Backward: dL/dx = Σ_k dL/dy_k y_k (c_k - x) / width².

    While x moves along x', y_k moves along y'_k = y_k (c_k - x)·x' / width², and dL/dx bends by
    Σ_k dL/dy_k (y'_k (c_k - x) - y_k x') / width².

    Source: Broomhead and Lowe 1988.

    >>> import numpy as np
    >>> at, centres = np.array([[1.0, 0.0]]), Centres(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> Radial(2).forward((), centres, at, ForwardContext(training=True))[0].round(4).tolist()
    [[1.0, 0.6065]]
    """

    units: Count
    width: Positive = 1.0
    centres: Initializer | None = None

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        size = (self.units, _width(self, shape))
        c = self.centres(draw.rng, size) if self.centres else draw.rng.standard_normal(size)
        return (), Centres(c), (self.units,)

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        xp = namespace(x)
        away = x[:, None, :] - state.c
        y = xp.exp(-xp.sum(away * away, axis=-1) / (2 * self.width**2))
        return y, state, (away, y)

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        away, y = cache
        return -namespace(delta).sum((delta * y)[:, :, None] * away, axis=1) / self.width**2, params

    def gradients(self, params: Tree, cache: Tree, delta: Array) -> Tree:
        return params

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array) -> Array:
        away, y = cache
        return -y * namespace(dx).sum(away * dx[:, None, :], axis=-1) / self.width**2

    def backward_jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array, delta: Array) -> tuple[Array, Tree]:
        away, y = cache
        moved = self.jvp(params, cache, along, dx)
        terms = (delta * moved)[:, :, None] * away + (delta * y)[:, :, None] * dx[:, None, :]
        return -namespace(delta).sum(terms, axis=1) / self.width**2, params


def _width(layer: Layer, shape: tuple[int, ...]) -> int:
    if len(shape) != 1:
        raise InputError(layer.kind, f"expected flat samples, received samples of shape {shape}")
    return shape[0]
