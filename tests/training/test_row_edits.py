"""Edits of rows: which rows train, which score, what they are compared with, and how they are scaled again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.spec.spec import Spec
from thalweg.training.paired import ROWS, PairedRuns
from thalweg.training.row_edits import (
    AsTheyAre,
    FilledCell,
    MarkedCells,
    MoreRows,
    MovedTargets,
    RankedCells,
    WithoutColumns,
    WithoutRows,
    WithoutTarget,
)
from thalweg.training.session import Session

RNG = np.random.default_rng(11)
X = RNG.normal(3.0, [1.0, 20.0, 0.1], (200, 3))
T = X @ np.array([1.0, 0.1, -5.0]) + 40
Y = RNG.integers(0, 3, 200)


def split_of(y, **more):
    return Data(source=(X, y), validation=0.25, test=0.0, split="time", **more).load(seed=0)


def test_rows_that_are_left_out_are_scaled_as_if_they_had_never_been_there():
    rows = (0, 7, 149)
    kept = np.delete(np.arange(150), rows)
    found = WithoutRows(rows).applied(split_of(T), None)
    x, t = X[kept], T[kept]
    np.testing.assert_allclose(found.train.x, (x - x.mean(axis=0)) / x.std(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.train.y[:, 0], (t - t.mean()) / t.std(), atol=1e-4)
    # The held-out rows stay, in the same units.
    np.testing.assert_allclose(found.validation.x, (X[150:] - x.mean(axis=0)) / x.std(axis=0), atol=1e-3)
    np.testing.assert_allclose(found.validation.y[:, 0], (T[150:] - t.mean()) / t.std(), atol=1e-3)


@pytest.mark.parametrize("scale", ["none", "range", "standard"])
def test_no_edit_leaves_rows_of_each_scale_as_they_are(scale):
    split = split_of(T, scale=scale)
    found = AsTheyAre().applied(split, scale)
    for name in ("train", "validation"):
        np.testing.assert_allclose(getattr(found, name).x, getattr(split, name).x, atol=1e-4)
        np.testing.assert_allclose(getattr(found, name).y, getattr(split, name).y, atol=1e-4)


def test_marked_cells_are_filled_with_the_mean_of_the_others_and_marked_in_both_sets():
    x = X.copy()
    x[::5, 1] = -999.0
    split = Data(source=(x, T), validation=0.25, test=0.0, split="time", scale="none").load(seed=0)
    others = float(x[:150][x[:150, 1] != -999, 1].mean())
    found = MarkedCells((FilledCell(1, -999.0, others),)).applied(split, "none")
    for rows, part in ((found.train, slice(0, 150)), (found.validation, slice(150, 200))):
        missing = x[part, 1] == -999
        np.testing.assert_allclose(rows.x[:, 1], np.where(missing, others, x[part, 1]), rtol=1e-5)
        np.testing.assert_array_equal(rows.x[:, 3], missing)
        np.testing.assert_allclose(rows.x[:, [0, 2]], x[part][:, [0, 2]], rtol=1e-5)


def test_ranked_cells_are_the_part_of_the_training_rows_below_them():
    split = split_of(T, scale="none")
    quantiles = tuple(map(tuple, np.quantile(split.train.x, np.linspace(0, 1, 150), axis=0).T))
    found = RankedCells(quantiles).applied(split, "none")
    ranks = np.argsort(np.argsort(X[:150], axis=0), axis=0) / 149
    np.testing.assert_allclose(found.train.x, ranks, atol=1e-4)
    # Of the order of the rows nothing is lost, and no held-out row is beyond the range.
    below = (X[:150, 0] < X[180, 0]).sum()
    assert (below - 1) / 149 <= found.validation.x[30, 0] <= below / 149
    assert found.validation.x.min() >= 0
    assert found.validation.x.max() <= 1
    np.testing.assert_array_equal(found.train.y, split.train.y)


def test_the_control_leaves_out_as_many_rows_of_each_class():
    split = split_of(Y)
    rows = tuple(map(int, np.flatnonzero(Y[:150] == 1)[:9])) + tuple(map(int, np.flatnonzero(Y[:150] == 2)[:4]))
    edit = WithoutRows(rows)
    left = [np.bincount(one.applied(split, None).train.y, minlength=3).tolist() for one in (edit, edit.control)]
    assert left[0] == left[1] == (np.bincount(Y[:150]) - [0, 9, 4]).tolist()
    assert not np.array_equal(edit.applied(split, None).train.x, edit.control.applied(split, None).train.x)


@pytest.mark.parametrize("by", [1, -2])
def test_moved_targets_join_each_row_with_that_of_another(by):
    split = split_of(Y)
    found = MovedTargets(by).applied(split, "none")
    for after, before in ((found.train, split.train), (found.validation, split.validation)):
        assert len(after) == len(before) - abs(by)
        for row, target in zip(after.x, after.y, strict=True):
            (index,) = np.flatnonzero((before.x == row).all(axis=1))
            assert target == before.y[index + by]


def test_a_target_is_left_out_of_both_sets_and_of_what_the_unchanged_rows_are_scored_on():
    t = np.where(RNG.random(200) < 0.4, 7.0, T)
    split = split_of(t, scale="none")
    edit = WithoutTarget(0, 7.0)
    found = edit.applied(split, "none")
    assert len(found.train) == np.sum(t[:150] != 7)
    assert len(found.validation) == np.sum(t[150:] != 7)
    unchanged = edit.unchanged.applied(split, "none")
    np.testing.assert_array_equal(unchanged.train.y, split.train.y)
    np.testing.assert_array_equal(unchanged.validation.y, found.validation.y)


def test_columns_and_more_rows():
    split = split_of(Y)
    found = WithoutColumns((0, 2)).applied(split, "none")
    np.testing.assert_array_equal(found.train.x, split.train.x[:, [1]])
    np.testing.assert_array_equal(found.validation.y, split.validation.y)
    more = MoreRows().applied(split, "none")
    assert (len(more.train), len(more.validation)) == (150 + 37, 13)
    # No row both trains and scores.
    assert not {row.tobytes() for row in more.train.x} & {row.tobytes() for row in more.validation.x}
    unchanged = MoreRows().unchanged.applied(split, "none")
    np.testing.assert_array_equal(unchanged.validation.x, more.validation.x)
    assert len(unchanged.train) == 150


def test_weights_and_keys_follow_their_rows():
    split = split_of(Y)
    train = dataclasses.replace(split.train, weight=np.arange(1, 151), key=np.arange(150))
    found = WithoutRows((0, 1)).applied(dataclasses.replace(split, train=train), "none").train
    assert found.weight.tolist() == list(range(3, 151))
    assert found.key.tolist() == list(range(2, 150))


def test_rows_that_cannot_be_edited_are_refused():
    without = Data(source=(X, Y), validation=0.0, test=0.2).load(seed=0)
    with pytest.raises(InputError, match="validation"):
        AsTheyAre().applied(without, None)
    with pytest.raises(InputError, match="empty"):
        WithoutRows(tuple(range(150))).applied(split_of(Y), None)


def test_paired_runs_train_edited_rows_of_one_split_with_any_seed():
    table = {
        "data": {"source": (X, T), "validation": 0.25},
        "network": {"layers": ["dense 8", "tanh", "dense 1"]},
        "optimizer": "adam 0.01",
        "training": {"epochs": 5, "engine": "eager"},
    }
    session = Session.load(Spec.of(table))
    runs = PairedRuns(session.spec, session.split, "r2")
    plain = runs.score((), seed=0)
    edited = [runs.score(((ROWS, edit),), seed) for edit in (AsTheyAre(), WithoutRows((1, 2))) for seed in (0, 1)]
    assert edited[0].held_out == pytest.approx(plain.held_out, abs=1e-3)
    assert len({score.held_out for score in edited}) == 4
    for score in (plain, *edited):
        # All are scored on the same rows, and the parts of the rows add up to the score.
        assert score.parts.sum() == pytest.approx(score.held_out, abs=1e-4)
        assert len(score.parts) == len(session.split.validation)
