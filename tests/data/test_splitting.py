import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import input_error

from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.data.splitting import split_rows

fractions = st.floats(0, 0.45)
sizes = st.integers(2, 300)


@given(rows=sizes, validation=fractions, test=fractions, classes=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_row_is_in_one_part_and_classes_keep_their_fractions(rows, validation, test, classes, seed):
    labels = np.sort(np.random.default_rng(seed).integers(classes, size=rows))
    try:
        parts = split_rows(np.random.default_rng(seed), rows, validation, test, labels)
    except InputError:
        test_size = round(test * rows)
        parts_wanted = 1 + (test_size > 0) + (round(validation * (rows - test_size)) > 0)
        assert np.bincount(labels)[np.unique(labels)].min() < parts_wanted
        return
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    assert set(labels[parts.train]) == set(labels)
    for label in np.unique(labels):
        size = np.count_nonzero(labels == label)
        assert abs(np.count_nonzero(labels[parts.test] == label) - test * size) <= 2
    again = split_rows(np.random.default_rng(seed), rows, validation, test, labels)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@given(rows=st.integers(1, 300), validation=fractions, test=fractions)
def test_fractions_of_unlabelled_rows(rows, validation, test):
    parts = split_rows(np.random.default_rng(0), rows, validation, test)
    assert len(parts.test) == round(test * rows)
    assert len(parts.validation) == round(validation * (rows - len(parts.test)))
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))


@pytest.mark.parametrize("labels", [None, np.arange(10**6) % 7])
def test_a_split_takes_24_bytes_a_row_at_most(labels):
    rows = 10**6
    split_rows(np.random.default_rng(0), rows, 0.1, 0.2, labels)
    tracemalloc.start()
    parts = split_rows(np.random.default_rng(0), rows, 0.1, 0.2, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 24 * rows
    assert sum(part.nbytes for part in parts) == 4 * rows


def test_a_balanced_split_is_exact():
    split = Data("iris", validation=0.25, test=0.2).load(0)
    assert np.bincount(split.test.y).tolist() == [10, 10, 10]
    assert np.bincount(split.validation.y).tolist() == [10, 10, 10]


def test_another_seed_gives_another_split():
    first, again, other = (Data.of("iris").load(seed) for seed in (0, 0, 1))
    assert np.array_equal(first.train.x, again.train.x)
    assert not np.array_equal(first.train.x, other.train.x)


def test_a_split_without_training_rows_is_rejected():
    with input_error("split", "of 2 rows, 2"):
        Data.of({"source": ([[1.0], [2.0]], [0.5, 1.5]), "test": 0.9}).load(0)
    with input_error("split", "'b' has 2 rows", "3 parts"):
        Data.of((np.zeros((20, 1)), ["a"] * 18 + ["b"] * 2)).load(0)
