"""The linear units as scikit-learn classifiers."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..core.errors import InputError
from ..models import linear_units
from ..models.linear_theory import best_threshold, rounded_down, safe_online_rate, safe_rate, separable
from ..models.network import Network
from ..parts.losses import Labels
from ..parts.part import Count, Flag, ForwardContext, Layer, NonNegative, Part, Positive
from .estimator import LARGEST_SEED, RandomState, Rows, SparseEstimator, dense, set_parameters
from .online import HeldOutRows, Line, OnlineLearner, Rule, UnitRows, least_mean_squares, perceptron_rule, shuffled
from .settings import PartLike

ClassWeight = Mapping[object, float] | Literal["balanced"] | None


@dataclass(frozen=True)
class LinearSettings(Part):
    """The parameters that both units have, validated; `Perceptron` documents them."""

    penalty: Literal["l2", "l1", "elasticnet"] | None
    alpha: NonNegative
    l1_ratio: Annotated[float, Field(ge=0, le=1, strict=True)]
    fit_intercept: Flag
    max_iter: Count
    tol: NonNegative | None
    shuffle: Flag
    eta0: Positive
    early_stopping: Flag
    validation_fraction: Annotated[float, Field(gt=0, lt=1, strict=True)]
    n_iter_no_change: Count
    warm_start: Flag

    @property
    def share_of_l1(self) -> float:
        """The share of l1 in the penalty."""
        return {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty or "", 0.0)


class _Rows(NamedTuple):
    """Validated rows: inputs x (n, d), labels y (n,), weights (n,)."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray


class _Scaling(NamedTuple):
    """Inputs become (x - shift) / span, (d,) each."""

    shift: np.ndarray
    span: np.ndarray


class LinearClassifier(ClassifierMixin, SparseEstimator):  # type: ignore[misc]
    """A linear unit as an estimator: one unit for two classes, else one for each class against the rest.

    `Perceptron` and `Adaline` document the parameters.

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
        The class labels.
    coef_ : ndarray of shape (1 or classes, features)
        Weights for the inputs before scaling, or for the outputs of the feature map if there is one.
    intercept_ : ndarray of shape (1 or classes,)
        Biases that belong to `coef_`.
    threshold_ : float
        The score above which the second of two classes is predicted.
    n_iter_ : int
        Epochs; of several units the most.
    t_ : float
        1 plus the rows that were presented, as scikit-learn counts them.
    loss_curve_ : list of float
        The objective of each epoch: loss and penalty, mean over the rows, sum over the units that still learned.
    n_features_in_ : int
        The number of inputs.
    """

    penalty: Literal["l2", "l1", "elasticnet"] | None
    alpha: float
    l1_ratio: float
    fit_intercept: bool
    max_iter: int
    tol: float | None
    shuffle: bool
    verbose: int
    eta0: float
    n_jobs: int | None
    random_state: RandomState
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    class_weight: ClassWeight
    warm_start: bool
    features: Sequence[PartLike]
    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    @abstractmethod
    def _learner(self, settings: LinearSettings, rows: int, max_iter: int) -> OnlineLearner:
        """How each unit learns from that many rows."""

    @abstractmethod
    def _targets(self, yes: np.ndarray) -> np.ndarray:
        """The target numbers (n,) for answers yes (n,)."""

    @abstractmethod
    def _scaling_of(self, x: np.ndarray, weight: np.ndarray) -> _Scaling:
        """The scaling of the inputs, from the rows of a first fit."""

    @abstractmethod
    def _remark(self, settings: LinearSettings, rows: _Rows, x: np.ndarray, z: np.ndarray) -> str:
        """Why the fitted units are wrong, or ""; x (n, d) are their inputs, z (n, units) their scores."""

    @property
    def _asked(self) -> np.ndarray:
        """The class that each unit tells from the rest: of two classes the second."""
        return self.classes_[1:] if len(self.classes_) == 2 else self.classes_

    def _holds_out(self, settings: LinearSettings) -> bool:
        """Whether a fit holds validation rows out."""
        return settings.early_stopping

    def _decide(self, held: HeldOutRows | None) -> float:
        """The score above which the answer is yes; `held` has the scores of held-out rows as x."""
        return 0.0

    # Fitting ------------------------------------------------------------------------------------------------------

    def fit(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X (n, features), dense or sparse, and the labels y (n,), with weights (n,) of the rows.

        A row of weight 2 takes steps twice as large. Raises ValueError for invalid data, parameters, and where a number
        becomes NaN or infinite.
        """
        settings = self._settings()
        warm = settings.warm_start and hasattr(self, "coef_")
        rows = self._validated(X, y, sample_weight, reset=True)
        self.classes_ = np.unique(rows.y)
        if len(self.classes_) < 2:
            fix = "the number of classes has to be greater than one"
            raise InputError("y", f"{fix}; received {len(self.classes_)} class")
        self.t_ = 1.0
        x, z = self._train(settings, rows, settings.max_iter, warm, self._holds_out(settings))
        remarks = [self._remark(settings, rows, x, z)]
        if settings.tol is not None and self.n_iter_ == settings.max_iter:
            limit = f"Maximum number of iterations (max_iter = {settings.max_iter} epochs) reached before convergence."
            remarks.insert(0, limit)
        if any(remarks):
            warnings.warn(" ".join(filter(None, remarks)), ConvergenceWarning, stacklevel=2)
        return self

    def partial_fit(
        self, X: Rows, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one more epoch on these rows; the first call needs all `classes` that will ever occur.

        The first call decides the scaling of the inputs if the unit has one. Raises ValueError as `fit` does.
        """
        settings = self._settings()
        if settings.early_stopping:
            raise InputError("early_stopping", "partial_fit holds no validation rows out; set early_stopping to False")
        if self.class_weight == "balanced":
            fix = "give the weights as a dictionary"
            raise InputError("class_weight", f"'balanced' needs all rows, and partial_fit gets a part of them; {fix}")
        _check_partial_fit_first_call(self, classes)
        if len(self.classes_) < 2:
            fix = "the number of classes has to be greater than one"
            raise InputError("classes", f"{fix}; received {len(self.classes_)} class")
        first = not hasattr(self, "coef_")
        rows = self._validated(X, y, sample_weight, reset=first)
        unknown = np.setdiff1d(rows.y, self.classes_).tolist()
        if unknown:
            raise InputError("y", f"has the class {unknown[0]!r}, but the classes are {self.classes_.tolist()}")
        if first:
            self.t_ = 1.0
        self._train(settings, rows, 1, warm=not first, holds_out=False)
        return self

    def _settings(self) -> LinearSettings:
        names = LinearSettings.__dataclass_fields__
        try:
            return LinearSettings(**{name: getattr(self, name) for name in names})
        except InputError as error:
            raise InputError(type(self).__name__, error.problems) from None

    def _validated(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None, reset: bool) -> _Rows:
        x, labels = validate_data(self, X, y, dtype=np.float64, accept_sparse=True, reset=reset)
        check_classification_targets(labels)
        weight = _check_sample_weight(sample_weight, x, dtype=np.float64)
        if not weight.any():
            raise InputError("sample_weight", "expected weights that are not all zero")
        return _Rows(np.ascontiguousarray(dense(x)), labels, weight)

    def _train(
        self, settings: LinearSettings, rows: _Rows, max_iter: int, warm: bool, holds_out: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train every unit and set the fitted attributes; the inputs (n, d) and scores (n, units) of the units."""
        if not (warm and hasattr(self, "_scaling")):
            self._scaling = self._scaling_of(rows.x, rows.weight)
        x = self._unit_inputs(rows.x)
        starts = self._starts(x.shape[1], warm)
        held_out, seeds = self._drawn(settings, rows, holds_out)
        class_weight = compute_class_weight(self.class_weight, classes=self.classes_, y=rows.y)
        learner = self._learner(settings, len(x) - int(held_out.sum()), max_iter)
        learned = []
        for i, (label, start, seed) in enumerate(zip(self._asked, starts, seeds, strict=True)):
            yes = rows.y == label
            no_weight, yes_weight = class_weight if len(self._asked) == 1 else (1.0, class_weight[i])
            weight = rows.weight * np.where(yes, yes_weight, no_weight)
            held = HeldOutRows(x[held_out], yes[held_out], rows.weight[held_out]) if settings.early_stopping else None
            orders = _orders(~held_out, seed if settings.shuffle else None)
            with np.errstate(all="ignore"):
                learned.append(learner.learn(UnitRows(x, self._targets(yes), weight), start, orders, held))
        lines = [one.line for one in learned]
        self.n_iter_ = max(len(one.objectives) for one in learned)
        self.t_ += self.n_iter_ * len(x)
        curves = [one.objectives for one in learned]
        self.loss_curve_ = [sum(curve[e] for curve in curves if e < len(curve)) for e in range(self.n_iter_)]
        scores = x[held_out] @ lines[0].w + lines[0].b
        tunes = held_out.any() and len(lines) == 1
        answers = rows.y == self.classes_[1]
        self.threshold_ = self._decide(HeldOutRows(scores, answers[held_out], rows.weight[held_out]) if tunes else None)
        self._store(lines)
        return x, np.stack([x @ line.w + line.b for line in lines], axis=1)

    def _starts(self, width: int, warm: bool) -> list[Line]:
        """Where each unit starts: from 0, or on a warm start from `coef_` and `intercept_`."""
        units = len(self._asked)
        if not warm:
            return [Line(np.zeros(width), 0.0) for _ in range(units)]
        if self.coef_.shape != (units, width):
            fault = f"has the shape {self.coef_.shape}, and the data need {(units, width)}"
            raise InputError("coef_", f"{fault}; a warm start needs the classes and inputs of the last fit")
        W, b = np.asarray(self.coef_, dtype=float), np.asarray(self.intercept_, dtype=float)
        if not self.features:
            b = b + W @ self._scaling.shift
            W = W * self._scaling.span
        return [Line(w, float(bias)) for w, bias in zip(W, b, strict=True)]

    def _store(self, lines: Sequence[Line]) -> None:
        """Set `coef_` and `intercept_`, for the inputs before scaling where there is no feature map."""
        W, b = np.stack([line.w for line in lines]), np.array([line.b for line in lines])
        if not self.features:
            W = W / self._scaling.span
            b = b - W @ self._scaling.shift
        self.coef_, self.intercept_ = W, b

    def _drawn(self, settings: LinearSettings, rows: _Rows, holds_out: bool) -> tuple[np.ndarray, list[int]]:
        """Which rows are held out (n,), and a seed for the order of each unit, drawn as scikit-learn draws them."""
        if len(self.classes_) == 2:
            random = check_random_state(self.random_state)
            random.randint(1, LARGEST_SEED)
            held_out = self._held_out(settings, rows) if holds_out else np.zeros(len(rows.y), dtype=bool)
            return held_out, [int(random.randint(LARGEST_SEED))]
        held_out = self._held_out(settings, rows) if holds_out else np.zeros(len(rows.y), dtype=bool)
        seeds = []
        for seed in check_random_state(self.random_state).randint(LARGEST_SEED, size=len(self.classes_)):
            random = np.random.RandomState(seed)
            random.randint(1, LARGEST_SEED)
            seeds.append(int(random.randint(LARGEST_SEED)))
        return held_out, seeds

    def _held_out(self, settings: LinearSettings, rows: _Rows) -> np.ndarray:
        splitter = StratifiedShuffleSplit(test_size=settings.validation_fraction, random_state=self.random_state)
        try:
            _, chosen = next(splitter.split(np.zeros((len(rows.y), 1)), rows.y))
        except ValueError:
            parts = f"{settings.validation_fraction:g} of {len(rows.y)} rows and leave"
            fault = f"cannot hold out {parts} a row of each of the {len(self.classes_)} classes on both sides"
            raise InputError("validation_fraction", fault) from None
        if not rows.weight[chosen].any():
            fault = "the weights of all held-out rows are zero"
            raise InputError("sample_weight", f"{fault}; use another random_state or a larger validation_fraction")
        held_out = np.zeros(len(rows.y), dtype=bool)
        held_out[chosen] = True
        return held_out

    # Predictions --------------------------------------------------------------------------------------------------

    def _unit_inputs(self, x: np.ndarray) -> np.ndarray:
        """The inputs of the units: scaled, and through the feature map."""
        x = (x - self._scaling.shift) / self._scaling.span
        if not self.features:
            return x
        network = Network([Layer.of(layer) for layer in self.features])
        start = network.initialize(0, (x.shape[1],))
        outputs = network.forward(start.params, start.states, x, ForwardContext(training=False)).outputs
        return np.asarray(outputs[-1], dtype=float)

    def decision_function(self, X: Rows) -> np.ndarray:
        """The score minus the threshold (n,) for two classes; the scores (n, classes) for more."""
        check_is_fitted(self)
        x = dense(validate_data(self, X, dtype=np.float64, accept_sparse=True, reset=False))
        inputs = self._unit_inputs(x) if self.features else x
        z = inputs @ self.coef_.T + self.intercept_
        return z[:, 0] - self.threshold_ if z.shape[1] == 1 else z

    def predict(self, X: Rows) -> np.ndarray:
        """The labels (n,) for the rows of X (n, features)."""
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]


def _orders(used: np.ndarray, seed: int | None) -> Callable[[], np.ndarray]:
    """A function that gives the used rows in the order of the next epoch; without a seed in that of the data."""
    order = np.arange(len(used))
    permutation = order if seed is None else shuffled(len(used), seed)

    def following() -> np.ndarray:
        nonlocal order
        order = order[permutation]
        return order[used[order]]

    return following


class Perceptron(LinearClassifier):
    """Rosenblatt's perceptron as scikit-learn's: w <- w + η weight t x, t = -1 or 1, where t z <= 0.

    With the same parameters its weights equal those of `sklearn.linear_model.Perceptron` up to rounding.

    Warns (ConvergenceWarning) if tol was not reached within max_iter, or if training rows are still misclassified by a
    fit without penalty, class weights and early stopping; it then says whether the classes are linearly separable.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet"} or None, default=None
        What keeps the weights small.
    alpha : float, default=0.0001
        The factor of the penalty.
    l1_ratio : float, default=0.15
        The share of l1 in "elasticnet", from 0 to 1.
    fit_intercept : bool, default=True
        Whether the unit has a bias.
    max_iter : int, default=1000
        The largest number of epochs of a fit.
    tol : float or None, default=1e-3
        The smallest fall of the objective, or rise of the validation accuracy, that counts. None: all epochs.
    shuffle : bool, default=True
        Whether each epoch has a new random order: that of scikit-learn for the same random_state.
    verbose : int, default=0
        Whether to print a line for each epoch.
    eta0 : float, default=1.0
        The learning rate η.
    n_jobs : int or None, default=None
        Has no effect.
    random_state : int, RandomState or None, default=0
        Seeds the order of the rows and the held-out rows.
    early_stopping : bool, default=False
        Whether tol applies to the accuracy on held-out rows.
    validation_fraction : float, default=0.1
        The fraction of the rows that early stopping holds out.
    n_iter_no_change : int, default=5
        Training stops after this many epochs without the gain tol.
    class_weight : dict, "balanced" or None, default=None
        Factors of the steps, by class. Balanced: n / (classes × rows of the class).
    warm_start : bool, default=False
        Whether fit starts from the weights of the last fit.
    pocket : bool, default=False
        Whether to return the weights of the epoch that classified the most training rows correctly, for each unit.
    features : sequence, default=()
        A feature map, as `["products"]` or `["polynomial 3"]`.

    Source: Rosenblatt 1958; Gallant 1990 for the pocket; the parameters are those of Pedregosa et al. 2011.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "no", "no", "yes"]
    >>> Perceptron(random_state=0).fit(X, y).predict(X).tolist()
    ['no', 'no', 'no', 'yes']
    """

    def __init__(
        self,
        *,
        penalty: Literal["l2", "l1", "elasticnet"] | None = None,
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        eta0: float = 1.0,
        n_jobs: int | None = None,
        random_state: RandomState = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: ClassWeight = None,
        warm_start: bool = False,
        pocket: bool = False,
        features: Sequence[PartLike] = (),
    ) -> None:
        set_parameters(self, locals())

    def _learner(self, settings: LinearSettings, rows: int, max_iter: int) -> OnlineLearner:
        return _learner(settings, perceptron_rule, 1, max_iter, 0.0, self.pocket, bool(self.verbose))

    def _targets(self, yes: np.ndarray) -> np.ndarray:
        return np.where(yes, 1.0, -1.0)

    def _scaling_of(self, x: np.ndarray, weight: np.ndarray) -> _Scaling:
        return _Scaling(np.zeros(x.shape[1]), np.ones(x.shape[1]))

    def _remark(self, settings: LinearSettings, rows: _Rows, x: np.ndarray, z: np.ndarray) -> str:
        if settings.penalty or settings.early_stopping or not rows.weight.all() or self.class_weight is not None:
            return ""
        answers = rows.y[:, None] == self._asked
        if np.array_equal(z > 0, answers):
            return ""
        found = [separable(x, yes, settings.fit_intercept) for yes in answers.T]
        if None in found:
            return "Whether the classes are linearly separable is unknown: there are too many rows to test it."
        if all(found):
            return "The classes are linearly separable: with more epochs (tol=None) all training rows become right."
        pocket = "" if self.pocket else "; pocket=True keeps the best weights on the way"
        rest = "" if len(self._asked) == 1 else " from the rest each"
        return (
            f"The classes are not linearly separable{rest}: no weights get all training rows right, and the rule does "
            f"not converge{pocket}."
        )


class Adaline(LinearClassifier):
    """ADALINE as an estimator: w <- w + η weight (t - z) x, least mean squares, on standardised inputs.

    Learning rates above `thalweg.models.linear_theory.safe_rate` diverge; a ConvergenceWarning then names a safe one.
    With labels "-1/1" and inputs standardised beforehand its weights equal those of scikit-learn's
    `SGDClassifier(loss="squared_error", learning_rate="constant")` up to rounding.

    Parameters
    ----------
    eta0 : float, default=0.01
        The learning rate η.
    rule : {"online", "batch"} or int, default="online"
        One sample, all samples or this many samples for each update, which is their mean.
    max_iter : int, default=100
        The largest number of epochs of a fit.
    tol : float or None, default=None
        As for `Perceptron`; by default all epochs run.
    threshold : float, "tuned" or None, default=None
        The net input above which the second of two classes is predicted. None: halfway between the labels; "tuned":
        the best threshold on the held-out rows.
    validation_fraction : float, default=0.1
        The fraction of the rows that is held out to tune the threshold, or for early stopping.
    shuffle : bool, default=True
        Whether each epoch has a new random order.
    features : sequence, default=()
        A feature map, as for `Perceptron`.
    labels : {"0/1", "-1/1"}, default="0/1"
        The target numbers of the two classes.
    penalty, alpha, l1_ratio, fit_intercept, verbose, n_jobs, random_state : as for `Perceptron`
    early_stopping, n_iter_no_change, class_weight, warm_start : as for `Perceptron`

    Source: Widrow and Hoff 1960.

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
        tol: float | None = None,
        threshold: float | Literal["tuned"] | None = None,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        features: Sequence[PartLike] = (),
        labels: Labels = "0/1",
        penalty: Literal["l2", "l1", "elasticnet"] | None = None,
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        verbose: int = 0,
        n_jobs: int | None = None,
        random_state: RandomState = 0,
        early_stopping: bool = False,
        n_iter_no_change: int = 5,
        class_weight: ClassWeight = None,
        warm_start: bool = False,
    ) -> None:
        set_parameters(self, locals())

    @property
    def _unit(self) -> linear_units.Adaline:
        """The unit in the words of a spec, which validates its options."""
        options = {"learning_rate": self.eta0, "rule": self.rule, "threshold": self.threshold, "labels": self.labels}
        return linear_units.Adaline.of(options)

    def _learner(self, settings: LinearSettings, rows: int, max_iter: int) -> OnlineLearner:
        unit = self._unit
        batch_size = rows if unit.batch_size == "full" else int(unit.batch_size)
        threshold = unit.loss.threshold
        return _learner(settings, least_mean_squares, batch_size, max_iter, threshold, False, bool(self.verbose))

    def _targets(self, yes: np.ndarray) -> np.ndarray:
        return np.where(yes, 1.0, -1.0 if self.labels == "-1/1" else 0.0)

    def _scaling_of(self, x: np.ndarray, weight: np.ndarray) -> _Scaling:
        span = x.std(axis=0)
        return _Scaling(x.mean(axis=0), np.where(span > 0, span, 1.0))

    def _holds_out(self, settings: LinearSettings) -> bool:
        tunes = self.threshold == "tuned"
        if tunes and len(self.classes_) > 2:
            raise InputError("threshold", f'"tuned" needs two classes; y has {len(self.classes_)}')
        return settings.early_stopping or tunes

    def _decide(self, held: HeldOutRows | None) -> float:
        if self.threshold == "tuned" and held is not None:
            return best_threshold(held.x, held.yes, held.weight)
        return self._unit.loss.threshold

    def _remark(self, settings: LinearSettings, rows: _Rows, x: np.ndarray, z: np.ndarray) -> str:
        mean = safe_rate(x, bias=settings.fit_intercept)
        safe = mean if self.rule == "batch" else safe_online_rate(x, settings.fit_intercept)
        # A unit that diverged does worse than one whose weights are 0.
        targets = self._targets(rows.y[:, None] == self._asked)
        if settings.eta0 < safe or np.square(z - targets).sum() <= np.square(targets).sum():
            return ""
        fault = f"the learning rate {settings.eta0:g} is too large"
        return f"The weights diverged: {fault}; a safe rate is {rounded_down(safe / 2):g}."


def _learner(
    settings: LinearSettings,
    rule: Rule,
    batch_size: int,
    max_iter: int,
    threshold: float,
    pocket: bool,
    verbose: bool,
) -> OnlineLearner:
    return OnlineLearner(
        rule=rule,
        rate=settings.eta0,
        batch_size=batch_size,
        max_iter=max_iter,
        tol=settings.tol,
        patience=settings.n_iter_no_change,
        alpha=settings.alpha if settings.penalty else None,
        l1_ratio=settings.share_of_l1,
        fit_intercept=settings.fit_intercept,
        threshold=threshold,
        pocket=pocket,
        verbose=verbose,
    )
