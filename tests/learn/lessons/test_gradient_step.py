"""One step of gradient descent: against numbers worked by hand, jax.grad and the closed form of the path."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from page_blocks import blocks_of, check_about, table_of, text_of

from thalweg.core.errors import InputError
from thalweg.learn.lessons.gradient_step import GradientStepLesson
from thalweg.pages.blocks import Chart


def test_the_first_step_by_hand():
    rows = {name: value for name, _, value in table_of(GradientStepLesson().page(), "η = 0.1").rows}
    by_hand = {
        "weight before": 1.0,
        "bias before": 0.0,
        "prediction": 2.0,
        "loss": 2.0,
        "delta": -2.0,
        "gradient of the weight": -4.0,
        "gradient of the bias": -2.0,
        "update of the weight": 0.4,
        "update of the bias": 0.2,
        "weight after": 1.4,
        "bias after": 0.2,
    }
    assert rows == pytest.approx(by_hand, rel=1e-14)


def test_other_numbers_follow_jax_grad():
    lesson = GradientStepLesson(w=-0.7, b=0.3, x=1.5, target=2.5, learning_rate=0.2)
    with jax.enable_x64(True):
        by_w, by_b = jax.grad(lambda w, b: (w * 1.5 + b - 2.5) ** 2 / 2, argnums=(0, 1))(-0.7, 0.3)
    rows = {name: value for name, _, value in table_of(lesson.page(), "η = 0.2").rows}
    assert rows["weight after"] == pytest.approx(-0.7 - 0.2 * float(by_w), rel=1e-12)
    assert rows["bias after"] == pytest.approx(0.3 - 0.2 * float(by_b), rel=1e-12)


def test_the_path_ends_at_the_nearest_solution():
    # The nearest point of the line 3 w + b = 4 to (1, 0), by the pseudo-inverse of the row (3, 1).
    lesson = GradientStepLesson(x=3.0, learning_rate=0.05, count=60)
    nearest = np.array([1.0, 0.0]) + np.linalg.pinv(np.array([[3.0, 1.0]])) @ np.array([4.0 - 3.0])
    last = lesson.steps(0.05)[-1].before.params[0]
    np.testing.assert_allclose([last.W.item(), last.b.item()], nearest, atol=1e-9)


def test_the_errors_are_a_geometric_series():
    errors = [row[4] for row in table_of(GradientStepLesson(count=4).page(), "The steps").rows]
    assert errors == pytest.approx([-2.0, -1.0, -0.5, -0.25, -0.125], rel=1e-12)


def test_rates_on_either_side_of_the_limit():
    lesson = GradientStepLesson()
    assert lesson.limit == pytest.approx(0.4, rel=1e-12)
    after = {round(row[1], 6): row[4] for row in table_of(lesson.page(), "other learning rates").rows}
    # The loss of 2 times the 60th power of the factor 1 - 5 η.
    assert after[0.9] == pytest.approx(2 * 0.8**60, rel=1e-9)
    assert after[1.0] == pytest.approx(2.0, rel=1e-9)
    assert after[1.1] == pytest.approx(2 * 1.2**60, rel=1e-9)
    assert after[0.5] < 1e-20


def test_with_a_rate_that_diverges_the_check_fails():
    page = GradientStepLesson(learning_rate=0.48).page()
    assert not check_about(page, "After 30 steps").holds
    assert check_about(page, "1 - η (x² + 1)").holds
    assert "-1.4" in text_of(page)


def test_every_number_of_a_figure_is_a_loss_of_the_steps():
    chart = blocks_of(GradientStepLesson().page(), Chart)[1]
    line = next(trace for trace in chart.figure.data if trace.name == "η = 0.1")
    np.testing.assert_allclose(line.y, 2 * 0.25 ** np.arange(31), rtol=1e-9)


def test_a_start_that_is_right_is_refused():
    with pytest.raises(InputError, match="choose another w") as error:
        GradientStepLesson(w=2.0)
    assert error.value.subject == "gradient-step"
