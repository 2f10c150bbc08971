"""The importance of inputs, beside scikit-learn's and beside what a known network must lose."""

from __future__ import annotations

import json

import numpy as np
import polars
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance

import thalweg
from thalweg.core.errors import InputError
from thalweg.data import Dataset, Preprocessing
from thalweg.pages.blocks import Chart
from thalweg.runs.importance import importance_of


class Known(RegressorMixin, BaseEstimator):
    """A model with known answers."""

    def __init__(self, weights=(2.0, 1.0, 0.0)):
        self.weights = weights

    def fit(self, x, y):
        self.fitted_ = True
        return self

    def predict(self, x):
        return x @ np.array(self.weights)


def measured(x, y, task, decide, weight=None):
    preprocessing, _ = Preprocessing.fit(x, y, task, "none")
    data = Dataset(
        preprocessing.inputs(x), preprocessing.targets(y), task, weight, preprocessing.target_names, precision="float32"
    )
    return importance_of(preprocessing, data, "test", decide, shuffles=20)


def test_the_importance_of_numbers_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1500, 3))
    y = x @ [2.0, 1.0, 0.0] + 0.5 * rng.normal(size=1500)
    model = Known().fit(x, y)
    found = measured(x, y, "regression", lambda rows: model.predict(rows)[:, None])
    theirs = permutation_importance(model, x, y, n_repeats=20, random_state=0)
    by_name = {item.name: item.lost for item in found.inputs}
    assert [item.name for item in found.inputs][:2] == ["x0", "x1"]
    for k, name in enumerate(("x0", "x1", "x2")):
        assert by_name[name].mean == pytest.approx(theirs.importances_mean[k], abs=0.06)
        # Shuffled, the column adds twice its part of the variance to the mean square.
        assert by_name[name].mean == pytest.approx(2 * model.weights[k] ** 2 / y.var(), abs=0.1)
    assert by_name["x2"].mean == pytest.approx(0, abs=1e-12)
    assert by_name["x2"].all_equal
    assert by_name["x1"].low > 0


def test_a_class_that_one_column_tells_is_lost_without_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 2))
    y = (x[:, 1] > 0).astype(int)
    found = measured(x, y, "classification", lambda rows: (rows[:, 1] > 0).astype(int))
    first, second = found.inputs
    # Half of the values of other rows have the same sign.
    assert (first.name, second.name) == ("x1", "x0")
    assert first.lost.mean == pytest.approx(0.5, abs=0.03)
    assert first.lost.low < 0.5 < first.lost.high
    assert second.lost.all_equal


def test_the_intervals_hold_what_more_rows_would_show():
    """95 % of them, of samples of 150 rows, hold what the column is worth for all rows; 3 deviations of 200 less."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        x = rng.normal(size=(150, 1))
        y = (x[:, 0] + 0.5 * rng.normal(size=150) > 0).astype(int)
        lost = measured(x, y, "classification", lambda rows: (rows[:, 0] > 0).astype(int)).inputs[0].lost
        # Right for 1 - arctan(1 / 2) / pi of the rows, and for half of them with the value of another row.
        held += lost.low < 0.5 - np.arctan(0.5) / np.pi < lost.high
    assert held > 200 * 0.95 - 3 * (200 * 0.95 * 0.05) ** 0.5


def test_rows_count_by_their_weight():
    """Rows of weight 0 are as if they were not there."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 2))
    y = np.where(np.arange(600) < 300, x[:, 0] > 0, x[:, 1] > 0).astype(int)
    weight = (np.arange(600) < 300).astype(float)
    found = measured(x, y, "classification", lambda rows: (rows[:, 0] > 0).astype(int), weight)
    lost = {item.name: item.lost.mean for item in found.inputs}
    assert lost["x0"] == pytest.approx(0.5, abs=0.06)
    assert lost["x1"] == 0


def test_the_categories_of_a_column_are_shuffled_together():
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue"], 300)
    table = polars.DataFrame(
        {"colour": colour, "size": rng.normal(size=300), "value": np.where(colour == "red", 3.0, 0)}
    )
    run = thalweg.train(["dense 8", "tanh", "dense 1"], table, target="value", epochs=300, progress=False)
    found = run.importance()
    assert [item.name for item in found.inputs] == ["colour", "size"]
    # A third of the rows are red: shuffled, the mean square of the error is twice the variance.
    assert found.inputs[0].lost.mean == pytest.approx(2, abs=0.35)
    assert abs(found.inputs[1].lost.mean) < 0.05
    page = json.loads(run.page().json())
    assert any(block.get("text") == "Importance of the inputs" for block in page["blocks"])


def test_nothing_is_measured_where_nothing_can_be_lost():
    x = np.random.default_rng(0).normal(size=(20, 2))
    preprocessing, _ = Preprocessing.fit(x, np.arange(20.0), "regression", "none")
    constant = Dataset(x, np.ones((20, 1)), "regression")
    single = Dataset(x[:1], np.ones((1, 1)), "regression")
    for data in (constant, single):
        assert importance_of(preprocessing, data, "test", lambda rows: rows[:, :1]) is None
    with pytest.raises(InputError, match="shuffles"):
        importance_of(preprocessing, constant, "test", lambda rows: rows[:, :1], shuffles=0)


def pictures_of(x, y, task, shape):
    preprocessing, _ = Preprocessing.fit(x, y, task, "none", image_shape=shape)
    data = Dataset(
        preprocessing.inputs(x), preprocessing.targets(y), task, image_shape=shape, target_names=("no", "yes")[:2]
    )
    return preprocessing, data


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (32, 20, 3), (3, 50), (1, 1)])
def test_regions_cover_each_pixel_once_and_are_nearly_of_one_size(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, int(np.prod(shape))))
    y = np.arange(30) % 2
    found = importance_of(*pictures_of(x, y, "classification", shape), "test", lambda rows: np.zeros(len(rows), int))
    counts = np.zeros(shape[:2], int)
    for top, bottom, left, right in (item.region for item in found.inputs):
        counts[top:bottom, left:right] += 1
    assert (counts == 1).all()
    assert len(found.inputs) <= 49
    for start, stop in ((0, 1), (2, 3)):
        sides = {item.region[stop] - item.region[start] for item in found.inputs}
        assert max(sides) - min(sides) <= 1
    assert found.picture == pytest.approx(x.reshape(30, *shape[:2], -1).mean(axis=(0, 3)), rel=1e-5, abs=1e-6)


def test_only_the_region_that_tells_the_class_has_importance():
    """The sign of the sum of one block of 4 x 4 pixels in three channels is the class; the rest is noise."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(800, 28, 28, 3))

    def decide(rows):
        return (rows.reshape(-1, 28, 28, 3)[:, 8:12, 20:24].sum(axis=(1, 2, 3)) > 0).astype(int)

    rows = x.reshape(800, -1)
    found = importance_of(*pictures_of(rows, decide(rows), "classification", (28, 28, 3)), "test", decide)
    first, *others = found.inputs
    assert len(others) == 48
    assert first.region == (8, 12, 20, 24)
    assert first.name == "rows 9 to 12, columns 21 to 24"
    # Half of the other pictures have the same sign.
    assert first.lost.low < 0.5 < first.lost.high
    assert all(item.lost.all_equal and item.lost.mean == 0 for item in others)


def test_the_importance_of_regions_of_a_linear_network_is_twice_their_part_of_the_variance():
    """y = w x over all pairs of n pictures: a region with the part d of y loses 2 n / (n - 1) var(d) / var(y)."""
    rng = np.random.default_rng(5)
    w = np.zeros((14, 14))
    w[0, 0], w[1, 1], w[5, 7] = 1.0, 2.0, 3.0
    x = rng.normal(size=(60, 196)).astype(np.float32)
    y = x @ w.ravel()
    found = importance_of(
        *pictures_of(x, y, "regression", (14, 14)), "test", lambda rows: (rows @ w.ravel())[:, None], shuffles=59
    )
    lost = {item.region: item.lost.mean for item in found.inputs}
    # Two pixels of one region are exchanged together.
    first, second = x[:, 0] + 2 * x[:, 15], 3 * x[:, 77]
    assert lost.pop((0, 2, 0, 2)) == pytest.approx(120 / 59 * first.var() / y.var(), rel=1e-4)
    assert lost.pop((4, 6, 6, 8)) == pytest.approx(120 / 59 * second.var() / y.var(), rel=1e-4)
    assert max(map(abs, lost.values())) < 1e-6


def test_the_importance_of_regions_is_that_of_scikit_learn_for_columns_that_a_region_repeats():
    """Each region of 2 x 2 pixels repeats one column, so that both shuffle the same numbers."""
    rng = np.random.default_rng(4)
    columns = rng.normal(size=(1500, 16))
    model = Known(np.arange(16) / 4).fit(columns, None)
    y = model.predict(columns) + 0.5 * rng.normal(size=1500)
    theirs = permutation_importance(model, columns, y, n_repeats=20, random_state=0)
    pictures = columns.reshape(1500, 4, 4).repeat(2, axis=1).repeat(2, axis=2)

    def decide(rows):
        means = rows.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
        return model.predict(means.reshape(-1, 16))[:, None]

    found = importance_of(
        *pictures_of(pictures.reshape(1500, -1), y, "regression", (8, 8)), "test", decide, shuffles=20
    )
    for (top, _, left, _), lost in ((item.region, item.lost) for item in found.inputs):
        assert lost.mean == pytest.approx(theirs.importances_mean[top // 2 * 4 + left // 2], abs=0.02)


def test_a_report_shows_the_regions_of_pictures():
    run = thalweg.train(["dense 16", "tanh", "dense 10"], "digits", epochs=3, progress=False)
    found = run.importance()
    assert len(found.inputs) == 16
    assert found.picture.shape == (8, 8)
    assert "Importance of the inputs" in run.page().text()
    charts = [block for block in found.blocks() if isinstance(block, Chart)]
    assert [chart.figure.layout.title.text for chart in charts] == ["Importance of the regions"]


def test_a_report_leaves_out_inputs_that_would_take_long():
    wide = np.random.default_rng(0).normal(size=(60, 70, 70))
    run = thalweg.train(["dense 2"], (wide, np.arange(60) % 2), epochs=1, progress=False)
    assert "Importance of the inputs" not in run.page().text()


def test_a_report_has_it_for_tables():
    run = thalweg.train(["dense 4", "tanh", "dense 3"], "iris", epochs=5, progress=False)
    assert "Importance of the inputs" in run.page().text()
