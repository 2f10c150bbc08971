"""The lesson on handwritten digits, against NumPy's forward pass and counts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.mnist import MnistLesson
from thalweg.pages.blocks import Check, Text


@pytest.fixture(scope="module")
def run():
    return lesson_of("mnist", quick=True).run()


def test_every_claim_holds_in_the_quick_form():
    claims = [block for block in lesson_of("mnist", quick=True).page().blocks if isinstance(block, Check)]
    assert len(claims) == 3
    assert all(claim.holds for claim in claims)


def test_mnist_is_read_to_97_to_98_per_cent(mnist_folder):
    blocks = MnistLesson().page().blocks
    claims = {block.says: block for block in blocks if isinstance(block, Check)}
    assert all(claim.holds for claim in claims.values())
    assert "From 97 to 98 % of the test pictures are told right" in claims
    # 784·256 + 256 + 256·128 + 128 + 128·10 + 10
    assert any("235,146 weights" in block.text for block in blocks if isinstance(block, Text))


def test_the_accuracy_is_that_of_a_forward_pass_by_hand(run):
    a, test = run.split.test.x.astype(float), run.split.test.y
    dense = [layer for layer in run.params if layer]
    for layer in dense[:-1]:
        a = np.maximum(a @ np.asarray(layer.W) + np.asarray(layer.b), 0)
    said = (a @ np.asarray(dense[-1].W) + np.asarray(dense[-1].b)).argmax(axis=1)
    assert np.mean(said == test) == pytest.approx(run.measures["test"]["accuracy"], abs=0.003)
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (test, said), 1)
    assert np.abs(confusion - np.array(run.confusion)).sum() <= 2


def test_without_training_enough_the_claim_does_not_hold_and_the_page_says_so():
    blocks = MnistLesson(data="digits", hidden=(), epochs=1).page().blocks
    assert [block.holds for block in blocks if isinstance(block, Check)] == [True, False, True]
