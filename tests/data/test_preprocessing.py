import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from input_errors import input_error
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from thalweg.core.errors import InputError
from thalweg.data import Data, Preprocessing

matrices = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-1e6, 1e6))


@given(x=matrices, scale=st.sampled_from(["standard", "range", "none"]))
def test_scales_as_scikit_learn_does(x, scale):
    fitted, _ = Preprocessing.fit(x, np.arange(len(x), dtype=float), "regression", scale)
    # Scikit-learn treats a column that is constant up to rounding as constant; here only equal numbers are.
    varied = (x.std(axis=0) > 1e-6) | (x.min(axis=0) == x.max(axis=0))
    expected = {"standard": StandardScaler().fit_transform, "range": MinMaxScaler().fit_transform}.get(scale, np.array)(
        x
    )
    assert np.allclose(fitted.inputs(x)[:, varied], expected[:, varied], rtol=1e-4, atol=1e-4)
    restored = Preprocessing.of(json.loads(json.dumps(fitted.describe())))
    assert restored == fitted
    assert np.array_equal(restored.inputs(x), fitted.inputs(x))


def test_it_is_fitted_on_the_training_rows_alone():
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = x.sum(axis=1)
    split = Data.of({"source": (x, y)}).load(0)
    assert np.abs(split.train.x.mean(axis=0)).max() < 1e-6
    assert np.abs(split.train.x.std(axis=0) - 1).max() < 1e-6
    assert np.abs(split.train.y.mean()) < 1e-6
    assert np.abs(split.test.x.mean(axis=0)).max() > 1e-3


def test_held_out_rows_do_not_change_the_fit():
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = x.sum(axis=1)
    split = Data.of((x, y)).load(0)
    training = {tuple(row) for row in split.train.x.tolist()}
    held_out = [i for i, row in enumerate(split.preprocessing.inputs(x).tolist()) if tuple(row) not in training]
    assert len(held_out) == 200 - len(split.train)
    x[held_out] += 100
    y[held_out] -= 100
    assert Data.of((x, y)).load(0).preprocessing == split.preprocessing


def test_values_inverts_the_scaling_of_targets():
    y = np.array([[10.0, -5.0], [30.0, 5.0], [50.0, 0.0]])
    fitted, _ = Preprocessing.fit(np.eye(3), y, "regression", "standard")
    assert np.allclose(fitted.targets(y), StandardScaler().fit_transform(y), atol=1e-6)
    assert np.allclose(fitted.values(fitted.targets(y)), y)
    assert fitted.target_names == ("y0", "y1")
    unit = fitted.values(np.ones((1, 2))) - fitted.values(np.zeros((1, 2)))
    assert np.allclose(fitted.target_unit, unit[0])
    with input_error("y", "expected 2 columns", "received 1"):
        fitted.targets([1.0, 2.0])
    with input_error("labels", "regression"):
        fitted.labels([0])


@pytest.mark.parametrize("y", [["no", "yes", "no"], [7, -3, 7], [True, False, True], [0.5, 1.5, 0.5]])
def test_labels_come_back_in_their_own_type(y):
    original = np.array(y)
    fitted, _ = Preprocessing.fit(np.eye(3), original, "classification", "none")
    restored = Preprocessing.of(json.loads(json.dumps(fitted.describe())))
    labels = restored.labels(restored.targets(y))
    assert labels.tolist() == y
    assert labels.dtype == original.dtype
    assert restored.targets(y).dtype == np.int32
    assert fitted.target_unit == 1.0
    with input_error("values", "classification"):
        fitted.values([0])


def test_unseen_classes_are_rejected():
    fitted, _ = Preprocessing.fit(np.eye(2), np.array(["a", "b"]), "classification", "none")
    with input_error("y", "2 labels", "'c' in row 1", "a, b"):
        fitted.targets(["a", "c", "d"])
    with input_error("y", "label 2", "2 classes 0 to 1"):
        Preprocessing.fit(np.eye(2), np.array([0, 2]), "classification", "none", target_names=("a", "b"))


def test_numbers_that_do_not_fit_are_rejected():
    fitted, _ = Preprocessing.fit(np.eye(3), np.array([0, 1, 0]), "classification", "standard")
    for raw, facts in [
        ([[1.0, 2.0]], ("expected 3 features", "received 2")),
        ([[1.0, np.nan, 2.0]], ("first is nan in row 0, column 1",)),
        ([1.0, 2.0, 3.0], ("x.reshape(1, -1)",)),
        ([[1.0, 1e300, 2.0]], ("'x1'", "float32")),
    ]:
        with input_error("x", *facts):
            fitted.inputs(raw)
    with input_error("data", "1e+300"):
        Preprocessing.fit(np.array([[1e300], [-1e300]]), np.array([0, 1]), "classification", "standard")
    with input_error("y as float32", "1 of 1 values"):
        Preprocessing.fit(np.eye(2), np.array([1.0, 2.0]), "regression", "none")[0].targets([1e39])


def test_a_constant_column_is_not_magnified():
    x = np.full((3, 2), 0.1)
    fitted, _ = Preprocessing.fit(x, np.array([0, 1, 0]), "classification", "standard")
    assert fitted.inputs(x).tolist() == [[0, 0]] * 3
    assert fitted.inputs(x + 1).max() == 1


def test_frames_are_accepted_after_a_fit_on_arrays():
    fitted, _ = Preprocessing.fit(np.eye(2), np.array([0, 1]), "classification", "none", feature_names=("a", "b"))
    assert fitted.inputs(pl.DataFrame({"b": [1], "more": [9], "a": [True]})).tolist() == [[1, 1]]
    assert fitted.inputs(pl.DataFrame({"u": [1], "v": [2]})).tolist() == [[1, 2]]
    with input_error("table", "column 'b'"):
        fitted.inputs(pl.DataFrame({"a": [1], "v": [2]}))
    with input_error("x", "expected columns of numbers"):
        fitted.inputs(pl.DataFrame({"a": [1], "b": ["x"]}))


def test_a_wrong_description_is_rejected():
    with pytest.raises(InputError) as raised:
        Preprocessing.of({"task": "regression"})
    assert {problem.place for problem in raised.value.problems} == {"feature_names", "target_names", "shift", "span"}
    fitted, _ = Preprocessing.fit(np.eye(3), np.array([0, 1, 0]), "classification", "standard")
    with input_error("preprocessing", "received 2 and 3"):
        Preprocessing.of({**fitted.describe(), "shift": [0.0, 0.0]})


def test_robust_scaling_is_scikit_learns_and_three_absurd_rows_change_little():
    from sklearn.preprocessing import RobustScaler

    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, size=(200, 3)), rng.normal(size=200)
    fitted, _ = Preprocessing.fit(x, y, "regression", "robust")
    np.testing.assert_allclose(fitted.inputs(x), RobustScaler().fit_transform(x), rtol=1e-5, atol=1e-6)
    assert (fitted.target_shift[0], fitted.target_span[0]) == pytest.approx((y.mean(), y.std()))
    x[:3] = 1e6
    again, _ = Preprocessing.fit(x, y, "regression", "robust")
    np.testing.assert_allclose(again.span, fitted.span, rtol=0.1)


def test_robust_scaling_piece_by_piece_is_that_of_all_rows():
    rng = np.random.default_rng(0)
    x, y = rng.lognormal(size=(60_000, 2)), rng.normal(size=60_000)
    x[:, 1] = x[:, 1] > 5
    pieces = [(x[:100], y[:100]), (x[100:50_000], y[100:50_000]), (x[50_000:], y[50_000:])]
    fitted, _ = Preprocessing.fit_pieces(pieces, "regression", "robust")
    low, middle, high = np.quantile(x[:, 0], [0.25, 0.5, 0.75])
    assert (fitted.shift[0], fitted.span[0]) == pytest.approx((middle, high - low), rel=1e-3)
    # Nearly all of the second column is 0: half of its range is a unit.
    assert (fitted.shift[1], fitted.span[1]) == (0, 0.5)
