"""The lesson on the order of the samples: the rows of an epoch, and the answers after the training."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed

from thalweg.data import EpochIndex
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.digit_images import first_rows
from thalweg.learn.lessons.sample_order import SampleOrderLesson
from thalweg.pages.blocks import Check, Table


@pytest.fixture(scope="module")
def lesson():
    return lesson_of("sample-order", quick=True)


@pytest.fixture(scope="module")
def runs(lesson):
    return {name: lesson.runs(name, first_rows("digits", 1797)) for name in ("shuffled", "shuffled once", "sorted")}


def test_every_check_holds_in_the_quick_form(lesson):
    page = lesson.page()
    assert len(blocks_of(page, Check)) == 4
    assert not failed(page)


@pytest.mark.slow
def test_every_check_holds_on_mnist(mnist_folder):
    assert not failed(SampleOrderLesson().page())


def epoch_of(run, epoch):
    """The classes of the rows in the order of an epoch, and the rows."""
    train = run.split.train
    rows = run.split.order.rows(EpochIndex(run.spec.training.seed, epoch, 3, 8), train)
    return train.y[rows], rows


def test_sorted_rows_come_class_after_class(runs):
    classes, rows = epoch_of(runs["sorted"][0], 1)
    assert (np.diff(classes) >= 0).all()
    assert sorted(rows) == list(range(len(rows)))


def test_shuffled_rows_are_shuffled_anew_or_once(runs):
    first, second = (epoch_of(runs["shuffled"][0], epoch)[1] for epoch in (0, 1))
    once, again = (epoch_of(runs["shuffled once"][0], epoch)[1] for epoch in (0, 1))
    assert (first != second).any()
    np.testing.assert_array_equal(once, again)
    assert (np.diff(epoch_of(runs["shuffled once"][0], 0)[0]) < 0).any()


def test_all_orders_train_on_the_same_rows_from_the_same_weights(runs):
    for one, other in zip(runs["shuffled"], runs["sorted"], strict=True):
        np.testing.assert_array_equal(one.split.train.x, other.split.train.x)
        np.testing.assert_array_equal(one.split.validation.y, other.split.validation.y)


def test_the_counts_of_the_last_table_are_those_of_the_answers(lesson, runs):
    tables = blocks_of(lesson.page(), Table)
    answered = np.zeros(10, dtype=int)
    for run in runs["sorted"]:
        a = run.split.validation.x.astype(float)
        first, last = (layer for layer in run.params if layer)
        hidden = np.maximum(a @ np.asarray(first.W) + np.asarray(first.b), 0)
        answered += np.bincount((hidden @ np.asarray(last.W) + np.asarray(last.b)).argmax(axis=1), minlength=10)
    assert np.abs(np.array(tables[-1].rows[1][1:]) - answered).sum() <= 4
