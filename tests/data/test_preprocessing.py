import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from thalweg.core.errors import InputError
from thalweg.data import Data, Preprocessing

matrices = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-1e6, 1e6))


@given(x=matrices, scale=st.sampled_from(["standard", "range", "none"]))
def test_scales_as_scikit_learn_does(x, scale):
    fitted, _ = Preprocessing.fit(x, np.arange(len(x), dtype=float), "regression", scale)
    # Scikit-learn takes a column that is constant but for rounding for a constant one; here only equal numbers are.
    varied = (x.std(axis=0) > 1e-6) | (x.min(axis=0) == x.max(axis=0))
    expected = {"standard": StandardScaler().fit_transform, "range": MinMaxScaler().fit_transform}.get(scale, np.array)(
        x
    )
    assert np.allclose(fitted.inputs(x)[:, varied], expected[:, varied], rtol=1e-4, atol=1e-4)
    restored = Preprocessing.of(json.loads(json.dumps(fitted.describe())))
    assert restored == fitted
    assert np.array_equal(restored.inputs(x), fitted.inputs(x))


def test_fitted_on_the_training_rows_alone():
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = x.sum(axis=1)
    split = Data.of({"source": (x, y)}).load(0)
    assert np.abs(split.train.x.mean(axis=0)).max() < 1e-6
    assert np.abs(split.train.x.std(axis=0) - 1).max() < 1e-6
    assert np.abs(split.train.y.mean()) < 1e-6
    assert np.abs(split.test.x.mean(axis=0)).max() > 1e-3


def test_rows_of_other_parts_do_not_change_what_is_learnt():
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = x.sum(axis=1)
    split = Data.of((x, y)).load(0)
    known = {tuple(row) for row in split.train.x.tolist()}
    held = [i for i, row in enumerate(split.preprocessing.inputs(x).tolist()) if tuple(row) not in known]
    assert len(held) == 200 - len(split.train)
    x[held] += 100
    y[held] -= 100
    assert Data.of((x, y)).load(0).preprocessing == split.preprocessing


def test_values_turns_outputs_back():
    y = np.array([[10.0, -5.0], [30.0, 5.0], [50.0, 0.0]])
    fitted, _ = Preprocessing.fit(np.eye(3), y, "regression", "standard")
    assert np.allclose(fitted.targets(y), StandardScaler().fit_transform(y), atol=1e-6)
    assert np.allclose(fitted.values(fitted.targets(y)), y)
    assert fitted.target_names == ("y0", "y1")
    with pytest.raises(InputError, match="expected 2 columns, received 1"):
        fitted.targets([1.0, 2.0])
    with pytest.raises(InputError, match="labels"):
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
    with pytest.raises(InputError, match="values"):
        fitted.values([0])


def test_unseen_classes():
    fitted, _ = Preprocessing.fit(np.eye(2), np.array(["a", "b"]), "classification", "none")
    with pytest.raises(InputError, match="2 labels are unknown from training, the first 'c' in row 1"):
        fitted.targets(["a", "c", "d"])
    with pytest.raises(InputError, match="outside of the 2 classes"):
        Preprocessing.fit(np.eye(2), np.array([0, 2]), "classification", "none", target_names=("a", "b"))


def test_numbers_that_do_not_fit():
    fitted, _ = Preprocessing.fit(np.eye(3), np.array([0, 1, 0]), "classification", "standard")
    for raw, words in [
        ([[1.0, 2.0]], "expected 3 features, received 2"),
        ([[1.0, np.nan, 2.0]], "first is nan in row 0, column 1"),
        ([1.0, 2.0, 3.0], r"one row: x.reshape\(1, -1\)"),
        ([[1.0, 1e300, 2.0]], "'x1' are too large for 32 bits"),
    ]:
        with pytest.raises(InputError, match=words):
            fitted.inputs(raw)
    with pytest.raises(InputError, match="too large to be scaled"):
        Preprocessing.fit(np.array([[1e300], [-1e300]]), np.array([0, 1]), "classification", "standard")
    with pytest.raises(InputError, match="y in 32 bits"):
        Preprocessing.fit(np.eye(2), np.array([1.0, 2.0]), "regression", "none")[0].targets([1e39])


def test_a_constant_column_stays_harmless():
    x = np.full((3, 2), 0.1)
    fitted, _ = Preprocessing.fit(x, np.array([0, 1, 0]), "classification", "standard")
    assert fitted.inputs(x).tolist() == [[0, 0]] * 3
    assert fitted.inputs(x + 1).max() == 1


def test_frames_for_what_was_fitted_on_arrays():
    fitted, _ = Preprocessing.fit(np.eye(2), np.array([0, 1]), "classification", "none", feature_names=("a", "b"))
    assert fitted.inputs(pl.DataFrame({"b": [1], "more": [9], "a": [True]})).tolist() == [[1, 1]]
    assert fitted.inputs(pl.DataFrame({"u": [1], "v": [2]})).tolist() == [[1, 2]]
    with pytest.raises(InputError, match="column 'b' is missing"):
        fitted.inputs(pl.DataFrame({"a": [1], "v": [2]}))
    with pytest.raises(InputError, match="expected columns of numbers"):
        fitted.inputs(pl.DataFrame({"a": [1], "b": ["x"]}))


def test_a_description_of_something_else():
    with pytest.raises(InputError, match="preprocessing"):
        Preprocessing.of({"task": "regression"})
    fitted, _ = Preprocessing.fit(np.eye(3), np.array([0, 1, 0]), "classification", "standard")
    with pytest.raises(InputError, match="a span for 3 inputs, received 2 and 3"):
        Preprocessing.of({**fitted.describe(), "shift": [0.0, 0.0]})
