"""The convolution by hand, against PyTorch, SciPy and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from page_blocks import blocks_of, failed, table_of
from scipy.signal import convolve2d, correlate2d

from thalweg.core.errors import InputError
from thalweg.learn.lessons.convolution import ConvolutionLesson
from thalweg.pages.blocks import ArrayBlock, Check
from thalweg.parts.initializers import HeNormal, Normal

OTHER = ConvolutionLesson(
    picture=((1.0, 0.5, -2.0, 0.0), (3.0, 1.0, 0.25, 1.0), (0.0, -1.0, 1.0, 2.0), (1.0, 1.0, 1.0, 0.0)),
    kernel=((1.0, -2.0, 0.5), (0.0, 1.0, 3.0), (-1.0, 0.5, 0.25)),
)


@pytest.mark.parametrize("lesson", [ConvolutionLesson(), OTHER], ids=["default", "other"])
def test_both_passes_are_pytorchs_and_scipys(lesson):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    x, W = (torch.tensor(array, requires_grad=True) for array in (lesson.pixels, lesson.weights))
    loss = 0.5 * torch.nn.functional.conv2d(x[None, None], W[None, None]).square().sum()
    loss.backward()
    passed = lesson.forward_backward(lesson.pixels, lesson.weights)
    assert passed.loss == pytest.approx(float(loss.detach()))
    np.testing.assert_allclose(passed.W_gradient, W.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(passed.x_gradient, x.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(passed.z, correlate2d(lesson.pixels, lesson.weights, "valid"), atol=1e-12)
    # A true convolution turns the kernel.
    np.testing.assert_allclose(passed.x_gradient, convolve2d(passed.delta, lesson.weights), atol=1e-12)


def test_the_bar_by_hand():
    """The left edge of the bar answers with 1 + 1, the right one with -1 - 1, and half of it where the bar ends."""
    page = ConvolutionLesson().page()
    shown = {block.name: np.asarray(block.values) for block in blocks_of(page, ArrayBlock)}
    assert shown["z"].tolist() == [[0, 2, 0, -2]] * 3 + [[0, 1, 0, -1]]
    # W(1, 1) lies on a bright pixel at three places with z = -2 and one with -1; the dark last row is below W(2, 1).
    assert shown["dL/dW"].tolist() == [[-7, 7], [-6, 6]]
    assert shown["y, max"].tolist() == [[2, 0], [2, 0]]
    assert shown["y, mean"].tolist() == [[1, -1], [0.75, -0.75]]
    assert table_of(page, "By hand").total[-1] == 2


def test_the_size_after_a_stack_is_that_of_the_sum_of_squares():
    """Behind ReLU half of the mean square is left: fan_in Var(W) / 2 in each convolution, as in a dense layer."""
    lesson = ConvolutionLesson(seeds=4, channels=12)
    he = lesson.sizes(HeNormal())
    assert he[0] == pytest.approx(math.sqrt(2), rel=0.1)
    np.testing.assert_allclose(he[1:] / he[:-1], 1, atol=0.15)
    # The same draws, scaled: ReLU passes on a factor.
    spread = math.sqrt(2 / (9 * 12))
    np.testing.assert_allclose(lesson.sizes(Normal(3 * spread)) / he, 3.0 ** np.arange(1, 9), rtol=1e-9)


@pytest.mark.parametrize(
    "lesson",
    [
        ConvolutionLesson(),
        OTHER,
        ConvolutionLesson(kernel=((-1.0, -1.0, -1.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))),
        ConvolutionLesson(picture=tuple(tuple(float(i == j) for j in range(5)) for i in range(5))),
        ConvolutionLesson(window=5, layers=4, seeds=2),
    ],
    ids=["default", "other", "three rows", "diagonal", "window"],
)
def test_the_checks_hold_with_other_parameters(lesson):
    page = lesson.page()
    assert len(blocks_of(page, Check)) == 12
    assert not failed(page)


def test_a_step_that_is_too_long_raises_the_loss_and_a_check_fails():
    assert [says for says in failed(ConvolutionLesson(learning_rate=1.0).page()) if "lowers the loss" in says]


@pytest.mark.parametrize(
    ("settings", "subject", "received"),
    [
        ({"picture": ((1.0, 2.0), (1.0,))}, "picture", "received 2, 1"),
        ({"kernel": ((1.0, 2.0),)}, "kernel", "received 1 x 2"),
        ({"kernel": ((1.0,) * 5,) * 5}, "kernel", "received 5 rows"),
    ],
)
def test_pictures_and_kernels_that_do_not_fit_are_rejected(settings, subject, received):
    with pytest.raises(InputError, match=received) as error:
        ConvolutionLesson(**settings)
    assert error.value.subject == subject
