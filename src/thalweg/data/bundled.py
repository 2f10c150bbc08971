"""The data sets that ship with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..core.private import remembered
from .dataset import Samples
from .source import Source


@dataclass(frozen=True)
class Digits(Source, kind="digits"):
    """1797 handwritten digits as images of 8 x 8 pixels with values from 0 to 16.

    >>> Digits().load(seed=0).x.shape
    (1797, 64)
    """

    def load(self, seed: int) -> Samples:
        return _classification("digits")._replace(image_shape=(8, 8), scale="range")


class BundledTable(Source):
    """A table of numbers, whose name in scikit-learn is its kind."""

    @property
    def is_table(self) -> bool:
        return True

    def load(self, seed: int) -> Samples:
        return _classification(self.kind)


@dataclass(frozen=True)
class Iris(BundledTable, kind="iris"):
    """150 irises of 3 species, described by 4 lengths.

    >>> Iris().load(seed=0).target_names
    ('setosa', 'versicolor', 'virginica')
    """


@dataclass(frozen=True)
class Wine(BundledTable, kind="wine"):
    """178 wines of 3 growers, described by 13 chemical measures.

    >>> Wine().load(seed=0).x.shape
    (178, 13)
    """


@dataclass(frozen=True)
class BreastCancer(BundledTable, kind="breast_cancer"):
    """569 tumours, malignant or benign, described by 30 measures of their cells.

    >>> BreastCancer().load(seed=0).target_names
    ('malignant', 'benign')
    """


@dataclass(frozen=True)
class Diabetes(BundledTable, kind="diabetes"):
    """442 patients, described by 10 measures in their original units; the target is the disease's progress in a year.

    >>> Diabetes().load(seed=0).x.shape
    (442, 10)
    """

    def load(self, seed: int) -> Samples:
        return Samples(
            *_columns("diabetes"),
            task="regression",
            feature_names=_names("diabetes", "feature_names"),
            target_names=("progression",),
        )


def _classification(name: str) -> Samples:
    x, y = _columns(name)
    return Samples(
        x=x,
        y=y.astype(int),
        task="classification",
        feature_names=_names(name, "feature_names"),
        target_names=_names(name, "target_names"),
    )


def _columns(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The inputs (n, features) and targets (n,) of a data set, both as fractional numbers."""
    table = _table(name)
    return table[:, :-1].copy(), table[:, -1].copy()


def _names(name: str, of: str) -> tuple[str, ...]:
    return tuple(map(str, _listed_names(name, of)))


# scikit-learn takes a second to import.
@remembered
def _table(name: str) -> np.ndarray:
    bunch = _bunch(name)
    return np.column_stack([np.asarray(bunch["data"], float), np.asarray(bunch["target"], float)])


@remembered
def _listed_names(name: str, of: str) -> np.ndarray:
    return np.array([str(one) for one in np.asarray(_bunch(name)[of])])


def _bunch(name: str) -> Mapping[str, object]:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

    loaders: dict[str, Callable[[], Mapping[str, object]]] = {
        "breast_cancer": load_breast_cancer,
        "diabetes": lambda: load_diabetes(scaled=False),
        "digits": load_digits,
        "iris": load_iris,
        "wine": load_wine,
    }
    return loaders[name]()
