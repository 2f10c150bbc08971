"""The multi-layer perceptrons: scikit-learn's contract, its trajectories, and what goes beyond it."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import sklearn
import thalweg
from sklearn import neural_network
from thalweg import MLPClassifier, MLPRegressor
from thalweg.core.errors import InputError
from thalweg.parts.layers import GELU, Dense, Residual
from thalweg.parts.losses import Huber
from thalweg.parts.optimizers import Momentum
from thalweg.parts.schedules import OneCycle

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# scikit-learn's parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(MLPClassifier, neural_network.MLPClassifier), (MLPRegressor, neural_network.MLPRegressor)],
)
def test_parameters_have_the_names_and_defaults_of_scikit_learn(ours, theirs):
    expected = theirs().get_params()
    parameters = ours().get_params()
    assert {name: parameters[name] for name in expected} == expected
    # Positional arguments are in the same order, too.
    assert vars(ours((3,), "tanh")) == vars(ours()) | changed_parameters(theirs((3,), "tanh"), theirs())


def changed_parameters(changed, plain) -> dict:
    return {name: value for name, value in vars(changed).items() if value != vars(plain).get(name)}


# The same trajectories ------------------------------------------------------------------------------------------------

SAME = {"random_state": 3, "shuffle": False, "max_iter": 25}
SOLVERS = [
    {"solver": "adam"},
    {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "learning_rate_init": 0.01},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False, "momentum": 0.5, "alpha": 1.0},
    {"solver": "sgd", "learning_rate_init": 0.05, "learning_rate": "invscaling", "power_t": 0.3},
    {"solver": "sgd", "learning_rate_init": 0.05, "learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 2},
    # The rate decreases to its minimum, which ends the training.
    {"solver": "sgd", "learning_rate_init": 1e-5, "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1},
    {"solver": "lbfgs", "max_iter": 12},
    {"solver": "adam", "batch_size": 64, "tol": 0.05, "n_iter_no_change": 2},
    {"solver": "adam", "early_stopping": True, "validation_fraction": 0.2, "tol": 0.01, "n_iter_no_change": 3},
    {"solver": "sgd", "learning_rate_init": 0.1, "early_stopping": True, "learning_rate": "adaptive"},
]
ATTRIBUTES = [
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "n_iter_",
    "t_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "n_features_in_",
]
each_solver = pytest.mark.parametrize("options", SOLVERS, ids=lambda options: "-".join(map(str, options.values())))


def problem(kind: str):
    X = np.random.default_rng(0).normal(size=(230, 6))
    if kind == "two":
        return X, np.where(X[:, 0] * X[:, 1] > 0, "yes", "no")
    if kind == "three":
        return X, np.digitize(X[:, 0] + X[:, 1] ** 2, [0, 1])
    if kind == "labels":
        return X, (X[:, :3] > X[:, 3:]).astype(int)
    return X, X[:, 0] + X[:, 1] ** 2


def assert_same(ours, theirs, rtol=1e-9):
    """Compare the weights and the fitted attributes."""
    pairs = zip((*ours.coefs_, *ours.intercepts_), (*theirs.coefs_, *theirs.intercepts_), strict=True)
    for actual, expected in pairs:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-11)
    for name in ATTRIBUTES:
        assert hasattr(ours, name) or not hasattr(theirs, name)
        expected = getattr(theirs, name, None)
        if isinstance(expected, list | float):
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=rtol, atol=1e-12)
        elif expected is not None:
            assert getattr(ours, name) == expected


@quiet
@each_solver
@pytest.mark.parametrize("kind", ["two", "three", "labels"])
def test_a_classifier_trains_as_in_scikit_learn(options, kind):
    X, y = problem(kind)
    options = SAME | options
    theirs = neural_network.MLPClassifier((10, 5), activation="tanh", **options).fit(X, y)
    ours = MLPClassifier((10, 5), activation="tanh", engine="eager", **options).fit(X, y)
    assert_same(ours, theirs)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-7, atol=1e-10)


@quiet
@each_solver
@pytest.mark.parametrize("activation", ["relu", "logistic", "identity"])
def test_a_regressor_trains_as_in_scikit_learn(options, activation):
    X, y = problem("numbers")
    options = SAME | options
    theirs = neural_network.MLPRegressor("squared_error", (10,), activation, **options).fit(X, y)
    ours = MLPRegressor("squared_error", (10,), activation, engine="eager", **options).fit(X, y)
    assert_same(ours, theirs)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-8)


@quiet
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_poisson_regressor_trains_as_in_scikit_learn(solver):
    X, y = problem("numbers")
    counts = np.random.default_rng(1).poisson(np.exp(0.3 * y))
    options = SAME | {"solver": solver, "max_iter": 10}
    theirs = neural_network.MLPRegressor("poisson", (10,), **options).fit(X, counts)
    assert_same(MLPRegressor("poisson", (10,), engine="eager", **options).fit(X, counts), theirs)
    with pytest.raises(InputError, match="at least 0"):
        MLPRegressor("poisson", **options).fit(X, y)


@quiet
@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_engines_and_types_of_rows_give_the_same_fit(engine, solver):
    X, y = problem("three")
    options = SAME | {"solver": solver, "max_iter": 5, "hidden_layer_sizes": 7}
    theirs = neural_network.MLPClassifier(**options).fit(X, y)
    ours = MLPClassifier(engine=engine, precision="float64", **options).fit(X, y)
    assert_same(ours, theirs)
    for rows in (sparse.csr_matrix(X), sparse.csc_matrix(X), X.tolist()):
        again = clone(ours).fit(rows, y)
        assert_same(again, theirs)
        np.testing.assert_array_equal(again.predict_proba(rows), again.predict_proba(X))


@quiet
def test_predictions_and_warm_starts_use_changed_coefficients():
    X, y = problem("two")
    options = {"random_state": 0, "shuffle": False, "max_iter": 5, "warm_start": True, "activation": "tanh"}
    theirs = neural_network.MLPClassifier((4,), **options).fit(X, y)
    ours = MLPClassifier((4,), engine="eager", **options).fit(X[::2], y[::2])
    ours.coefs_ = [W.copy() for W in theirs.coefs_]
    ours.intercepts_ = [b.copy() for b in theirs.intercepts_]
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)
    theirs.fit(X, y)
    ours.fit(X, y)
    for actual, expected in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-10)
    assert len(ours.loss_curve_) == 10


@quiet
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "adam"},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 2},
    ],
)
def test_warm_starts_and_partial_fits_train_as_in_scikit_learn(options):
    X, y = problem("three")
    options = SAME | {"max_iter": 4, "warm_start": True} | options
    ours = MLPClassifier((6,), engine="eager", **options)
    theirs = neural_network.MLPClassifier((6,), **options)
    # After a warm start scikit-learn uses the initial rate again, though it keeps counting the rows.
    for _ in range(1 if options.get("learning_rate") == "invscaling" else 3):
        assert_same(ours.fit(X, y), theirs.fit(X, y))
    for rows in (slice(0, 100), slice(100, 230), slice(0, 230)):
        assert_same(ours.partial_fit(X[rows], y[rows]), theirs.partial_fit(X[rows], y[rows]))


@quiet
def test_a_warm_start_without_improvement_keeps_the_best_weights():
    # scikit-learn loses them: its best weights are the arrays that it continues to train.
    X, y = problem("two")
    model = MLPClassifier((6,), early_stopping=True, warm_start=True, random_state=0, max_iter=30).fit(X, y)
    best = [W.copy() for W in model.coefs_]
    score = model.best_validation_score_
    model.set_params(learning_rate_init=1e-12, max_iter=2).fit(X, y)
    assert model.best_validation_score_ == score
    assert len(model.validation_scores_) == len(model.loss_curve_) == len(model.validation_loss_curve_)
    for actual, expected in zip(model.coefs_, best, strict=True):
        np.testing.assert_array_equal(actual, expected)


@quiet
def test_partial_fit_from_the_first_call():
    X, y = problem("three")
    options = {"random_state": 1, "shuffle": False, "solver": "adam"}
    ours = MLPClassifier((6,), engine="eager", **options)
    theirs = neural_network.MLPClassifier((6,), **options)
    with pytest.raises(ValueError, match="classes"):
        clone(ours).partial_fit(X, y)
    for start in range(0, 200, 50):
        rows = slice(start, start + 50)
        ours.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        theirs.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert_same(ours, theirs)
    with pytest.raises(InputError, match="known classes"):
        ours.partial_fit(X, y + 1)
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")


# Where the formula of scikit-learn differs ----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "huber", "poisson"])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_update_follows_the_slope_of_the_reported_loss(loss, weighted):
    X = np.random.default_rng(0).normal(size=(30, 3))
    Y = np.abs(np.stack([X[:, 0], X[:, 1] ** 2, X[:, 2] + 1], axis=1))
    weight = np.random.default_rng(1).integers(0, 4, 30) if weighted else None
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.5, "random_state": 0, "engine": "eager"}
    model = MLPRegressor(loss, (4,), "tanh", learning_rate_init=1e-3, max_iter=1, **options)

    def reported_loss(coefficient: np.ndarray) -> float:
        again = clone(model).set_params(warm_start=True)
        start(again)
        again.coefs_[1][:] = coefficient.reshape(again.coefs_[1].shape)
        return again.fit(X, Y, weight).loss_

    def start(fitted: MLPRegressor) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted.set_params(learning_rate_init=1e-300).fit(X, Y, weight).set_params(learning_rate_init=1e-3)
        return fitted.coefs_[1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = start(clone(model)).copy()
        moved = clone(model).fit(X, Y, weight).coefs_[1] - before
        slope = approx_fprime(before.ravel(), reported_loss, 1e-7).reshape(before.shape)
    np.testing.assert_allclose(moved, -1e-3 * slope, rtol=1e-4, atol=1e-8)


@quiet
def test_several_targets_have_the_gradient_of_the_reported_loss():
    X = np.random.default_rng(0).normal(size=(50, 3))
    Y = np.stack([X[:, 0], X[:, 1] ** 2, X[:, 2] + 1], axis=1)
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "random_state": 0, "max_iter": 1}
    theirs = neural_network.MLPRegressor("squared_error", (4,), learning_rate_init=1e-3, **options)
    ours = MLPRegressor("squared_error", (4,), learning_rate_init=3e-3, engine="eager", **options)
    assert ours.fit(X, Y).loss_ == pytest.approx(theirs.fit(X, Y).loss_, rel=1e-12)
    # With three targets, the gradient of scikit-learn is three times that of the mean.
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-12)
    assert ours.predict(X).shape == (50, 3)


@quiet
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("batches", [False, True])
def test_a_row_of_weight_two_counts_twice(solver, batches):
    X, y = problem("three")
    weight = np.ones(len(X), int)
    weight[:40] = [0, 2] * 20
    # In this order a batch of weighted rows equals a batch of repeated rows.
    size = 40 if batches and solver != "lbfgs" else len(X)
    options = {"solver": solver, "shuffle": False, "random_state": 0, "max_iter": 4, "engine": "eager"}
    weighted = MLPClassifier((5,), batch_size=size, **options).fit(X, y, sample_weight=weight)
    repeated = MLPClassifier((5,), batch_size=size, **options).fit(X.repeat(weight, 0), y.repeat(weight))
    for actual, expected in zip(weighted.coefs_, repeated.coefs_, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-9)


@quiet
def test_class_weights_multiply_those_of_the_rows():
    X, y = problem("two")
    options = {"random_state": 0, "max_iter": 3, "engine": "eager"}
    weight = np.linspace(0, 1, len(y))
    by_class = MLPClassifier(class_weight={"no": 3, "yes": 0.5}, **options).fit(X, y, weight)
    by_row = MLPClassifier(**options).fit(X, y, weight * np.where(y == "no", 3, 0.5))
    np.testing.assert_array_equal(by_class.coefs_[0], by_row.coefs_[0])
    balanced = MLPClassifier(class_weight="balanced", **options).fit(X[:90], y[:90])
    class_weights = 45 / np.unique(y[:90], return_counts=True)[1]
    by_row = MLPClassifier(**options).fit(X[:90], y[:90], np.where(y[:90] == "no", *class_weights))
    np.testing.assert_allclose(balanced.coefs_[0], by_row.coefs_[0], rtol=1e-12)
    with pytest.raises(InputError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=["no", "yes"])


# In scikit-learn's tools ----------------------------------------------------------------------------------------------


@quiet
def test_pipelines_parallel_searches_and_routed_weights():
    X, y = make_classification(150, 5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=5, random_state=0))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=2, n_jobs=2).fit(X, y)
    assert search.predict(X).shape == (150,)
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier((5,), solver="lbfgs", random_state=0).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=False)
        weight = np.where(y == 1, 1.0, 1e-6)
        result = cross_validate(model, X, y, params={"sample_weight": weight}, cv=2, return_estimator=True)
    assert all((fitted.predict(X) == 1).all() for fitted in result["estimator"])


@quiet
def test_column_names_are_kept_and_compared():
    polars = pytest.importorskip("polars")
    X, y = problem("two")
    frame = polars.DataFrame(X, schema=list("abcdef"))
    model = MLPClassifier((3,), max_iter=2, random_state=0).fit(frame, y)
    assert model.feature_names_in_.tolist() == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename({"a": "z"}))
    scaler = StandardScaler().set_output(transform="polars")
    pipeline = make_pipeline(scaler, FunctionTransformer(), MLPClassifier((3,), max_iter=2)).fit(frame, y)
    assert pipeline[-1].feature_names_in_.tolist() == list("abcdef")


@quiet
@pytest.mark.parametrize("probes", ["off", "light"])
def test_a_pickled_estimator_has_no_rows_and_continues_the_same(probes):
    X = np.random.default_rng(0).normal(size=(3000, 20))
    y = (X[:, 0] > 0).astype(int)
    model = MLPClassifier((4,), max_iter=2, random_state=0, probes=probes, shuffle=False).fit(X, y)
    pickled = pickle.dumps(model)
    assert len(pickled) < X.nbytes / 2
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.partial_fit(X, y).coefs_[0], model.partial_fit(X, y).coefs_[0])


@quiet
@pytest.mark.parametrize("random_state", [0, np.random.RandomState(0)], ids=["number", "generator"])
def test_the_random_state_decides_the_fit(random_state):
    X, y = problem("three")
    model = MLPClassifier((5,), max_iter=3, dropout=0.2, random_state=random_state, early_stopping=True)
    first = pickle.loads(pickle.dumps(model)).fit(X, y)
    second = pickle.loads(pickle.dumps(model)).fit(X, y)
    np.testing.assert_array_equal(first.coefs_[0], second.coefs_[0])
    other = clone(model).set_params(random_state=1).fit(X, y)
    assert (first.coefs_[0] != other.coefs_[0]).all()


# Options that scikit-learn does not have ------------------------------------------------------------------------------

BEYOND = {
    "an activation by name": {"activation": "gelu"},
    "an activation by table": {"activation": {"kind": "leaky_relu", "alpha": 0.1}},
    "an activation as a part": {"activation": GELU(tanh=True)},
    "dropout": {"dropout": 0.1},
    "batch normalisation": {"normalization": "batch"},
    "layer normalisation": {"normalization": "layer"},
    "a network": {"layers": ["dense 16", "tanh", {"kind": "residual", "layers": ["dense 16", "relu"]}]},
    "a network with its output": {"layers": ["dense 16", "relu", "dense 3", "softmax"]},
    "an output of logits": {"layers": [Dense(16), Residual(["relu"]), Dense(3)]},
    "another loss": {"loss": "hinge"},
    "squared errors of probabilities": {"loss": "mse"},
    "smooth labels": {"loss": {"kind": "cross_entropy", "label_smoothing": 0.1}},
    "one against the rest": {"loss": "binary_cross_entropy"},
    "balanced classes": {"class_weight": "balanced"},
    "start values": {"init": "he_normal"},
    "a schedule by name": {"learning_rate": "one_cycle", "learning_rate_init": 0.02},
    "a schedule as a part": {"learning_rate": OneCycle(0.02), "solver": "sgd"},
    "a solver by name": {"solver": "rmsprop"},
    "a solver with its rate": {"solver": "adamw 0.01"},
    "a solver as a part": {"solver": Momentum(0.05, 0.8)},
    "clipping": {"clip": "global_norm 0.5"},
    "no stop": {"n_iter_no_change": np.inf},
    "the compiled engine": {"engine": "compiled", "precision": "float32", "device": "cpu"},
}


@quiet
@pytest.mark.parametrize("options", BEYOND.values(), ids=BEYOND)
def test_additional_options_learn_and_can_be_cloned(options):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = clone(MLPClassifier((16,), max_iter=120, batch_size=30, random_state=0, learning_rate_init=0.005))
    model.set_params(**options)
    assert clone(model).get_params().keys() == model.get_params().keys()
    assert clone(model).fit(X, y).score(X, y) > 0.9


@quiet
@pytest.mark.parametrize("loss", ["mae", "huber", Huber(0.5), "mse"])
def test_other_losses_for_regression(loss):
    X, y = make_regression(200, 3, random_state=0)
    y = (y - y.mean()) / y.std()
    model = MLPRegressor(loss, (20,), max_iter=150, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.out_activation_ == "identity"


def test_hidden_layers_are_in_the_order_of_the_parameters():
    X, y = problem("three")
    model = MLPClassifier((4, 3), "tanh", dropout=0.2, normalization="layer", max_iter=1, tol=1e9, n_iter_no_change=1)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, y)
    kinds = [layer.kind for layer in model._network.layers]
    hidden = ["dense", "layer_norm", "tanh", "dropout"]
    assert kinds == [*hidden, *hidden, "dense", "softmax"]
    assert [W.shape for W in model.coefs_] == [(6, 4), (4, 3), (3, 3)]


@quiet
def test_the_automatic_batch_size_suits_batch_normalisation():
    X = np.random.default_rng(0).normal(size=(201, 3))
    y = np.arange(201) % 2
    model = MLPClassifier((4,), normalization="batch", max_iter=2, random_state=0)
    assert model.fit(X, y).n_iter_ == 2
    with pytest.raises(InputError, match="batch"):
        model.set_params(batch_size=200).fit(X, y)


@quiet
def test_coefficients_include_those_inside_of_blocks():
    X, y = problem("two")
    layers = ["dense 4", {"kind": "residual", "layers": ["dense 4", "tanh"]}]
    model = MLPClassifier(layers=layers, max_iter=2, random_state=0).fit(X, y)
    assert [W.shape for W in model.coefs_] == [(6, 4), (4, 4), (4, 1)]
    z = X @ model.coefs_[0] + model.intercepts_[0]
    z = z + np.tanh(z @ model.coefs_[1] + model.intercepts_[1])
    p = 1 / (1 + np.exp(-(z @ model.coefs_[2] + model.intercepts_[2])))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1:], p, rtol=1e-6)


def test_probabilities_exist_for_cross_entropies_alone():
    X, y = problem("two")
    assert not hasattr(MLPClassifier(loss="hinge"), "predict_proba")
    two = MLPClassifier((4,), loss="cross_entropy", solver="lbfgs", max_iter=300, random_state=0, alpha=1).fit(X, y)
    one = MLPClassifier((4,), solver="lbfgs", max_iter=300, random_state=0, alpha=1).fit(X, y)
    assert (two.n_outputs_, one.n_outputs_) == (2, 1)
    for model in (one, two):
        probabilities = model.predict_proba(X)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
        penalty = sum((W**2).sum() for W in model.coefs_) / 2 / len(X)
        assert model.loss_ == pytest.approx(log_loss(y, probabilities) + penalty, rel=1e-9)
    layers = MLPClassifier(layers=["dense 1"], loss="mse", solver="lbfgs", random_state=0).fit(X, y)
    with pytest.raises(InputError, match="no probabilities"):
        layers.predict_proba(X)


@quiet
def test_several_labels_for_each_row():
    X, Y = make_multilabel_classification(200, 8, n_classes=3, random_state=0)
    model = MLPClassifier((16,), max_iter=60, early_stopping=True, random_state=0).fit(X, sparse.csr_matrix(Y))
    assert model.predict(X).shape == Y.shape
    assert model.score(X, Y) == accuracy_score(Y, model.predict(X))
    assert model.out_activation_ == "logistic"
    with pytest.raises(InputError, match="several classes"):
        model.fit(X, Y + np.arange(3))


def test_callbacks_get_every_epoch_and_verbose_prints_it(capsys):
    X, y = problem("two")
    messages = []
    model = MLPClassifier((3,), max_iter=4, verbose=True, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.set_params(callbacks=[lambda progress: messages.append(progress)]).fit(X, y)
    ends = [progress for progress in messages if progress.epoch_ended]
    assert [progress.epoch for progress in ends] == [1, 2, 3, 4]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"epoch {n}: loss {loss:.8f}" for n, loss in enumerate(model.loss_curve_, 1)]


@quiet
def test_a_probed_fit_has_a_report_and_the_same_weights(tmp_path):
    X, y = problem("three")
    options = {"max_iter": 4, "early_stopping": True, "random_state": 0}
    plain = MLPClassifier((6,), **options).fit(X, y)
    model = MLPClassifier((6,), probes="standard", **options).fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], plain.coefs_[0])
    assert model.run_.observations.layers[0] == "1: dense 6"
    assert [record["validation_accuracy"] for record in model.run_.history] == model.validation_scores_
    np.testing.assert_array_equal(model.run_.predict(X), model.predict(X))
    # The probes have the right initial weights.
    assert model.run_.observations["distance"][0, 0] == 0
    page = model.report()
    assert page.startswith("<!")
    assert model.report(tmp_path / "report.html").read_text() == page
    with pytest.raises(InputError, match="probes"):
        plain.report()
    # Without the rows the report has what was recorded.
    assert pickle.loads(pickle.dumps(model)).report().startswith("<!")
    assert not hasattr(model.set_params(probes="off").fit(X, y), "run_")


# Invalid input --------------------------------------------------------------------------------------------------------

INVALID = [
    ({"max_iter": 0}, "max_iter"),
    ({"hidden_layer_sizes": (5, -1)}, "hidden_layer_sizes"),
    ({"alpha": -1.0}, "alpha"),
    ({"batch_size": "all"}, "batch_size"),
    ({"tol": -1.0}, "tol"),
    ({"n_iter_no_change": 0}, "n_iter_no_change"),
    ({"learning_rate_init": 0.0}, "learning_rate_init"),
    ({"beta_1": 1.0}, "beta_1"),
    ({"activation": "relo"}, "^activation: .*'logistic', .*'gelu'"),
    ({"solver": "adm"}, "^solver: .*'lbfgs', .*'adamw'"),
    ({"learning_rate": "cosin"}, "cosine"),
    ({"solver": "adamw 0.1", "learning_rate": "cosine"}, "its own learning rate"),
    ({"loss": "log"}, "log"),
    ({"dropout": 1.0}, "dropout"),
    ({"normalization": "group"}, "group"),
    ({"init": "he"}, "he_normal"),
    ({"clip": "norm"}, "limit"),
    ({"probes": "some"}, "probes"),
    ({"engine": "fast"}, "engine"),
    ({"engine": "eager", "device": "gpu"}, "device"),
    ({"layers": []}, "layers"),
    ({"layers": ["dense 3", "softmax"], "hidden_layer_sizes": 4, "loss": "softmax_cross_entroby"}, "softmax_cross"),
    ({"solver": "lbfgs", "clip": "norm 1"}, "clip"),
    ({"solver": "lbfgs", "callbacks": print}, "callbacks"),
    ({"solver": "lbfgs", "probes": "light"}, "probes"),
    ({"solver": "lbfgs", "dropout": 0.5}, "dropout.*lbfgs"),
    ({"solver": "lbfgs", "layers": [{"kind": "residual", "layers": ["dropout 0.2", "dense 2"]}]}, "^layers: lbfgs"),
    ({"solver": "lbfgs", "normalization": "batch"}, "running statistics"),
    ({"early_stopping": True, "validation_fraction": 0.001}, "validation_fraction"),
    ({"solver": "sgd", "learning_rate_init": 1e9}, "became"),
]


@pytest.mark.parametrize(("options", "named"), INVALID, ids=[str(options) for options, _ in INVALID])
def test_an_invalid_parameter_is_named(options, named):
    X, y = problem("two")
    with pytest.raises(InputError, match=named):
        MLPClassifier(**{"max_iter": 20, "random_state": 0} | options).fit(X, y)


@quiet
def test_invalid_data_are_rejected():
    X, y = problem("two")
    with pytest.raises(InputError, match="log_loss"):
        MLPRegressor("log_loss").fit(X, X[:, 0])
    with pytest.raises(InputError, match="sample_weight"):
        MLPClassifier().fit(X, y, -np.ones(len(X)))
    with pytest.raises(InputError, match="early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(X, y, classes=["no", "yes"])
    with pytest.raises(InputError, match="32 bits"):
        MLPClassifier(engine="compiled").fit(X * 1e200, y)
    with pytest.warns(UserWarning, match="230"):
        MLPClassifier((2,), batch_size=500, max_iter=1, tol=1e9, n_iter_no_change=np.inf, solver="sgd").fit(X, y)


@quiet
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_single_class_trains_as_in_scikit_learn(solver):
    X, _ = problem("two")
    y = np.full(len(X), "yes")
    options = SAME | {"solver": solver, "max_iter": 5}
    ours, theirs = (kind((6,), **options).fit(X, y) for kind in (MLPClassifier, neural_network.MLPClassifier))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))
    assert set(ours.predict(X)) == {"yes"}


@quiet
@pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])
def test_a_single_class_trains_with_other_losses(loss):
    X, _ = problem("two")
    model = MLPClassifier((4,), loss=loss, max_iter=2, early_stopping=True).fit(X, np.full(len(X), 7))
    assert set(model.predict(X)) == {7}
    with pytest.raises(InputError, match="probes"):
        model.set_params(probes="light").fit(X, np.full(len(X), 7))


@quiet
def test_labels_of_type_object_train():
    X, y = problem("two")
    names = np.array(["no", "yes"], dtype=object)[np.unique(y, return_inverse=True)[1]]
    model = MLPClassifier((4,), max_iter=3, random_state=0, probes="light").fit(X, names)
    assert set(model.predict(X)) <= {"no", "yes"}


@quiet
@pytest.mark.parametrize("labels", [np.array([0, 1, 3]), np.array(["a", "b", "z"])])
def test_messages_show_labels_as_python_writes_them(labels):
    X, y = problem("three")
    known = np.unique(y, return_inverse=True)[1]
    model = MLPClassifier((4,), max_iter=2, warm_start=True).fit(X, known)
    with pytest.raises(InputError) as problem_found:
        model.fit(X, labels[known])
    assert "np." not in str(problem_found.value)


def exploding(engine: str, early_stopping: bool) -> MLPRegressor:
    return MLPRegressor(
        hidden_layer_sizes=(20,),
        solver="sgd",
        learning_rate_init=1,
        early_stopping=early_stopping,
        max_iter=8,
        random_state=0,
        engine=engine,
    )


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_fit_that_explodes_says_the_same_on_both_engines(engine):
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1000, (300, 2))
    y = 1000 * X[:, 0] + X[:, 1] ** 2
    with pytest.raises(InputError, match=r"became|exploded"):
        exploding(engine, early_stopping=False).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model = exploding(engine, early_stopping=True).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert len(model.validation_scores_) == model.n_iter_


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_large_loss_alone_is_no_explosion(engine):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, alpha=1e6, random_state=0, engine=engine)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        model.fit(X, 1e6 + X[:, 0])


def test_the_estimators_are_attributes_of_the_package():
    assert thalweg.MLPClassifier is MLPClassifier
    assert thalweg.MLPRegressor is MLPRegressor
