"""Multi-layer perceptrons with the parameters and attributes of scikit-learn's, and what goes beyond them."""

from __future__ import annotations

import dataclasses
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, compute_sample_weight, gen_batches
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ..core.arrays import Tree, as_vector, from_vector, leaves, map_arrays
from ..core.errors import InputError
from ..core.noise import noise_key
from ..data import Data, Dataset, Order, Preprocessing, Source, Split, Task
from ..engine.eager import Eager
from ..engine.engine import Engine
from ..engine.step import Plan, State, loss_and_gradient, predict
from ..parts.layers import Affine, Sigmoid, Softmax
from ..parts.losses import (
    Hinge,
    LeastMeanSquares,
    PerceptronLoss,
    Poisson,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from ..parts.metric_schedules import metric_schedules
from ..parts.optimizers import SGD
from ..parts.part import Loss, Optimizer
from ..parts.schedules import in_steps
from ..parts.settings import Device, EngineName, Light, Precision, Training
from ..runs.display import shown
from ..runs.recording import RunBuilder
from ..runs.run import Run
from ..spec.spec import CompleteSpec
from ..training.batch_plan import as_batch
from ..training.callbacks import Callback, Progress
from ..training.checkpoints import Checkpoint
from ..training.early_stopping import EarlyStoppingState
from ..training.evaluate import metric_for
from ..training.fit import Fit, fit
from ..training.session import Session, check_fit, engine_for
from .settings import Settings, dense, fitting_batch, loss_of, name_of_output, output_of

_LARGEST_SEED = 2**31 - 1
# A prediction takes so many rows at a time: what a sparse matrix becomes dense by.
_ROWS = 4096


_Method = TypeVar("_Method")


def _where(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """A method that is there where `check` of its estimator is true."""
    decorator: Callable[[_Method], _Method] = available_if(check)
    return decorator


class _FinalState(Callback):
    """Keeps the state after the last step, with whose moments the next `partial_fit` goes on."""

    state: State

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        self.state = engine.fetch(state)


class _EpochReports(Callback):
    """Passes each epoch on: a line where the estimator is `verbose`, and its own `callbacks`."""

    def __init__(self, estimator: NetworkEstimator) -> None:
        self.estimator = estimator
        given = estimator.callbacks
        self.callbacks = [given] if callable(given) else list(given or ())
        self.reported = 0

    def on_progress(self, progress: Progress) -> None:
        # Short epochs after which nothing is decided run as one program.
        for record in progress.history[self.reported :]:
            self.reported += 1
            if self.estimator.verbose:
                print(f"epoch {self.reported}: loss {_objective(record):.8f}")
            history = progress.history[: self.reported]
            epoch = progress._replace(step=int(record["step"]), record=record, history=history)
            for callback in self.callbacks:
                callback(epoch)


class _Momentum(NamedTuple):
    """What a training leaves to the next epoch beside weights: its rule, the state with its moments, the counters."""

    rule: type[Optimizer]
    state: State
    counters: EarlyStoppingState


class NetworkEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """What both perceptrons share: parameters become parts, `training.fit` trains them, NumPy answers in float64."""

    activation: Any
    solver: Any
    batch_size: Any
    max_iter: int
    loss: Any
    random_state: Any
    verbose: Any
    warm_start: bool
    validation_fraction: float
    callbacks: Any
    progress: bool
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    t_: int
    n_iter_: int
    classes_: np.ndarray
    _task: Task

    # What the two differ in -------------------------------------------------------------------------------------------

    @abstractmethod
    def _targets(self, y: np.ndarray, first: bool, incremental: bool) -> np.ndarray:
        """y as a network takes it; on a `first` fit the classes and the task are learnt from it."""

    @abstractmethod
    def _names(self, y: np.ndarray) -> tuple[str, ...]:
        """The names of the classes, labels or targets."""

    @abstractmethod
    def _weight(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """The weights of the rows."""

    # Fitting ----------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (n, features), an array, a frame or a sparse matrix, and y (n,) or (n, outputs).

        A row of weight 2 counts as that row twice. A sparse X becomes dense as a whole: an epoch meets the rows in
        random order, and a device gathers them by index. Raises InputError, a ValueError, for parameters and data of no
        use, and where a number becomes NaN or infinite.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        settings = self._settings()
        first = not hasattr(self, "coefs_") or not (incremental or settings.warm_start)
        X, y = self._checked(X, y, first)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        weight = self._weight(y, weight, incremental)
        targets = self._targets(y, first, incremental)
        data = _dataset(X, targets, self._task, weight, self._names(targets))
        random = check_random_state(self.random_state)
        if hasattr(self, "run_"):
            del self.run_
        if first:
            self._begin(settings, data, random)
        if settings.solver == "lbfgs":
            self._search(settings, data)
        else:
            self._train(settings, data, random, incremental)
        return self

    def _settings(self) -> Settings:
        try:
            return Settings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)})
        except InputError as error:
            raise InputError(type(self).__name__, error.problems) from None

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[np.ndarray, np.ndarray]:
        options = {"accept_sparse": ["csr", "csc"], "multi_output": True, "dtype": (np.float64, np.float32)}
        X, y = validate_data(self, X, y, reset=first, y_numeric=isinstance(self, RegressorMixin), **options)
        y = y.toarray() if sparse.issparse(y) else y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return dense(X), y

    def _begin(self, settings: Settings, data: Dataset, random: np.random.RandomState) -> None:
        """The network, its loss, and its start."""
        targets = 1 if data.task == "classification" and data.outputs == 2 else data.outputs
        activation, outputs = output_of(settings.loss, data.task, targets)
        self._network = settings.network(data.features, outputs, activation)
        self._loss = loss_of(settings.loss, self._network, data)
        check_fit(self._network, data)
        if settings.starts_alike:
            # From one stream in scikit-learn's order: W, b, layer by layer.
            streams: Any = [random] * len(self._network.layers)
            start = self._network.draw(streams, (data.features,))
        else:
            start = self._network.initialize(int(random.randint(_LARGEST_SEED)), (data.features,))
        self._keep(State(start.params, start.states, (), np.array(0), np.zeros(2, np.uint32)))
        self.n_layers_, self.n_outputs_ = len(self.coefs_) + 1, int(start.shapes[-1][-1])
        self.out_activation_ = name_of_output(self._network)
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if settings.early_stopping else None
        self.validation_loss_curve_: list[float] | None = [] if settings.early_stopping else None
        self._left: _Momentum | None = None

    def _keep(self, state: State) -> None:
        """The weights of a state as those of the estimator, and what its layers have learnt beside them."""
        self._state = state._replace(moments=(), average=())
        found = list(_dense_layers(state.params))
        self.coefs_ = [np.asarray(own.W) for own in found]
        self.intercepts_ = [np.asarray(own.b) for own in found]

    @property
    def _answering(self) -> State:
        """The state that answers: with coefs_ and intercepts_ as they are now."""
        own = (Affine(np.asarray(W), np.asarray(b)) for W, b in zip(self.coefs_, self.intercepts_, strict=True))
        return self._state._replace(params=_with_dense_layers(self._state.params, own))

    # Step by step -----------------------------------------------------------------------------------------------------

    def _train(self, settings: Settings, data: Dataset, random: np.random.RandomState, incremental: bool) -> None:
        began = time.perf_counter()
        score = "r2" if data.task == "regression" else "accuracy"
        measure = f"validation_{score}" if settings.early_stopping else "objective"
        train, validation = self._held_out(settings, data, random, incremental)
        rows, epochs = len(train), 1 if incremental else settings.max_iter
        batch_size = self._batch_size(settings, rows)
        # Each call has an order and noise of its own.
        seed = (int(random.randint(_LARGEST_SEED)) + self.t_) % _LARGEST_SEED
        name = settings.engine_name(self._state.params, rows, epochs, batch_size)
        training = Training(epochs, batch_size, seed, name, settings.precision, settings.device, clip=settings.clip)
        optimizer = settings.optimizer(None if incremental else rows, self.t_, measure)
        if incremental:
            # One epoch of a training that has max_iter of them.
            per_epoch = -(-rows // batch_size)
            optimizer = in_steps(optimizer, per_epoch, per_epoch * settings.max_iter, batch_size)
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
        start = self._start(settings, optimizer, seed, incremental)
        split = Split(train, validation, None, self._preprocessing(train), (), spec.data.order)
        session = Session(spec, split)
        _check_range(data, session.engine)
        builder = RunBuilder(session, start.state.params)
        ended = _FinalState()
        with shown(quiet=not self.progress) as display:
            fitted = fit(session, [display, _EpochReports(self), ended, *builder.callbacks], resume=start)
        if fitted.diverged:
            raise InputError(type(self).__name__, fitted.diverged)
        self._left = _Momentum(type(optimizer), ended.state, fitted.early_stopping)
        self._keep(fitted.state)
        self._tell(settings, fitted, rows, score)
        if isinstance(settings.probes, Light):
            self.run_ = builder.run(fitted, time.perf_counter() - began)
        self._warn(settings, fitted, measure, incremental)

    def _source(self, settings: Settings, train: Dataset) -> Data:
        """The rows as a spec has them."""
        held_out = settings.validation_fraction if settings.early_stopping else 0.0
        order = Order.of("shuffled" if settings.shuffle else "time")
        return Data(Source.of((train.x, train.y, train.weight)), None, train.task, held_out, 0.0, "none", order)

    def _held_out(
        self, settings: Settings, data: Dataset, random: np.random.RandomState, incremental: bool
    ) -> tuple[Dataset, Dataset | None]:
        """The rows to train on, and for early stopping those to validate with, as scikit-learn draws them."""
        if not settings.early_stopping:
            return data, None
        if incremental:
            raise InputError("early_stopping", "partial_fit learns one epoch, and holds no rows out; set it to False")
        # scikit-learn looks at the classes where there are two of them.
        labels = data.y if data.task == "classification" and data.outputs == 2 else None
        share = settings.validation_fraction
        if share * len(data) <= 1:
            found = f"{share} of {len(data)} rows is less than 2 rows to validate with"
            raise InputError("validation_fraction", f"{found}; take more, or set early_stopping to False")
        train, validation = train_test_split(
            np.arange(len(data)), test_size=share, random_state=random, stratify=labels
        )
        return _chosen(data, train), _chosen(data, validation)

    def _batch_size(self, settings: Settings, rows: int) -> int:
        if settings.batch_size == "auto":
            least = max(layer.least_batch for layer in self._network.layers)
            return fitting_batch(rows, least)
        if settings.batch_size > rows:
            warnings.warn(f"batch_size = {settings.batch_size} is cut to the {rows} rows that there are", stacklevel=5)
        return min(settings.batch_size, rows)

    def _start(self, settings: Settings, optimizer: Optimizer, seed: int, incremental: bool) -> Checkpoint:
        """The state that training begins with: a new optimizer's, or in `partial_fit` that of the epoch before."""
        weights, left = self._answering, self._left
        params = map_arrays(lambda array: np.asarray(array, np.float64), weights.params)
        state = State(params, weights.layers, optimizer.init(params), np.array(0), noise_key(seed))
        if left is None:
            rates = tuple(rate.start() for rate in metric_schedules(optimizer))
            return Checkpoint(state, early_stopping=EarlyStoppingState(rates=rates))
        counters = left.counters
        if incremental and left.rule is type(optimizer):
            state = state._replace(moments=left.state.moments, step=left.state.step)
        else:
            # The best so far and the epochs without a better one go on, as they do in scikit-learn; the rate does not.
            rates = tuple(rate.start() for rate in metric_schedules(optimizer))
            if settings.adapts:
                rates = tuple(memory._replace(best=counters.best, waited=counters.waited) for memory in rates)
            counters = counters._replace(rates=rates)
        best = weights if settings.early_stopping and counters.best is not None else ()
        return Checkpoint(state, best, early_stopping=counters, before=int(state.step))

    def _tell(self, settings: Settings, fitted: Fit, rows: int, score: str) -> None:
        """The attributes that speak of a training."""
        self.n_iter_ = len(fitted.history)
        self.t_ += self.n_iter_ * rows
        self.loss_curve_ += [_objective(record) for record in fitted.history]
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = None if settings.early_stopping else min(self.loss_curve_)
        self.best_validation_score_ = fitted.early_stopping.best if settings.early_stopping else None
        if settings.early_stopping:
            self.validation_scores_ = (self.validation_scores_ or []) + [
                record[f"validation_{score}"] for record in fitted.history
            ]
            self.validation_loss_curve_ = (self.validation_loss_curve_ or []) + [
                record["validation_loss"] for record in fitted.history
            ]

    def _warn(self, settings: Settings, fitted: Fit, measure: str, incremental: bool) -> None:
        if fitted.interrupted:
            warnings.warn(f"training was stopped {fitted.stopped} after {self.n_iter_} epochs", stacklevel=5)
        elif not fitted.stopped and not incremental:
            found = (
                f"Maximum iterations (max_iter = {settings.max_iter} epochs) reached, and the {measure} had not settled"
            )
            warnings.warn(found, ConvergenceWarning, stacklevel=5)

    # All rows at once -------------------------------------------------------------------------------------------------

    def _search(self, settings: Settings, data: Dataset) -> None:
        """L-BFGS over all rows, through SciPy, in float64 unless a precision is given."""
        from scipy.optimize import minimize

        for name in ("clip", "callbacks"):
            if getattr(self, name):
                raise InputError(name, "lbfgs walks by a line search of its own; take a solver that goes step by step")
        if isinstance(settings.probes, Light):
            raise InputError("probes", "look at the steps of a training, and lbfgs has none; take another solver")
        start = self._answering
        if leaves(start.layers):
            raise InputError("solver", "lbfgs keeps no running statistics: take layer normalisation, or another solver")
        name = settings.engine_name(start.params, len(data), settings.max_iter, len(data))
        training = Training(engine=name, precision=settings.precision or "float64", device=settings.device)
        engine = engine_for(training)
        _check_range(data, engine)
        plan = Plan(
            self._network, self._loss, SGD(), metric_for(self._network, self._loss, data), settings.regularization
        )
        batch = engine.place(as_batch(data))

        def at(vector: np.ndarray) -> State:
            return start._replace(params=from_vector(vector, start.params))

        def slope(vector: np.ndarray) -> tuple[float, np.ndarray]:
            value, grads = engine.fetch(engine.call(loss_and_gradient, plan, engine.place(at(vector)), batch))
            return float(value), as_vector(grads).astype(np.float64)

        def told(intermediate_result: Any) -> None:
            if self.verbose:
                print(f"loss {intermediate_result.fun:.8f}")

        options = {"maxiter": settings.max_iter, "maxfun": settings.max_fun, "gtol": settings.tol}
        vector = as_vector(start.params).astype(np.float64)
        found = minimize(slope, vector, method="L-BFGS-B", jac=True, options=options, callback=told)
        if not np.isfinite(found.x).all() or not np.isfinite(found.fun):
            raise InputError(type(self).__name__, "the loss became NaN or infinite; scaled inputs are the usual remedy")
        self._keep(at(found.x))
        self.n_iter_, self.loss_ = min(int(found.nit), settings.max_iter), float(found.fun)
        if not found.success:
            text = f"lbfgs stopped after {self.n_iter_} iterations before its gradient was below tol: {found.message}"
            warnings.warn(text, ConvergenceWarning, stacklevel=4)

    # Answers ----------------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network answers (n, K), by NumPy in float64, whatever it was trained with."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        X = X.tocsr() if sparse.issparse(X) else X
        engine = Eager()
        state = engine.place(self._answering)
        parts = (dense(X[rows]).astype(np.float64, copy=False) for rows in gen_batches(X.shape[0], _ROWS))
        with np.errstate(all="ignore"):
            return np.concatenate([predict(self._network, self._loss, state.params, state.layers, x) for x in parts])

    def report(self, path: str | Path | None = None) -> str | Path:
        """The report of the training as one HTML page: its text, or written to `path`, the path.

        Raises InputError where the probes were off at fit. A pickled estimator leaves its training rows behind: its
        report tells what was recorded.
        """
        check_is_fitted(self)
        if not hasattr(self, "run_"):
            raise InputError(
                "report", 'tells what the probes saw, and they were off; fit with probes="light" or "standard"'
            )
        page = self.run_.report()
        if path is None:
            return page
        Path(path).write_text(page, encoding="utf-8")
        return Path(path)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the rows: a model keeps of them what a spec on a disk would."""
        state: dict[str, Any] = dict(super().__getstate__())
        if isinstance(run := state.get("run_"), Run):
            spec = dataclasses.replace(run.spec, data=Data.of(run.spec.data.describe()))
            state["run_"] = dataclasses.replace(run, spec=spec, split=None)
        return state

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: sparse inputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _steps_alone(self) -> bool:
        """Whether the solver learns step by step, as `partial_fit` needs it."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit learns step by step; solver='lbfgs' takes all rows at once")
        return True

    def _preprocessing(self, data: Dataset) -> Preprocessing:
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(data.features)])
        own: dict[str, Any] = {}
        if data.task == "classification":
            classes = self.classes_
            own = {"classes": tuple(classes.tolist()), "class_type": classes.dtype.str}
        else:
            own = {"target_shift": (0.0,) * data.outputs, "target_span": (1.0,) * data.outputs}
        return Preprocessing(data.task, tuple(map(str, names)), data.target_names, (0.0,), (1.0,), **own)


def _objective(record: Mapping[str, float]) -> float:
    """What training makes small: the loss of an epoch, and what its penalty adds."""
    return record["loss"] + record.get("penalty", 0.0)


def _dataset(X: np.ndarray, y: np.ndarray, task: Task, weight: np.ndarray | None, names: tuple[str, ...]) -> Dataset:
    """Rows as they are, without a change of type: a training in float64 sees them whole."""
    if weight is not None and (weight.min() < 0 or not weight.any()):
        raise InputError("sample_weight", "expected weights of at least 0, not all of them 0")
    return Dataset.without_checks(x=np.ascontiguousarray(X), y=y, task=task, weight=weight, target_names=names)


def _check_range(data: Dataset, engine: Engine) -> None:
    """Raise InputError for numbers that the engine's precision can not hold."""
    largest = np.finfo(engine.precision).max
    for name, array in (("X", data.x), ("y", data.y)):
        if not np.can_cast(array.dtype, engine.precision) and max(array.max(), -array.min()) > largest:
            fix = "scale them, as with StandardScaler, or take precision='float64'"
            raise InputError(name, f"has numbers that are too large for 32 bits; {fix}")


def _chosen(data: Dataset, rows: np.ndarray) -> Dataset:
    weight = None if data.weight is None else data.weight[rows]
    return _dataset(data.x[rows], data.y[rows], data.task, weight, data.target_names)


def _dense_layers(tree: Tree) -> Iterator[Affine]:
    """The parameters of all dense layers, also of those inside of blocks, from below."""
    if isinstance(tree, Affine):
        yield tree
    elif isinstance(tree, tuple):
        for item in tree:
            yield from _dense_layers(item)


def _with_dense_layers(tree: Tree, own: Iterator[Affine]) -> Tree:
    """The same tree with other parameters of its dense layers."""
    if isinstance(tree, Affine):
        return next(own)
    if not isinstance(tree, tuple):
        return tree
    parts = [_with_dense_layers(item, own) for item in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def _set(estimator: BaseEstimator, given: dict[str, Any]) -> None:
    """Keep the parameters as they were given, as scikit-learn asks; `given` are the locals of a constructor."""
    vars(estimator).update({name: value for name, value in given.items() if name != "self"})


class MLPClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that tells classes apart, with the parameters of scikit-learn's `MLPClassifier` and their meanings.

    The parameters that scikit-learn has:

    hidden_layer_sizes: units of each hidden layer. activation: "relu", "tanh", "logistic", "identity", or any other of
    ours: "gelu", {"kind": "leaky_relu", "alpha": 0.1}, a part. solver: "adam", "sgd" (with `momentum`, ahead of itself
    where `nesterovs_momentum`), "lbfgs" (all rows at once, through SciPy), or any optimizer of ours: "rmsprop",
    "adamw 0.01", a part. alpha: a penalty of alpha/2 ΣW² beside the sum of a batch's losses; both are divided by the
    weight of the batch. batch_size: rows of an update; "auto": 200, or as many as there are (a few less where batch
    normalisation could not work with the rest). learning_rate: "constant";
    for "sgd" also "invscaling" (`learning_rate_init` / (1 + rows met)^`power_t`, one rate an epoch) and "adaptive" (a
    fifth at each plateau); or a schedule of ours for any solver: "cosine", "one_cycle", a part. A schedule that is
    named alone takes `learning_rate_init` as its first option. max_iter: epochs, or iterations of lbfgs; max_fun: how
    often lbfgs may ask for the loss. shuffle: another order in each epoch. random_state: a number, a RandomState or
    None; from it come the start and the rows held out, both the same as scikit-learn's from the same random_state, and
    the order. tol, n_iter_no_change: training ends when more than n_iter_no_change epochs, one after another, brought
    no gain of tol on the best; for lbfgs tol is that of the gradient. early_stopping: judge by the accuracy on
    `validation_fraction` of the rows, which are held out, and end with the best weights. warm_start: go on from the
    weights of the last fit. verbose: print the loss of each epoch. beta_1, beta_2, epsilon: of Adam.

    What goes beyond it:

    loss: "log_loss", or any loss of ours: "hinge", "mse", {"kind": "cross_entropy", "label_smoothing": 0.1}.
    class_weight: None, "balanced", or a dictionary, which multiplies the weights of the rows. layers: a network of your
    own in place of `hidden_layer_sizes`, with blocks and options of each layer; the output is added unless the last
    layers are a dense one of its width, and perhaps a Softmax or Sigmoid. dropout: the share of each hidden layer that
    is dropped. normalization: "batch" or "layer", before each activation. init: start values of the weights (biases
    then start at 0) in place of scikit-learn's. clip: as in `thalweg.train`, a bound for gradients. callbacks: a
    function, or several, that are called with the `training.Progress` at the end of each epoch. probes: "off",
    "light", "standard", "full": what is recorded, as in `thalweg.train`; then `run_` is the run, `report()` its page.
    progress: show a bar. engine: "compiled", "eager", or "auto", NumPy where a program would take longer to compile
    than the training takes (`settings.engine_for`). device, precision: as in `thalweg.train`.

    Fitted attributes: classes_, coefs_, intercepts_, n_layers_, n_outputs_, out_activation_, n_iter_, t_ (rows met),
    loss_, loss_curve_ (loss and penalty of each epoch), best_loss_, validation_scores_, best_validation_score_,
    validation_loss_curve_, n_features_in_, feature_names_in_. They may be set: coefs_ and intercepts_ are what answers,
    and what a warm start begins with.

    From the same start and in the same order of rows the weights are those of scikit-learn to rounding. Where rows
    have weights, the loss of an epoch is the mean over the weights of all its rows.

    Source: Rumelhart, Hinton, Williams 1986; the parameters are those of Pedregosa et al. 2011, scikit-learn.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]
    >>> model = MLPClassifier((8,), activation="tanh", solver="lbfgs", random_state=1).fit(X, y)
    >>> model.predict(X).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    class_weight: Any

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
        layers: Any = None,
        dropout: float = 0.0,
        normalization: Any = None,
        init: Any = None,
        clip: Any = None,
        callbacks: Any = (),
        probes: Any = "off",
        progress: bool = False,
        engine: EngineName | Literal["auto"] = "auto",
        device: Device | None = None,
        precision: Precision | None = None,
    ) -> None:
        _set(self, locals())

    def _targets(self, y: np.ndarray, first: bool, incremental: bool) -> np.ndarray:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            fix = "one label for each row, or columns of 0 and 1"
            raise InputError("y", f"expected {fix}, received several classes for each row")
        if kind == "multilabel-indicator":
            if first:
                self._task, self.classes_ = "multilabel", np.arange(y.shape[1])
            elif y.shape[1] != len(self.classes_):
                raise InputError("y", f"expected {len(self.classes_)} labels for each row, received {y.shape[1]}")
            return np.asarray(y, np.float64)
        if first:
            self._task = "classification"
            self.classes_ = self.classes_ if incremental else np.unique(y)
            if len(self.classes_) < 2:
                raise InputError(type(self).__name__, "expected at least 2 classes in y, received 1 class")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InputError("y", f"has the class {unknown[0]!r}, which is none of the classes so far: {self.classes_}")
        if not incremental and len(np.unique(y)) < len(self.classes_):
            raise InputError("y", f"a warm start needs all classes of the fit before: {self.classes_}")
        return np.searchsorted(self.classes_, y).astype(np.int32)

    def _names(self, y: np.ndarray) -> tuple[str, ...]:
        return tuple(map(str, self.classes_.tolist()))

    def _weight(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            fix = "give the weights as a dictionary"
            raise InputError("class_weight", f"'balanced' counts all rows, and partial_fit sees a part of them; {fix}")
        own = compute_sample_weight(self.class_weight, y)
        return own if weight is None else own * weight

    @_where(NetworkEstimator._steps_alone)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Learn one epoch more from these rows; the first call needs all `classes` that will ever come."""
        _check_partial_fit_first_call(self, classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """The classes (n,) of the rows of X, or the labels (n, labels) as 0 and 1."""
        outputs = self._outputs(X)
        decides_at = float(self._loss.probabilities(np.array([[self._loss.threshold]]))[0, 0])
        if self._task == "multilabel":
            return (outputs > decides_at).astype(int)
        chosen = (outputs[:, 0] > decides_at).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return self.classes_[chosen]

    def _gives_probabilities(self) -> bool:
        if self.loss != "log_loss" and isinstance(Loss.of(self.loss), Hinge | PerceptronLoss | LeastMeanSquares):
            raise AttributeError(f"the loss {self.loss!r} makes no probabilities; take one of the cross-entropies")
        return True

    @_where(_gives_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for each row, (n, classes); of each label for itself.

        Raises InputError where the network ends with something else.
        """
        outputs = self._outputs(X)
        ends = isinstance(self._network.layers[-1], Softmax | Sigmoid)
        if not ends and not isinstance(self._loss, SoftmaxCrossEntropy | SigmoidBinaryCrossEntropy):
            raise InputError(
                "predict_proba", "the outputs are no probabilities; end the network with softmax or sigmoid"
            )
        if self._task == "classification" and outputs.shape[1] == 1:
            return np.hstack([1 - outputs, outputs])
        return outputs

    @_where(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: several labels a row are welcome."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that estimates numbers, with the parameters of scikit-learn's `MLPRegressor` and their meanings.

    loss: "squared_error", l = 1/2 mean (y - t)² over the targets of a row; "poisson", half the deviance of counts, with
    an exponential output; or any loss of ours: "mae", "huber", {"kind": "huber", "delta": 0.5}. Where there are
    several targets the gradient is that of the loss: scikit-learn reports this mean, and goes down the gradient of the
    sum, which is as many times larger as there are targets.

    The other parameters and the attributes are those of `MLPClassifier`; early stopping judges by R².

    >>> X = [[0.0], [1.0], [2.0], [3.0]]
    >>> model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0).fit(X, [1, 3, 5, 7])
    >>> model.predict([[4.0]]).round(3).tolist(), model.coefs_[0].round(3).tolist()
    ([9.0], [[2.0]])
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
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
        layers: Any = None,
        dropout: float = 0.0,
        normalization: Any = None,
        init: Any = None,
        clip: Any = None,
        callbacks: Any = (),
        probes: Any = "off",
        progress: bool = False,
        engine: EngineName | Literal["auto"] = "auto",
        device: Device | None = None,
        precision: Precision | None = None,
    ) -> None:
        _set(self, locals())

    def _targets(self, y: np.ndarray, first: bool, incremental: bool) -> np.ndarray:
        table = np.asarray(y, np.float64).reshape(len(y), -1)
        if first:
            self._task = "regression"
        elif table.shape[1] != self.n_outputs_:
            raise InputError("y", f"expected {self.n_outputs_} targets for each row, received {table.shape[1]}")
        if (self.loss == "poisson" or isinstance(self.loss, Poisson)) and (table < 0).any():
            raise InputError("y", f"the Poisson loss is one of counts, received {table.min():g}; expected at least 0")
        return table

    def _names(self, y: np.ndarray) -> tuple[str, ...]:
        return ("y",) if y.shape[1] == 1 else tuple(f"y{i}" for i in range(y.shape[1]))

    def _weight(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        return weight

    @_where(NetworkEstimator._steps_alone)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Learn one epoch more from these rows."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """The numbers (n,) for the rows of X, or (n, targets)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: several targets a row are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
