"""Estimators for tables: rows of numbers, text, dates and booleans as they are, and a network that needs no tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ..core.errors import InputError
from ..core.printable import received
from ..data import Data, Preprocessing, RawRows, Task
from ..data.tables import is_frame
from ..engine.eager import Eager
from ..engine.step import State
from ..models.mlp import TableNetwork
from ..parts.settings import EngineName, Off, Stopping, Training
from ..spec.complete import completed
from ..spec.spec import CompleteSpec, Spec
from ..training.evaluate import predict_batches
from ..training.fit import fit
from ..training.session import Session
from .estimator import RandomState, seed_from, set_parameters

Effort = Literal["fast", "full"]


# Chosen on the development tables of benchmarks/suite.py.
_EFFORTS: Mapping[Effort, TableNetwork] = {
    "fast": TableNetwork(),
    "full": TableNetwork(members=8, updates=8_000),
}

# NumPy takes 1.5 ms for an update, XLA a third of that or less, after 3.5 s to compile. Its program serves all fits to
# tables of this shape, also of later processes: a fifth counts, as if a table were fitted five times.
_FEW_UPDATES = 600


class TabularEstimator(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor for tables share: reading rows, training, outputs."""

    _task: Task

    def __init__(
        self,
        effort: Effort = "fast",
        *,
        network: TableNetwork | Mapping[str, Any] | None = None,
        validation_fraction: float = 0.15,
        max_epochs: int = 256,
        random_state: RandomState = None,
    ) -> None:
        set_parameters(self, locals())

    def _fit(self, X: object, y: np.ndarray) -> Self:
        """Train on rows, of which a part is held out to choose the epoch whose weights are kept."""
        if self.effort not in _EFFORTS:
            raise InputError("effort", f"expected one of {get_args(Effort)}, received {received(self.effort)}")
        network = _EFFORTS[self.effort] if self.network is None else TableNetwork.of(self.network)
        seed = seed_from(self.random_state)
        data = Data.of({"source": (X, y), "task": self._task, "validation": self.validation_fraction, "test": 0.0})
        spec = Spec(data=data, network=network, training=Training("auto", seed=seed), probes=Off())
        split = spec.prepared_data.load(seed)
        # Holdouts, by which few rows would choose the length, take several times as long.
        stopping = Stopping(restore_best=split.validation is not None)
        whole = completed(dataclasses.replace(spec, stopping=stopping), split.train)
        epochs = min(self.max_epochs, whole.training.epochs)
        updates = epochs * -(-len(split.train) // network.batch_size)
        engine: EngineName = "eager" if updates < _FEW_UPDATES else "compiled"
        training = dataclasses.replace(whole.training, epochs=epochs, engine=engine, precision="float32")
        whole = dataclasses.replace(whole, training=training)
        fitted = fit(Session(whole, split))
        if fitted.diverged:
            raise InputError(type(self).__name__, fitted.diverged)
        self.preprocessing_: Preprocessing = split.preprocessing
        self.notes_: tuple[str, ...] = split.notes
        self.n_iter_ = len(fitted.history)
        self.loss_curve_ = [record["loss"] for record in fitted.history]
        self._state: State = fitted.state
        # The fitted model does not keep the rows.
        self._spec: CompleteSpec = dataclasses.replace(whole, data=Data.of(whole.data.describe()))
        return self

    def _outputs(self, X: RawRows) -> np.ndarray:
        """The outputs (n, K) for rows: probabilities or values of the network."""
        check_is_fitted(self)
        if self.preprocessing_.columns:
            validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=False, dtype=np.float64)
        x = self.preprocessing_.inputs(X)
        # In float64 the answer for a row does not depend on the rows beside it.
        return predict_batches(self._spec.network, self._spec.loss, self._state, x, Eager())


class TabularClassifier(ClassifierMixin, TabularEstimator):  # type: ignore[misc]
    """Predicts classes from the rows of a table, without tuning.

    The network is that of `network = "table"`: inputs by median and quartiles, periodic embeddings of numbers, and an
    ensemble that trains as one program, whose mean of probabilities is the answer. Frames of pandas or polars are taken
    as they are: text and categories become one input for each category, or a learned vector where there are more than
    100, dates days, missing values are filled.

    Parameters
    ----------
    effort : {"fast", "full"}, default="fast"
        "full": an ensemble of 8 networks instead of 4, trained ten times as long.
    network : TableNetwork, dict or None, default=None
        Another network for tables in place of that of the effort: {"kind": "table", "members": 2, "updates": 900}.
    validation_fraction : float, default=0.15
        Fraction of the rows that choose the epoch whose weights are kept.
    max_epochs : int, default=256
        The most epochs, however few rows there are.
    random_state : int, RandomState or None, default=None
        Seeds the held-out rows, the initial weights and the order of the rows.

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
        The class labels.
    n_iter_ : int
        Epochs of the training.
    loss_curve_ : list of float
        The loss of each epoch.
    preprocessing_ : Preprocessing
        How columns become numbers.
    notes_ : tuple of str
        What is irregular about the columns.

    Raises
    ------
    InputError
        Rows that cannot be learned from, an unknown effort, or a training that diverges.

    Source: Holzmüller et al. 2024, Better by default; Gorishniy et al. 2024, TabM.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 80)[:, None]
    >>> small = {"kind": "table", "hidden": [8], "members": 2}
    >>> model = TabularClassifier(network=small, random_state=0).fit(x, np.where(x[:, 0] > 0, "yes", "no"))
    >>> model.predict([[-0.5], [0.5]]).tolist()
    ['no', 'yes']
    """

    _task = "classification"

    def fit(self, X: object, y: ArrayLike) -> Self:
        """Train on rows X, a frame or an array (n, features), and labels y (n,)."""
        if is_frame(X):
            validate_data(self, X, y, skip_check_array=True)
            labels = column_or_1d(y, warn=True)
            check_consistent_length(X, labels)
        else:
            X, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError("y", f"expected at least 2 classes, received 1 class: {received(classes[0].item())}")
        self._fit(X, codes)
        # A class of a single held-out row is none of the network's.
        self.classes_ = classes
        self._known = np.array(self.preprocessing_.classes, int)
        return self

    def predict_proba(self, X: RawRows) -> np.ndarray:
        """Probabilities of the classes, (n, classes), each row sums to 1."""
        outputs = self._outputs(X)
        probabilities = np.zeros((len(outputs), len(self.classes_)))
        probabilities[:, self._known] = outputs
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict(self, X: RawRows) -> np.ndarray:
        """The most likely class of each row, (n,)."""
        probabilities = self.predict_proba(X)
        labels: np.ndarray = self.classes_[probabilities.argmax(axis=1)]
        return labels


class TabularRegressor(RegressorMixin, TabularEstimator):  # type: ignore[misc]
    """Predicts numbers from the rows of a table, without tuning.

    All else is as in `TabularClassifier`: its parameters, its columns and its network, whose members' mean is the
    answer.

    Parameters
    ----------
    effort : {"fast", "full"}, default="fast"
        "full": an ensemble of 8 networks instead of 4, trained ten times as long.
    network : TableNetwork, dict or None, default=None
        Another network for tables in place of that of the effort.
    validation_fraction : float, default=0.15
        Fraction of the rows that choose the epoch whose weights are kept.
    max_epochs : int, default=256
        The most epochs, however few rows there are.
    random_state : int, RandomState or None, default=None
        Seeds the held-out rows, the initial weights and the order of the rows.

    Attributes
    ----------
    n_iter_ : int
        Epochs of the training.
    loss_curve_ : list of float
        The loss of each epoch.
    preprocessing_ : Preprocessing
        How columns become numbers.
    notes_ : tuple of str
        What is irregular about the columns.

    Raises
    ------
    InputError
        Rows that cannot be learned from, an unknown effort, or a training that diverges.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 80)[:, None]
    >>> small = {"kind": "table", "hidden": [8], "members": 2}
    >>> model = TabularRegressor(network=small, random_state=0).fit(x, 3 * x[:, 0])
    >>> bool(abs(model.predict([[0.5]]) - 1.5) < 0.2)
    True
    """

    _task = "regression"

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags, with several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: object, y: ArrayLike) -> Self:
        """Train on rows X, a frame or an array (n, features), and numbers y (n,) or (n, targets)."""
        if is_frame(X):
            validate_data(self, X, y, skip_check_array=True)
            values = check_array(y, ensure_2d=False, dtype=np.float64)
            check_consistent_length(X, values)
        else:
            options = {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
            X, values = validate_data(self, X, y, dtype=np.float64, **options)
            if values.ndim == 2 and values.shape[1] == 1:
                values = column_or_1d(values, warn=True)
        self._flat = values.ndim == 1
        return self._fit(X, values)

    def predict(self, X: RawRows) -> np.ndarray:
        """The predicted numbers, (n,) or (n, targets)."""
        outputs = self._outputs(X)
        values = self.preprocessing_.values(outputs)
        return values[:, 0] if self._flat else values
