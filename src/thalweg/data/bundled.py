"""The data sets that ship with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .dataset import Samples
from .source import Source


@dataclass(frozen=True)
class Digits(Source, kind="digits"):
    """1797 handwritten digits as images of 8 x 8 pixels with values from 0 to 16.

    >>> Digits().load(seed=0).x.shape
    (1797, 64)
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_digits

        return _classification(load_digits())._replace(image_shape=(8, 8), scale="range")


@dataclass(frozen=True)
class Iris(Source, kind="iris"):
    """150 irises of 3 species, described by 4 lengths.

    >>> Iris().load(seed=0).target_names
    ('setosa', 'versicolor', 'virginica')
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_iris

        return _classification(load_iris())


@dataclass(frozen=True)
class Wine(Source, kind="wine"):
    """178 wines of 3 growers, described by 13 chemical measures.

    >>> Wine().load(seed=0).x.shape
    (178, 13)
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_wine

        return _classification(load_wine())


@dataclass(frozen=True)
class BreastCancer(Source, kind="breast_cancer"):
    """569 tumours, malignant or benign, described by 30 measures of their cells.

    >>> BreastCancer().load(seed=0).target_names
    ('malignant', 'benign')
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_breast_cancer

        return _classification(load_breast_cancer())


@dataclass(frozen=True)
class Diabetes(Source, kind="diabetes"):
    """442 patients, described by 10 measures in their original units; the target is the disease's progress in a year.

    >>> Diabetes().load(seed=0).x.shape
    (442, 10)
    """

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import load_diabetes

        bunch = load_diabetes(scaled=False)
        return Samples(
            x=bunch["data"],
            y=bunch["target"],
            task="regression",
            feature_names=_names(bunch["feature_names"]),
            target_names=("progression",),
        )


def _classification(bunch: Mapping[str, object]) -> Samples:
    return Samples(
        x=np.asarray(bunch["data"]),
        y=np.asarray(bunch["target"]),
        task="classification",
        feature_names=_names(bunch["feature_names"]),
        target_names=_names(bunch["target_names"]),
    )


def _names(names: object) -> tuple[str, ...]:
    return tuple(str(name) for name in np.asarray(names))
