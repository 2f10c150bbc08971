"""Multi-layer perceptrons with the parameters and attributes of scikit-learn's, and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, compute_sample_weight
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, type_of_target

from ..core.errors import InputError
from ..core.printable import received
from ..data import Dataset, Preprocessing
from ..models.network import Network
from ..parts.losses import Poisson
from ..parts.part import Loss
from ..parts.settings import Device, EngineChoice, Precision
from .estimator import RandomState, Rows, set_parameters
from .network_estimator import (
    NetworkEstimator,
    ProgressCallback,
    available,
    input_names,
    learns_by_steps,
)
from .settings import PartLike


def gives_probabilities(estimator: NetworkEstimator) -> bool:
    """Whether the loss of a classifier belongs to probabilities."""
    if estimator.loss != "log_loss" and Loss.of(estimator.loss).takes == "scores":
        raise AttributeError(f"the loss {received(estimator.loss)} gives no probabilities; use a cross-entropy")
    return True


class MLPClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that predicts classes, with the parameters of scikit-learn's `MLPClassifier` and their meanings.

    From the same initial weights and in the same order of rows, the weights equal those of scikit-learn up to rounding.
    If rows have weights, the loss of an epoch is the weighted mean over all its rows.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int or int, default=(100,)
        Units of each hidden layer.
    activation : str, dict or part, default="relu"
        The activation of the hidden layers: "relu", "tanh", "logistic", "identity", or any activation of Thalweg, as
        "gelu" or {"kind": "leaky_relu", "alpha": 0.1}.
    solver : str, dict or part, default="adam"
        "adam", "sgd" (with `momentum`), "lbfgs" (all rows at once, by SciPy), or any optimizer of Thalweg, as "rmsprop"
        or "adamw 0.01".
    alpha : float, default=0.0001
        The penalty alpha/2 ΣW², divided by the weight of the batch.
    batch_size : int or "auto", default="auto"
        Rows for each update. "auto": 200, or all rows if there are fewer; slightly less where batch normalisation
        requires it.
    learning_rate : str, dict or part, default="constant"
        "constant"; for "sgd" also "invscaling" (learning_rate_init / (1 + rows seen)^power_t, constant within an epoch)
        and "adaptive" (divided by 5 at each plateau); or a schedule of Thalweg for any solver, as "cosine". A schedule
        without options gets `learning_rate_init` as its first option.
    learning_rate_init : float, default=0.001
        The initial learning rate.
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The largest number of epochs, or of iterations of lbfgs.
    shuffle : bool, default=True
        Whether each epoch has a new random order.
    random_state : int, RandomState or None, default=None
        Seeds the initial weights and the validation rows, both as in scikit-learn, and the order of the rows.
    tol : float, default=1e-4
        An improvement counts if it exceeds tol; for lbfgs, the tolerance of the gradient.
    verbose : bool, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit.
    momentum : float, default=0.9
        The momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to stop by the accuracy on validation rows, and to return the best weights.
    validation_fraction : float, default=0.1
        The fraction of the rows that early stopping holds out.
    beta_1 : float, default=0.9
        Adam's decay of the first moment.
    beta_2 : float, default=0.999
        Adam's decay of the second moment.
    epsilon : float, default=1e-8
        Adam's term for numerical stability.
    n_iter_no_change : int or inf, default=10
        The training ends after more than this number of consecutive epochs without an improvement of tol.
    max_fun : int, default=15000
        The largest number of loss evaluations of lbfgs.
    loss : str, dict or part, default="log_loss"
        "log_loss", or any loss of Thalweg, as "hinge" or {"kind": "cross_entropy", "label_smoothing": 0.1}.
    class_weight : dict, "balanced" or None, default=None
        Factors of the row weights, by class.
    layers : sequence, Network or None, default=None
        The layers of the network instead of `hidden_layer_sizes`. An output layer is added unless the last layers are a
        dense layer of its width, possibly followed by an output activation.
    dropout : float, default=0.0
        The probability of dropping each output of the hidden layers.
    normalization : "batch", "layer", part or None, default=None
        The normalisation before each activation.
    init : str, dict, part or None, default=None
        The initializer of the weights instead of scikit-learn's; biases then start at 0.
    clip : str, dict, part or None, default=None
        A limit for the gradients, as in `thalweg.train`.
    callbacks : callable or sequence of callables, default=()
        Called with a `training.Progress` at the end of each epoch.
    probes : {"off", "light", "standard", "full"} or dict, default="off"
        What to record during the training, as in `thalweg.train`; with probes, `run_` and `report()` are available.
    progress : bool, default=False
        Whether to show a progress bar.
    engine : {"auto", "eager", "compiled"}, default="auto"
        NumPy ("eager") or XLA ("compiled"). "auto" uses NumPy if compiling would take longer than the training
        (`settings.faster_engine`).
    device : {"cpu", "gpu"} or None, default=None
        The device of the compiled engine.
    precision : {"float32", "float64"} or None, default=None
        The precision of the training: by default float32 on the compiled engine, float64 on the eager one.

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
        The class labels.
    coefs_ : list of ndarray
        The weights of each dense layer. Predictions and warm starts use them, also if you change them.
    intercepts_ : list of ndarray
        The biases of each dense layer; as `coefs_`.
    n_layers_ : int
        The number of layers, including the input.
    n_outputs_ : int
        The number of outputs.
    out_activation_ : str
        The output activation.
    n_iter_ : int
        Epochs of the last fit, or iterations of lbfgs.
    t_ : int
        Rows processed.
    loss_ : float
        The loss with its penalty at the end.
    loss_curve_ : list of float
        The loss with its penalty of each epoch.
    best_loss_ : float or None
        The smallest of `loss_curve_`; None with early stopping.
    validation_scores_ : list of float or None
        The validation accuracy of each epoch; None without early stopping.
    best_validation_score_ : float or None
        The largest of `validation_scores_`.
    validation_loss_curve_ : list of float or None
        The validation loss of each epoch; None without early stopping.
    n_features_in_ : int
        The number of inputs.
    feature_names_in_ : ndarray of shape (features,)
        The column names of a data frame.
    run_ : thalweg.Run
        The run with all its records, if probes are on.

    Source: Rumelhart, Hinton, Williams 1986; the parameters are those of Pedregosa et al. 2011, scikit-learn.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]
    >>> model = MLPClassifier((8,), activation="tanh", solver="lbfgs", random_state=1).fit(X, y)
    >>> model.predict(X).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    class_weight: Mapping[object, float] | Literal["balanced"] | None
    probes: PartLike
    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: PartLike = "relu",
        *,
        solver: PartLike = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: PartLike = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: PartLike = "log_loss",
        class_weight: Mapping[object, float] | Literal["balanced"] | None = None,
        layers: Sequence[PartLike] | Network | None = None,
        dropout: float = 0.0,
        normalization: PartLike | None = None,
        init: PartLike | None = None,
        clip: PartLike | None = None,
        callbacks: ProgressCallback | Sequence[ProgressCallback] | None = (),
        probes: PartLike = "off",
        progress: bool = False,
        engine: EngineChoice = "auto",
        device: Device | None = None,
        precision: Precision | None = None,
    ) -> None:
        set_parameters(self, locals())

    @available(learns_by_steps)
    def partial_fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Train for one more epoch on these rows; the first call needs all `classes` that will ever occur."""
        _check_partial_fit_first_call(self, classes)
        if self.class_weight == "balanced":
            fix = "give the weights as a dictionary"
            raise InputError("class_weight", f"'balanced' needs all rows, and partial_fit gets a part of them; {fix}")
        return self._fit_epoch(X, y, sample_weight, self.classes_)

    def _begin_task(self, y: np.ndarray, classes: np.ndarray | None) -> None:
        if _target_type(y) == "multilabel-indicator":
            self._task = "multilabel"
            self.classes_ = np.arange(y.shape[1])
            return
        self._task = "classification"
        self.classes_ = np.unique(y) if classes is None else classes
        if len(self.classes_) < 2 and self.probes != "off":
            fault = f"compare classes, and y has only {received(self.classes_[0])}"
            raise InputError("probes", f"{fault}; use at least 2 classes, or probes='off'")

    def _targets(self, y: np.ndarray) -> np.ndarray:
        if _target_type(y) == "multilabel-indicator":
            if y.shape[1] != len(self.classes_):
                raise InputError("y", f"expected {len(self.classes_)} labels for each row, received {y.shape[1]}")
            return np.asarray(y, np.float64)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InputError(
                "y", f"has the class {received(unknown[0])}, but the known classes are {received(self.classes_)}"
            )
        return np.searchsorted(self.classes_, y).astype(np.int32)

    def _check_fit_targets(self, y: np.ndarray) -> None:
        if self._task == "classification" and len(np.unique(y)) < len(self.classes_):
            raise InputError(
                "y",
                f"a warm start needs all classes of the last fit, {received(self.classes_)}; "
                f"received {received(np.unique(y))}",
            )

    def _names(self, targets: np.ndarray) -> tuple[str, ...]:
        return tuple(map(str, self.classes_.tolist()))

    def _row_weights(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        class_weights: np.ndarray = compute_sample_weight(self.class_weight, y)
        return class_weights if weight is None else class_weights * weight

    def _preprocessing(self, data: Dataset) -> Preprocessing:
        if data.task == "multilabel":
            return _without_scaling(self, data)
        labels = self.classes_.astype(str) if self.classes_.dtype == object else self.classes_
        return Preprocessing(
            task=data.task,
            feature_names=input_names(self, data),
            target_names=data.target_names,
            shift=(0.0,),
            span=(1.0,),
            classes=tuple(labels.tolist()),
            class_type=labels.dtype.str,
        )

    def predict(self, X: Rows) -> np.ndarray:
        """The classes (n,) of the rows of X, or the labels (n, labels) as 0 and 1."""
        outputs = self._outputs(X)
        if self._task == "multilabel":
            return (outputs > self._loss.decision_threshold).astype(int)
        # If y had a single class, the network can also answer "another", which has no label.
        return self.classes_.take(self._loss.chosen_classes(outputs), mode="clip")

    @available(gives_probabilities)
    def predict_proba(self, X: Rows) -> np.ndarray:
        """The probability of each class for each row (n, classes); for several labels, of each label.

        If y had a single class, there is a second column, the probability of any other class, as in scikit-learn.

        Raises InputError if the outputs of the network are not probabilities.
        """
        outputs = self._outputs(X)
        last = self._network.layers[-1]
        bounded = last.sums_to_one or (last.saturates and last.output_range == (0.0, 1.0))
        if not bounded and self._loss.takes != "logits":
            raise InputError(
                "predict_proba", "the outputs are no probabilities; end the network with softmax or sigmoid"
            )
        if self._task == "classification" and outputs.shape[1] == 1:
            return np.hstack([1 - outputs, outputs])
        return outputs

    @available(gives_probabilities)
    def predict_log_proba(self, X: Rows) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags, with several labels for each row."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that predicts numbers, with the parameters of scikit-learn's `MLPRegressor` and their meanings.

    With several targets, the gradient is that of the reported loss, the mean over the targets. scikit-learn reports
    this mean, but uses the gradient of the sum, which is larger by the number of targets.

    Parameters
    ----------
    loss : str, dict or part, default="squared_error"
        "squared_error", l = 1/2 mean (y - t)² over the targets of a row; "poisson", half the deviance of counts, with
        an exponential output; or any loss of Thalweg, as "mae", "huber" or {"kind": "huber", "delta": 0.5}.

    All other parameters and attributes are those of `MLPClassifier`, except for `class_weight` and `classes_`; early
    stopping uses R².

    >>> X = [[0.0], [1.0], [2.0], [3.0]]
    >>> model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0).fit(X, [1, 3, 5, 7])
    >>> model.predict([[4.0]]).round(3).tolist(), model.coefs_[0].round(3).tolist()
    ([9.0], [[2.0]])
    """

    _target_count: int

    def __init__(
        self,
        loss: PartLike = "squared_error",
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: PartLike = "relu",
        *,
        solver: PartLike = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: PartLike = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        layers: Sequence[PartLike] | Network | None = None,
        dropout: float = 0.0,
        normalization: PartLike | None = None,
        init: PartLike | None = None,
        clip: PartLike | None = None,
        callbacks: ProgressCallback | Sequence[ProgressCallback] | None = (),
        probes: PartLike = "off",
        progress: bool = False,
        engine: EngineChoice = "auto",
        device: Device | None = None,
        precision: Precision | None = None,
    ) -> None:
        set_parameters(self, locals())

    @available(learns_by_steps)
    def partial_fit(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one more epoch on these rows."""
        return self._fit_epoch(X, y, sample_weight, classes=None)

    def _begin_task(self, y: np.ndarray, classes: np.ndarray | None) -> None:
        self._task = "regression"
        self._target_count = 1 if y.ndim == 1 else y.shape[1]

    def _targets(self, y: np.ndarray) -> np.ndarray:
        table = np.asarray(y, np.float64).reshape(len(y), -1)
        if table.shape[1] != self._target_count:
            raise InputError("y", f"expected {self._target_count} targets for each row, received {table.shape[1]}")
        if (self.loss == "poisson" or isinstance(self.loss, Poisson)) and (table < 0).any():
            raise InputError("y", f"the Poisson loss is for counts, received {table.min():g}; expected at least 0")
        return table

    def _names(self, targets: np.ndarray) -> tuple[str, ...]:
        return ("y",) if targets.shape[1] == 1 else tuple(f"y{i}" for i in range(targets.shape[1]))

    def _preprocessing(self, data: Dataset) -> Preprocessing:
        return _without_scaling(self, data)

    def predict(self, X: Rows) -> np.ndarray:
        """The predicted numbers (n,) for the rows of X, or (n, targets)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags, with several targets for each row."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _target_type(y: np.ndarray) -> str:
    """The type of classification targets in scikit-learn's words. Raises InputError for several classes in a row."""
    check_classification_targets(y)
    kind = str(type_of_target(y))
    if kind == "multiclass-multioutput":
        fix = "one label for each row, or columns of 0 and 1"
        raise InputError("y", f"expected {fix}, received several classes for each row")
    return kind


def _without_scaling(estimator: NetworkEstimator, data: Dataset) -> Preprocessing:
    """The preprocessing of numbers or labels as they are."""
    return Preprocessing(
        task=data.task,
        feature_names=input_names(estimator, data),
        target_names=data.target_names,
        shift=(0.0,),
        span=(1.0,),
        target_shift=(0.0,) * data.outputs,
        target_span=(1.0,) * data.outputs,
    )
