"""The base of the multi-layer perceptrons: scikit-learn's parameters become a training session."""

from __future__ import annotations

import dataclasses
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ..core.arrays import Params, Tree, as_vector, from_vector, leaves, map_arrays
from ..core.errors import InputError
from ..core.noise import noise_key
from ..data import Data, Dataset, Order, Preprocessing, Source, Split, Task
from ..doctor.attainable import constant_loss
from ..engine.choice import engine_for
from ..engine.eager import Eager
from ..engine.engine import Engine
from ..engine.step import Plan, State, loss_and_gradient, predict
from ..models.network import Network
from ..parts.layers import Affine, Weights
from ..parts.optimizers import SGD
from ..parts.part import Loss, Optimizer
from ..parts.schedules import in_steps
from ..parts.schedules.metric_schedules import metric_schedules
from ..parts.settings import CompleteTraining, Light, Training
from ..runs.display import shown
from ..runs.recording import RunBuilder
from ..runs.run import Run
from ..spec.spec import CompleteSpec
from ..training.batch_plan import as_batch
from ..training.callbacks import Callback, Progress
from ..training.checkpoints import Checkpoint
from ..training.early_stopping import EarlyStoppingState, objective
from ..training.evaluate import evaluate, metric_for
from ..training.fit import Fit, fit
from ..training.session import Session, check_fit
from .estimator import LARGEST_SEED, RandomState, Rows, SparseEstimator, dense, seed_from, without_rows
from .settings import PartLike, Settings, auto_batch_size, is_random, loss_of, output_name, output_of

ProgressCallback = Callable[[Progress], object]
_Method = TypeVar("_Method")

# A loss that is finite counts as exploded above this multiple of the loss at the start and of a constant answer.
_EXPLOSION = 1000.0
# The number of rows of a sparse matrix that a prediction makes dense at a time.
_ROWS_AT_ONCE = 4096


def available(check: Callable[[NetworkEstimator], bool]) -> Callable[[_Method], _Method]:
    """scikit-learn's `available_if` with types: a method that exists if `check` of its estimator is true."""
    decorator: Callable[[_Method], _Method] = available_if(check)
    return decorator


def learns_by_steps(estimator: NetworkEstimator) -> bool:
    """Whether the solver learns step by step, as `partial_fit` requires."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit learns step by step; solver='lbfgs' uses all rows at once")
    return True


class _FinalState(Callback):
    """Keeps the state after the last step, with whose moments the next `partial_fit` continues."""

    state: State

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        self.state = engine.fetch(state)


class _EpochReports(Callback):
    """Prints a line for each epoch if the estimator is verbose, and passes each epoch to the user's functions."""

    def __init__(self, estimator: NetworkEstimator) -> None:
        given = estimator.callbacks
        self.functions = [given] if callable(given) else list(given or ())
        self.verbose = estimator.verbose
        self.reported = 0

    def on_progress(self, progress: Progress) -> None:
        # Several short epochs may run as one program.
        for record in progress.history[self.reported :]:
            self.reported += 1
            if self.verbose:
                print(f"epoch {self.reported}: loss {objective(record):.8f}")
            history = progress.history[: self.reported]
            epoch = progress._replace(step=int(record["step"]), record=record, history=history)
            for function in self.functions:
                function(epoch)


class _Carried(NamedTuple):
    """What a training leaves to the next one besides the weights."""

    optimizer: type[Optimizer]
    state: State
    early_stopping: EarlyStoppingState


class NetworkEstimator(SparseEstimator, ABC):
    """A multi-layer perceptron as an estimator; NumPy computes its predictions in float64.

    `MLPClassifier` documents the parameters and the fitted attributes.
    """

    activation: PartLike
    solver: PartLike
    batch_size: int | Literal["auto"]
    max_iter: int
    loss: PartLike
    dropout: float
    random_state: RandomState
    verbose: bool
    warm_start: bool
    validation_fraction: float
    callbacks: ProgressCallback | Sequence[ProgressCallback] | None
    progress: bool
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    t_: int
    n_iter_: int
    _task: Task
    _network: Network
    _loss: Loss
    _state: State
    _carried: _Carried | None

    # Differences between the two estimators -----------------------------------------------------------------------

    @abstractmethod
    def _begin_task(self, y: np.ndarray, classes: np.ndarray | None) -> None:
        """Set the task, and the classes if there are any: those given, or those in y."""

    @abstractmethod
    def _targets(self, y: np.ndarray) -> np.ndarray:
        """The targets for a network. Raises InputError if they do not suit the task of the first fit."""

    def _check_fit_targets(self, y: np.ndarray) -> None:
        """Raise InputError if y is unsuitable for `fit`, though not for `partial_fit`."""

    @abstractmethod
    def _names(self, targets: np.ndarray) -> tuple[str, ...]:
        """The names of the classes, labels or targets."""

    def _row_weights(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """The weights of the rows (n,); None if all are 1."""
        return weight

    @abstractmethod
    def _preprocessing(self, data: Dataset) -> Preprocessing:
        """The preprocessing of a run: only the names of inputs and classes, no scaling."""

    # Fitting ------------------------------------------------------------------------------------------------------

    def fit(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X (n, features), an array, a data frame or a sparse matrix, and y (n,) or (n, outputs).

        A row of weight 2 counts twice. A sparse X is made dense as a whole, because an epoch visits the rows in random
        order. Raises InputError, a ValueError, for invalid parameters and data, and if a number becomes NaN or
        infinite.
        """
        settings = self._settings()
        first = not (settings.warm_start and hasattr(self, "coefs_"))
        rows, labels = self._validated(X, y, first)
        weight = self._row_weights(labels, self._sample_weight(rows, sample_weight))
        if first:
            self._begin_task(labels, classes=None)
        data = self._dataset(rows, labels, weight)
        self._check_fit_targets(labels)
        random = self._begin_fit(settings, data, first)
        if settings.solver == "lbfgs":
            self._minimize(settings, data)
        else:
            self._train(settings, data, random)
        return self

    def _fit_epoch(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None, classes: np.ndarray | None) -> Self:
        """`partial_fit`: train for one epoch; the first call sets the task with the classes given."""
        settings = self._settings()
        first = not hasattr(self, "coefs_")
        rows, labels = self._validated(X, y, first)
        weight = self._row_weights(labels, self._sample_weight(rows, sample_weight))
        if first:
            self._begin_task(labels, classes)
        data = self._dataset(rows, labels, weight)
        random = self._begin_fit(settings, data, first)
        self._train_epoch(settings, data, random)
        return self

    def _settings(self) -> Settings:
        try:
            return Settings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)})
        except InputError as error:
            raise InputError(type(self).__name__, error.problems) from None

    def _validated(self, X: Rows, y: ArrayLike, first: bool) -> tuple[np.ndarray, np.ndarray]:
        options = {"accept_sparse": ["csr", "csc"], "multi_output": True, "dtype": (np.float64, np.float32)}
        rows, labels = validate_data(self, X, y, reset=first, y_numeric=isinstance(self, RegressorMixin), **options)
        labels = labels.toarray() if sparse.issparse(labels) else labels
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = column_or_1d(labels, warn=True)
        return dense(rows), labels

    @staticmethod
    def _sample_weight(rows: np.ndarray, sample_weight: ArrayLike | None) -> np.ndarray | None:
        if sample_weight is None:
            return None
        weight: np.ndarray = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        return weight

    def _dataset(self, rows: np.ndarray, labels: np.ndarray, weight: np.ndarray | None) -> Dataset:
        targets = self._targets(labels)
        return _dataset(rows, targets, self._task, weight, self._names(targets))

    def _begin_fit(self, settings: Settings, data: Dataset, first: bool) -> np.random.RandomState:
        """Forget the last run, and on a first fit create the network; the random state that decides the rest."""
        random: np.random.RandomState = check_random_state(self.random_state)
        if hasattr(self, "run_"):
            del self.run_
        if first:
            self._initialize(settings, data, random)
        return random

    def _initialize(self, settings: Settings, data: Dataset, random: np.random.RandomState) -> None:
        """Create the network with its loss and its initial weights."""
        targets = 1 if data.task == "classification" and data.outputs <= 2 else data.outputs
        activation, outputs = output_of(settings.loss, data.task, targets)
        self._network = settings.network(data.features, outputs, activation)
        self._loss = loss_of(settings.loss, self._network, data)
        check_fit(self._network, data)
        if settings.initializes_like_sklearn:
            # All layers draw from one stream, in the order of scikit-learn: W, b, layer by layer.
            stream = cast("np.random.Generator", random)
            start = self._network.draw([stream] * len(self._network.layers), (data.features,))
        else:
            start = self._network.initialize(seed_from(random), (data.features,))
        self._store(State(start.params, start.states, (), np.array(0), np.zeros(2, np.uint32)))
        self.n_layers_ = len(self.coefs_) + 1
        self.n_outputs_ = int(start.shapes[-1][-1])
        self.out_activation_ = output_name(self._network)
        self.n_iter_ = 0
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if settings.early_stopping else None
        self.validation_loss_curve_: list[float] | None = [] if settings.early_stopping else None
        self._carried = None

    def _store(self, state: State) -> None:
        """Set coefs_ and intercepts_ from a state, and keep the other values that its layers have learned."""
        self._state = state._replace(moments=(), average=())
        layers = list(_dense_layers(state.params))
        self.coefs_ = [np.asarray(layer.W) for layer in layers]
        self.intercepts_ = [
            np.asarray(layer.b) if isinstance(layer, Affine) else np.zeros(layer.W.shape[1]) for layer in layers
        ]

    @property
    def _current_state(self) -> State:
        """The state with coefs_ and intercepts_ as they are now; users may change them."""
        layers = iter(zip(self.coefs_, self.intercepts_, strict=True))
        params = tuple(_with_dense_layers(layer, layers) for layer in self._state.params)
        return self._state._replace(params=params)

    # Step by step -------------------------------------------------------------------------------------------------

    def _train(self, settings: Settings, data: Dataset, random: np.random.RandomState) -> None:
        """Train for up to max_iter epochs."""
        measure = f"validation_{_score_name(data)}" if settings.early_stopping else "objective"
        train, validation = self._held_out(settings, data, random)
        training = self._training(settings, train, settings.max_iter, random)
        optimizer = settings.optimizer(len(train), self.t_, measure)
        start = self._fit_start(settings, optimizer, training.seed)
        fitted = self._fit_steps(settings, training, optimizer, train, validation, start)
        if fitted.interrupted:
            warnings.warn(f"training was stopped {fitted.stopped} after {self.n_iter_} epochs", stacklevel=3)
        elif not fitted.stopped:
            limit = f"Maximum iterations (max_iter = {settings.max_iter} epochs)"
            warnings.warn(f"{limit} reached before the {measure} converged", ConvergenceWarning, stacklevel=3)

    def _train_epoch(self, settings: Settings, data: Dataset, random: np.random.RandomState) -> None:
        """Train for one epoch of a training that has max_iter of them."""
        if settings.early_stopping:
            fault = "partial_fit does not support early_stopping=True, because it holds no validation rows out"
            raise InputError("early_stopping", f"{fault}; set early_stopping to False")
        training = self._training(settings, data, 1, random)
        batch_size = int(training.batch_size or 1)
        per_epoch = -(-len(data) // batch_size)
        optimizer = in_steps(
            settings.optimizer(None, self.t_, "objective"), per_epoch, per_epoch * settings.max_iter, batch_size
        )
        start = self._epoch_start(settings, optimizer, training.seed)
        fitted = self._fit_steps(settings, training, optimizer, data, None, start)
        if fitted.interrupted:
            warnings.warn(f"training was stopped {fitted.stopped} after {self.n_iter_} epochs", stacklevel=4)

    def _held_out(
        self, settings: Settings, data: Dataset, random: np.random.RandomState
    ) -> tuple[Dataset, Dataset | None]:
        """The training rows, and for early stopping the validation rows, drawn as scikit-learn draws them."""
        if not settings.early_stopping:
            return data, None
        # scikit-learn stratifies by class if there are at most two.
        labels = data.y if data.task == "classification" and data.outputs <= 2 else None
        fraction = settings.validation_fraction
        if fraction * len(data) <= 1:
            fault = f"The validation set is too small: {fraction} of {len(data)} rows is less than 2 rows"
            raise InputError("validation_fraction", f"{fault}; use more, or set early_stopping to False")
        train, validation = train_test_split(
            np.arange(len(data)), test_size=fraction, random_state=random, stratify=labels
        )
        return _chosen(data, train), _chosen(data, validation)

    def _training(
        self, settings: Settings, data: Dataset, epochs: int, random: np.random.RandomState
    ) -> CompleteTraining:
        batch_size = self._batch_size(settings, len(data))
        name = settings.engine_name(self._state.params, len(data), epochs, batch_size)
        return CompleteTraining(
            epochs=epochs,
            batch_size=batch_size,
            # Each call has another order and other noise.
            seed=(seed_from(random) + self.t_) % LARGEST_SEED,
            engine=name,
            precision=settings.precision or ("float32" if data.x.dtype == np.float32 else None),
            device=settings.device,
            clip=settings.clip,
        )

    def _batch_size(self, settings: Settings, rows: int) -> int:
        if settings.batch_size == "auto":
            return auto_batch_size(rows, least=max(layer.least_batch for layer in self._network.layers))
        if settings.batch_size > rows:
            warnings.warn(f"batch_size = {settings.batch_size} is reduced to the {rows} available rows", stacklevel=5)
        return min(settings.batch_size, rows)

    def _fit_start(self, settings: Settings, optimizer: Optimizer, seed: int) -> Checkpoint:
        """The state that `fit` begins with: the current weights with a new optimizer."""
        current = self._current_state
        params = map_arrays(lambda array: np.asarray(array, np.float64), current.params)
        moments = optimizer.init(self._network.trained(params))
        state = State(params, current.layers, moments, np.array(0), noise_key(seed))
        rates = tuple(rate.start() for rate in metric_schedules(optimizer))
        if self._carried is None:
            return Checkpoint(state, early_stopping=EarlyStoppingState(rates=rates))
        # As in scikit-learn, the best value and the epochs without improvement carry over, but not the learning rate.
        memory = self._carried.early_stopping
        if settings.adapts:
            rates = tuple(rate._replace(best=memory.best, waited=memory.waited) for rate in rates)
        best = current if settings.early_stopping and memory.best is not None else ()
        return Checkpoint(state, best, early_stopping=memory._replace(rates=rates))

    def _epoch_start(self, settings: Settings, optimizer: Optimizer, seed: int) -> Checkpoint:
        """The state that `partial_fit` begins with: if the optimizer is the same, with its moments and step count."""
        start = self._fit_start(settings, optimizer, seed)
        carried = self._carried
        if carried is None or carried.optimizer is not type(optimizer):
            return start
        state = start.state._replace(moments=carried.state.moments, step=carried.state.step)
        return start._replace(state=state, early_stopping=carried.early_stopping, before=int(state.step))

    def _fit_steps(
        self,
        settings: Settings,
        training: CompleteTraining,
        optimizer: Optimizer,
        train: Dataset,
        validation: Dataset | None,
        start: Checkpoint,
    ) -> Fit:
        """Train from a checkpoint, and set the fitted attributes."""
        began = time.perf_counter()
        measure = "objective" if validation is None else f"validation_{_score_name(train)}"
        spec = CompleteSpec(
            data=self._source(settings, train),
            network=self._network,
            loss=self._loss,
            optimizer=optimizer,
            training=training,
            regularization=settings.regularization,
            stopping=settings.stopping(measure),
            probes=settings.probes,
        )
        split = Split(
            train=train,
            validation=validation,
            test=None,
            preprocessing=self._preprocessing(train),
            notes=(),
            order=spec.data.order,
        )
        session = Session(spec, split)
        for rows in (train, validation):
            if rows is not None:
                _check_range(rows, session.engine)
        builder = RunBuilder(session, start.state.params)
        final = _FinalState()
        with shown(quiet=not self.progress) as display:
            fitted = fit(session, [display, _EpochReports(self), final, *builder.callbacks], resume=start)
        if fault := fitted.diverged or self._explosion(session, start.state, fitted, train):
            if not settings.early_stopping:
                raise InputError(type(self).__name__, fault)
            kept = "the best weights on the validation rows before that are kept"
            warnings.warn(f"The training diverged: {fault}; {kept}", ConvergenceWarning, stacklevel=4)
        self._carried = None if fitted.fault else _Carried(type(optimizer), final.state, fitted.early_stopping)
        self._store(fitted.state)
        self._set_attributes(settings, fitted, train)
        if isinstance(settings.probes, Light):
            self.run_ = builder.run(fitted, time.perf_counter() - began)
        return dataclasses.replace(fitted, stopped=fitted.stopped or fault)

    def _explosion(self, session: Session, start: State, fitted: Fit, train: Dataset) -> str:
        """The fault if the last loss with its penalty is finite, but far above the start's and a constant answer's.

        In float32 such a loss becomes infinite soon, and in float64 later or not at all: the engines agree by this.
        """
        last = objective(fitted.history[-1]) if fitted.history else 0.0
        # For classes, an answer of equal probabilities has a loss near 1.
        constant = constant_loss(self._loss.kind, train.y, train.task) if train.task == "regression" else 1.0
        if last <= _EXPLOSION * np.nan_to_num(constant):
            return ""
        plan = session.plan
        at_start = evaluate(self._network, self._loss, start, train, session.engine)["loss"]
        size = session.spec.training.batch_size
        rows = size if isinstance(size, int) else len(train)
        at_start += float(plan.regularization.penalty(self._network.trained(start.params), rows))
        if last <= _EXPLOSION * at_start:
            return ""
        advice = "a smaller learning rate is the usual remedy, scaled inputs or clipped gradients the next"
        return f"the loss exploded from {at_start:.3g} to {last:.3g}; {advice}"

    def _source(self, settings: Settings, train: Dataset) -> Data:
        """The data section of the spec."""
        return Data(
            source=Source.of((train.x, train.y, train.weight)),
            task=train.task,
            validation=settings.validation_fraction if settings.early_stopping else 0.0,
            test=0.0,
            scale="none",
            order=Order.of("shuffled" if settings.shuffle else "time"),
        )

    def _set_attributes(self, settings: Settings, fitted: Fit, train: Dataset) -> None:
        """Set the fitted attributes that describe the training."""
        score = f"validation_{_score_name(train)}"
        history = list(fitted.history)
        if fitted.fault:
            # The epoch in which it diverged.
            history.append({"loss": np.nan, "penalty": 0.0, score: np.nan, "validation_loss": np.nan})
        self.n_iter_ = len(history)
        self.t_ += self.n_iter_ * len(train)
        self.loss_curve_ += [objective(record) for record in history]
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = None if settings.early_stopping else min(self.loss_curve_)
        self.best_validation_score_ = fitted.early_stopping.best if settings.early_stopping else None
        if settings.early_stopping:
            self.validation_scores_ = (self.validation_scores_ or []) + [record[score] for record in history]
            losses = [record["validation_loss"] for record in history]
            self.validation_loss_curve_ = (self.validation_loss_curve_ or []) + losses

    # All rows at once ---------------------------------------------------------------------------------------------

    def _minimize(self, settings: Settings, data: Dataset) -> None:
        """Minimise the loss over all rows by SciPy's L-BFGS, in float64 unless a precision is given."""
        from scipy.optimize import OptimizeResult, minimize

        self._check_lbfgs(settings)
        start = self._current_state
        name = settings.engine_name(start.params, len(data), settings.max_iter, len(data))
        engine = engine_for(Training(engine=name, precision=settings.precision or "float64", device=settings.device))
        _check_range(data, engine)
        plan = Plan(
            network=self._network,
            loss=self._loss,
            optimizer=SGD(),
            metric=metric_for(self._network, self._loss, data),
            regularization=settings.regularization,
        )
        batch = engine.place(as_batch(data))

        def state_of(vector: np.ndarray) -> State:
            return start._replace(params=from_vector(vector, start.params))

        def loss_and_slope(vector: np.ndarray) -> tuple[float, np.ndarray]:
            value, grads = engine.fetch(engine.call(loss_and_gradient, plan, engine.place(state_of(vector)), batch))
            return float(value), as_vector(grads).astype(np.float64)

        def show(intermediate_result: OptimizeResult) -> None:
            if self.verbose:
                print(f"loss {intermediate_result.fun:.8f}")

        result = minimize(
            loss_and_slope,
            as_vector(start.params).astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            options={"maxiter": settings.max_iter, "maxfun": settings.max_fun, "gtol": settings.tol},
            callback=show,
        )
        if not np.isfinite(result.x).all() or not np.isfinite(result.fun):
            raise InputError(type(self).__name__, "the loss became NaN or infinite; scaled inputs are the usual remedy")
        self._store(state_of(result.x))
        self.n_iter_ = min(int(result.nit), settings.max_iter)
        self.loss_ = float(result.fun)
        if not result.success:
            message = (
                f"lbfgs stopped after {self.n_iter_} iterations before its gradient was below tol: {result.message}"
            )
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def _check_lbfgs(self, settings: Settings) -> None:
        """Raise InputError for parameters that lbfgs does not have."""
        for name in ("clip", "callbacks"):
            if getattr(self, name):
                raise InputError(name, "does not apply to lbfgs, which uses a line search; use another solver")
        if isinstance(settings.probes, Light):
            raise InputError("probes", "record the steps of a training, and lbfgs has none; use another solver")
        if is_random(self._network.layers):
            name = "dropout" if self.dropout else "layers"
            fix = "use another solver, such as solver='adam', or no dropout"
            raise InputError(name, f"lbfgs minimises one fixed function, and dropout or noise changes it; {fix}")
        if leaves(self._current_state.layers):
            raise InputError("solver", "lbfgs keeps no running statistics: use layer normalisation or another solver")

    # Predictions --------------------------------------------------------------------------------------------------

    def _outputs(self, X: Rows) -> np.ndarray:
        """The outputs (n, K) of the network as probabilities if there are any, computed by NumPy in float64."""
        check_is_fitted(self)
        rows = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        rows = rows.tocsr() if sparse.issparse(rows) else rows
        state = Eager().place(self._current_state)
        batches = (
            dense(rows[batch]).astype(np.float64, copy=False) for batch in gen_batches(rows.shape[0], _ROWS_AT_ONCE)
        )
        with np.errstate(all="ignore"):
            outputs = [predict(self._network, self._loss, state.params, state.layers, x) for x in batches]
        return np.concatenate(outputs).astype(np.result_type(rows, *self.coefs_))

    def report(self, path: str | Path | None = None) -> str | Path:
        """The report of the training as an HTML page; with `path`, write it to this file and return the path.

        A pickled estimator does not keep its training rows, so its report has only what was recorded. Raises InputError
        if the probes were off during the fit.
        """
        check_is_fitted(self)
        if not hasattr(self, "run_"):
            raise InputError("report", 'needs probes, which were off; fit with probes="light" or "standard"')
        page = self.run_.report(path)
        return page if path is None else Path(path)

    def __getstate__(self) -> dict[str, object]:
        """The state for pickling, without the training rows."""
        state: dict[str, object] = dict(super().__getstate__())
        if isinstance(run := state.get("run_"), Run):
            state["run_"] = without_rows(run)
        return state


def input_names(estimator: NetworkEstimator, data: Dataset) -> tuple[str, ...]:
    """The names of the inputs: those of a data frame, or x0, x1, ..."""
    return tuple(map(str, getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(data.features)])))


def _score_name(data: Dataset) -> str:
    return "r2" if data.task == "regression" else "accuracy"


def _dataset(X: np.ndarray, y: np.ndarray, task: Task, weight: np.ndarray | None, names: tuple[str, ...]) -> Dataset:
    """The rows with their number type, so that a training in float64 gets them unrounded."""
    if weight is not None and (weight.min() < 0 or not weight.any()):
        raise InputError("sample_weight", "expected weights of at least 0, not all of them 0")
    return Dataset.without_checks(x=np.ascontiguousarray(X), y=y, task=task, weight=weight, target_names=names)


def _chosen(data: Dataset, rows: np.ndarray) -> Dataset:
    weight = None if data.weight is None else data.weight[rows]
    return _dataset(data.x[rows], data.y[rows], data.task, weight, data.target_names)


def _check_range(data: Dataset, engine: Engine) -> None:
    """Raise InputError for numbers that exceed the engine's precision."""
    largest = np.finfo(engine.precision).max
    for name, array in (("X", data.x), ("y", data.y)):
        if not np.can_cast(array.dtype, engine.precision) and max(array.max(), -array.min()) > largest:
            fix = "scale them, as with StandardScaler, or use precision='float64'"
            raise InputError(name, f"has numbers that are too large for 32 bits; {fix}")


def _dense_layers(params: Params) -> Iterator[Affine | Weights]:
    """The parameters of all dense layers, also of those inside of blocks, from below."""
    if isinstance(params, Affine | Weights):
        yield params
    elif isinstance(params, tuple):
        for item in params:
            yield from _dense_layers(item)


def _with_dense_layers(params: Params, layers: Iterator[tuple[np.ndarray, np.ndarray]]) -> Params:
    """The parameters with those of the dense layers replaced by the next W and b."""
    if isinstance(params, Affine | Weights):
        W, b = map(np.asarray, next(layers))
        return Affine(W, b) if isinstance(params, Affine) else Weights(W)
    if not isinstance(params, tuple):
        return params
    parts: list[Tree] = [_with_dense_layers(item, layers) for item in params]
    replaced: Params = getattr(params, "_make", tuple)(parts)
    return replaced
