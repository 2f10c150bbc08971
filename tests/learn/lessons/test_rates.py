"""The lesson on rates, against schedules worked out by hand and PyTorch's ReduceLROnPlateau."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed, text_of

from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.rates import RatesLesson
from thalweg.pages.blocks import Check


@pytest.fixture(scope="module")
def lesson():
    return lesson_of("rates", quick=True)


@pytest.mark.slow
def test_every_check_holds_in_both_forms(lesson):
    for page in (lesson.page(), RatesLesson().page()):
        assert len(blocks_of(page, Check)) == 6
        assert not failed(page)


def test_the_halved_rate_is_halved_at_fixed_epochs(lesson):
    rates = lesson.losses(lesson.clean()["momentum, halved"], noise=0.05)["learning_rate"]
    # The record of an epoch has the rate of its last update.
    expected = 0.01 * 0.5 ** (np.arange(60) // 10)
    np.testing.assert_allclose(rates, np.tile(expected, (4, 1)), rtol=1e-6)


def test_the_reduced_rate_is_that_of_pytorch_for_the_same_losses(lesson):
    torch = pytest.importorskip("torch")
    records = lesson.losses(lesson.overlapping()["reduced on plateau"], noise=0.2)
    for losses, rates in zip(records["validation_loss"], records["learning_rate"], strict=True):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
        optimizer.step()
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, eps=0.0)
        expected = []
        for loss in losses:
            expected.append(optimizer.param_groups[0]["lr"])
            plateau.step(float(loss))
        np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_all_rates_start_from_the_same_points_weights_and_order(lesson):
    # The first epoch is the same wherever optimizer and data are.
    fixed, reduced = (lesson.losses(optimizer, 0.2)["loss"] for optimizer in lesson.overlapping().values())
    np.testing.assert_array_equal(fixed[:, :4], reduced[:, :4])
    assert len(np.unique(fixed[:, 0])) == lesson.seeds


def test_the_formula_follows_the_parameters():
    assert "0.005 / (1 - 0.8) = 0.025" in text_of(RatesLesson(momentum=0.8, epochs=2, seeds=2).page())
