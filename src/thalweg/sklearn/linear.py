"""The linear units as scikit-learn classifiers."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core.errors import InputError
from ..models import linear_units
from ..models.linear_units import LinearUnit
from ..parts.settings import EngineName
from ..runs.run import Run
from ..runs.train import train
from .estimator import RandomState, Rows, SparseEstimator, dense, seed_from, without_rows
from .settings import EngineChoice, PartLike, faster_engine


class LinearClassifier(ClassifierMixin, SparseEstimator):  # type: ignore[misc]
    """A linear unit as an estimator: one output for two classes, else one output for each class.

    `Perceptron` and `Adaline` document the parameters.

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
        The class labels.
    coef_ : ndarray of shape (1 or classes, features)
        Weights for the inputs before scaling, or for the outputs of the feature map if there is one.
    intercept_ : ndarray of shape (1 or classes,)
        Biases that belong to `coef_`.
    n_iter_ : int
        Epochs.
    t_ : int
        Updates.
    loss_curve_ : list of float
        The loss of each epoch.
    n_features_in_ : int
        The number of inputs.
    run_ : thalweg.Run
        The whole record, as `thalweg.train` returns it, without the training rows.
    """

    eta0: float
    features: Sequence[PartLike]
    labels: Literal["0/1", "-1/1"]
    max_iter: int
    shuffle: bool
    random_state: RandomState
    engine: EngineChoice
    validation_fraction: float = 0.0

    @abstractmethod
    def _unit(self) -> LinearUnit:
        """The unit that the parameters describe."""

    def fit(self, X: Rows, y: ArrayLike) -> Self:
        """Fit to X (n, features), dense or sparse, and the labels y (n,). Raises ValueError for invalid data."""
        X_checked, y_checked = validate_data(self, X, y, dtype=np.float64, accept_sparse=True)
        rows = dense(X_checked)
        check_classification_targets(y_checked)
        self.classes_, class_numbers = np.unique(y_checked, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                type(self).__name__, f"expected at least 2 classes in y, received {len(self.classes_)} class"
            )
        unit = self._unit()
        data = {
            "source": (rows, class_numbers),
            "validation": self.validation_fraction if getattr(unit, "threshold", None) == "tuned" else 0.0,
            "test": 0.0,
            "order": "shuffled" if self.shuffle else "time",
            "scale": unit.scale or "none",
        }
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        engine = self._engine_name(unit, len(rows), rows.shape[1] * outputs)
        seed = seed_from(self.random_state)
        run = train(unit, data, epochs=self.max_iter, seed=seed, engine=engine, probes="off", progress=False)
        self.run_ = without_rows(run)
        self.coef_, self.intercept_ = _unscaled_coefficients(self.run_)
        self.n_iter_ = len(run.history)
        self.t_ = int(run.state.step)
        self.loss_curve_ = [record["loss"] for record in run.history]
        if run.measures["training"]["accuracy"] < 1 and run.remarks and run.threshold is None:
            warnings.warn(" ".join(run.remarks), ConvergenceWarning, stacklevel=2)
        return self

    def _engine_name(self, unit: LinearUnit, rows: int, weights: int) -> EngineName:
        if self.engine != "auto":
            return self.engine
        batch_size = rows if unit.batch_size == "full" else min(rows, int(unit.batch_size))
        return faster_engine(-(-rows // batch_size) * self.max_iter, batch_size, weights)

    def decision_function(self, X: Rows) -> np.ndarray:
        """The net input minus the threshold (n,) for two classes; the net inputs (n, classes) for more."""
        check_is_fitted(self)
        X_checked = validate_data(self, X, dtype=np.float64, accept_sparse=True, reset=False)
        z = self.run_.predict_outputs(dense(X_checked))
        return z[:, 0] - self.run_.loss.threshold if z.shape[1] == 1 else z

    def predict(self, X: Rows) -> np.ndarray:
        """The labels (n,) for the rows of X (n, features)."""
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]


def _unscaled_coefficients(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """(coef_, intercept_) for the inputs before scaling."""
    W, *biases = (np.asarray(array, dtype=float) for array in run.params[-1])
    b = biases[0] if biases else np.zeros(W.shape[1])
    if len(run.network.layers) == 1:
        shift, span = (np.broadcast_to(a, len(W)) for a in (run.preprocessing.shift, run.preprocessing.span))
        W = W / span[:, None]
        b = b - shift @ W
    return W.T, b


class Perceptron(LinearClassifier):
    """Rosenblatt's perceptron as an estimator: w <- w + η (t - y) x on mistakes, until an epoch has none.

    Warns (ConvergenceWarning) if training rows are still misclassified at the end, and says whether the classes are
    linearly separable.

    Parameters
    ----------
    eta0 : float, default=1.0
        The learning rate η.
    max_iter : int, default=1000
        The largest number of epochs.
    shuffle : bool, default=True
        Whether each epoch has a new random order.
    pocket : bool, default=False
        Whether to return the weights that classified the most rows correctly.
    features : sequence, default=()
        A feature map, as `["products"]` or `["polynomial 3"]`.
    labels : {"0/1", "-1/1"}, default="0/1"
        The target numbers of the two classes.
    random_state : int, RandomState or None, default=None
        Seeds the order of the rows.
    engine : {"auto", "eager", "compiled"}, default="auto"
        NumPy ("eager") or XLA ("compiled"). "auto" uses NumPy if compiling would take longer than the training
        (`settings.faster_engine`).

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
        features: Sequence[PartLike] = (),
        labels: Literal["0/1", "-1/1"] = "0/1",
        random_state: RandomState = None,
        engine: EngineChoice = "auto",
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
        options = {"learning_rate": self.eta0, "features": tuple(self.features), "labels": self.labels}
        return linear_units.Perceptron.of({**options, "pocket": self.pocket})


class Adaline(LinearClassifier):
    """ADALINE as an estimator: w <- w + η (t - z) x, least mean squares, on standardised inputs.

    Learning rates above `thalweg.models.linear_theory.safe_rate` diverge; a ConvergenceWarning then names a safe one.

    Parameters
    ----------
    eta0 : float, default=0.01
        The learning rate η.
    rule : {"online", "batch"} or int, default="online"
        One sample, all samples or this many samples for each update.
    max_iter : int, default=100
        The number of epochs.
    threshold : float, "tuned" or None, default=None
        The net input above which the second class is predicted. None: halfway between the labels; "tuned": the best
        threshold on the held-out rows.
    validation_fraction : float, default=0.1
        The fraction of the rows that is held out to tune the threshold.
    shuffle : bool, default=True
        Whether each epoch has a new random order.
    features : sequence, default=()
        A feature map, as for `Perceptron`.
    labels : {"0/1", "-1/1"}, default="0/1"
        The target numbers of the two classes.
    random_state : int, RandomState or None, default=None
        Seeds the order of the rows and the held-out rows.
    engine : {"auto", "eager", "compiled"}, default="auto"
        As for `Perceptron`.

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
        features: Sequence[PartLike] = (),
        labels: Literal["0/1", "-1/1"] = "0/1",
        random_state: RandomState = None,
        engine: EngineChoice = "auto",
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
        options = {"learning_rate": self.eta0, "features": tuple(self.features), "labels": self.labels}
        return linear_units.Adaline.of({**options, "rule": self.rule, "threshold": self.threshold})
