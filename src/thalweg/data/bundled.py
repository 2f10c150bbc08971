"""The data sets that come with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .dataset import Samples
from .source import Source


@dataclass(frozen=True)
class Digits(Source, kind="digits"):
    """1797 handwritten digits as pictures of 8 x 8 pixels with values of 0 to 16.

    >>> Digits().load(seed=0).x.shape
    (1797, 64)
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_digits

        return _classes(load_digits())._replace(image_shape=(8, 8), scale="range")


@dataclass(frozen=True)
class Iris(Source, kind="iris"):
    """150 irises of 3 species by 4 lengths.

    >>> Iris().load(seed=0).target_names
    ('setosa', 'versicolor', 'virginica')
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_iris

        return _classes(load_iris())


@dataclass(frozen=True)
class Wine(Source, kind="wine"):
    """178 wines of 3 growers by 13 chemical measures.

    >>> Wine().load(seed=0).x.shape
    (178, 13)
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_wine

        return _classes(load_wine())


@dataclass(frozen=True)
class BreastCancer(Source, kind="breast_cancer"):
    """569 tumours, malignant or benign, by 30 measures of their cells.

    >>> BreastCancer().load(seed=0).target_names
    ('malignant', 'benign')
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_breast_cancer

        return _classes(load_breast_cancer())


@dataclass(frozen=True)
class Diabetes(Source, kind="diabetes"):
    """442 patients by 10 measures, in their own units; the target is how far the disease went in a year.

    >>> Diabetes().load(seed=0).x.shape
    (442, 10)
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_diabetes

        bunch = load_diabetes(scaled=False)
        return Samples(
            bunch.data,
            bunch.target,
            "regression",
            feature_names=_names(bunch.feature_names),
            target_names=("progression",),
        )


def _classes(bunch: Any) -> Samples:
    return Samples(
        np.asarray(bunch.data),
        np.asarray(bunch.target),
        "classification",
        feature_names=_names(bunch.feature_names),
        target_names=_names(bunch.target_names),
    )


def _names(names: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in names)
