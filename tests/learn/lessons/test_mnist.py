"""The lesson on handwritten digits, against NumPy's forward pass and counts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, check_about, failed, text_of

from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.mnist import MnistLesson
from thalweg.pages.blocks import Check


@pytest.fixture(scope="module")
def run():
    return lesson_of("mnist", quick=True).run()


def test_every_check_holds_in_the_quick_form():
    page = lesson_of("mnist", quick=True).page()
    assert len(blocks_of(page, Check)) == 3
    assert not failed(page)


@pytest.mark.slow
def test_the_accuracy_on_mnist_is_97_to_98_per_cent(mnist_folder):
    page = MnistLesson().page()
    assert not failed(page)
    assert check_about(page, "From 97\u202f% to 98\u202f%")
    # 784·256 + 256 + 256·128 + 128 + 128·10 + 10
    assert "235,146 weights" in text_of(page)


def test_the_accuracy_is_that_of_a_forward_pass_by_hand(run):
    a = run.split.test.x.astype(float)
    test = run.split.test.y
    dense = [layer for layer in run.params if layer]
    for layer in dense[:-1]:
        a = np.maximum(a @ np.asarray(layer.W) + np.asarray(layer.b), 0)
    answers = (a @ np.asarray(dense[-1].W) + np.asarray(dense[-1].b)).argmax(axis=1)
    assert np.mean(answers == test) == pytest.approx(run.measures["test"]["accuracy"], abs=0.003)
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (test, answers), 1)
    assert np.abs(confusion - np.array(run.confusion)).sum() <= 2


def test_without_enough_training_the_check_of_the_accuracy_fails():
    page = MnistLesson(data="digits", hidden=(), epochs=1).page()
    assert [check.holds for check in blocks_of(page, Check)] == [True, False, True]
