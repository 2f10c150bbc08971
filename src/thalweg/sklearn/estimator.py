"""What all estimators share: their inputs, their seeds, and runs without training rows."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state

from ..data import Data
from ..runs.run import Run

Rows: TypeAlias = ArrayLike | sparse.spmatrix | sparse.sparray
"""Rows as scikit-learn accepts them: an array, nested lists, a data frame, or a sparse matrix."""
RandomState: TypeAlias = int | np.random.RandomState | None
"""scikit-learn's `random_state`."""
LARGEST_SEED = 2**31 - 1


class SparseEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator that accepts sparse inputs."""

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags, with sparse inputs."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def set_parameters(estimator: BaseEstimator, parameters: dict[str, object]) -> None:
    """Store the parameters unchanged, as scikit-learn requires; `parameters` are the locals of a constructor."""
    estimator.__dict__.update({name: value for name, value in parameters.items() if name != "self"})


def dense(X: Rows) -> np.ndarray:
    """X as a dense array."""
    if isinstance(X, sparse.spmatrix | sparse.sparray):
        X = X.toarray()
    return np.asarray(X)


def seed_from(random_state: RandomState) -> int:
    """The next seed of a random state."""
    return int(check_random_state(random_state).randint(LARGEST_SEED))


def without_rows(run: Run) -> Run:
    """The run without its rows, as after loading it from a folder: a fitted model does not keep the training data."""
    spec = dataclasses.replace(run.spec, data=Data.of(run.spec.data.describe()))
    return dataclasses.replace(run, spec=spec, split=None)
