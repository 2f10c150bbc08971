"""The linear units as classifiers of scikit-learn."""

from __future__ import annotations

import dataclasses
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core.errors import InputError
from ..data import Data
from ..models import linear_units as linear_units
from ..models.linear_units import LinearUnit
from ..parts.settings import EngineName
from ..runs.run import Run
from ..runs.train import train
from .settings import dense, engine_for

_LARGEST_SEED = 2**31 - 1


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What both linear units share as estimators: one output for two classes, one for each of more.

    Fitted attributes: classes_, coef_ (1 or classes, features), intercept_, n_iter_ (epochs), t_ (updates),
    loss_curve_, n_features_in_, and run_, the whole record as `thalweg.train` returns it. coef_ and intercept_ belong
    to the inputs as they are given, or to the outputs of the feature map where there is one.
    """

    eta0: float
    features: Sequence[Any]
    labels: Literal["0/1", "-1/1"]
    max_iter: int
    shuffle: bool
    random_state: Any
    engine: EngineName | Literal["auto"]
    validation_fraction: float = 0.0

    @abstractmethod
    def _unit(self) -> LinearUnit:
        """The unit that the parameters describe."""

    def fit(self, X: Any, y: Any) -> LinearClassifier:
        """Learn from X (n, features), dense or sparse, and the labels y (n,). Raises ValueError for data of no use."""
        X, y = validate_data(self, X, y, dtype=np.float64, accept_sparse=True)
        X = dense(X)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                type(self).__name__, f"expected at least 2 classes in y, received {len(self.classes_)} class"
            )
        unit = self._unit()
        held_out = self.validation_fraction if getattr(unit, "threshold", None) == "tuned" else 0.0
        order = "shuffled" if self.shuffle else "time"
        data = {
            "source": (X, numbers),
            "validation": held_out,
            "test": 0.0,
            "order": order,
            "scale": unit.scale or "none",
        }
        seed = int(check_random_state(self.random_state).randint(_LARGEST_SEED))
        engine = self._engine(unit, len(X), X.shape[1] * (1 if len(self.classes_) == 2 else len(self.classes_)))
        run = train(unit, data, epochs=self.max_iter, seed=seed, engine=engine, probes="off", progress=False)
        # The training rows are the caller's: a model keeps of them what a spec on a disk would.
        spec = dataclasses.replace(run.spec, data=Data.of(run.spec.data.describe()))
        self.run_ = dataclasses.replace(run, spec=spec, split=None)
        self.coef_, self.intercept_ = _in_the_inputs_own_units(self.run_)
        self.n_iter_, self.t_ = len(run.history), int(run.state.step)
        self.loss_curve_ = [record["loss"] for record in run.history]
        if run.measures["training"]["accuracy"] < 1 and run.remarks and run.threshold is None:
            warnings.warn(" ".join(run.remarks), ConvergenceWarning, stacklevel=2)
        return self

    def _engine(self, unit: LinearUnit, rows: int, weights: int) -> EngineName:
        if self.engine != "auto":
            return self.engine
        batch_size = rows if unit.batch_size == "full" else min(rows, int(unit.batch_size))
        return engine_for(-(-rows // batch_size) * self.max_iter, batch_size, weights)

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: sparse inputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def decision_function(self, X: Any) -> np.ndarray:
        """How far the net input is above the threshold, (n,), for two classes; the net inputs (n, classes) for more."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, accept_sparse=True, reset=False)
        z = self.run_.predict_outputs(dense(X))
        return z[:, 0] - self.run_.loss.threshold if z.shape[1] == 1 else z

    def predict(self, X: Any) -> np.ndarray:
        """The labels (n,) that it gives to X (n, features)."""
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]


def _in_the_inputs_own_units(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """(coef_, intercept_): what the scaling of the inputs does goes into the weights."""
    W, b = (np.asarray(array, dtype=float) for array in run.params[-1])
    if len(run.network.layers) == 1:
        shift, span = (np.broadcast_to(a, len(W)) for a in (run.preprocessing.shift, run.preprocessing.span))
        W = W / span[:, None]
        b = b - shift @ W
    return W.T, b


class Perceptron(LinearClassifier):
    """Rosenblatt's perceptron as an estimator: w <- w + η (t - y) x on mistakes, until an epoch has none.

    eta0: the rate η. max_iter: epochs at most. shuffle: whether each epoch has another order. pocket: end with the
    weights that were right most often. features: a feature map, as `["products"]` or `["polynomial 3"]`. labels: how
    no and yes are written, "0/1" or "-1/1". engine: "compiled", "eager", or "auto", NumPy where a program would take
    longer to compile than the training takes (`settings.engine_for`). Warns (ConvergenceWarning) where training rows
    are still wrong in the end, and says whether any line could tell them apart.

    Source: see `thalweg.linear_units.Perceptron`.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "no", "no", "yes"]
    >>> Perceptron(random_state=0).fit(X, y).predict(X).tolist()
    ['no', 'no', 'no', 'yes']
    """

    def __init__(
        self,
        *,
        eta0: float = 1.0,
        max_iter: int = 1000,
        shuffle: bool = True,
        pocket: bool = False,
        features: Sequence[Any] = (),
        labels: Literal["0/1", "-1/1"] = "0/1",
        random_state: Any = None,
        engine: EngineName | Literal["auto"] = "auto",
    ) -> None:
        self.eta0 = eta0
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.pocket = pocket
        self.features = features
        self.labels = labels
        self.random_state = random_state
        self.engine = engine

    def _unit(self) -> LinearUnit:
        return linear_units.Perceptron(self.eta0, tuple(self.features), self.labels, pocket=self.pocket)


class Adaline(LinearClassifier):
    """ADALINE as an estimator: w <- w + η (t - z) x, least mean squares; inputs are standardised.

    eta0: the rate η; rates above `thalweg.linear_units.safe_rate` diverge, and a ConvergenceWarning names a safe one.
    rule: "online", "batch", or so many samples for an update. max_iter: epochs. threshold: where it says yes; None:
    halfway between the labels; "tuned": by the share `validation_fraction` of the rows, held out for that. features,
    labels, shuffle and engine as for `Perceptron`.

    Source: see `thalweg.linear_units.Adaline`.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [False, True, True, True]
    >>> Adaline(eta0=0.1, max_iter=50, random_state=0).fit(X, y).predict(X).tolist()
    [False, True, True, True]
    """

    def __init__(
        self,
        *,
        eta0: float = 0.01,
        rule: Literal["online", "batch"] | int = "online",
        max_iter: int = 100,
        threshold: float | Literal["tuned"] | None = None,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        features: Sequence[Any] = (),
        labels: Literal["0/1", "-1/1"] = "0/1",
        random_state: Any = None,
        engine: EngineName | Literal["auto"] = "auto",
    ) -> None:
        self.eta0 = eta0
        self.rule = rule
        self.max_iter = max_iter
        self.threshold = threshold
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.features = features
        self.labels = labels
        self.random_state = random_state
        self.engine = engine

    def _unit(self) -> LinearUnit:
        return linear_units.Adaline(
            self.eta0, tuple(self.features), self.labels, rule=self.rule, threshold=self.threshold
        )
