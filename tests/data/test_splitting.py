import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.data.splitting import split_rows

shares = st.floats(0, 0.45)


@given(rows=st.integers(2, 300), validation=shares, test=shares, classes=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_row_is_in_exactly_one_part_and_classes_keep_their_shares(rows, validation, test, classes, seed):
    labels = np.sort(np.random.default_rng(seed).integers(classes, size=rows))
    try:
        parts = split_rows(np.random.default_rng(seed), rows, validation, test, labels)
    except InputError:
        tested = round(test * rows)
        wanted = 1 + (tested > 0) + (round(validation * (rows - tested)) > 0)
        assert np.bincount(labels)[np.unique(labels)].min() < wanted
        return
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    assert set(labels[parts.train]) == set(labels)
    for label in np.unique(labels):
        size = np.count_nonzero(labels == label)
        assert abs(np.count_nonzero(labels[parts.test] == label) - test * size) <= 2
    again = split_rows(np.random.default_rng(seed), rows, validation, test, labels)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@given(rows=st.integers(1, 300), validation=shares, test=shares)
def test_shares_of_unlabelled_rows(rows, validation, test):
    parts = split_rows(np.random.default_rng(0), rows, validation, test)
    assert len(parts.test) == round(test * rows)
    assert len(parts.validation) == round(validation * (rows - len(parts.test)))
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))


def test_a_balanced_split_is_exact():
    split = Data("iris", validation=0.25, test=0.2).load(0)
    assert np.bincount(split.test.y).tolist() == [10, 10, 10]
    assert np.bincount(split.validation.y).tolist() == [10, 10, 10]


def test_other_seeds_split_otherwise():
    first, again, other = (Data.of("iris").load(seed) for seed in (0, 0, 1))
    assert np.array_equal(first.train.x, again.train.x)
    assert not np.array_equal(first.train.x, other.train.x)


def test_nothing_left_to_train_on():
    with pytest.raises(InputError, match="no training rows: of 2, 2 go to the test"):
        Data.of({"source": ([[1.0], [2.0]], [0.5, 1.5]), "test": 0.9}).load(0)
    with pytest.raises(InputError, match="'b' has 2 rows, and a split into 3 parts needs at least 3"):
        Data.of((np.zeros((20, 1)), ["a"] * 18 + ["b"] * 2)).load(0)
